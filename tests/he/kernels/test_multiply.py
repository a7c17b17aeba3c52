"""Products of 52-bit numbers are those of plain integers, by every way to multiply that a processor may have."""

import platform

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.he.kernels import multiplications
from tests.he.kernels.multiplications import CORNERS, PRIMES, R
from tests.older_processors import output_with, require

FMA = "+sse4.2,+avx,+avx2,+fma"

numbers = st.one_of(
    st.integers(0, R - 1),
    st.builds(lambda corner, step: (corner + step) % R, st.sampled_from((*CORNERS, *PRIMES)), st.integers(-3, 3)),
)
pairs = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=20)


@given(pairs)
def test_sums_of_products_and_their_quotients(pairs):
    multiplications.check_sums(*zip(*pairs, strict=True))


@given(pairs)
def test_products_with_constants_keep_their_bounds(pairs):
    multiplications.check_constants(*zip(*pairs, strict=True))


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="stands for processors of this family")
@pytest.mark.parametrize("features", ["+sse4.2", FMA, f"{FMA},+avx512f,+avx512dq,+avx512bw,+avx512vl"])
def test_older_processors_multiply_alike(features, tmp_path):
    require(name.removeprefix("+") for name in features.split(","))
    assert output_with(features, ("-m", "tests.he.kernels.multiplications"), tmp_path) == "right\n"
