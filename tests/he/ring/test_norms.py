"""Norms against their definitions, and the bounds against random polynomials."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.engines.rns.encode import encode_exact
from he.kernels import reference
from he.readers.variance import ERROR_VARIANCE, rounding_variance
from he.ring.norms import (
    canonical_norm,
    chance_beyond,
    norm_of_plaintext,
    norm_of_secret,
    random_canonical_norm,
    random_euclidean_norm,
    secret_norm,
)
from he.ring.params import PLAIN_MODULUS, RING_DEGREES
from he.ring.primes import ntt_primes

seeds = st.integers(0, 2**32 - 1)


def values(polynomials: np.ndarray) -> np.ndarray:
    """Absolute values [n, N] at all roots."""
    N = polynomials.shape[1]
    return np.abs(np.fft.fft(polynomials * np.exp(-1j * np.pi / N * np.arange(N))))


@given(st.sampled_from([2, 4, 16, 64]), seeds)
def test_a_product_grows_by_no_more_than_the_canonical_norm(N, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(-9, 10, (2, N))
    product = reference.product(a.tolist(), b.tolist())
    limit = np.linalg.norm(a) * canonical_norm(b)
    assert np.max(np.abs(product)) <= np.linalg.norm(product) <= limit * (1 + 1e-9) + 1e-9


@settings(max_examples=30)
@given(st.sampled_from([4, 16, 64]), st.sampled_from([20, 31, 32, 50, 60]), seeds)
def test_the_norm_of_a_secret_is_found_in_its_residues(N, bits, seed):
    secret = np.random.default_rng(seed).integers(-1, 2, N)
    (prime,) = ntt_primes((bits,), N)
    residues = np.array(reference.forward((secret % prime).tolist(), prime), np.uint64)
    assert norm_of_secret(residues, prime) == pytest.approx(canonical_norm(secret))


@settings(max_examples=30)
@given(st.sampled_from([1024, 4096]), st.integers(0, 9), seeds)
def test_the_norm_of_a_plaintext_is_that_of_its_polynomial(N, doublings, seed):
    """Whether its rows repeat shorter ones or not."""
    rows = np.random.default_rng(seed).integers(-PLAIN_MODULUS // 2, PLAIN_MODULUS // 2, (2, N // 2 >> doublings))
    slots = np.tile(rows, 1 << doublings).ravel()
    assert norm_of_plaintext(slots, PLAIN_MODULUS) == pytest.approx(canonical_norm(encode_exact(slots, PLAIN_MODULUS)))


@pytest.mark.parametrize("N", RING_DEGREES)
def test_more_than_half_of_all_secrets_are_accepted(N):
    """So that less than a bit of entropy is lost: exp(-1 / e) = 0.69 of them, with a deviation of 0.033 here."""
    norms = values(np.random.default_rng(N).integers(-1, 2, (200, N))).max(axis=1)
    assert 0.55 < np.mean(norms <= secret_norm(N)) < 0.83


def test_random_polynomials_are_within_their_bounds_and_the_chance_that_one_is_not_is_small():
    N, rng = 4096, np.random.default_rng(1)
    errors = (rng.integers(0, 2, (100, N, 42)) * 2 - 1).sum(axis=2) / 2
    for polynomials, variance in ((rng.random((100, N)) - 0.5, 1 / 12), (errors, ERROR_VARIANCE)):
        assert 0.4 < values(polynomials).max() / random_canonical_norm(N, variance) < 1
        largest = np.linalg.norm(polynomials, axis=1).max() / random_euclidean_norm(N, variance)
        assert 0.8 < largest < 1
    assert max(map(chance_beyond, RING_DEGREES)) < 2.0**-58


def test_roundings_times_powers_of_a_secret_are_bounded_where_six_deviations_are_not():
    """c_0 + c_1 s + c_2 s^2 with c uniform, as a product is rounded: with other tails than independent coefficients."""
    N, rng, beyond = 1024, np.random.default_rng(2), 0
    for _ in range(400):
        secret = rng.integers(-1, 2, N)
        at_roots = values(secret[None])[0]
        if at_roots.max() > secret_norm(N):
            continue
        c = rng.random((3, N)) - 0.5
        roots = np.fft.fft(np.vstack([c, secret]) * np.exp(-1j * np.pi / N * np.arange(N)))
        total = roots[0] + roots[1] * roots[3] + roots[2] * roots[3] ** 2
        beyond += np.abs(total).max() > 6 * np.sqrt(N * rounding_variance(N, 3))
        norm = np.sqrt(np.mean(np.abs(total) ** 2))  # Parseval
        assert norm <= np.sqrt(N) / 2 * (1 + secret_norm(N) + secret_norm(N) ** 2)
    assert beyond > 100
