"""Scales of a network's step belong together, and gradients within the reach have room."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.ring.params import MAX_MODULUS_BITS, ParameterError
from he.training.network import NetworkDescent
from he.training.network_plan import NetworkPlan

DESCENT = NetworkDescent(16, 60, 0.6, 0.1)
plans = st.builds(
    NetworkPlan,
    st.integers(1, 1 << 16),
    st.integers(2, 100),
    st.integers(2, 20),
    st.builds(NetworkDescent, st.just(16), st.just(60), st.just(0.6), st.just(0.1), reach=st.floats(0.5, 16)),
)


@settings(max_examples=40, deadline=None)
@given(plans)
def test_every_term_of_a_sum_has_one_scale(plan):
    scales, primes = plan.scales, plan.parameters.primes
    logits = scales.square * scales.second  # of squares times W
    assert scales.sample * scales.bias == pytest.approx(logits)  # of ones times W's last row
    assert scales.sample * scales.target_factor == pytest.approx(logits, rel=2**-30)
    assert scales.residual == pytest.approx(logits / primes[4])
    assert scales.error == pytest.approx(scales.residual * scales.second / primes[3])
    assert scales.inner == pytest.approx(scales.error * scales.unit / primes[2])
    mean = scales.inner * scales.sample / primes[1] * plan.samples
    assert scales.first_gradient == pytest.approx(mean / 2)  # 2 U: the number is half, at half of the scale


@settings(max_examples=40, deadline=None)
@given(plans)
def test_gradients_within_the_reach_have_room_and_no_larger_scale_has(plan):
    def largest(scales):
        found = max(scales.first_gradient, scales.second_gradient, scales.bias_gradient)
        return math.log2(found * plan.descent.reach) + 1

    assert largest(plan.scales) < plan.parameters.log2_modulus(1)
    more = replace(plan.scales, first=2 * plan.scales.first)
    assert largest(more) > plan.parameters.log2_modulus(1) - 1 or more.first > 2**44


def test_gradients_of_both_layers_are_about_as_exact():
    scales = NetworkPlan(1437, 33, 10, DESCENT).scales
    assert abs(math.log2(scales.first_gradient / scales.second_gradient)) < 2


def test_parameters_are_secure_and_the_smallest():
    parameters = NetworkPlan(1437, 33, 10, DESCENT).parameters
    assert sum(parameters.coeff_modulus_bits) <= MAX_MODULUS_BITS["128"][parameters.poly_modulus_degree]
    assert sum(parameters.coeff_modulus_bits) > MAX_MODULUS_BITS["128"][parameters.poly_modulus_degree // 2]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: NetworkPlan(0, 33, 10, DESCENT), ValueError, "`samples` must lie in"),
        (lambda: NetworkPlan(9, 33, 10, 16), TypeError, "`descent` must be a NetworkDescent"),
        (lambda: NetworkPlan(9, 33, 10, DESCENT, ring_degree=8192), ParameterError, "must sum to at most"),
        (lambda: NetworkPlan(9, 33, 10, replace(DESCENT, reach=1e9)), ParameterError, "no scale holds gradients of 9"),
    ],
)
def test_what_cannot_be_is_named(call, error, text):
    with pytest.raises(error, match=text):
        call()
