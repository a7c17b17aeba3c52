"""Whitening makes moments near the identity; a bound that is too small is refused, and never one that is not."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.training.whitening import LARGEST, BoundError, Moments, Whitening, require_bound, top_eigenvalue

seeds = st.integers(0, 2**32 - 1)


def samples(seed, n, d):
    """Correlated samples around some mean."""
    generator = np.random.default_rng(seed)
    return generator.normal(size=(n, d)) @ generator.normal(size=(d, d)) + 5 * generator.normal(size=d)


@settings(deadline=None)
@given(seeds, st.integers(1, 6))
def test_the_samples_that_made_it_have_moments_of_the_identity(seed, d):
    x = samples(seed, 40, d)
    white = Whitening.of(Moments.of(x), 1e-9).apply(x)
    assert np.allclose(white.T @ white / len(x), np.diag([39 / 40] * d + [1]), atol=1e-3)
    assert np.array_equal(white[:, -1], np.ones(40))


@settings(deadline=None)
@given(seeds, st.floats(0.01, 10))
def test_a_ridge_leaves_less_than_the_identity(seed, ridge):
    x = samples(seed, 30, 4)
    white = Whitening.of(Moments.of(x), ridge).apply(x)[:, :-1]
    assert np.linalg.eigvalsh(white.T @ white / len(x)).max() < 1


@settings(deadline=None)
@given(seeds, st.integers(1, 5))
def test_the_directions_that_are_kept_are_those_of_the_largest_variances(seed, keep):
    x = samples(seed, 40, 5)
    whole, part = (Whitening.of(Moments.of(x), 0.1, kept) for kept in (None, keep))
    assert np.array_equal(part.matrix, whole.matrix[:, 5 - keep :])
    variances = np.linalg.eigvalsh(np.cov(x.T))[::-1]
    found = sorted(1 / np.linalg.norm(part.matrix, axis=0) ** 2 - 0.1 * variances.mean(), reverse=True)
    assert np.allclose(found, variances[:keep], rtol=1e-6, atol=1e-6 * variances[0])
    assert part.apply(x).shape == (40, keep + 1)


@settings(deadline=None)
@given(seeds, st.integers(1, 39))
def test_owners_moments_add_up_to_those_of_all(seed, split):
    x = samples(seed, 40, 3)
    both, all_ = Moments.of(x[:split]).plus(Moments.of(x[split:])), Moments.of(x)
    assert both.samples == all_.samples
    assert np.allclose(both.sums, all_.sums)
    assert np.allclose(both.scatter, all_.scatter)


@settings(deadline=None)
@given(seeds, st.floats(-1e8, 1e8), st.integers(1, 39))
def test_a_mean_far_from_zero_takes_no_digits(seed, far, split):
    x = samples(seed, 40, 3)
    moments = Moments.of(x[:split] + far).plus(Moments.of(x[split:] + far))
    assert np.allclose(moments.scatter, Moments.of(x).scatter, rtol=1e-5, atol=1e-4)
    Whitening.of(moments, 0.05).apply(x + far)


@settings(deadline=None)
@given(seeds, st.integers(1, 50), st.integers(1, 12))
def test_the_top_eigenvalue_is_never_too_small_and_hardly_too_large(seed, n, d):
    x = samples(seed, n, d)
    exact = np.linalg.eigvalsh(x.T @ x / n).max()
    assert exact * (1 - 1e-12) <= top_eigenvalue(x) <= exact * 1.002


def test_a_start_across_the_top_direction_does_not_deceive():
    """One start vector, of ones, would never see the direction in which the two features differ."""
    x = np.array([[1.0, -1.0], [0.1, 0.1]] * 10)
    assert top_eigenvalue(x) == pytest.approx(np.linalg.eigvalsh(x.T @ x / len(x)).max())


def test_of_zeros_it_is_zero():
    assert top_eigenvalue(np.zeros((3, 2))) == 0


@settings(deadline=None)
@given(seeds, st.floats(0.2, 5))
def test_a_bound_is_refused_where_the_top_eigenvalue_is_larger(seed, ratio):
    x = samples(seed, 20, 3)
    exact = np.linalg.eigvalsh(x.T @ x / 20).max()
    bound = exact * ratio
    if ratio < 1:
        with pytest.raises(BoundError, match="plan for a bound of"):
            require_bound(x, bound)
    elif ratio > 1.002:
        assert exact * (1 - 1e-12) <= require_bound(x, bound) <= bound


def test_two_owners_together_have_no_larger_eigenvalue_than_the_worse_of_them():
    one, other = samples(1, 30, 4), samples(2, 50, 4)
    assert top_eigenvalue(np.concatenate([one, other])) <= max(map(top_eigenvalue, (one, other)))


@pytest.mark.parametrize("far", [[1e308, 1e308], [1e308, -1e308]])
def test_what_is_beyond_float64_is_out_of_range(far):
    whitening = Whitening(np.array([-1e308, -1e308]), np.array([[1.0, 1.0], [-1.0, 1.0]]))
    with pytest.raises(ValueError, match="whitened features must lie in"):
        whitening.apply([far])


def test_what_is_out_of_range_is_refused():
    x = samples(0, 100, 3)
    whitening = Whitening.of(Moments.of(x), 0.01)
    strange = x.copy()
    strange[7] += 1000
    with pytest.raises(ValueError, match=rf"must lie in \[-{LARGEST:g}, {LARGEST:g}\], got"):
        whitening.apply(strange)


def test_digests_name_maps():
    x = samples(0, 100, 3)
    whitening, other = Whitening.of(Moments.of(x), 0.01), Whitening.of(Moments.of(x), 0.02)
    assert whitening.digest == copy.deepcopy(whitening).digest != other.digest


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: Moments.of(np.zeros((2, 2), int)), TypeError, "must hold floats"),
        (lambda: Moments.of(np.zeros(2)), ValueError, r"shape \[samples, features\]"),
        (lambda: Moments.of(np.zeros((0, 2))), ValueError, "must be one or more"),
        (lambda: Moments(2, np.zeros(2), np.zeros((3, 3))), ValueError, r"shapes \[d\] and \[d, d\]"),
        (lambda: Moments.of(samples(0, 9, 2)).plus(Moments.of(samples(0, 9, 3))), ValueError, "must be of 2 features"),
        (lambda: Whitening(np.zeros(2), np.zeros((3, 3))), ValueError, r"shapes \[d\] and \[d, at most d\]"),
        (lambda: Whitening(np.zeros(2), np.zeros((2, 3))), ValueError, r"shapes \[d\] and \[d, at most d\]"),
        (lambda: Whitening(np.zeros(2), np.zeros((2, 0))), ValueError, r"shapes \[d\] and \[d, at most d\]"),
        (lambda: Whitening.of(Moments.of(samples(0, 9, 2)), 0.1, 3), ValueError, "`keep` must lie in"),
        (lambda: Whitening.of(Moments.of(samples(0, 9, 2)), 0.1, 0), ValueError, "`keep` must lie in"),
        (lambda: Whitening.of(Moments.of(samples(0, 1, 2)), 0.1), ValueError, "at least 2 samples"),
        (lambda: Whitening.of(Moments.of(np.ones((5, 2))), 0.1), ValueError, "samples that differ"),
        (lambda: Whitening.of(Moments.of(samples(0, 9, 2)), 0.0), ValueError, "`ridge` must be finite and above 0"),
        (lambda: Whitening.of(Moments.of(samples(0, 9, 2)), np.nan), ValueError, "`ridge` must be finite and above 0"),
        (lambda: require_bound(samples(0, 9, 2), np.nan), BoundError, "`bound` must be at least"),
    ],
)
def test_what_cannot_be_is_named(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_scaling_leaves_every_feature_in_its_place():
    x = np.random.default_rng(0).normal(size=(50, 4)) * [1, 2, 3, 4] + 5
    found = Whitening.scaling(Moments.of(x))
    assert np.allclose(found.mean, x.mean(axis=0))
    assert np.allclose(found.matrix, np.eye(4) / np.sqrt(x.var(axis=0, ddof=1).mean()))
    with pytest.raises(ValueError, match="must be those of samples that differ"):
        Whitening.scaling(Moments.of(np.ones((5, 2))))
    with pytest.raises(ValueError, match="at least 2 samples, got 1"):
        Whitening.scaling(Moments.of(x[:1]))
