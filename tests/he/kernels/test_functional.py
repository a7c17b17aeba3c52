"""The kernels of functional encryption from lattices, against their definition in plain Python integers."""

from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.functional.rlwe.reference import composed, decrypted, dropped, encrypted, residues
from he.kernels import reference
from he.kernels.passes import functional as kernels
from he.kernels.tables.chain import chain
from he.ring.primes import ntt_primes

N = 64
CHAINS = [(24,), (50,), (24, 50), (50, 50), (44, 45), (50, 49, 24)]
chains = st.sampled_from([ntt_primes(bits, N) for bits in CHAINS])
seeds = st.integers(0, 2**32 - 1)


def polynomials(rng: np.random.Generator, count: int, primes: tuple[int, ...], columns: int = N) -> np.ndarray:
    """Residues [count, primes, columns], many of them 0 or as large as can be."""
    out = np.empty((count, len(primes), columns), np.uint64)
    for j, p in enumerate(primes):
        out[:, j] = rng.integers(0, p, (count, columns))
        out[:, j][rng.random((count, columns)) < 0.2] = rng.choice([0, 1, p // 2, p - 2, p - 1])
    return out


def integers(rng: np.random.Generator, limit: int, *shape: int) -> np.ndarray:
    """Integers within a limit, many of them at its ends."""
    out = rng.integers(-limit, limit, shape, endpoint=True)
    out[rng.random(shape) < 0.2] = rng.choice([-limit, limit, 0])
    return out


def forward(x: np.ndarray, primes: tuple[int, ...]) -> np.ndarray:
    found = x.copy()
    kernels.forward_all(chain(N, primes).tables, found)
    return found


def one(x: np.ndarray, primes: tuple[int, ...]) -> list[int]:
    """A polynomial modulo the product of the primes."""
    return composed(x.tolist(), primes)


@given(chains, seeds)
def test_integers_are_transformed_modulo_every_prime(primes, seed):
    x = integers(np.random.default_rng(seed), 2**60 - 1, 2, N)
    out = np.empty((2, len(primes), N), np.uint64)
    kernels.transformed(chain(N, primes).tables, x, out)
    lifted = np.array([residues(row, primes) for row in x.tolist()], np.uint64)
    assert (out == forward(lifted, primes)).all()


@settings(max_examples=10)
@given(chains, seeds)
def test_forward_is_the_transform_of_the_reference(primes, seed):
    x = polynomials(np.random.default_rng(seed), 1, primes)
    found = forward(x, primes)
    for j, p in enumerate(primes):
        assert found[0, j].tolist() == reference.forward(x[0, j].tolist(), p)


@settings(max_examples=30)
@given(chains, seeds)
def test_products_are_those_of_polynomials(primes, seed):
    rng, tables, q = np.random.default_rng(seed), chain(N, primes).tables, prod(primes)
    x, y, z = (polynomials(rng, count, primes) for count in (3, 1, 3))
    expected = [[c % q for c in reference.product(one(row, primes), one(y[0], primes))] for row in x]
    out = np.empty_like(x)
    kernels.multiply_back(tables, forward(x, primes), forward(y, primes)[0], out)
    assert [one(row, primes) for row in out] == expected
    added = forward(x, primes)
    kernels.multiply_add(tables, added, forward(y, primes)[0], forward(z, primes))
    plus = [
        [(a + b) % q for a, b in zip(row, one(more, primes), strict=True)]
        for row, more in zip(expected, z, strict=True)
    ]
    assert (added == forward(np.array([residues(row, primes) for row in plus], np.uint64), primes)).all()


@settings(max_examples=40)
@given(chains, seeds, st.integers(0, N), st.booleans())
def test_encryption_is_that_of_the_reference(primes, seed, samples, few):
    """One polynomial after the product with r: error and message are added, then the last prime is dropped."""
    rng, tables, q = np.random.default_rng(seed), chain(N, primes).tables, prod(primes)
    count, length, first, columns = 2, 5, 3, max(samples, 8) if few else N
    factor, r = polynomials(rng, count, primes), polynomials(rng, 1, primes)
    errors, message = integers(rng, 2**58 - 1, count, columns), integers(rng, 255, samples, length)
    scale = int(rng.integers(0, 2**62)) % q
    product, out = np.empty_like(factor), np.empty((count, len(primes), columns), np.uint64)
    kernels.multiply_back(tables, forward(factor, primes), forward(r, primes)[0], product)
    scales = np.array([scale % p for p in primes])
    kernels.add_message(tables, product, scales, message, first, errors, out)
    expected = [
        encrypted(
            one(factor[i], primes), one(r[0], primes), errors[i].tolist(), message[:, first + i].tolist(), scale, q
        )
        for i in range(count)
    ]
    assert [one(row, primes) for row in out] == expected
    if len(primes) > 1:
        kept = np.empty((count, len(primes) - 1, columns), np.uint64)
        kernels.drop_last(tables, out, kept)
        assert [one(row, primes[:-1]) for row in kept] == [dropped(row, q, primes[-1]) for row in expected]


@settings(max_examples=40)
@given(chains, seeds, st.integers(0, 20), st.sampled_from([3, 129, 2**20 + 1]), st.sampled_from([8, 22, 40]))
def test_decryption_is_that_of_the_reference(primes, seed, start, results, bits):
    """Limbs, their products with vectors, what is taken off, and rounding."""
    rng, tables, q = np.random.default_rng(seed), chain(N, primes).tables, prod(primes)
    length, columns = 4, 32
    part = slice(start, start + columns)
    y = integers(rng, 127, 3, length)
    rows, mask, keys = polynomials(rng, length, primes), polynomials(rng, 1, primes), integers(rng, 2**30, 3, N)
    transformed, masks = (np.empty((3, len(primes), N), np.uint64) for _ in range(2))
    kernels.transformed(tables, keys, transformed)
    kernels.multiply_back(tables, transformed, forward(mask, primes)[0], masks)
    fractions = np.zeros((3, columns))
    for j, p in enumerate(primes):
        cut = np.empty((-(-p.bit_length() // bits), length, columns))
        kernels.limbs(rows, j, start, bits, cut)
        assert cut.max() < 2**bits
        assert (sum(limb.astype(object) * 2 ** (bits * i) for i, limb in enumerate(cut)) == rows[:, j, part]).all()
        taken = masks[:, j].copy()
        kernels.add_fractions(tables, y @ cut, bits, taken, start, j, pow(q // p, -1, p), fractions)
    found, farthest = np.empty((3, columns), np.int64), np.empty(3)
    kernels.nearest(fractions, results, found, farthest)
    for i in range(3):
        lifted = [one(row, primes) for row in rows]
        expected = decrypted(y[i].tolist(), lifted, one(mask[0], primes), keys[i].tolist(), q, results)[part]
        error = results * 2**-48  # of sums of fractions in float64
        assert farthest[i] == pytest.approx(float(max(distance for _, distance in expected)), abs=error)
        for k, (product, distance) in enumerate(expected):
            assert found[i, k] == product or distance > 0.5 - error


@pytest.mark.parametrize("results", [3, 129])
def test_all_results_are_told_apart(results):
    """All multiples of 1 / K from -1 / 2 on, with whole numbers added, moved by less than half a step."""
    whole = np.arange(results) - results // 2
    for moved in (-0.49, -0.25, 0.0, 0.49):
        fractions = np.array([(whole + moved) / results % 1 + n for n in range(3)])
        found, farthest = np.empty(fractions.shape, np.int64), np.empty(3)
        kernels.nearest(fractions, results, found, farthest)
        assert (found == whole).all()
        assert farthest == pytest.approx(abs(moved), abs=1e-12)
