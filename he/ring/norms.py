"""Norms of polynomials modulo X^N + 1, and bounds on random ones that hold but for a chance that is proved.

The *canonical norm* of a polynomial is its largest absolute value at the complex roots of X^N + 1, the *Euclidean norm*
the root of the sum of its coefficients' squares, which no coefficient exceeds. The Euclidean norm of a product is at
most the Euclidean norm of one factor times the canonical norm of the other: at the roots, it is N^(-1/2) times the
Euclidean norm of the values (Parseval).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np

from he.ring.arithmetic import MAX_BITS, centred, product
from he.ring.slots import bit_reversal, slot_order

#: A random polynomial stays within so many deviations at all roots; `chance_beyond` says how surely.
DEVIATIONS = 7.5

_LONG = 1024  # slots, from which on it pays to encode them by other means


def canonical_norm(coefficients: np.ndarray) -> float:
    """Return the canonical norm of a real polynomial with coefficients [N]."""
    return float(np.abs(np.fft.fft(coefficients * _half_turn(len(coefficients)))).max())


@cache
def _half_turn(N: int) -> np.ndarray:
    """Return the first N powers of exp(-i pi / N), by which roots of X^N + 1 become roots of unity."""
    return np.exp(-1j * np.pi / N * np.arange(N))


def random_canonical_norm(N: int, variance: float) -> float:
    """Return a bound on the canonical norm of N independent coefficients around 0 with this variance.

    They are to be sub-Gaussian with their variance as proxy, as SEAL's errors (sums of fair coins) and numbers that are
    uniform on an interval around 0 are. A random polynomial is beyond it with a chance below `chance_beyond(N)`.
    """
    return DEVIATIONS * math.sqrt(N * variance)


def random_euclidean_norm(N: int, variance: float) -> float:
    """Return a bound on the Euclidean norm of such coefficients; one is beyond it with a chance below 2^-72.

    For sub-Gaussian vectors, squares beyond variance * (sqrt(N) + sqrt(2 x))^2 have a chance below exp(-x) (Hsu, Kakade
    and Zhang, *A tail inequality for quadratic forms of subgaussian random vectors*, 2012); x is 50.
    """
    return math.sqrt(variance) * (math.sqrt(N) + 10)


def chance_beyond(N: int) -> float:
    """Return a bound, below 2^-58, on the chance that one exceeds `random_canonical_norm`.

    At one root the value is sub-Gaussian in every direction of the complex plane alike. So d deviations have a chance
    below d^2 exp(1 - d^2), by Chernoff's bound for the square; and there are N / 2 pairs of conjugate roots.
    """
    return N / 2 * DEVIATIONS**2 * math.exp(1 - DEVIATIONS**2)


def secret_norm(N: int, owners: int = 1) -> float:
    """Return the largest canonical norm of a secret that is accepted; others are drawn again.

    The secret of several owners is the sum of one of each, and its norm at most the sum of theirs.

    Coefficients are -1, 0 and 1 with equal chances. At a root the square of the absolute value is distributed about as
    an exponential one of mean 2 N / 3, so that about exp(-1 / e), more than two thirds, of all secrets are accepted.
    An accepted one has lost half a bit of its entropy, and no attack gains a factor of 3 / 2 in its chance.
    """
    return owners * math.sqrt(2 * N / 3 * (math.log(N / 2) + 1))


def norm_of_secret(residues: np.ndarray, prime: int) -> float:
    """Return the canonical norm of a secret, given its residues [N] modulo a prime, transformed and in SEAL's order."""
    return canonical_norm(centred(_coefficients(residues, prime), prime))


def norm_of_plaintext(
    slots: np.ndarray, t: int, encode: Callable[[np.ndarray, int], np.ndarray] | None = None
) -> float:
    """Return the canonical norm of the polynomial that packs integers modulo t into its slots [N], two rows.

    Rows that repeat shorter ones belong to a polynomial in a power of X, which is found in a smaller ring.

    Args:
        slots: the integers.
        t: the plaintext modulus.
        encode: returns the coefficients around 0 of the polynomial with these slots; it is called for long rows.
    """
    rows = slots.reshape(2, -1)
    while (half := rows.shape[1] // 2) > 1 and np.array_equal(rows[:, :half], rows[:, half:]):
        rows = rows[:, :half]
    N = rows.size
    if encode and N >= _LONG:
        return canonical_norm(encode(rows.ravel(), t))
    values = np.empty(N, np.int64)
    values[slot_order(N)] = rows.ravel() % t
    return canonical_norm(centred(_coefficients(values, t), t))


def _coefficients(values: np.ndarray, prime: int) -> np.ndarray:
    """Return the polynomial, modulo a prime and up to an automorphism, that has these values at the powers of a root.

    Value i is the one at psi^(2 bitreverse(i) + 1). Any primitive root psi does: another gives an automorphic image,
    whose norms are the same. Stages are those of Longa and Naehrig (CANS 2016), all butterflies of one at a time.
    """
    N, factors = len(values), _inverse_powers(len(values), prime)
    times = _large_product if prime.bit_length() > MAX_BITS else product
    result = values.astype(factors.dtype)
    for blocks in (N >> i for i in range(1, N.bit_length())):
        pairs = result.reshape(blocks, 2, -1)
        sums, differences = pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]
        result = np.stack([sums % prime, times(differences, factors[blocks : 2 * blocks, None], prime)], axis=1).ravel()
    return times(result, pow(N, -1, prime), prime)


@cache
def _inverse_powers(N: int, prime: int) -> np.ndarray:
    """Return the powers of 1 / psi in bit-reversed order: [N]."""
    roots = (pow(g, (prime - 1) // (2 * N), prime) for g in range(2, prime))
    inverse = next(root for root in roots if pow(root, N, prime) == prime - 1)
    times = _large_product if prime.bit_length() > MAX_BITS else product
    powers = np.ones(1, object if prime.bit_length() > MAX_BITS else np.int64)
    while len(powers) < N:  # as many again, further by as many
        powers = np.concatenate([powers, times(powers, pow(inverse, len(powers), prime), prime)])
    return powers[bit_reversal(N)]


def _large_product(a: np.ndarray, b: np.ndarray | int, prime: int) -> np.ndarray:
    """Return the products of Python's integers, element by element."""
    return a * b % prime
