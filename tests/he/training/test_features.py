"""Random features are, bit for bit, what integers of any size give, for every seed, size and image."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.training.features import RandomFeatures
from intnn.training.generator import FEATURES, draw, key

BITS_OF_FLOAT64 = 53


def filters_in_integers(maps):
    """The filters and thresholds of `RandomFeatures.filter_weights`, in Python's integers."""
    taps, weights, thresholds = maps.window**2, [], []
    for number in range(maps.filters):
        stream = key(maps.seed, FEATURES, number)
        numbers = [sum(draw(stream, place).to_bytes(4, "little")) - 510 for place in range(taps + 1)]
        weights.append(numbers[:taps])
        thresholds.append(numbers[taps] * 255 * maps.shrink**2 // 4)
    return weights, thresholds


def sums_in_integers(maps, pixels):
    """The sums of one image of integers from 0 to 255, before the division by a power of two."""
    weights, thresholds = filters_in_integers(maps)
    k, s, p = maps.window, maps.shrink, maps.pool
    rows, columns = maps.height // s, maps.width // s
    small = [
        [sum(pixels[i * s + a][j * s + b] for a in range(s) for b in range(s)) for j in range(columns)]
        for i in range(rows)
    ]
    result = []
    for filter_, threshold in zip(weights, thresholds, strict=True):

        def at(i, j, filter_=filter_, threshold=threshold):
            taps = (small[i + a][j + b] * filter_[a * k + b] for a in range(k) for b in range(k))
            return max(sum(taps) + threshold, 0)

        for i in range((rows - k + 1) // p):
            for j in range((columns - k + 1) // p):
                result.append(sum(at(i * p + a, j * p + b) for a in range(p) for b in range(p)))
    return result


@st.composite
def cases(draw):
    window, pool, shrink = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
    least = shrink * (window + pool - 1)
    sizes = st.integers(least, least + 3)
    maps = RandomFeatures(
        draw(sizes), draw(sizes), draw(st.integers(1, 3)), window, pool, shrink, draw(st.integers(0, 2**64 - 1))
    )
    row = st.lists(st.integers(0, 255), min_size=maps.width, max_size=maps.width)
    return maps, draw(st.lists(row, min_size=maps.height, max_size=maps.height))


@settings(max_examples=40, deadline=None)
@given(cases())
def test_features_are_those_of_integers_times_one_power_of_two(case):
    maps, pixels = case
    found = maps.of(np.array(pixels, np.float32)[None, None] / np.float32(255))[0]
    sums = sums_in_integers(maps, pixels)
    assert len(found) == len(sums) == maps.count
    units = {Fraction(total) / Fraction(value) for value, total in zip(found.tolist(), sums, strict=True) if value}
    assert [value == 0 for value in found] == [total == 0 for total in sums]
    assert len(units) <= 1
    assert all(unit.denominator == 1 and unit.numerator.bit_count() == 1 for unit in units)


def test_the_largest_sizes_leave_every_sum_exact():
    maps = RandomFeatures(4096, 4096, 1, 12, 12, 12)
    taps, pixel = maps.window**2, 255 * maps.shrink**2
    largest = taps * 510 * pixel + 510 * pixel // 4
    assert maps.pool**2 * largest < 2**BITS_OF_FLOAT64


def test_batches_do_not_matter():
    maps, images = RandomFeatures(4, 4, 2, 2, 2), np.random.default_rng(0).random((600, 1, 4, 4))
    assert np.array_equal(maps.of(images)[580:], maps.of(images[580:]))


def test_seeds_give_other_features():
    images = np.random.default_rng(0).random((2, 1, 4, 4))
    assert not np.array_equal(
        RandomFeatures(4, 4, 2, 2, 2).of(images), RandomFeatures(4, 4, 2, 2, 2, seed=2).of(images)
    )


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"window": 0}, ValueError, "`window` must lie in"),
        ({"filters": 1.0}, TypeError, "`filters` must be an integer"),
        ({"seed": -1}, ValueError, "`seed` must lie in"),
        ({"pool": 4}, ValueError, "must be at least 5 for this window"),
    ],
)
def test_bad_sizes_are_named(change, error, text):
    with pytest.raises(error, match=text):
        RandomFeatures(**{"height": 4, "width": 4, "filters": 2, "window": 2, "pool": 2, **change})


@pytest.mark.parametrize(
    ("images", "error", "text"),
    [
        (np.zeros((1, 1, 4, 4), int), TypeError, "must hold floats"),
        (np.zeros((1, 4, 4)), ValueError, r"must have shape \(batch, 1, 4, 4\)"),
        (np.full((1, 1, 4, 4), 1.5), ValueError, r"must lie in \[0, 1\]"),
        (np.full((1, 1, 4, 4), np.nan), ValueError, "must be finite"),
        (np.zeros((0, 1, 4, 4)), ValueError, "at least one row"),
    ],
)
def test_bad_images_are_named(images, error, text):
    with pytest.raises(error, match=text):
        RandomFeatures(4, 4, 2, 2, 2).of(images)
