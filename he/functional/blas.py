"""Products of float64 matrices, as a unit of exact integers, and other linear algebra, on one thread.

What is computed here takes a few milliseconds at most, one piece behind the other. On two threads it gains little, and
where another process wants a processor, threads that wait for each other take ten times as long.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any, cast

import numpy as np

from intnn.values.arrays import FloatArray

_SMALL = 1 << 18  # multiplications up to which OpenBLAS takes one thread by itself


def product(a: FloatArray, b: FloatArray) -> FloatArray:
    """`numpy.matmul` on one thread."""
    if a.shape[-2] * a.shape[-1] * b.shape[-1] <= _SMALL:
        return np.matmul(a, b)
    with one_thread():
        return np.matmul(a, b)


def one_thread() -> AbstractContextManager[Any]:
    """A context in which numpy's linear algebra takes one thread."""
    return cast(AbstractContextManager[Any], _libraries().limit(limits=1))


@cache
def _libraries() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")
