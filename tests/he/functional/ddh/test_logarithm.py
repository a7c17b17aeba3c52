import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from he.functional.ddh.group import ORDER, Points, multiples, scalar
from he.functional.ddh.logarithm import logarithm
from he.functional.errors import MismatchError

BOUNDS = (1, 2, 3, 33, 1000, 20_000_000)


def point(z: int) -> Points | None:
    return multiples([scalar(z)]) if z else None


@pytest.mark.parametrize("bound", range(1, 40))
def test_every_logarithm_within_the_bound_is_found_and_none_beyond(bound: int) -> None:
    for z in range(-bound, bound + 1):
        assert logarithm(point(z), bound) == z
    for beyond in range(bound + 1, bound + 60):
        for z in (beyond, -beyond):
            with pytest.raises(MismatchError, match=f"a product is beyond {bound},"):
                logarithm(point(z), bound)


@settings(max_examples=150)
@given(st.sampled_from(BOUNDS), st.data())
def test_logarithms_are_found_up_to_the_bound(bound: int, data: st.DataObject) -> None:
    z = data.draw(st.sampled_from([bound, -bound, 0]) | st.integers(-bound, bound))
    assert logarithm(point(z), bound) == z


@settings(max_examples=60)
@given(st.sampled_from(BOUNDS), st.integers(1, ORDER - 1))
@example(20_000_000, 1)
@example(1000, ORDER // 2)
def test_logarithms_beyond_the_bound_raise(bound: int, further: int) -> None:
    for z in (bound + further, -bound - further):
        if bound < z % ORDER < ORDER - bound:
            with pytest.raises(MismatchError, match="damaged or forged"):
                logarithm(point(z), bound)
