"""Numbers for people."""

from __future__ import annotations


def duration(seconds: float | None) -> str:
    """A time with two or three digits and the unit that fits: 12.3 µs, 4.5 ms, 1.2 s, 10 min, 10 years."""
    if seconds is None:
        return "-"
    for limit, unit, size in ((1e-3, "µs", 1e-6), (1.0, "ms", 1e-3), (300.5, "s", 1.0), (36000, "min", 60.0)):
        if seconds < limit:
            return f"{seconds / size:.3g} {unit}"
    years = seconds / (365.25 * 86400)
    return f"{years:.3g} years" if years >= 1 else f"{seconds / 3600:.3g} h"


def size(count: int | None) -> str:
    """A number of bytes with three digits and the unit that fits: 1.5 kB, 56 MB."""
    if count is None:
        return "-"
    for limit, unit in ((1e9, "GB"), (1e6, "MB")):
        if count >= limit:
            return f"{count / limit:.3g} {unit}"
    return f"{count / 1e3:.3g} kB"


def percent(share: float | None) -> str:
    """A share with two digits behind the point: 97.50%; the whole is 100%."""
    return "-" if share is None else "100%" if share == 1 else f"{100 * share:.2f}%"
