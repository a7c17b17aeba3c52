import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from intnn.values import rounding

HALF = Fraction(1, 2)
INT64 = st.integers(-(2**63), 2**63 - 1)
RULES = [
    (rounding.divide_floor, math.floor),
    (rounding.divide_half_up, lambda q: math.floor(q + HALF)),
    (rounding.divide_toward_zero, math.trunc),
]


@pytest.mark.parametrize(("divide", "definition"), RULES)
@given(n=INT64, d=st.integers(1, 2**63 - 1))
@example(n=2**63 - 1, d=2**63 - 1)
@example(n=-(2**63), d=2)
def test_division_follows_its_definition_in_fractions(divide, definition, n, d):
    expected = definition(Fraction(n, d))
    assert divide(n, d) == expected
    array = divide(np.array([n]), np.int64(d))
    assert array.dtype == np.int64
    assert array.tolist() == [expected]


@given(st.floats(-(2.0**62), 2.0**62))
@example(0.49999999999999994)
@example(-0.5)
@example(4503599627370497.5)
@example(9007199254740993.0)
def test_rounding_floats_is_exact(x):
    assert rounding.round_half_up(x) == math.floor(Fraction(x) + HALF)
    assert rounding.round_toward_zero(x) == math.trunc(Fraction(x))


@pytest.mark.parametrize("round_", [rounding.round_half_up, rounding.round_toward_zero])
@pytest.mark.parametrize("x", [2.0**63, -1e300, math.nan, math.inf])
def test_what_has_no_int64_raises(round_, x):
    with pytest.raises(ValueError, match="`x` must"):
        round_(np.array([0.0, x]))


@pytest.mark.parametrize(("divide", "_definition"), RULES)
@pytest.mark.parametrize("d", [0, -1])
def test_divisors_are_positive(divide, _definition, d):
    with pytest.raises(ValueError, match="`divisor` must be positive"):
        divide(1, d)
