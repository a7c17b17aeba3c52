"""Runs the CUDA kernels on ciphertexts that come beside the CPU's in Numba's simulator; prints the outcomes as JSON.

Not a test by itself; `tests.intnn.cuda_simulation` says why this is a process of its own.
"""

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import cuda

from he.kernels.cuda import arrivals
from he.kernels.cuda.transform import MODULUS, ONE
from he.kernels.passes import bits
from he.kernels.passes.expand import BUFFER, buffer, uniform
from he.ring.packed import word_bits
from intnn.machine.cuda.launch import run

UNWRITTEN = (1 << 64) - 1  # no residue
seeds = st.integers(0, 2**32 - 1)
degrees = st.sampled_from([64, 128, 512])
few = settings(max_examples=6, deadline=None, database=None)

#: Moduli of which m multiples fit 64 bits so badly that nearly one word of m + 1 is refused; none are primes of SEAL.
REFUSING = {m: (1 << 64) // (m + 1) + 1 | 1 for m in (3, 4, 30, 500)}


def constants(primes):
    """The columns of a chain's constants that are read."""
    rows = np.zeros((len(primes), 6), np.uint64)
    rows[:, MODULUS], rows[:, ONE] = primes, [(1 << 64) // p for p in primes]
    return cuda.to_device(rows)


def unwritten(*shape):
    return cuda.to_device(np.full(shape, UNWRITTEN, np.uint64))


def unpacked(packed, primes, polynomials, N):
    """The residues that the kernel writes, and whether it reports a wrong one."""
    residues, wrong = unwritten(len(packed), 2, len(primes), N), cuda.to_device(np.zeros(1, np.uint64))
    layout = cuda.to_device(arrivals.layout(primes, polynomials, N))
    run(arrivals.unpack(constants(primes), cuda.to_device(packed), layout, residues, wrong))
    found = residues.copy_to_host()
    assert (found[:, polynomials:] == UNWRITTEN).all()
    return found[:, :polynomials], int(wrong.copy_to_host()[0])


def ciphertexts(rng, primes, polynomials, N, count):
    """Residues with the least and the largest, uint64 [count, polynomials, level, N]; and as they come."""
    residues = np.stack([rng.integers(0, p, (count, polynomials, N), np.uint64) for p in primes], axis=2)
    residues[..., 0], residues[..., -1] = 0, np.array(primes, np.uint64) - np.uint64(1)
    return residues, as_they_come(residues, primes)


def as_they_come(residues, primes):
    rows = residues.reshape(-1, residues.shape[-1])
    data = b"".join(bits.packed(row, p) for row, p in zip(rows, primes * (len(rows) // len(primes)), strict=True))
    return np.frombuffer(data, np.uint64).reshape(len(residues), -1)


primes_of = st.lists(st.integers(20, 62), min_size=1, max_size=3).map(
    lambda widths: tuple((1 << width) - 2 * i - 1 for i, width in enumerate(widths))
)


@few
@given(seeds, primes_of, st.integers(1, 2), degrees, st.integers(1, 3))
def unpack(seed, primes, polynomials, N, count):
    """Words of any number of bits: the residues of the CPU's kernel, and of what was packed."""
    expected, packed = ciphertexts(np.random.default_rng(seed), primes, polynomials, N, count)
    found, wrong = unpacked(packed, primes, polynomials, N)
    theirs = np.empty_like(expected)
    assert all(bits.unpacked(one.tobytes(), primes, rows) for one, rows in zip(packed, theirs, strict=True))
    assert np.array_equal(found, expected)
    assert np.array_equal(theirs, expected)
    assert not wrong


@few
@given(seeds, primes_of, st.integers(1, 2), degrees, st.integers(1, 3), st.data())
def wrong_residues(seed, primes, polynomials, N, count, data):
    """One residue that is not below its prime, anywhere, is reported, and nothing else changes."""
    primes = tuple(p - 2 for p in primes)  # so that the width has words that are no residues
    residues, _ = ciphertexts(np.random.default_rng(seed), primes, polynomials, N, count)
    where = tuple(data.draw(st.integers(0, size - 1)) for size in residues.shape)
    p = primes[where[2]]
    residues[where] = data.draw(st.integers(p, (1 << word_bits(p)) - 1))
    found, wrong = unpacked(as_they_come(residues, primes), primes, polynomials, N)
    residues[where] = 0
    assert wrong
    assert np.array_equal(found, residues)


def expanded(names, primes, N):
    """Second polynomials, uint64 [count, level, N], from seeds uint64 [count, 8] behind other words."""
    count, level = len(names), len(primes)
    buffers = -(-8 * level * N // BUFFER)
    packed = np.concatenate([np.full((count, 5), UNWRITTEN, np.uint64), names], axis=1)
    residues, roots = unwritten(count, 2, level, N), unwritten(count, buffers * arrivals.ROOT)
    marks = cuda.to_device(np.full((count, level * N // arrivals.NODE_WORDS), 255, np.uint8))
    run(arrivals.expand(constants(primes), cuda.to_device(packed), roots, marks, residues))
    found = residues.copy_to_host()
    assert (found[:, 0] == UNWRITTEN).all()
    return found[:, 1]


def by_the_processor(names, primes, N):
    found = np.empty((len(names), len(primes), N), np.uint64)
    for name, rows in zip(names, found, strict=True):
        uniform(name, np.array(primes, np.int64), rows)
    return found


def random_seeds(seed, count):
    return np.random.default_rng(seed).integers(0, UNWRITTEN, (count, 8), np.uint64)


@few
@given(seeds, primes_of, degrees, st.integers(1, 2))
def expand(seed, primes, N, count):
    """Moduli as circuits have them, where next to no word is refused."""
    names = random_seeds(seed, count)
    assert np.array_equal(expanded(names, primes, N), by_the_processor(names, primes, N))


@few
@given(seeds, st.lists(st.sampled_from([*REFUSING.values(), (1 << 50) - 27]), min_size=1, max_size=3), degrees)
def refused_words(seed, primes, N):
    """Moduli that refuse words, spare ones too, in an order that depends on all rows."""
    names = random_seeds(seed, 2)
    assert np.array_equal(expanded(names, tuple(primes), N), by_the_processor(names, primes, N))


def more_spares_than_a_buffer():
    """A row after the one that uses up the first spare buffer goes on with the next one."""
    primes, names = (REFUSING[3],) * 3 + ((1 << 50) - 27, REFUSING[3]), random_seeds(1, 1)
    raw = np.empty((10, BUFFER // 8), np.uint64)
    for i, words in enumerate(raw):
        buffer(names[0], i, words)
    refused = (raw >= 3 * REFUSING[3] - 1).sum()
    assert refused > 3 * BUFFER // 8 // 2
    assert np.array_equal(expanded(names, primes, 1024), by_the_processor(names, primes, 1024))


def the_first_word_that_is_refused():
    """A word that is the largest multiple less one is refused, and the word before it is a residue."""
    (name,) = names = random_seeds(2, 1)
    raw = np.empty(BUFFER // 8, np.uint64)
    buffer(name, 0, raw)
    for offset in (1, 2):
        place, word = next((i, int(w)) for i, w in enumerate(raw) if w > 0.76 * 2**64 and (int(w) + offset) % 3 == 0)
        p = (word + offset) // 3
        assert (1 << 64) // p == 3
        found = expanded(names, (p,), 512)
        assert np.array_equal(found, by_the_processor(names, (p,), 512))
        assert (int(found[0, 0, place]) == word % p) == (offset == 2)


CHECKS = (
    unpack,
    wrong_residues,
    expand,
    refused_words,
    more_spares_than_a_buffer,
    the_first_word_that_is_refused,
)

if __name__ == "__main__":
    from tests.intnn.cuda_simulation import prepare  # which only the simulator has

    prepare()
    for check in CHECKS:
        check()
    print(json.dumps({check.__name__: True for check in CHECKS}))
