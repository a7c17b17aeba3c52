"""The JSON of headers, read strictly: what a reader could take in two ways is taken in none."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

_LARGEST = 1 << 63


def parsed(data: bytes | memoryview) -> dict[str, Any]:
    """Return the object that a header holds, in UTF-8.

    Refused are keys that occur twice, NaN and infinities, floats beyond float64, integers beyond 64 bits, and nesting
    deeper than Python's stack.

    Raises:
        ValueError: if it is no such object.
    """
    try:
        found = _READER.decode(str(data, "utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError(f"an object is due, got {found!r:.80}")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key must occur once in an object")
    return found


def _refused(name: str) -> NoReturn:
    raise ValueError(f"numbers must be finite, got {name}")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"numbers must be finite, got {digits:.80}")
    return number


def _integer(digits: str) -> int:
    if len(digits) > 20 or not -_LARGEST < (number := int(digits)) < _LARGEST:  # before hundreds of digits are read
        raise ValueError(f"integers must fit 64 bits, got {digits:.80}")
    return number


_READER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refused, parse_float=_finite, parse_int=_integer)
