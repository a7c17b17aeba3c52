"""From slots to polynomials: what encoders do, on arrays.

BFV after N. P. Smart and F. Vercauteren, "Fully homomorphic SIMD operations" (DCC 2014); CKKS after J. H. Cheon et al.,
"Homomorphic Encryption for Arithmetic of Approximate Numbers" (ASIACRYPT 2017). Slots are ordered as in SEAL: slot j of
the first row is the value at the root to the power of 3**j, slot j of the second at the inverse of that.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from he.kernels import evaluate
from he.kernels.chain import chain
from he.kernels.roots import bit_reversal


@cache
def exponents(N: int) -> np.ndarray:
    """int64 [N]: of every slot, the odd power of the root at which its value lies; both rows."""
    powers = [1]
    for _ in range(N // 2 - 1):
        powers.append(powers[-1] * 3 % (2 * N))
    return np.array(powers + [2 * N - power for power in powers])


@cache
def imaginary_units(N: int) -> np.ndarray:
    """Complex [N / 2]: the value of X**(N / 2) in every slot, i and -i in turns.

    Two numbers to a slot, a + b X**(N / 2), are complex numbers with this unit; so no product with it is ever rounded.
    """
    return 1j * (2 - exponents(N)[: N // 2] % 4)


@cache
def automorphism(N: int, element: int) -> np.ndarray:
    """uint64 [N]: where the values of a(X**element) lie among those of a, in transformed order."""
    reversal = np.array(bit_reversal(N))
    powers = (2 * reversal + 1) * element % (2 * N)
    return reversal[(powers - 1) // 2].astype(np.uint64)  # unsigned: no index counts from the end


@cache
def turning(N: int, element: int) -> tuple[np.ndarray, np.ndarray]:
    """An automorphism as vectors are turned by it: eight neighbours become eight neighbours, in one of eight orders.

    Returns:
        For every eight, int64 [N / 8]: where they go, in bytes, plus the number of their order; and uint64 [8, 8], for
        every order the lanes that they come from.
    """
    blocks = automorphism(N, element).astype(np.int64).reshape(-1, 8)
    places, orders = np.empty(N // 8, np.int64), np.zeros((8, 8), np.uint64)
    first = blocks[:, 0]
    places[first // 8] = 64 * np.arange(N // 8) + first % 8
    orders[first % 8] = blocks % 8
    return places, orders


def encode_exact(slots: np.ndarray, plain_modulus: int) -> np.ndarray:
    """Coefficients int64 [N] in centred form of the polynomial modulo t with these slots, int64 [N]."""
    N, t = len(slots), plain_modulus
    values = np.empty(N, np.uint64)
    values[np.array(bit_reversal(N))[(exponents(N) - 1) // 2]] = slots % t
    evaluate.inverse(chain(N, (t,)).arrays, values, 0)
    coefficients = values.astype(np.int64)
    return np.where(coefficients > t // 2, coefficients - t, coefficients)


def encode_approximate(slots: np.ndarray, scale: float) -> np.ndarray:
    """Coefficients [N] of the real polynomial with these slots, float64 [N / 2], times ``scale``, rounded.

    int64 where they fit, else Python's integers.
    """
    N = 2 * len(slots)
    values = np.empty(N)
    places = (exponents(N) - 1) // 2
    values[places[: N // 2]] = slots
    values[places[N // 2 :]] = slots  # conjugates, and slots are real
    twist = np.exp(-1j * np.pi * np.arange(N) / N)
    coefficients = np.rint((twist * np.fft.fft(values)).real / N * scale)
    if np.abs(coefficients).max() < 2.0**62:
        return coefficients.astype(np.int64)
    return np.array([int(c) for c in coefficients.tolist()], object)
