"""All of the lattice scheme on a small ring, against its definition in plain Python integers."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from he.functional.instance import Instance
from he.functional.rlwe.gaussian import Source
from he.functional.rlwe.parameters import DEVIATIONS, RlweParameters, parameters
from he.functional.rlwe.reference import composed, decrypted, dropped, encrypted
from he.functional.rlwe.scheme import _ROWS, SCHEME, drawn_keys
from he.functional.rlwe.scheme import encrypted as encrypted_by
from he.functional.rlwe.types import RlweCiphertext, RlweFunctionalKey
from he.kernels import reference
from intnn import IntDomain
from tests.he.functional.rlwe.toy import N, polynomials, small_ring

__all__ = ["small_ring"]

NONE_DROPPED = Instance("rlwe", 1, IntDomain(0, 1), 1)
ONE_OF_TWO = Instance("rlwe", 9, IntDomain(0, 15))
ONE_OF_THREE = Instance("rlwe", 3, IntDomain(-128, 255), 32767)
INSTANCES = [NONE_DROPPED, ONE_OF_TWO, ONE_OF_THREE]


def test_the_instances_are_of_all_kinds() -> None:
    p = [parameters(instance) for instance in INSTANCES]
    assert [(len(each.primes), each.kept) for each in p] == [(1, 1), (2, 1), (3, 2)]


def drawn_like(source: Source, p: RlweParameters) -> tuple[list[list[int]], list[list[int]]]:
    """The secrets and errors of keys, in the order in which they are drawn."""
    s, e = [], []
    for start in range(0, p.length, _ROWS):
        shape = (min(_ROWS, p.length - start), N)
        s += source.samples(p.secrets, shape).tolist()
        e += source.samples(p.secrets, shape).tolist()
    return s, e


def ciphertext_like(public, x: np.ndarray, source: Source) -> list[tuple[list[int], list[list[int]]]]:
    """The mask and the rows of every block, as polynomials modulo what is kept of q."""
    p, q = public.parameters, public.parameters.modulus
    a, *b = polynomials(np.concatenate([public.a[None], public.b]), p.primes)
    scale, found = q // p.results, []

    def made(factor, r, errors, message):
        whole = encrypted(factor, r, errors, message, scale, q)
        return whole if p.kept == len(p.primes) else dropped(whole, q, p.primes[-1])

    for at in range(0, len(x), N):
        columns = (x[at : at + N] - public.instance.centre).T.tolist()
        r, f = (source.samples(p.masks, (1, N))[0].tolist() for _ in range(2))
        mask, rows = made(a, r, f, []), []
        for start in range(0, p.length, _ROWS):
            errors = source.samples(p.errors, (min(_ROWS, p.length - start), N)).tolist()
            rows += [made(b[start + i], r, errors[i], columns[start + i]) for i in range(len(errors))]
        found.append((mask, rows))
    return found


@settings(max_examples=6)
@given(st.sampled_from(INSTANCES), st.integers(1, 150), st.binary(min_size=32, max_size=32))
@example(ONE_OF_TWO, 129, bytes(32))
@example(ONE_OF_THREE, 64, bytes(32))
@example(NONE_DROPPED, 1, bytes(32))
def test_keys_ciphertexts_and_products_are_those_of_the_reference(instance, samples, seed):
    master, public = drawn_keys(instance, Source(seed), seed * 2)
    p = public.parameters
    kept = math.prod(p.kept_primes)

    s, e = drawn_like(Source(seed), p)
    assert master.secrets.tolist() == s
    a = polynomials(public.a[None], p.primes)[0]
    for b_i, s_i, e_i in zip(polynomials(public.b, p.primes), s, e, strict=True):
        assert b_i == [(c + error) % p.modulus for c, error in zip(reference.product(a, s_i), e_i, strict=True)]

    x, y = values(instance, samples, np.random.default_rng(samples))
    other = seed[::-1]
    ciphertext = encrypted_by(public, x, Source(other))
    for block, (mask, rows) in zip(ciphertext.blocks, ciphertext_like(public, x, Source(other)), strict=True):
        assert polynomials(block.mask[None], p.kept_primes) == [mask]
        assert [composed(row.tolist(), p.kept_primes) for row in block.rows] == rows

    key = SCHEME.derive_key(master, y)
    assert key.keys.tolist() == [
        [sum(map(int.__mul__, row, column)) for column in zip(*s, strict=True)] for row in y.tolist()
    ]
    found = SCHEME.decrypt(ciphertext, key)
    assert (found == x @ y.T).all()
    for number, (mask, rows) in enumerate(ciphertext_like(public, x, Source(other))):
        for i, row in enumerate(y.tolist()):
            expected = decrypted(row, rows, mask, key.keys[i].tolist(), kept, p.results)
            assert max(distance for _, distance in expected) <= p.reach
            part = found[number * N : (number + 1) * N, i] - instance.centre * sum(row)
            assert [product for product, _ in expected][: len(part)] == part.tolist()


def values(instance: Instance, samples: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Vectors, among them the largest, of one sign and of both."""
    lo, hi, limit = instance.inputs.lo, instance.inputs.hi, instance.key_limit
    x = rng.integers(lo, hi, (samples, instance.length), endpoint=True)
    y = rng.integers(-limit, limit, (4, instance.length), endpoint=True)
    y[:2] = [[limit], [-limit]]
    y[2] = limit * rng.choice([-1, 1], instance.length)
    x[::3], x[1::3] = hi, lo
    x[2::9] = np.where(y[2] > 0, hi, lo)
    return x, y


@pytest.mark.unwatched
@pytest.mark.parametrize("instance", INSTANCES, ids=["none dropped", "one of two", "one of three"])
def test_the_noise_of_the_largest_keys_is_what_its_bound_is_made_of(instance):
    """With fixed seeds; else the deviations of few keys could be that far apart once in 2^40 runs."""
    squares, count = 0.0, 0
    for number in range(12):
        master, public = drawn_keys(instance, Source(bytes([number] * 32)), bytes(64))
        p, rng = public.parameters, np.random.default_rng(number)
        y = instance.key_limit * rng.choice([-1, 1], (4, instance.length))
        x = np.where(y[0] > 0, instance.inputs.hi, instance.inputs.lo)[None].repeat(N, axis=0)
        ciphertext = encrypted_by(public, x, Source(bytes([100 + number] * 32)))
        distances = distances_of(ciphertext, SCHEME.derive_key(master, y))
        assert max(distances) <= p.reach
        squares, count = squares + sum(distance**2 for distance in distances), count + len(distances)
    products = 2 * N * p.secrets.variance * p.masks.variance + p.errors.variance
    variance = products / p.modulus**2
    if p.kept < len(p.primes):
        variance += (1 + N * p.secrets.variance) / 12 / math.prod(p.kept_primes) ** 2
    expected = p.results * p.key_norm * math.sqrt(variance)
    assert math.sqrt(squares / count) == pytest.approx(expected, rel=0.15)
    assert expected * DEVIATIONS < p.reach


def distances_of(ciphertext: RlweCiphertext, key: RlweFunctionalKey) -> list[float]:
    """How far from the grid all coefficients of all keys lie."""
    p, found = key.parameters, []
    for block in ciphertext.blocks:
        mask = polynomials(block.mask[None], p.kept_primes)[0]
        rows = [composed(row.tolist(), p.kept_primes) for row in block.rows]
        for y, k in zip(key.y.tolist(), key.keys.tolist(), strict=True):
            products = decrypted(y, rows, mask, k, math.prod(p.kept_primes), p.results)
            found += [float(distance) for _, distance in products]
    return found
