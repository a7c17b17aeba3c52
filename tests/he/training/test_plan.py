"""Plans: scales that belong together, room for every value that samples within the bound can make, and totals."""

import copy
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from he.ring.params import MAX_MODULUS_BITS, ParameterError
from he.training.head import Descent, targets
from he.training.plan import HeadPlan

SMALL = {"security": "insecure", "ring_degree": 1024}
descents = st.builds(Descent, st.integers(1, 3), st.floats(1, 4), st.floats(2, 16))
plans = st.builds(HeadPlan, st.integers(1, 1 << 20), st.integers(2, 4096), st.integers(2, 32), descents, st.booleans())


@settings(max_examples=50, deadline=None)
@given(plans)
def test_scales_belong_together(plan):
    primes, x = plan.parameters.primes, 2.0 ** plan.scale_bits[0]
    residual, level, before = 2.0 ** plan.scale_bits[1], plan.parameters.levels, []
    for row, step in zip(plan.descent.weights, plan.scales, strict=True):
        assert (step.level, step.residual) == (level, residual)
        prime = primes[level - 1]
        assert step.gradient == pytest.approx(x * residual / prime)
        assert step.head == pytest.approx(step.gradient * plan.samples / row[-1])
        for factor, gradient, weight in zip(step.earlier, before, row[:-1], strict=True):
            # U_m times the factor, rescaled, is at the gradient's scale what it counts for in the head.
            assert gradient * factor / prime == pytest.approx(step.gradient * weight / row[-1], rel=2**-25)
        before.append(step.gradient)
        if step.targets:
            assert x * step.head == pytest.approx(2.0 ** plan.scale_bits[1] * step.targets, rel=2**-25)
        residual, level = x * step.head / primes[level - 2], level - 2
    assert level == plan.head_level - 1
    assert plan.scales[-1].targets == 0


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.floats(1, 3))
def test_no_value_is_beyond_its_modulus(seed, steps, slack):
    """Samples of any kind, planned for their true top eigenvalue or a larger bound."""
    generator = np.random.default_rng(seed)
    n, d, classes = generator.integers(1, 300), generator.integers(2, 9), generator.integers(2, 6)
    x = generator.normal(size=(n, d)) * generator.uniform(0.1, 3)
    x[:, -1] = 1
    y = targets(generator.integers(0, classes, n), classes)
    if generator.random() < 0.2:
        y = targets(np.zeros(n, int), classes)
    top = np.linalg.eigvalsh(x.T @ x / n).max()
    assume(np.abs(x).max() <= 16)
    plan = HeadPlan(int(n), int(d), int(classes), Descent(steps, top * slack), **SMALL)
    moduli = [plan.parameters.log2_modulus(level) for level in range(plan.parameters.levels + 1)]
    padded = np.concatenate([y, np.zeros((n, classes % 2))], axis=1)
    residuals, totals, sample_scale = padded, [], 2.0 ** plan.scale_bits[0]

    def fits(values, scale, level):
        largest = np.abs(values[..., ::2] + 1j * values[..., 1::2]).max()
        assert largest == 0 or math.log2(largest * scale) + 1 < moduli[level]

    fits(padded, 2.0 ** plan.scale_bits[1], plan.parameters.levels)
    for row, step in zip(plan.descent.weights, plan.scales, strict=True):
        fits(residuals, step.residual, step.level)
        totals.append(x.T @ residuals)
        assert np.abs(totals[-1][:, ::2] + 1j * totals[-1][:, 1::2]).max() <= plan.gradient_bound * (1 + 1e-9)
        fits(totals[-1], sample_scale * step.residual, step.level)
        fits(totals[-1], step.gradient, step.level - 1)
        head = sum(weight * total for weight, total in zip(row, totals, strict=True)) / n
        fits(head, step.head, step.level - 1)
        if step.targets:
            fits(x @ head, sample_scale * step.head, step.level - 1)
            fits(padded, 2.0 ** plan.scale_bits[1] * step.targets, step.level - 1)
        residuals = padded - x @ head


@settings(max_examples=50, deadline=None)
@given(plans.filter(lambda plan: plan.inference))
def test_logits_have_room(plan):
    largest = plan.logit_bound * plan.logit_scale
    assert largest * 2 < plan.parameters.primes[0]
    assert largest * plan.parameters.primes[1] * 2 < 2 ** plan.parameters.log2_modulus(2)


def test_larger_scales_would_have_no_room():
    plan = HeadPlan(1437, 129, 10, Descent(2, 2.5))
    samples, own = plan.scale_bits
    assert plan._have_room(samples, own)
    assert not plan._have_room(samples, own + 1)


@settings(max_examples=25, deadline=None)
@given(plans)
def test_the_smallest_ring_that_is_secure_is_taken(plan):
    limits = MAX_MODULUS_BITS["128"]
    assert sum(plan.parameters.coeff_modulus_bits) <= limits[plan.degree]
    assert all(sum(plan.parameters.coeff_modulus_bits) > limit for N, limit in limits.items() if plan.degree > N)


@settings(max_examples=25, deadline=None)
@given(plans, plans)
def test_digests_name_plans(one, other):
    assert (one.digest == other.digest) == (one == other)
    assert replace(one).digest == one.digest


@settings(max_examples=10, deadline=None)
@given(plans)
def test_plans_are_copied_and_pickled_as_what_they_are(plan):
    for again in (copy.deepcopy(plan), pickle.loads(pickle.dumps(plan))):
        assert (again, again.digest, again.scales) == (plan, plan.digest, plan.scales)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: HeadPlan(0, 9, 10, Descent(1, 2.0)), ValueError, "`samples` must lie in"),
        (lambda: HeadPlan(9, 1, 10, Descent(1, 2.0)), ValueError, "`features` must lie in"),
        (lambda: HeadPlan(9, 9, 1, Descent(1, 2.0)), ValueError, "`classes` must lie in"),
        (lambda: HeadPlan(9, 4096, 33, Descent(1, 2.0)), ValueError, "must be at most 65536, the ciphertexts that"),
        (lambda: HeadPlan(9, 9, 10, 2), TypeError, "`descent` must be a Descent"),
        (lambda: HeadPlan(9, 9, 10, Descent(1, 2.0), 1), TypeError, "`inference` must be a bool"),
        (lambda: HeadPlan(9, 9, 10, Descent(2, 2.0), ring_degree=4096), ParameterError, "must sum to at most"),
        (lambda: HeadPlan(9, 9, 10, Descent(1, 2.0), security="256"), ParameterError, "`security` must be"),
        (lambda: HeadPlan(1 << 20, 9, 10, Descent(1, 1e30)), ParameterError, "no scale holds 1048576 samples"),
    ],
)
def test_what_cannot_be_is_named(call, error, text):
    with pytest.raises(error, match=text):
        call()
