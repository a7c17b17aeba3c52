"""Products of float64 matrices on one thread, as a unit of exact integers."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from intnn.values.arrays import FloatArray

_SMALL = 1 << 18  # multiplications up to which OpenBLAS takes one thread by itself


def product(a: FloatArray, b: FloatArray) -> FloatArray:
    """`numpy.matmul` on one thread.

    The products here take a few milliseconds at most, one behind the other. On two threads they gain little, and where
    another process wants a processor, threads that wait for each other take ten times as long.
    """
    if a.shape[-2] * a.shape[-1] * b.shape[-1] <= _SMALL:
        return np.matmul(a, b)
    with _libraries().limit(limits=1):
        return np.matmul(a, b)


@cache
def _libraries() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")
