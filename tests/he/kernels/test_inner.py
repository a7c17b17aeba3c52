"""Inner products are those of Python integers, and those that cannot be are found."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from he.kernels import reference
from he.kernels.passes import inner
from intnn.values.arrays import frozen

WORD = st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**32 - 1]) | st.integers(0, 2**32 - 1)
LIMIT = 32767
ELEMENT = st.sampled_from([-LIMIT, LIMIT, 0]) | st.integers(-LIMIT, LIMIT)


def in_order(y: list[list[int]], order: str) -> np.ndarray:
    """Vectors of keys as kernels are given them, in C's order or in Fortran's."""
    rows = np.array(y)
    return frozen(rows) if order == "C" else frozen(rows.T).T


def matrix(draw: st.DrawFn, values: st.SearchStrategy[int], rows: int, columns: int) -> list[list[int]]:
    row = st.lists(values, min_size=columns, max_size=columns)
    return draw(st.lists(row, min_size=rows, max_size=rows))


@st.composite
def matrices(draw: st.DrawFn) -> tuple[list[list[int]], list[list[int]]]:
    samples, keys, length = draw(st.integers(1, 6)), draw(st.integers(1, 20)), draw(st.integers(1, 9))
    return matrix(draw, WORD, samples, length), matrix(draw, ELEMENT, keys, length)


@settings(max_examples=60)
@given(matrices(), st.sampled_from([1, 4, 7]), st.sampled_from("CF"))
def test_products_modulo_two_to_the_32_are_those_of_integers(
    drawn: tuple[list[list[int]], list[list[int]]], times: int, order: str
) -> None:
    """Also of more vectors than a panel has: these are the same ones, repeated."""
    words, y = drawn[0], drawn[1] * times
    found = np.empty((len(words), len(y)), np.int32)
    inner.wrapped_products(frozen(np.array(words, np.uint32)), in_order(y, order), found)
    assert found.view(np.uint32).tolist() == reference.wrapped_products(words, y)


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


@settings(max_examples=100)
@given(
    matrices(), st.sampled_from([1, 7]), st.sampled_from("CF"), st.data(), st.integers(1, 128), st.integers(-128, 255)
)
def test_what_lies_behind_pads_is_found(
    drawn: tuple[list[list[int]], list[list[int]]],
    times: int,
    order: str,
    data: st.DataObject,
    magnitude: int,
    centre: int,
) -> None:
    """Of centred vectors and pads, and of words that no vectors have given; also of more vectors than a panel has."""
    pads, y = drawn[0], drawn[1] * times
    x = matrix(data.draw, st.sampled_from([-magnitude, magnitude, magnitude + 1]), len(pads), len(pads[0]))
    words = [[(a + u) % 2**32 for a, u in zip(*rows, strict=True)] for rows in zip(x, pads, strict=True)]
    masks = reference.wrapped_products(pads, y)
    signed = frozen(np.array(masks, np.uint32).view(np.int32))
    found = np.empty(signed.shape, np.int64)
    arguments = frozen(np.array(words, np.uint32)), in_order(y, order), signed, magnitude, centre
    first = inner.unmasked(*arguments, found)
    expected = reference.unmasked(words, y, masks, magnitude, centre)
    assert (found.tolist() if first < 0 else first) == expected
    if max(map(max, x)) <= magnitude:
        assert expected == [[sum((a + centre) * b for a, b in zip(row, key, strict=True)) for key in y] for row in x]


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_first_vector_of_a_product_that_cannot_be_is_found_in_any_panel(order: str) -> None:
    """Bounds up to 2^31 and beyond are bounds of 32-bit integers, whose smallest one has a magnitude of 2^31."""
    words, y = np.zeros((3, 2), np.uint32), [[1, -1]] * 150
    pads = np.zeros((3, 150), np.int32)
    for beyond in (149, 70, 64, 63, 0):
        pads[1, beyond] = -17  # the product is 17, and at most 16
        found = np.empty(pads.shape, np.int64)
        assert inner.unmasked(words, in_order(y, order), pads, 8, 3, found) == beyond
    largest, smallest = [[LIMIT] * (1 << 16)], np.array([[-(1 << 31)]], np.int32)
    row, one = np.zeros((1, 1 << 16), np.uint32), np.empty((1, 1), np.int64)
    assert inner.unmasked(row, in_order(largest, order), smallest, 2, 0, one) == -1
    assert one.tolist() == [[-(1 << 31)]]


@given(st.lists(st.sampled_from([-(2**63), -8, -7, 0, 7, 8, 2**63 - 1]), min_size=1, max_size=9))
def test_values_lie_within_a_limit_or_not(values: list[int]) -> None:
    assert inner.lie_within(frozen(np.array([values])), 7) == all(abs(value) <= 7 for value in values)


@pytest.mark.parametrize("word", [2**31, 2**31 + 1, 2**31 - 1])
def test_products_of_the_longest_vectors_are_exact(word: int) -> None:
    length = 1 << 16
    y = [[LIMIT] * length, [-LIMIT] * length, [LIMIT] * (length - 1) + [LIMIT - 1]]
    found = np.empty((1, 3), np.int32)
    inner.wrapped_products(frozen(np.full((1, length), word, np.uint32)), frozen(np.array(y)), found)
    assert found.view(np.uint32).tolist() == [[word * sum(key) % 2**32 for key in y]]
    largest = np.array([[255 * LIMIT * length, -255 * LIMIT * length]])
    both = np.array([y[0], y[0]])
    both.setflags(write=False)
    assert inner.uncentre(largest, both, 255, 1) == -1
    assert largest.tolist() == [[256 * LIMIT * length, -254 * LIMIT * length]]
