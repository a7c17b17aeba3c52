"""The order of slots in a polynomial: the root at which each slot is a value, and where automorphisms take it.

Slots are ordered as in SEAL. Slot j of the first row is the value at the root to the power of 3**j; slot j of the
second row is the value at the inverse of that root.
"""

from __future__ import annotations

from functools import cache

import numpy as np


@cache
def exponents(N: int) -> np.ndarray:
    """Return, for every slot of both rows, the odd power of the root at which its value lies: int64 [N]."""
    powers = np.ones(1, np.int64)
    while len(powers) < N // 2:  # as many again, further by as many
        powers = np.concatenate([powers, powers * pow(3, len(powers), 2 * N) % (2 * N)])
    return np.concatenate([powers, 2 * N - powers])


def polynomial(slots: np.ndarray) -> np.ndarray:
    """Return the coefficients, float64 [N], of the real polynomial with these slots, float64 or complex128 [N / 2]."""
    N = 2 * len(slots)
    values = np.empty(N, slots.dtype)
    places = (exponents(N) - 1) // 2
    values[places[: N // 2]] = slots
    values[places[N // 2 :]] = slots.conj()  # the second row holds conjugates
    return (_twist(N).conj() * np.fft.fft(values)).real / N


@cache
def _twist(N: int) -> np.ndarray:
    """Return the first N powers of exp(i pi / N), a root of X^N + 1."""
    return np.exp(1j * np.pi * np.arange(N) / N)


def paired_polynomials(pairs: np.ndarray) -> np.ndarray:
    """Return the coefficients, float64 [n, N], of real polynomials whose slots hold pairs a + b X**(N / 2).

    Modulo X**(N / 2) - i, a polynomial has complex coefficients, each of two real ones N / 2 places apart, and half as
    many roots: one of each conjugate pair, at which X**(N / 2) is i. So a transform of half the size does it.

    Args:
        pairs: a + b i for every slot, complex128 [n, N / 2]; or a alone, float64.
    """
    N = 2 * pairs.shape[1]
    found = np.fft.fft(np.take(pairs, _pair_order(N), axis=1), axis=1)
    found *= _pair_twist(N)
    return np.concatenate([found.real, found.imag], axis=1)


@cache
def _pair_order(N: int) -> np.ndarray:
    """Return for every k the slot whose root, or whose root's conjugate, is the root to the power 4 k + 1: [N / 2]."""
    own = exponents(N)[: N // 2]
    return np.argsort(np.where(own % 4 == 1, own, 2 * N - own))


@cache
def _pair_twist(N: int) -> np.ndarray:
    return np.exp(-1j * np.pi * np.arange(N // 2) / N) * 2 / N


def slots_of(coefficients: np.ndarray) -> np.ndarray:
    """Return the real parts of the slots, float64 [N / 2], of the polynomial with these coefficients, float64 [N]."""
    N = len(coefficients)
    values = np.fft.ifft(_twist(N) * coefficients) * N  # at the odd powers of the root, in order
    return values[(exponents(N)[: N // 2] - 1) // 2].real


@cache
def imaginary_units(N: int) -> np.ndarray:
    """Return the value of X**(N / 2) in every slot, which is i and -i in turns: complex128 [N / 2].

    A slot that holds two numbers holds a + b X**(N / 2). A product with this unit is exact, for it is a monomial.
    """
    return 1j * (2 - exponents(N)[: N // 2] % 4)


@cache
def automorphism(N: int, element: int) -> np.ndarray:
    """Return where each value of a(X**element) lies among the values of a, both in transformed order: uint64 [N]."""
    reversal = np.array(bit_reversal(N))
    powers = (2 * reversal + 1) * element % (2 * N)
    return reversal[(powers - 1) // 2].astype(np.uint64)  # unsigned: no index counts from the end


@cache
def permutation(N: int, element: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an automorphism as a permutation of vectors of eight: neighbours stay together, in one of eight orders.

    Returns:
        int64 [N / 8], for every eight values the byte at which they are written plus the number of their order; and
        uint64 [8, 8], for every order the lane from which each value is taken.
    """
    blocks = automorphism(N, element).astype(np.int64).reshape(-1, 8)
    places, orders = np.empty(N // 8, np.int64), np.zeros((8, 8), np.uint64)
    first = blocks[:, 0]
    places[first // 8] = 64 * np.arange(N // 8) + first % 8
    orders[first % 8] = blocks % 8
    return places, orders


@cache
def trace_elements(N: int, pairs: bool = True) -> tuple[int, ...]:
    """Return the exponents g of the automorphisms X -> X**g by which ciphertexts are merged and split, for any number.

    They generate those that fix X**(N / 2), which stands for i, and so pairs a + b X**(N / 2): the l-th fixes the
    powers of X**(N / 2**l). Without pairs they generate all; the conjugation comes first, which fixes numbers alone.
    """
    return (() if pairs else (2 * N - 1,)) + tuple((1 << bits) + 1 for bits in range(2, N.bit_length()))


@cache
def packed_places(N: int, count: int, pairs: bool = True) -> np.ndarray:
    """Return the coefficients at which a polynomial holds so many pairs of numbers, or single ones: int64 [count].

    The second number of a pair stands N / 2 coefficients further. Of 2**depth places at equal distances the first
    ones in bit-reversed order are taken: half of them lie at even multiples of the distance, and are taken first.
    """
    depth = (count - 1).bit_length()
    return np.array(bit_reversal(1 << depth)[:count]) * (N >> (depth + pairs))


@cache
def halves(N: int) -> np.ndarray:
    """Return which BFV slots lie in the first of two halves, of which each holds one number of pairs: bool [N].

    There X**(N / 2) is the same root of -1, the least 2N-th root to the power N / 2; in the second half it is the other
    one. Rows are exchanged by an automorphism that exchanges the halves too.
    """
    return exponents(N) % 4 == 1


@cache
def slot_order(N: int) -> np.ndarray:
    """Return where the value of every BFV slot lies among the values of a polynomial in transformed order: [N]."""
    return np.array(bit_reversal(N))[(exponents(N) - 1) // 2]


def bit_reversal(N: int) -> list[int]:
    """Return, for every i below the power of two N, the number with the bits of i in the opposite order."""
    bits = N.bit_length() - 1
    result = [0]
    for k in range(bits):
        result += [r + (1 << (bits - 1 - k)) for r in result]
    return result
