"""Seconds of the parts of a run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Clock:
    """Seconds of the parts of a run, by the wall and by the processor; what runs within another counts for itself.

    Attributes:
        wall: Wall-clock seconds of every part.
        processor: Processor seconds of every part, of all threads.
    """

    wall: dict[str, float] = field(default_factory=dict)
    processor: dict[str, float] = field(default_factory=dict)
    _within: list[list[float]] = field(default_factory=list)  # seconds of what ran within each part that is running

    @contextmanager
    def running(self, part: str) -> Iterator[None]:
        """Add the seconds of what is done within to a part."""
        started, within = (time.perf_counter(), time.process_time()), [0.0, 0.0]
        self._within.append(within)
        try:
            yield
        finally:
            self._within.pop()
            passed = time.perf_counter() - started[0], time.process_time() - started[1]
            for seconds, whole, others in zip((self.wall, self.processor), passed, within, strict=True):
                seconds[part] = seconds.get(part, 0.0) + whole - others
            for outer in self._within[-1:]:
                outer[0] += passed[0]
                outer[1] += passed[1]
