"""Multiplications of 52-bit numbers beside plain integers, on the processor that Numba compiles for.

As a program this tries pairs of corners and of numbers at random: for processors that Numba stands for.
"""

import itertools
import sys

import numpy as np

from he.kernels.instructions import multiply
from he.kernels.instructions.dots import add_up, added
from he.kernels.instructions.lanes import reduced, times
from he.kernels.instructions.multiply import LANES, WORDS, nothing, splats
from he.kernels.tables.roots import quotient
from he.ring.primes import ntt_primes
from intnn.machine.emit import emitted
from intnn.machine.jit import compiled
from intnn.machine.simd import I64, load, store

R = 1 << 52
PRIMES = (257, *ntt_primes((17, 26, 30, 45, 46, 49, 50, 50), 64))
#: Where halves of a product change, where a half is rounded either way, and what no float holds a square of.
CORNERS = (0, 1, 2, 3, R // 4 - 1, R // 4, R // 2 - 1, R // 2, R // 2 + 1, 2**26 - 1, 2**26, R // 3, R - 2, R - 1)
ABOVE = 0xABC * R  # bits that do not count
MOST = 28  # products of a sum


def _sum_up(b, x, y, count, low, high):
    left, right = load(b, WORDS, x), load(b, WORDS, y)
    (total,) = add_up(b, count, [nothing()], lambda _i, totals: added(b, totals, [left], [right]))
    for half, place in zip(multiply.carried(b, total), (low, high), strict=True):
        store(b, half, place)


def _divide(b, x, y, count, prime, inverse, divided, rest):
    p, inverse = splats(b, prime, inverse)
    left, right = load(b, WORDS, x), load(b, WORDS, y)
    (total,) = add_up(b, count, [nothing()], lambda _i, totals: added(b, totals, [left], [right]))
    store(b, multiply.divided(b, total, p, inverse), divided)
    store(b, reduced(b, total, p, inverse), rest)


def _by_constants(b, x, w, quotients, one, prime, product, minus_p, rest):
    p, one = splats(b, prime, one)
    value, factor, its_quotient = (load(b, WORDS, place) for place in (x, w, quotients))
    store(b, times(b, value, factor, its_quotient, p), product)
    start = b.sub(splats(b, I64(0))[0], p)
    store(b, multiply.times_loosely(b, value, factor, its_quotient, p, start), minus_p)
    store(b, multiply.rest(b, value, one, p), rest)


sum_up, divide, by_constants = emitted(_sum_up), emitted(_divide), emitted(_by_constants)


@compiled
def sums(x, y, count, out):
    """Write the low and high halves of ``count`` times x y."""
    for k in range(0, 8 * x.size, 64):
        sum_up((x.ctypes.data + k, y.ctypes.data + k, count, out[0].ctypes.data + k, out[1].ctypes.data + k))


@compiled
def quotients_of_sums(x, y, count, prime, inverse, out):
    """Write ``count`` x y / R modulo p, below 8 p and below p."""
    for k in range(0, 8 * x.size, 64):
        there = out[0].ctypes.data + k, out[1].ctypes.data + k
        divide((x.ctypes.data + k, y.ctypes.data + k, count, prime, inverse, *there))


@compiled
def constants(x, w, quotients, one, prime, out):
    """Write x w modulo p, that less p, and x modulo p."""
    for k in range(0, 8 * x.size, 64):
        here = x.ctypes.data + k, w.ctypes.data + k, quotients.ctypes.data + k
        by_constants((*here, one, prime, out[0].ctypes.data + k, out[1].ctypes.data + k, out[2].ctypes.data + k))


def check_sums(x, y):
    """Sums of products of any numbers are exact, and so are their quotients where factors are small enough."""
    x, y = _in_lanes(x), _in_lanes(y)
    for count in (1, MOST):
        out = np.empty((2, x.size), np.uint64)
        sums(x + np.uint64(ABOVE), y, count, out)
        expected = [count * a * b for a, b in zip(x.tolist(), y.tolist(), strict=True)]
        assert out.T.tolist() == [[total % R, total // R] for total in expected]
        for p in PRIMES:
            small = _in_lanes([a % p for a in x.tolist()]), y & np.uint64(R // 4 - 1)
            expected = [count * a * b for a, b in zip(*(v.tolist() for v in small), strict=True)]
            quotients_of_sums(*small, count, p, -pow(p, -1, R) % R, out)
            assert max(out[0].tolist()) < 8 * p
            residues = [total * pow(R, -1, p) % p for total in expected]
            assert (out[0] % np.uint64(p)).tolist() == out[1].tolist() == residues


def check_constants(x, w):
    """Products with constants are right modulo p and within their bounds, for any x."""
    for p in PRIMES:
        x, factors = _in_lanes(x), _in_lanes([number % p for number in w])
        expected = [a * b % p for a, b in zip(x.tolist(), factors.tolist(), strict=True)]
        quotients, out = (
            _in_lanes([quotient(number, p) for number in factors.tolist()]),
            np.empty((3, x.size), np.uint64),
        )
        constants(x + np.uint64(ABOVE), factors, quotients, quotient(1, p), p, out)
        product, less, rest = out.tolist()
        less = [(a + R // 2) % R - R // 2 for a in less]  # as 52 bits with a sign
        for found, low, right in ((product, 0, expected), (less, -p, expected), (rest, 0, [a % p for a in x.tolist()])):
            assert all(low <= a < low + 2 * p for a in found)
            assert [a % p for a in found] == right


def _in_lanes(numbers):
    """Fill the last vector up."""
    return np.array([*numbers, *[0] * (-len(numbers) % LANES)], np.uint64)


def main():
    """Try all pairs of corners, and of numbers at random."""
    rng = np.random.default_rng(0)
    for numbers in (CORNERS, rng.integers(0, R, 40).tolist()):
        pairs = list(itertools.product(numbers, repeat=2))
        check_sums(*zip(*pairs, strict=True))
        check_constants(*zip(*pairs, strict=True))
    sys.stdout.write("right\n")


if __name__ == "__main__":
    main()
