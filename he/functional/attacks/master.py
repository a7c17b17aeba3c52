"""The master key, from as many functional keys as vectors are long."""

from __future__ import annotations

from numpy.typing import ArrayLike

from he.functional.attacks.elimination import solve
from intnn.values.arrays import IntArray, integer, integers
from intnn.values.domain import IntDomain


def secrets_from_keys(y: ArrayLike, keys: ArrayLike, limit: int) -> IntArray:
    """The secrets s_i of a linear scheme, whose functional key for y is the sum of y_i s_i.

    Keys for ``length`` independent vectors determine all secrets: whoever has them derives every other key, and the
    proofs of security do not allow them. That is no power over samples beyond what these keys have, which determine
    every sample themselves; but it shows that keys must be counted, and that their rank is what counts.

    Args:
        y: The vectors, int64 [keys, length].
        keys: The coefficients of the functional keys as integers, int64 [keys, coefficients].
        limit: The largest magnitude of a coefficient of a secret, in [1, 2**30 - 2].

    Returns:
        The secrets, int64 [length, coefficients].

    Raises:
        TypeError: An array holds no integers.
        ValueError: The vectors do not determine the secrets, or no secrets within the limit have these keys.
    """
    limit = integer(limit, "limit", 1, 2**30 - 2)
    found, determined = solve(integers(y, "y"), integers(keys, "keys"), IntDomain(-limit, limit))
    if not determined.all():
        raise ValueError(f"`y` must determine all {len(determined)} secrets, got {int(determined.sum())} of them")
    return found
