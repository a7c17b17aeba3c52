"""What cyclic transforms of 128 points need, of one prime: see `he.kernels.passes.windows`."""

from functools import cache
from typing import NamedTuple

import numpy as np

from he.kernels.tables.roots import quotient, roots
from intnn.values.arrays import Array

WINDOW = 64  # coefficients


class WindowTables(NamedTuple):
    """The constants of one prime.

    A cyclic transform of 2 `WINDOW` points takes the same powers as a negacyclic one of `WINDOW` points, in the same
    order: the r by which a block X^2m - r^2 is split depends on the block's number alone, in all stages.

    Attributes:
        forward: uint64 [WINDOW], powers of a root of order 2 `WINDOW`, bit-reversed.
        forward_quotients: Their quotients.
        inverse: The powers of the inverse root.
        inverse_quotients: Their quotients.
        prime: The prime p.
        one: The quotient of 1.
        lifted: A multiple of p between 2**50 and 2**51.
        radix: 2**52 modulo p.
        scale: 1 / (2 `WINDOW`) modulo p.
        scale_quotient: The quotient of that.
    """

    forward: Array
    forward_quotients: Array
    inverse: Array
    inverse_quotients: Array
    prime: np.int64
    one: np.int64
    lifted: np.int64
    radix: np.uint64
    scale: np.int64
    scale_quotient: np.int64


@cache
def window_tables(prime: int) -> WindowTables:
    """Compute the constants of a prime.

    Raises:
        ValueError: It is 2^50 or larger, or not 1 modulo 2 `WINDOW`.
    """
    found, scale = roots(WINDOW, prime), pow(2 * WINDOW, -1, prime)
    return WindowTables(
        found.forward,
        found.forward_quotients,
        found.inverse,
        found.inverse_quotients,
        np.int64(prime),
        np.int64(quotient(1, prime)),
        np.int64((1 << 51) // prime * prime),
        np.uint64((1 << 52) % prime),
        np.int64(scale),
        np.int64(quotient(scale, prime)),
    )
