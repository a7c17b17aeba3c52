"""Scales of a network's step belong together, and values within the reach have room."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.ring.params import MAX_MODULUS_BITS, ParameterError
from he.training.refreshed.network import NetworkDescent
from he.training.refreshed.network_plan import NetworkPlan
from he.training.refreshed.plan import MOMENTUM

DESCENT = NetworkDescent(16, 60, 0.6, 0.1)
rates = st.floats(0.01, 10)
plans = st.builds(
    NetworkPlan,
    st.integers(1, 1 << 16),
    st.integers(2, 100),
    st.integers(2, 20),
    st.builds(
        NetworkDescent,
        st.integers(1, 25).map(lambda k: 2 * k),
        st.just(60),
        rates,
        rates,
        st.floats(0, 0.95),
        reach=st.floats(1, 8),
    ),
)


@settings(max_examples=40, deadline=None)
@given(plans)
def test_every_term_of_a_sum_has_one_scale(plan):
    scales, primes = plan.scales, plan.parameters.primes
    assert scales.unit == pytest.approx(2 * scales.sample * scales.first / primes[6])  # halves are twice
    assert scales.unit**2 / primes[5] == pytest.approx(scales.sample)  # U^2 and the ones beside it
    assert scales.sample * scales.target_factor == pytest.approx(scales.sample * scales.second, rel=2**-30)
    assert scales.residual == pytest.approx(scales.sample * scales.second / primes[4])
    assert scales.error == pytest.approx(2 * scales.residual * scales.second / primes[3])
    assert scales.inner == pytest.approx(scales.error * scales.unit / primes[2])
    mean = scales.inner * scales.sample / primes[1] * plan.samples
    assert scales.first_gradient == pytest.approx(mean / 2)  # 2 U: the number is half, at half of the scale
    assert scales.second_gradient == pytest.approx(scales.sample * scales.residual / primes[1] * plan.samples)


@settings(max_examples=40, deadline=None)
@given(plans)
def test_worn_weights_are_moved_fresh_ones_less_a_rate_times_gradients(plan):
    """As numbers, from the scales alone: what a trainer does with integers makes the step of the twin."""
    scales, descent = plan.scales, plan.descent
    now, last = plan.move_factors
    layers = (
        (scales.first, scales.worn[0], scales.first_gradient, descent.first_rate),
        (scales.second, scales.worn[1], scales.second_gradient, descent.second_rate),
    )
    for fresh, worn, gradient, rate in layers:
        moved = [fresh * factor / plan.parameters.primes[MOMENTUM - 1] / worn for factor in (now, last)]
        assert moved == pytest.approx([1 + descent.momentum, descent.momentum], rel=1e-6, abs=1e-8)
        assert gradient / worn == pytest.approx(rate)


@settings(max_examples=40, deadline=None)
@given(plans)
def test_weights_within_the_reach_have_room_and_at_no_larger_scale(plan):
    def bits(scales):
        return math.log2(max(scales.worn) * plan.descent.reach) + 1

    assert bits(plan.scales) < plan.parameters.log2_modulus(1)
    more = replace(plan.scales, sample=2 * plan.scales.sample)
    assert bits(more) > plan.parameters.log2_modulus(1) - 1 or more.sample > 2.0**44


def test_parameters_are_secure_and_the_smallest():
    parameters = NetworkPlan(1437, 33, 10, DESCENT).parameters
    assert sum(parameters.coeff_modulus_bits) <= MAX_MODULUS_BITS["128"][parameters.poly_modulus_degree]
    assert sum(parameters.coeff_modulus_bits) > MAX_MODULUS_BITS["128"][parameters.poly_modulus_degree // 2]


def test_whatever_differs_makes_another_digest():
    plan = NetworkPlan(1437, 33, 10, DESCENT)
    others = [replace(plan, **{name: getattr(plan, name) + 1}) for name in ("samples", "features", "classes")]
    others += [
        replace(plan, descent=replace(DESCENT, **change))
        for change in (
            {"hidden": 18},
            {"steps": 61},
            {"first_rate": 0.7},
            {"momentum": 0.8},
            {"reach": 7.0},
            {"seed": 1},
        )
    ]
    others += [replace(plan, ring_degree=32768)]
    assert len({plan.digest, *(other.digest for other in others)}) == len(others) + 1
    assert plan.digest == NetworkPlan(1437, 33, 10, DESCENT).digest


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: NetworkPlan(0, 33, 10, DESCENT), ValueError, "`samples` must lie in"),
        (lambda: NetworkPlan(9, 33, 10, 16), TypeError, "`descent` must be a NetworkDescent"),
        (lambda: NetworkPlan(9, 33, 10, DESCENT, ring_degree=8192), ParameterError, "must sum to at most"),
        (lambda: NetworkPlan(9, 33, 10, replace(DESCENT, reach=1e9)), ParameterError, "no scale holds the weights"),
        (lambda: NetworkPlan(9, 1100, 10, DESCENT), ValueError, "at most 8192 pairs of weights, which .*, got 8885"),
        (lambda: NetworkPlan(9, 33, 10, replace(DESCENT, hidden=3)), ValueError, "`hidden` must be even, .*, got 3"),
    ],
)
def test_what_cannot_be_is_named(call, error, text):
    with pytest.raises(error, match=text):
        call()
