"""Checked, read-only arrays, of which every value object of the package is made."""

import contextlib
import math
import numbers
import operator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Array = NDArray[Any]

T = TypeVar("T")

INT64 = np.iinfo(np.int64)
_INT64 = np.dtype(np.int64)


def instance(value: Any, kind: type[T], name: str, remedy: str = "") -> T:
    """Return ``value`` if it is a ``kind``; a TypeError names it if it is not, and the remedy if there is one."""
    if not isinstance(value, kind):
        article = "" if kind is bytes else "an " if kind.__name__[0] in "AEIO" else "a "
        raise TypeError(
            f"`{name}` must be {article}{kind.__name__}, got {type(value).__name__}{remedy and f'; {remedy}'}"
        )
    return value


def integer(value: Any, name: str, low: int = int(INT64.min), high: int = int(INT64.max)) -> int:
    """Return ``value`` as a Python int inside [``low``, ``high``].

    Raises:
        TypeError: ``value`` is not an integer; a bool does not count as one.
        ValueError: ``value`` is outside the range.
    """
    if type(value) is int and low <= value <= high:  # as nearly always
        return value
    value = plain(value)
    if isinstance(value, bool) or getattr(value, "shape", None):
        raise TypeError(f"`{name}` must be an integer, got {value!r}")
    try:
        result = operator.index(value)
    except TypeError:
        raise TypeError(f"`{name}` must be an integer, got {value!r}") from None
    if not low <= result <= high:
        raise ValueError(f"`{name}` must lie in [{low}, {high}], got {result}")
    return result


def plain(value: Any) -> Any:
    """Return a scalar of numpy, or an array or tensor without axes, as the Python object that it holds; else the value.

    A float64 scalar of numpy would make float64 tensors of all that it is multiplied by.
    """
    return value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value


def real(value: Any, name: str) -> float:
    """Return ``value`` as a Python float, NaN or infinite where it is, or beyond all floats; an array may have no axes.

    Raises:
        TypeError: ``value`` is not a real number; neither bools nor strings count as one.
    """
    value = plain(value)
    is_number = isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))
    if not is_number:
        raise TypeError(f"`{name}` must be a float, got {value!r}")
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def array(values: ArrayLike, name: str) -> Array:
    """Return ``values`` as an array of whatever dtype they have, without a copy where they are one already.

    Raises:
        TypeError: They are of a type that numpy cannot convert, such as a tensor with a gradient.
        ValueError: They are nested lists of unequal lengths, or some of them are masked.
    """
    rows = values if isinstance(values, (list, tuple)) else (values,)
    if any(np.ma.is_masked(row) for row in rows if isinstance(row, np.ma.MaskedArray)):
        raise ValueError(f"`{name}` must have nothing masked, got a masked array; fill it, or leave out what is masked")
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ValueError(f"`{name}` must be an array, with rows of equal lengths: {error}") from None
    except (TypeError, RuntimeError) as error:  # what torch raises
        kind = type(values).__name__
        raise TypeError(f"`{name}` must be an array, or what numpy can make one of, got {kind}: {error}") from None


def integers(values: ArrayLike, name: str) -> IntArray:
    """Return ``values`` as an int64 array, without a copy where it is one already.

    Raises:
        TypeError: The dtype is not an integer one; floats and bools are never converted silently.
        ValueError: A value does not fit int64, or rows have unequal lengths.
    """
    if type(values) is np.ndarray and values.dtype is _INT64:  # as nearly always
        return values
    checked = array(values, name)
    if checked.dtype.kind not in "iu":
        raise TypeError(f"`{name}` must hold integers, got dtype {checked.dtype}; round or cast it first")
    if checked.dtype == np.uint64 and checked.size and checked.max() > INT64.max:
        raise ValueError(f"`{name}` must fit int64, got {checked.max()}")
    return checked.astype(np.int64, copy=False)


def any_integers(values: ArrayLike, name: str) -> Array:
    """Return ``values`` as int64 where all of them fit, and as Python ints, in an array of dtype object, elsewhere.

    Raises:
        TypeError: The dtype is neither an integer one nor that of objects that are all Python ints.
        ValueError: Rows have unequal lengths.
    """
    checked = array(values, name)
    if checked.dtype != object:
        return integers(checked, name)
    if not all(type(value) is int for value in checked.flat):
        raise TypeError(f"`{name}` must hold Python ints where its dtype is object")
    fits = all(INT64.min <= value <= INT64.max for value in checked.flat)
    return checked.astype(np.int64) if fits else checked


def reals(values: ArrayLike, name: str) -> FloatArray:
    """Return ``values`` as a finite float64 array, without a copy where it is one already.

    Raises:
        TypeError: The dtype is not a floating-point one.
        ValueError: A value is NaN or infinite, or rows have unequal lengths.
    """
    checked = array(values, name)
    if checked.dtype.kind != "f":
        raise TypeError(f"`{name}` must hold floats, got dtype {checked.dtype}; cast and scale it first")
    checked = checked.astype(np.float64, copy=False)
    if not np.isfinite(checked).all():
        raise ValueError(f"`{name}` must be finite, got NaN or infinity; clean the data first")
    return checked


def frozen(array: Array) -> Array:
    """Return ``array``, C-contiguous, read-only, and so for good; it is copied unless it is all of this already.

    A copy lies in the memory of a `bytes`: an array that owns its memory could be made writeable again by `setflags`.
    Python ints have no values in an array's memory; theirs is a copy that is only marked as read-only.
    """
    if array.dtype.kind == "O":
        copy = array.copy()
        copy.setflags(write=False)
        return copy
    if not array.flags.writeable and array.flags.c_contiguous and _is_fixed(array):
        return array
    return frozen_copy(array)


def frozen_copy(array: Array) -> Array:
    """Return a copy of an array of numbers, C-contiguous, read-only for good, whatever the array lies in.

    `frozen` takes a read-only `memoryview` for what nobody writes to, as those of messages and files; others may.
    """
    return np.ndarray(array.shape, array.dtype, array.tobytes())


def given_away(array: Array) -> Array:
    """Return a view of an array, read-only for good, that nobody else holds from now on: no copy is made.

    A view of what is read-only cannot be made writeable; the array itself could be, and is not to be used again.
    """
    array.setflags(write=False)
    return array[:]


def _is_fixed(array: Array) -> bool:
    """Whether nothing can write to the memory of a read-only array through Python."""
    with contextlib.suppress(ValueError):
        array.setflags(write=True)  # which arrays from pickles allow, whatever their memory is
        array.setflags(write=False)
        return False
    owner: Any = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    return isinstance(owner, bytes) or (isinstance(owner, memoryview) and owner.readonly)


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


def exactly(values: Array, dtype: Any) -> Array:
    """Whole numbers in another dtype that holds them; floats become Python ints by way of int64, which is exact."""
    if dtype is object and values.dtype.kind == "f":
        values = values.astype(np.int64)
    return values.astype(dtype, copy=False)
