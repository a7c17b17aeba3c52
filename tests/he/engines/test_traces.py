"""Totals packed into one ciphertext, and expanded: what SEAL decrypts, and the errors that were bounded."""

import math

import numpy as np
import pytest

from he.engines.rns.buffers import Buffers
from he.engines.rns.switching_keys import SwitchingKeys
from he.engines.rns.threads import Workers
from he.engines.rns.traces import Traces
from he.readers.traces import expansion_variance, packing_variance
from he.ring.params import Parameters
from he.ring.slots import imaginary_units, packed_places, polynomial, trace_elements
from tests.he.seal_parties import SealParties

N, LEVEL = 1024, 2
TAIL = 7.0  # deviations of a nearly normal error


@pytest.fixture(scope="module")
def parties():
    return SealParties(Parameters("ckks", N, (46, 38, 38, 46), scale_bits=30, security="insecure"))


@pytest.fixture(scope="module")
def keys(parties):
    return parties.keys(trace_elements(N, pairs=False))


@pytest.fixture(scope="module")
def traces(parties, keys):
    return Traces(parties.encoder, keys, Workers(1), Buffers())


def encrypted(parties, pairs):
    """Ciphertexts at `LEVEL` of pairs of numbers [count, 2, N / 2]."""
    return [parties.encrypt(a + imaginary_units(N) * b, LEVEL) for a, b in pairs]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 21, 33, 75, N // 2])
