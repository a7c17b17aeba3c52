import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from he.functional.ddh.exponents import Combiner, signed_digits
from he.functional.ddh.group import Points, multiples, scalar
from tests.he.functional.ddh.curve import ORDER

values = st.integers(-(2**61) + 1, 2**61 - 1) | st.integers(-70000, 70000)


@given(st.lists(values, min_size=1, max_size=20))
@example([0, 1, -1, 2**61 - 1, 1 - 2**61, 32767, -32767])
def test_signed_digits_are_sparse_and_add_up(numbers: list[int]) -> None:
    positive, negative = signed_digits(np.array(numbers))
    for number, p, n in zip(numbers, positive.tolist(), negative.tolist(), strict=True):
        assert p >= 0
        assert n >= 0
        assert p - n == number
        assert p & n == 0
        assert (p | n) & (p | n) >> 1 == 0


@settings(max_examples=60)
@given(st.data())
def test_sums_are_those_of_integers(data: st.DataObject) -> None:
    length = data.draw(st.integers(1, 5))
    element = st.sampled_from([-32767, -127, 0, 127, 32767]) | st.integers(-5, 5)
    rows = st.lists(element, min_size=length, max_size=length)
    y = np.array(data.draw(st.lists(rows, min_size=1, max_size=3)))
    combiner = Combiner(y)
    for _ in range(2):  # one combiner serves several vectors of points
        factor = st.sampled_from([1, 2, 3, -1, -2, 7]) | st.integers(1, ORDER - 1)
        x = data.draw(st.lists(factor, min_size=length, max_size=length))
        found = [sums and sums.to_bytes() for sums in combiner.sums(points(x))]
        expected = [sum(a * b for a, b in zip(x, key, strict=True)) % ORDER for key in y.tolist()]
        assert found == [points([value]).to_bytes() if value else None for value in expected]


def test_sums_that_are_infinite_on_the_way_are_right() -> None:
    y = np.array([[4, 4, 1], [4, 4, 0], [5, 4, 0], [0, 0, 0], [2, 1, 0], [32, 16, 3]])
    found = list(Combiner(y).sums(points([1, -1, 5])))
    expected = [5, 0, 1, 0, 1, 31]
    assert [sums and sums.to_bytes() for sums in found] == [points([v]).to_bytes() if v else None for v in expected]
    found = list(Combiner(y).sums(points([1, -2, 5])))
    expected = [1, -4, -3, 0, 0, 15]
    assert [sums and sums.to_bytes() for sums in found] == [points([v]).to_bytes() if v else None for v in expected]


def points(numbers: list[int]) -> Points:
    return multiples([scalar(number) for number in numbers])
