"""Monic forms are the polynomials that they stand for, amplified or not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from he.compiler.activations import amplified, coefficients, degree, monic, values
from intnn import Activation

numbers = st.floats(-4, 4).map(lambda x: round(x, 3))


@st.composite
def polynomials(draw, degrees=(1, 8)):
    lower = draw(st.lists(numbers, min_size=degrees[0], max_size=degrees[1]))
    leading = draw(st.sampled_from([-2.0, -0.3, 0.05, 1.0, 3.0]))
    return Activation("polynomial", (*lower, leading))


@given(polynomials(), st.floats(0.1, 10))
def test_a_monic_form_is_the_polynomial(activation, reach):
    form, gain, shift, loss = monic(activation, reach)
    assert coefficients(form)[-1] == 1
    x = np.linspace(-reach, reach, 17)
    found = gain * values(form, x + shift) + gain * loss
    expected = values(activation, x)
    assert found == pytest.approx(expected, rel=1e-8, abs=1e-8 * (1 + np.abs(expected).max()))


@given(st.floats(-4, 4), st.floats(-4, 4), st.sampled_from([-2.0, 0.5, 3.0]))
def test_a_parabola_whose_vertex_is_near_is_a_square(constant, linear, leading):
    form, *_ = monic(Activation("polynomial", (constant, linear, leading)), 10.0)
    assert form == Activation("square")


def test_a_parabola_whose_vertex_is_far_stays_one():
    """The square of a sum would be a small difference of large numbers."""
    form, _, shift, _ = monic(Activation("polynomial", (0.0, 1.0, 1e-6)), 1.0)
    assert (form.name, shift) == ("polynomial", 0.0)


@given(polynomials(), st.floats(0.25, 4))
def test_an_amplified_polynomial_is_the_same_of_what_is_amplified(activation, factor):
    form, *_ = monic(activation, 0.0)
    x = np.linspace(-2, 2, 9)
    expected = factor ** degree(form) * values(form, x)
    found = values(amplified(form, factor), factor * x)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9 * (1 + np.abs(expected).max()))


def test_coefficients_end_where_the_polynomial_does():
    assert coefficients(Activation("polynomial", (1.0, 2.0, 0.0, 0.0))) == (1.0, 2.0)
    assert coefficients(Activation("square")) == (0.0, 0.0, 1.0)
