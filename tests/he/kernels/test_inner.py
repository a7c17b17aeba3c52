"""Inner products are those of Python integers, and those that cannot be are found."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from he.kernels import reference
from he.kernels.passes import inner

WORD = st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**32 - 1]) | st.integers(0, 2**32 - 1)
LIMIT = 32767
ELEMENT = st.sampled_from([-LIMIT, LIMIT, 0]) | st.integers(-LIMIT, LIMIT)


def matrix(draw: st.DrawFn, values: st.SearchStrategy[int], rows: int, columns: int) -> list[list[int]]:
    row = st.lists(values, min_size=columns, max_size=columns)
    return draw(st.lists(row, min_size=rows, max_size=rows))


@st.composite
def matrices(draw: st.DrawFn) -> tuple[list[list[int]], list[list[int]]]:
    samples, keys, length = draw(st.integers(1, 4)), draw(st.integers(1, 20)), draw(st.integers(1, 9))
    return matrix(draw, WORD, samples, length), matrix(draw, ELEMENT, keys, length)


@settings(max_examples=60)
@given(matrices(), st.sampled_from([1, 3, 11]))
def test_products_modulo_two_to_the_32_are_those_of_integers(
    drawn: tuple[list[list[int]], list[list[int]]], times: int
) -> None:
    """Also of vectors that are longer than what is summed at a time: these are the same ones, repeated."""
    words, y = ([row * times for row in rows] for rows in drawn)
    found = np.empty((len(words), len(y)), np.uint32)
    factors = np.array(y).T.astype(np.uint32, order="C")
    inner.wrapped_products(np.array(words, np.uint32), factors, found)
    assert found.tolist() == reference.wrapped_products(words, y)


@st.composite
def centred(draw: st.DrawFn) -> tuple[list[list[int]], list[list[int]], int]:
    """Products, most of them at the ends of what their vectors allow, and some one beyond."""
    samples, keys, length = draw(st.integers(1, 4)), draw(st.integers(1, 6)), draw(st.integers(1, 5))
    y, magnitude = matrix(draw, ELEMENT, keys, length), draw(st.integers(1, 128))
    bounds = [magnitude * sum(map(abs, key)) for key in y]
    beyond = draw(st.sampled_from([0, 0, 1]))
    ends = [st.sampled_from([-b, b, -b - beyond, b + beyond]) | st.integers(-b, b) for b in bounds]
    return [[draw(end) for end in ends] for _ in range(samples)], y, magnitude


@settings(max_examples=100)
@given(centred(), st.integers(-128, 255))
@example(([[-(2**63)]], [[1]], 1), 0)
@example(([[2**63 - 1]], [[1]], 1), 0)
def test_centres_are_added_to_products_that_can_be(
    drawn: tuple[list[list[int]], list[list[int]], int], centre: int
) -> None:
    products, y, magnitude = drawn
    found, vectors = np.array(products), np.array(y)
    vectors.setflags(write=False)
    first = inner.uncentre(found, vectors, magnitude, centre)
    expected = reference.uncentred(products, y, magnitude, centre)
    assert (found.tolist() if first < 0 else first) == expected
    if first >= 0:
        assert found.tolist() == products  # nothing was added


@pytest.mark.parametrize("word", [2**31, 2**31 + 1, 2**31 - 1])
def test_products_of_the_longest_vectors_are_exact(word: int) -> None:
    length = 1 << 16
    y = [[LIMIT] * length, [-LIMIT] * length, [LIMIT] * (length - 1) + [LIMIT - 1]]
    found = np.empty((1, 3), np.uint32)
    inner.wrapped_products(np.full((1, length), word, np.uint32), np.array(y).T.astype(np.uint32, order="C"), found)
    assert found.tolist() == [[word * sum(key) % 2**32 for key in y]]
    largest = np.array([[255 * LIMIT * length, -255 * LIMIT * length]])
    both = np.array([y[0], y[0]])
    both.setflags(write=False)
    assert inner.uncentre(largest, both, 255, 1) == -1
    assert largest.tolist() == [[256 * LIMIT * length, -254 * LIMIT * length]]
