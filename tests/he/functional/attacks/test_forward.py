import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from he.functional.attacks.forward import images_by_least_squares, images_from_forward_keys
from he.functional.attacks.seen import Seen
from intnn.testing import int_arrays
from intnn.values.domain import IntDomain
from tests.he.functional.attacks.victims import images_of, projected, training

LEVELS = IntDomain(0, 16)


def forward_keys(sights):
    return np.concatenate([sight.forward.keys for sight in sights])


def test_unlit_pixels_give_images_that_plain_least_squares_does_not_find() -> None:
    # Three updates of 16 units: 48 keys for 40 pixels that were lit, and 60 that no gradient has reached.
    draw = np.random.default_rng(0)
    images = np.pad(draw.integers(0, 17, (20, 40)), ((0, 0), (0, 60)))
    weights = draw.integers(-127, 128, (3, 16, 100))
    weights[:, :, 40:] = weights[0, :, 40:]
    seen = projected(images, weights.reshape(48, 100), 16)
    assert not images_by_least_squares(seen).confirmed.any()
    rebuilt = images_from_forward_keys(seen, 16)
    assert np.array_equal(rebuilt.images, images)
    assert rebuilt.confirmed.all()


def test_images_that_lit_a_pixel_without_moving_a_weight_are_found_by_least_squares() -> None:
    images, labels, *_ = images_of("digits", 16)
    keys = forward_keys(training(images, labels, 16, units=64, batch=32, updates=3))
    dark = (keys.reshape(3, 64, 64) == keys[:64]).all(axis=(0, 1))
    assert images[:64, dark].any()
    rebuilt = images_from_forward_keys(projected(images[:64], keys, 16), 64)
    assert np.array_equal(rebuilt.images, images[:64])
    assert rebuilt.confirmed.all()


def test_keys_of_one_update_tell_little() -> None:
    images, labels, *_ = images_of("digits", 16)
    keys = forward_keys(training(images, labels, 16, units=16, batch=32, updates=1))
    rebuilt = images_from_forward_keys(projected(images[:32], keys, 16), 16)
    assert not rebuilt.images.any()  # no weight has changed yet
    assert not rebuilt.confirmed.any()


@given(st.data())
def test_least_squares_solves_what_is_determined(data) -> None:
    length = data.draw(st.integers(1, 5))
    keys = data.draw(int_arrays((length + 1, length), -127, 127))
    images = data.draw(int_arrays((2, length), 0, 16))
    rebuilt = images_by_least_squares(projected(images, keys, 16))
    if np.linalg.matrix_rank(keys) == length and np.linalg.cond(keys) < 1e6:
        assert np.array_equal(rebuilt.images, images)
        assert rebuilt.confirmed.all()
    assert np.array_equal(rebuilt.confirmed, (rebuilt.images @ keys.T == images @ keys.T).all(axis=1))


def test_keys_come_in_whole_updates_and_dark_is_zero() -> None:
    seen = Seen(np.ones((3, 2), int), [[1, 1, 1]], LEVELS)
    with pytest.raises(ValueError, match="`units` must divide the number of keys, 3, got 2"):
        images_from_forward_keys(seen, 2)
    with pytest.raises(ValueError, match="`inputs` must hold 0"):
        images_from_forward_keys(Seen(np.ones((1, 2), int), [[2]], IntDomain(1, 2)), 1)
