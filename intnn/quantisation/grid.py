"""The integers that stand for a range of real numbers."""

import numpy as np

from intnn.quantisation.bounded import HUGE, TINY
from intnn.values.arrays import FloatArray
from intnn.values.domain import IntDomain


def grid(values: tuple[float, float], bits: int) -> tuple[IntDomain, float]:
    """The integers of so many bits for a range (low, high), and their number per real unit.

    They are unsigned where ``low`` is not negative, and symmetric elsewhere, with -1, 0, 1 at the least.

    Raises:
        ValueError: The range leaves 1e30 in magnitude.
    """
    low, high = values
    top = (1 << bits) - 1 if low >= 0 else max((1 << bits - 1) - 1, 1)
    peak = max(-low, high)
    if peak > HUGE:
        raise ValueError(f"`ranges` must stay within {HUGE} in magnitude, got ({low}, {high})")
    # A range of zeros has no scale; any will do.
    return IntDomain(0 if low >= 0 else -top, top), top / peak if peak > TINY else 1.0


def rounded(values: FloatArray, scale: float, domain: IntDomain) -> FloatArray:
    """Floats rounded to the integers of a domain as `IntNetwork.quantise_input` does it, as whole floats."""
    return np.floor(np.clip(values * scale, domain.lo, domain.hi) + 0.5)
