"""From slots to polynomials: what encoders do, on arrays.

BFV after N. P. Smart and F. Vercauteren, "Fully homomorphic SIMD operations" (DCC 2014); CKKS after J. H. Cheon et al.,
"Homomorphic Encryption for Arithmetic of Approximate Numbers" (ASIACRYPT 2017). Slots are ordered as in SEAL: slot j of
the first row is the value at the root to the power of 3**j, slot j of the second at the inverse of that.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from he.kernels import transform
from he.kernels.roots import bit_reversal, roots


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


def encode_exact(slots: np.ndarray, plain_modulus: int) -> np.ndarray:
    """Coefficients int64 [N] in centred form of the polynomial modulo t with these slots, int64 [N]."""
    N, t = len(slots), plain_modulus
    tables = roots(N, t)
    values = np.empty(N, np.uint64)
    values[np.array(bit_reversal(N))[(exponents(N) - 1) // 2]] = slots % t
    transform.inverse(values, tables.inverse, tables.inverse_quotients, t, *tables.degree, 0, values)
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
