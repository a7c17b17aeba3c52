"""Stopwatches."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def timed(action: Callable[[], T], clock: Callable[[], float] = time.perf_counter) -> tuple[float, T]:
    """Seconds that `action` took by a clock, and its result."""
    start = clock()
    result = action()
    return clock() - start, result


def median_seconds(action: Callable[[], object], repeats: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """The median over `repeats` calls, after one that does not count."""
    action()
    return statistics.median(timed(action, clock)[0] for _ in range(repeats))


def peak_rss_bytes() -> int | None:
    """The largest resident memory of this process so far; None where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
