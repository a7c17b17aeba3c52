"""Inputs of another scale than the samples by which a network's range was chosen.

Images of 0..255 for a network of 0..1, or the other way round, have the right shape and type: what lies outside the
range saturates, what is far too small becomes nearly nothing, and every answer is rubbish. Only the range and the
inputs can tell. So a batch is doubted that inputs like the samples could not be:

- *too far*: more than half of its values other than zero lie outside the range, by more than twice its width; or, in a
  table of 16 rows or more, more than half of a column do. A shift of all values by two widths raises no doubt, nor does
  a factor of three, where the range holds zero, nor does what happens to half of the values.
- *too small*: in 16 inputs or more that are not zero, no value is larger than a 128th of the range's larger end. One
  dark image raises no doubt, nor do many in bytes, which have one value there that is not zero.

Either way these values must be 8 different ones: a constant image, a mark of what is missing or a few outliers are no
scale. Not seen are scales that differ by less, as 0..1 and -1..1 do, and a few inputs that are too small. Honest inputs
are found too small where one sample was an outlier that stretched the range: they are nearly nothing in it, too.
"""

from __future__ import annotations

import sys
import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray

from intnn.values.arrays import Array, FloatArray

FAR = 2.0  # times the width of a range: values further outside it are of another scale
SMALL = 1 / 128  # of the larger end of a range: values below it are of another scale
MANY = 8  # different values; fewer are no scale
ROWS = 16  # inputs; fewer may all be dark, or be outliers in the same feature
_OURS = ("intnn", "he", "plaintext_models")
_SHOWN = 5  # features that a message names
_REMEDY = "scale them as its samples were, bytes of images to 0..1, say"


def warn_of_scale(x: FloatArray, low: ArrayLike, high: ArrayLike) -> None:
    """Warn of inputs whose scale is not that of a range, by the rule above.

    The text says nothing of a batch, and the place is the caller's who is outside our packages: so Python shows the
    warning once for a line of theirs, also where the same inputs pass here twice.

    Args:
        x: Finite floats [n, *shape].
        low: The lower end of the range, in the units of ``x``: one number, or [features] for inputs that are vectors.
        high: The upper end, in the same shape.

    Warns:
        UserWarning: The scale is another one.
    """
    doubt = _doubt(x, np.asarray(low, np.float64), np.asarray(high, np.float64))
    if doubt is not None:
        warnings.warn(f"{doubt}; {_REMEDY}", stacklevel=_callers_level())


def _doubt(x: FloatArray, low: FloatArray, high: FloatArray) -> str | None:
    """What is to be said against the scale of inputs; None if there is nothing."""
    if not x.size:
        return None
    least, most = x.min(axis=0), x.max(axis=0)  # of nearly all inputs, this is all that has to be known
    with np.errstate(over="ignore", invalid="ignore"):  # beyond float64, nothing is further
        margin = FAR * (high - low)
        first, last = low - margin, high + margin
    has_scale = margin > 0  # one value alone has none
    far = None
    if (((least < first) | (most > last)) & has_scale).any():
        far = ((x < first) | (x > last)) & (x != 0) & has_scale
    if far is not None and far.any():
        if 2 * np.count_nonzero(far) > np.count_nonzero(x) and _are_many(x[far]):
            within = "the ranges" if low.ndim else f"the range of {low:.4g} to {high:.4g}"
            return f"most inputs lie far outside {within} for which the network was made"
        columns = _odd_columns(x, far)
        if columns:
            shown = ", ".join(map(str, columns[:_SHOWN])) + ", ..." * (len(columns) > _SHOWN)
            return f"inputs lie far outside the range for which the network was made in feature(s) {shown}"
    elif len(x) >= ROWS and (np.maximum(-least, most) <= SMALL * np.maximum(np.abs(low), np.abs(high))).all():
        rows = x.reshape(len(x), -1).any(axis=1)
        if np.count_nonzero(rows) >= ROWS and _are_many(x[x != 0]):
            return "inputs fill less than a hundredth of the range for which the network was made"
    return None


def _odd_columns(x: FloatArray, far: NDArray[np.bool_]) -> list[int]:
    """The columns of a table of which more than half lies far outside."""
    if x.ndim != 2 or len(x) < ROWS:
        return []
    columns = np.flatnonzero(2 * np.count_nonzero(far, axis=0) > len(x)).tolist()
    return [column for column in columns if _are_many(x[far[:, column], column])]


def _are_many(values: Array) -> bool:
    return any(len(np.unique(some)) >= MANY for some in (values[:1000], values))  # the first few do mostly


def _callers_level() -> int:
    """The level, for `warnings.warn` in the function that asks, of the first caller outside of our packages."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _OURS:
        frame, level = frame.f_back, level + 1
    return level