def test_totals_are_packed_and_expanded(parties, traces, count):
    rng = np.random.default_rng(count)
    some = rng.normal(size=(min(count, 21), 2, N // 2))
    of = rng.integers(0, len(some), count) if count > len(some) else np.arange(count)
    ciphertexts, totals = encrypted(parties, some), some.sum(axis=2)[of]
    packed = traces.packed((ciphertexts[i] for i in of), count)
    coefficients, places = polynomial(parties.decrypt(packed)), packed_places(N, count)
    scale = parties.parameters.input_scale
    fresh = (N // 2) * math.sqrt(10.5 + 1 / 12)  # a total of the errors of encryption
    error = TAIL * math.hypot(fresh, math.sqrt(packing_variance(parties.parameters, LEVEL))) / scale
    assert np.abs(coefficients[places] - totals[:, 0]).max() < error
    assert np.abs(coefficients[places + N // 2] - totals[:, 1]).max() < error
    assert error < 1e-4 * math.sqrt(N)
    others = np.ones(N, bool)
    others[places], others[places + N // 2] = False, False
    assert not others.any() or np.abs(coefficients[others]).max() < error

    expanded = list(traces.expanded(packed, count))
    assert len(expanded) == count
    own = TAIL * math.sqrt(expansion_variance(parties.parameters, LEVEL)) / scale
    for i in {0, 1, count // 2, count - 1} & set(range(count)):
        a, b = totals[i]
        slots = parties.decrypt(expanded[i], scale)
        assert np.abs(slots - (a + imaginary_units(N) * b)).max() < 2 * error + own


@pytest.mark.parametrize(("level", "pairs"), [(1, True), (3, True), (2, False)])
def test_errors_have_the_variance_that_is_stated(parties, keys, level, pairs):
    """Exactly: of phases, whose totals are known as integers."""
    count, rng = 128 if pairs else 256, np.random.default_rng(level)
    traces = Traces(parties.encoder, keys, Workers(1), Buffers(), pairs=pairs)
    halves = (0, N // 2) if pairs else (0,)
    ciphertexts = [parties.encrypt(rng.normal(size=N // 2), level) for _ in range(count)]
    packed, places = traces.packed(ciphertexts, count), packed_places(N, count, pairs)
    phase = parties.phase(packed)
    due = [0] * N
    for place, ciphertext in zip(places.tolist(), ciphertexts, strict=True):
        whole = parties.phase(ciphertext)
        for half in halves:
            due[place + half] = N // len(halves) * whole[half]
    q = math.prod(parties.parameters.data_primes[:level])
    errors = np.array([(a - b + q // 2) % q - q // 2 for a, b in zip(phase, due, strict=True)], np.float64)
    at_totals = errors[np.concatenate([places + half for half in halves])]
    found, stated = (at_totals**2).mean(), packing_variance(parties.parameters, level, pairs)
    assert 0.6 < found / stated < 1.6  # of 256 errors

    squares = []
    for i, expanded in enumerate(traces.expanded(packed, count)):
        rest = np.array(parties.phase(expanded), object)
        for half in halves:
            rest[half] = (rest[half] - due[places[i] + half] + q // 2) % q - q // 2
        squares.append((rest.astype(np.float64) ** 2).sum())  # the variance at a root, on average over all roots
    found = np.mean(squares)
    stated = (1 + pairs) * stated + expansion_variance(parties.parameters, level, pairs)
    assert 0.6 < found / stated < 1.6


@pytest.mark.parametrize("count", [1, 2, 6, 40, N])
def test_totals_of_single_numbers(parties, keys, count):
    traces = Traces(parties.encoder, keys, Workers(1), Buffers(), pairs=False)
    numbers = np.random.default_rng(count).normal(size=(3, N // 2))
    some, of = [parties.encrypt(row, LEVEL) for row in numbers], np.arange(count) % 3
    packed, scale = traces.packed((some[i] for i in of), count), parties.parameters.input_scale
    found = polynomial(parties.decrypt(packed))[packed_places(N, count, pairs=False)]
    fresh = N * math.sqrt(10.5 + 1 / 12)
    error = TAIL * math.hypot(fresh, math.sqrt(packing_variance(parties.parameters, LEVEL, pairs=False))) / scale
    totals = 2 * numbers.sum(axis=1)[of]
    assert np.abs(found - totals).max() < error < 1e-2
    own = TAIL * math.sqrt(expansion_variance(parties.parameters, LEVEL, pairs=False)) / scale
    for i, expanded in enumerate(traces.expanded(packed, count)):
        if i in {0, 1, count // 2, count - 1}:
            assert np.abs(parties.decrypt(expanded) - totals[i]).max() < 2 * error + own


@pytest.mark.parametrize("count", [1, 3, 20])
def test_totals_of_exact_numbers_are_exact(count):
    exact = SealParties(Parameters("bfv", N, (40, 40, 40), 65537, security="insecure"))
    t, elements = exact.parameters.t, trace_elements(N, pairs=False)
    traces = Traces(exact.encoder, exact.keys(elements), Workers(1), Buffers())
    numbers = np.random.default_rng(count).integers(-t // 2, t // 2, (count, N))
    packed = traces.packed([exact.encrypt(row) for row in numbers], count)
    for row, expanded in zip(numbers, traces.expanded(packed, count), strict=True):
        assert set((exact.decrypt(expanded) % t).tolist()) == {row.sum() % t}


@pytest.mark.parametrize("count", [7, 45])
def test_threads_change_no_bit(parties, keys, traces, count):
    ciphertexts = [parties.encrypt(np.full(N // 2, i / count), 1) for i in range(count)]
    alone = traces.packed(ciphertexts, count)
    with Workers(3) as workers:
        several = Traces(parties.encoder, keys, workers, Buffers())
        packed = several.packed(ciphertexts, count)
        assert np.array_equal(packed, alone)
        for one, other in zip(traces.expanded(alone, count), several.expanded(packed, count), strict=True):
            assert np.array_equal(one, other)


def test_what_is_missing_or_too_much_is_named(parties, keys, traces):
    few = {made: key for made, key in keys.keys.items() if made[0] != N + 1}
    with pytest.raises(ValueError, match=f"the keys must have one of the Galois element {N + 1} for level"):
        Traces(parties.encoder, SwitchingKeys(few, keys.permutations), Workers(1), Buffers())
    exact = SealParties(Parameters("bfv", N, (40, 40), 65537, security="insecure"))
    with pytest.raises(ValueError, match="`pairs` must be False for BFV"):
        Traces(exact.encoder, SwitchingKeys({}, {}), Workers(1), Buffers(), pairs=True)
    for count in (0, N // 2 + 1):
        with pytest.raises(ValueError, match=f"`count` must be from 1 to {N // 2} at N={N}, got {count}"):
            traces.packed([], count)
        with pytest.raises(ValueError, match="`count` must be"):
            traces.expanded(np.zeros((2, 1, N), np.uint64), count)
