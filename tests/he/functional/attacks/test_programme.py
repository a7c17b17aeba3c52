import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.functional.attacks.programme import images_by_neighbours, images_by_programme, prices
from he.functional.attacks.seen import Seen
from intnn.testing import int_arrays
from intnn.values.domain import IntDomain
from tests.he.functional.attacks.victims import components, images_of, projected, training

LEVELS = IntDomain(0, 16)


@pytest.fixture(scope="module")
def digits():
    train, _, test, _ = images_of("digits", 16)
    return train[:200], test[:40]


def exact(rebuilt, images) -> int:
    return int((rebuilt.images == images).all(axis=1).sum())


def test_few_keys_of_small_images_give_most_of_them_exactly(digits) -> None:
    public, images = digits
    weights = prices(public.mean(axis=0), LEVELS)
    found = {rank: exact(images_by_programme(projected(images, components(public, rank), 16), weights), images)
             for rank in (16, 32, 40)}  # fmt: skip
    assert found[16] == 0
    assert 10 < found[32] < 40
    assert found[40] == 40


def test_forward_keys_of_a_narrow_layer_open_images_that_no_update_has_used(digits) -> None:
    public, others = digits
    train, labels, *_ = images_of("digits", 16)
    keys = np.concatenate([s.forward.keys for s in training(train, labels, 16, units=8, batch=64, updates=6)])
    weights = prices(public.mean(axis=0), LEVELS)
    first, all_six = (
        exact(images_by_programme(projected(others, part, 16), weights), others) for part in (keys[:8], keys)
    )
    assert first == 0
    assert all_six > 20


def test_smoothness_alone_finds_fewer(digits) -> None:
    public, images = digits
    rebuilt = images_by_neighbours(projected(images, components(public, 40), 16), 8, 8)
    assert 0 < exact(rebuilt, images) < 40


def test_smoothness_finds_a_plain_image_from_one_key() -> None:
    grey, keys = np.full((1, 64), 9), np.random.default_rng(0).integers(-127, 128, (1, 64))
    seen = projected(grey, keys, 16)
    assert np.array_equal(images_by_neighbours(seen, 8, 8, threshold=0, period=1).images, grey)
    assert not np.array_equal(images_by_programme(seen, np.ones(64)).images, grey)


@settings(max_examples=25)
@given(st.data())
def test_what_is_confirmed_has_the_products_and_what_is_determined_is_found(data) -> None:
    height, width, count = (data.draw(st.integers(1, 3)) for _ in range(3))
    images = data.draw(int_arrays((2, height * width), 0, 16))
    keys = data.draw(int_arrays((count, height * width), -127, 127))
    seen, whole = projected(images, keys, 16), projected(images, np.eye(height * width, dtype=int), 16)
    weights = prices(images.mean(axis=0), LEVELS)
    period = data.draw(st.integers(1, 4))
    for rebuilt in (images_by_programme(seen, weights), images_by_neighbours(seen, height, width, period=period)):
        products = rebuilt.images @ keys.T == images @ keys.T
        assert np.array_equal(rebuilt.confirmed, products.all(axis=1))
        assert LEVELS.contains_array(rebuilt.images)
    for rebuilt in (images_by_programme(whole, weights), images_by_neighbours(whole, height, width, period=period)):
        assert np.array_equal(rebuilt.images, images)


def test_products_of_no_image_are_not_confirmed() -> None:
    seen = Seen([[1, 1, 1, 1]], [[65]], LEVELS)
    assert not images_by_programme(seen, np.ones(4)).confirmed.any()
    assert not images_by_neighbours(seen, 2, 2).confirmed.any()


def test_a_sample_may_have_prices_of_its_own() -> None:
    # One key that sees two pixels alike: light falls where it is cheaper.
    seen = Seen([[1, 1]], [[5], [5]], LEVELS)
    assert images_by_programme(seen, np.array([[1.0, 2.0], [2.0, 1.0]])).images.tolist() == [[5, 0], [0, 5]]


def test_light_costs_most_where_little_is_expected() -> None:
    assert prices([0.0, 16.0, -3.0, 99.0], LEVELS) == pytest.approx([300, 300 / 301, 300, 300 / 301])


def test_weights_and_shapes_are_checked() -> None:
    seen = Seen([[1, 1, 1, 1]], [[5]], LEVELS)
    with pytest.raises(ValueError, match=r"`weights` must have shape \[4\] or \[1, 4\], got \[3\]"):
        images_by_programme(seen, np.ones(3))
    with pytest.raises(TypeError, match="`weights` must hold floats"):
        images_by_programme(seen, [1, 1, 1, 1])
    with pytest.raises(ValueError, match="`height` x `width` must be 4, got 2 x 3"):
        images_by_neighbours(seen, 2, 3)


def test_without_scipy_the_error_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(ImportError, match="install the extra `attacks`"):
        images_by_programme(Seen([[1]], [[1]], LEVELS), np.ones(1))
