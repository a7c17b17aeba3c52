"""How slots lie in a polynomial: the roots at which their values are, and where automorphisms take them.

Slots are ordered as in SEAL: slot j of the first row is the value at the root to the power of 3**j, slot j of the
second at the inverse of that.
"""

from __future__ import annotations

from functools import cache

import numpy as np


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
def permutation(N: int, element: int) -> tuple[np.ndarray, np.ndarray]:
    """An automorphism as it permutes vectors: eight neighbours become eight neighbours, in one of eight orders.

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


def bit_reversal(N: int) -> list[int]:
    """For every i the number with its bits in the opposite order."""
    bits = N.bit_length() - 1
    result = [0]
    for k in range(bits):
        result += [r + (1 << (bits - 1 - k)) for r in result]
    return result
