import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.functional.ddh.group import (
    ORDER,
    Points,
    added,
    joined,
    multiples,
    multiplied,
    multiplied_openly,
    negated,
    scalar,
    total,
)
from he.functional.errors import FunctionalError
from tests.he.functional.ddh import curve

numbers = st.sampled_from([1, 2, ORDER - 1, ORDER // 2]) | st.integers(1, ORDER - 1)
lists = st.lists(numbers, min_size=1, max_size=3)


def points(values: list[int]) -> Points:
    return multiples([scalar(value) for value in values])


def test_the_group_is_the_curve() -> None:
    assert ORDER == curve.ORDER
    assert points([1]).to_bytes() == curve.compressed(curve.GENERATOR)
    assert curve.times(ORDER - 1) == (curve.GENERATOR[0], curve.P - curve.GENERATOR[1])


@settings(max_examples=20)
@given(lists)
def test_multiples_of_the_generator(values: list[int]) -> None:
    assert points(values).to_bytes() == curve.compressed(*map(curve.times, values))


@settings(max_examples=20)
@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=3))
def test_products_with_points(pairs: list[tuple[int, int]]) -> None:
    bases, factors = points([a for a, _ in pairs]), [b for _, b in pairs]
    expected = curve.compressed(*(curve.times(a * b) for a, b in pairs))
    assert multiplied(bases, [scalar(b) for b in factors]).to_bytes() == expected
    open_ones = [multiplied_openly(bases[i : i + 1], b) for i, b in enumerate(factors)]
    assert joined(open_ones).to_bytes() == expected


@pytest.mark.parametrize("zero", [0, ORDER, -ORDER])
def test_zero_times_a_point_is_infinity(zero: int) -> None:
    assert multiplied_openly(points([3]), zero) is None
    with pytest.raises(FunctionalError, match="order"):
        multiples([scalar(zero)])
    with pytest.raises(FunctionalError, match="order"):
        multiplied(points([3]), [scalar(zero)])


@settings(max_examples=20)
@given(st.lists(st.integers(-2, 2) | numbers, min_size=1, max_size=6))
def test_sums_may_be_infinite(values: list[int]) -> None:
    terms = [multiplied_openly(points([1]), value) for value in values]
    found, expected = total(terms), curve.times(sum(values))
    assert (found and found.to_bytes()) == (expected and curve.compressed(expected))


def test_the_sum_of_nothing_is_infinity() -> None:
    assert total([]) is None
    assert total([None]) is None


@settings(max_examples=20)
@given(st.lists(st.tuples(numbers, numbers).filter(lambda pair: sum(pair) % ORDER), min_size=1, max_size=3))
def test_sums_of_pairs(pairs: list[tuple[int, int]]) -> None:
    first, second = points([a for a, _ in pairs]), points([b for _, b in pairs])
    assert added(first, second).to_bytes() == points([a + b for a, b in pairs]).to_bytes()


@given(lists)
def test_a_pair_of_opposites_is_refused(values: list[int]) -> None:
    opposites = negated(points(values))
    assert opposites.to_bytes() == points([-value for value in values]).to_bytes()
    with pytest.raises(FunctionalError, match="infinity"):
        added(points(values), opposites)


@given(lists)
def test_points_cross_as_bytes(values: list[int]) -> None:
    data = points(values).to_bytes()
    for form in (data, memoryview(data), bytearray(data)):
        read = Points.from_bytes(form)
        assert read.to_bytes() == data
        assert len(read) == len(values)
        assert not read.memory.flags.writeable


@pytest.mark.parametrize(
    "wrong",
    [
        bytes(33),
        b"\x02" + bytes(32),
        b"\x02" + (5).to_bytes(32, "big"),  # 5^3 + 7 has no square root
        b"\x02" + curve.P.to_bytes(32, "big"),
        b"\x02" + (curve.P + 1).to_bytes(32, "big"),  # 1, but not below p
        b"\x04" + curve.GENERATOR[0].to_bytes(32, "big"),
        b"\x00" + curve.GENERATOR[0].to_bytes(32, "big"),
    ],
)
def test_what_is_not_on_the_curve_is_refused(wrong: bytes) -> None:
    with pytest.raises(ValueError, match="point 1 of 2 is none of the curve"):
        Points.from_bytes(curve.compressed(curve.GENERATOR) + wrong)


def test_points_must_be_whole() -> None:
    with pytest.raises(ValueError, match="33 bytes each"):
        Points.from_bytes(curve.compressed(curve.GENERATOR) + b"\x02")
