"""Division and rounding to integers, by one rule for scalars and whole layers.

The ``divide_*`` functions are exact for Python ints and for int64 arrays alike: no intermediate value is larger than
the operands. Divisors must be positive. Compiled kernels round by shifts of their own, which tests hold to these rules.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from intnn.values.arrays import IntArray, reals

Integers = TypeVar("Integers", int, IntArray)

# The largest float64 below 2**63; anything beyond it has no int64.
_LARGEST = np.nextafter(2.0**63, 0.0)


def divide_floor(numerator: Integers, divisor: int) -> Integers:
    """Quotient rounded down: floor(n / d)."""
    _require_positive(divisor)
    return numerator // divisor


def divide_half_up(numerator: Integers, divisor: int) -> Integers:
    """Quotient rounded to the nearest integer, halves up: floor(n / d + 1/2)."""
    _require_positive(divisor)
    quotient, remainder = numerator // divisor, numerator % divisor
    return quotient + (remainder >= divisor - remainder)  # 2 r >= d without forming 2 r


def divide_toward_zero(numerator: Integers, divisor: int) -> Integers:
    """Quotient rounded toward zero: never larger in magnitude than n / d."""
    _require_positive(divisor)
    quotient, remainder = numerator // divisor, numerator % divisor
    return quotient + ((remainder != 0) & (numerator < 0))


def round_half_up(x: ArrayLike) -> IntArray:
    """Round floats to the nearest integers, halves up; exact for every float64.

    ``floor(x + 0.5)`` is not: the largest float below one half would become 1.

    Raises:
        ValueError: A value is NaN, infinite or outside int64.
    """
    array = reals(x, "x")
    floor = np.floor(array)
    return _to_int64(floor + (array - floor >= 0.5))  # the difference of a float and its floor is exact


def round_toward_zero(x: ArrayLike) -> IntArray:
    """Round floats toward zero: no magnitude grows.

    Raises:
        ValueError: A value is NaN, infinite or outside int64.
    """
    return _to_int64(np.trunc(reals(x, "x")))


def _to_int64(whole: np.ndarray) -> IntArray:
    if whole.size and np.abs(whole).max() > _LARGEST:
        raise ValueError(f"`x` must round to int64, got {whole.flat[np.abs(whole).argmax()]:g}; use a smaller scale")
    return whole.astype(np.int64)


def _require_positive(divisor: int) -> None:
    if divisor <= 0:
        raise ValueError(f"`divisor` must be positive, got {divisor}")
