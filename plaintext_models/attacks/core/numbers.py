"""Numbers that callers give: checked in one place, with the name of the argument in every message."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from typing import Any

from intnn.values.arrays import plain, real


def several(values: Any, name: str) -> tuple[Any, ...]:
    """Return the members of a sequence, an array or any other iterable; a TypeError for what has none, and for text."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(f"`{name}` must be a sequence, got {type(values).__name__}; put it into a list")
    return tuple(values)


def number(
    value: Any,
    name: str,
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    most: float = math.inf,
    below: float = math.inf,
) -> float:
    """Return `value` as a Python float, if it is a finite number within all limits that are given.

    Args:
        value: The number, of Python, of numpy, or of torch.
        name: What messages call it.
        least: It must not be less than this.
        above: It must be more than this.
        most: It must not be more than this.
        below: It must be less than this.

    Raises:
        TypeError: `value` is not a real number; a bool does not count as one.
        ValueError: `value` is not finite, or beyond a limit.
    """
    value = plain(value)
    lower = f"from {least:g}" if math.isfinite(least) else f"above {above:g}" if math.isfinite(above) else ""
    upper = f", below {below:g}" if math.isfinite(below) else ""
    if math.isfinite(most):
        upper = f"{' to' if math.isfinite(least) else ', up to'} {most:g}"
    wanted = f"`{name}` must be " + (lower + upper if upper else f"a number {lower}".rstrip())
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{wanted}, got {value!r}")
    result = real(value, name)
    if math.isinf(result):  # not to print an integer beyond all floats
        value = result
    if not (math.isfinite(result) and least <= result <= most and above < result < below):
        raise ValueError(f"{wanted}, got {value!r}")
    return result
