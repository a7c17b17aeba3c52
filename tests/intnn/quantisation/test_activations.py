import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intnn import Activation, IntDomain
from intnn.quantisation import activations
from intnn.testing import strategies

DOMAIN = IntDomain(-40, 40)
CODOMAIN = IntDomain(-127, 127)
SCALES = st.floats(0.01, 100.0)
DEFINITIONS = {
    "relu": lambda x: max(x, 0.0),
    "square": lambda x: x * x,
    "sign": lambda x: float(np.sign(x)),
    "requantise": lambda x: x,
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)) if x > -700 else 0.0,
}


@pytest.mark.parametrize("name", DEFINITIONS)
@given(scale_in=SCALES, scale_out=SCALES)
def test_a_table_is_the_rounded_function(name, scale_in, scale_out):
    lut = getattr(activations, name)(DOMAIN, scale_in, scale_out, CODOMAIN)
    exact = np.array([DEFINITIONS[name](q / scale_in) * scale_out for q in range(-40, 41)])
    # Half a unit is the rounding; the rest is float64 error in the definition, some ulps of values up to 4000**2 * 100.
    unsaturated = np.clip(exact, -127, 127)
    assert np.abs(lut.table - unsaturated).max() <= 0.5 + 1e-5
    assert lut.domain == DOMAIN
    assert CODOMAIN.issuperset(lut.range)


@given(strategies.activations(), SCALES, SCALES)
def test_every_float_activation_has_its_table(activation, scale_in, scale_out):
    lut = activations.of(activation)(DOMAIN, scale_in, scale_out, CODOMAIN)
    exact = activation.apply(DOMAIN.values() / scale_in) * scale_out
    # As above; a cubic with coefficients up to 2 reaches 2 * 4000**3 * 100, but only values within +-127 are compared.
    assert np.abs(lut.table - np.clip(exact, -127, 127)).max() <= 0.5 + 1e-3


def test_halves_round_up_from_exact_fractions():
    lut = activations.requantise(IntDomain(-3, 3), 2.0, 1.0, CODOMAIN)
    assert lut.table.tolist() == [-1, -1, 0, 0, 1, 1, 2]


def test_relu_between_equal_scales_is_exact_whatever_the_scale():
    assert activations.relu(DOMAIN, 0.1, 0.1, CODOMAIN).table.tolist() == [max(q, 0) for q in range(-40, 41)]


def test_any_function_of_fractions_can_be_tabulated():
    third = activations.table(lambda x: x / 3, IntDomain(0, 3), 1.0, 3.0, CODOMAIN, "third")
    assert third.table.tolist() == [0, 1, 2, 3]
    assert third.name == "third"


@pytest.mark.parametrize("scales", [(0.0, 1.0), (1.0, -1.0), (math.nan, 1.0), (1.0, math.inf)])
def test_scales_are_positive_and_finite(scales):
    with pytest.raises(ValueError, match="must be positive and finite"):
        activations.relu(DOMAIN, *scales, CODOMAIN)


def test_a_polynomial_is_exact():
    lut = activations.of(Activation("polynomial", (0.5, 0.0, 0.25)))(IntDomain(-4, 4), 2.0, 8.0, CODOMAIN)
    assert lut.table.tolist() == [
        int((Fraction(1, 2) + Fraction(q * q, 16)) * 8 + Fraction(1, 2)) for q in range(-4, 5)
    ]
