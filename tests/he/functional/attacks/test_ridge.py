import numpy as np
import pytest

from he.functional.attacks.report import psnr_db
from he.functional.attacks.ridge import images_by_ridge
from intnn.values.domain import IntDomain
from tests.he.functional.attacks.victims import components, images_of, projected

LEVELS = IntDomain(0, 16)


@pytest.fixture(scope="module")
def digits():
    train, _, test, _ = images_of("digits", 16)
    return train[:200], test


def test_more_keys_tell_more_and_the_mean_image_is_beaten(digits) -> None:
    public, images = digits
    mean = np.rint(public.mean(axis=0)).astype(int)
    ratios = [psnr_db(np.broadcast_to(mean, images.shape), images, LEVELS)]
    for rank in (4, 16, 32):
        rebuilt = images_by_ridge(projected(images, components(public, rank), 16), public)
        ratios.append(psnr_db(rebuilt.images, images, LEVELS))
        assert not rebuilt.confirmed.any()
    assert ratios == sorted(ratios)
    assert np.diff(ratios).min() > 1


def test_as_many_keys_as_pixels_give_exact_images(digits) -> None:
    public, images = digits
    rebuilt = images_by_ridge(projected(images, np.eye(64, dtype=int), 16), public)
    lit = public.any(axis=0)  # a linear decoder cannot learn what no public image shows
    assert np.array_equal(rebuilt.images[:, lit], images[:, lit])
    assert rebuilt.confirmed[~images[:, ~lit].any(axis=1)].all()


def test_the_penalty_is_chosen_on_images_that_were_held_out() -> None:
    # More keys than public images: without a penalty the decoder would repeat what it has learned by heart.
    train, _, test, _ = images_of("digits", 16)
    public, keys = train[:40], np.random.default_rng(0).integers(-127, 128, (64, 64))
    rebuilt = images_by_ridge(projected(test, keys, 16), public)
    mean = np.broadcast_to(np.rint(public.mean(axis=0)).astype(int), test.shape)
    assert psnr_db(rebuilt.images, test, LEVELS) > psnr_db(mean, test, LEVELS) + 3


@pytest.mark.parametrize("public", [np.zeros((7, 3), int), np.zeros((9, 2), int), np.zeros(9, int)])
def test_public_images_must_be_some_of_the_same_shape(public) -> None:
    seen = projected(np.zeros((1, 3), int), np.ones((2, 3), int), 16)
    with pytest.raises(ValueError, match=r"`public` must have shape \[n, 3\] with n at least 8"):
        images_by_ridge(seen, public)
