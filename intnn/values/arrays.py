"""Checked, read-only arrays, of which every value object of the package is made."""

import operator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Array = NDArray[Any]

INT64 = np.iinfo(np.int64)


def integer(value: Any, name: str, low: int = int(INT64.min), high: int = int(INT64.max)) -> int:
    """Return ``value`` as a Python int inside [``low``, ``high``].

    Raises:
        TypeError: ``value`` is not an integer; a bool does not count as one.
        ValueError: ``value`` is outside the range.
    """
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"`{name}` must be an integer, got {value!r}")
    try:
        result = operator.index(value)
    except TypeError:
        raise TypeError(f"`{name}` must be an integer, got {value!r}") from None
    if not low <= result <= high:
        raise ValueError(f"`{name}` must lie in [{low}, {high}], got {result}")
    return result


def integers(values: ArrayLike, name: str) -> IntArray:
    """Return ``values`` as an int64 array, without a copy where it is one already.

    Raises:
        TypeError: The dtype is not an integer one; floats and bools are never converted silently.
        ValueError: A value does not fit int64.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise TypeError(f"`{name}` must hold integers, got dtype {array.dtype}; round or cast it first")
    if array.dtype == np.uint64 and array.size and array.max() > INT64.max:
        raise ValueError(f"`{name}` must fit int64, got {array.max()}")
    return array.astype(np.int64, copy=False)


def reals(values: ArrayLike, name: str) -> FloatArray:
    """Return ``values`` as a finite float64 array, without a copy where it is one already.

    Raises:
        TypeError: The dtype is not a floating-point one.
        ValueError: A value is NaN or infinite.
    """
    array = np.asarray(values)
    if array.dtype.kind != "f":
        raise TypeError(f"`{name}` must hold floats, got dtype {array.dtype}; cast and scale it first")
    array = array.astype(np.float64, copy=False)
    if not np.isfinite(array).all():
        raise ValueError(f"`{name}` must be finite, got NaN or infinity; clean the data first")
    return array


def frozen(array: Array) -> Array:
    """Return a read-only, C-contiguous copy of ``array``."""
    copy = np.array(array, order="C", copy=True)
    copy.setflags(write=False)
    return copy


def batched(array: Array, shape: tuple[int, ...], name: str) -> Array:
    """Return ``array`` if its shape is [batch, *shape] with at least one row.

    Raises:
        ValueError: It is not.
    """
    if array.shape[1:] != shape or array.ndim != len(shape) + 1:
        expected = ", ".join(("batch", *map(str, shape)))
        raise ValueError(f"`{name}` must have shape ({expected}), got {array.shape}")
    if not len(array):
        raise ValueError(f"`{name}` must hold at least one row, got an empty batch")
    return array
