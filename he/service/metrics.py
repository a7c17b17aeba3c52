"""What a server has counted, in Prometheus's text format 0.0.4.

Labels have few values, all of them the server's own: no name of a client, nothing that a request says.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from threading import Lock

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

Labels = tuple[tuple[str, str], ...]


class Metrics:
    """Counts, times and present numbers, by name. All methods are safe for threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: dict[str, Counter[Labels]] = {}
        self._times: dict[str, dict[Labels, _Times]] = {}
        self._now: dict[str, Callable[[], float]] = {}

    def count(self, name: str, **labels: str) -> None:
        """Add one to a count."""
        with self._lock:
            self._counts.setdefault(name, Counter())[_ordered(labels)] += 1

    def time(self, name: str, seconds: float, **labels: str) -> None:
        """Add a time to a distribution."""
        with self._lock:
            self._times.setdefault(name, {}).setdefault(_ordered(labels), _Times()).add(seconds)

    def watch(self, name: str, number: Callable[[], float]) -> None:
        """Have a present number read whenever the measurements are."""
        self._now[name] = number

    def text(self) -> str:
        """Return all measurements."""
        with self._lock:
            return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        for name, number in sorted(self._now.items()):
            yield f"# TYPE {name} gauge"
            yield f"{name} {number():g}"
        for name, counts in sorted(self._counts.items()):
            yield f"# TYPE {name} counter"
            for labels, count in sorted(counts.items()):
                yield f"{name}{_written(labels)} {count}"
        for name, distributions in sorted(self._times.items()):
            yield f"# TYPE {name} histogram"
            for labels, times in sorted(distributions.items()):
                yield from times.lines(name, labels)


class _Times:
    def __init__(self) -> None:
        self._counts, self._sum = [0] * (len(_SECONDS) + 1), 0.0

    def add(self, seconds: float) -> None:
        self._counts[bisect_left(_SECONDS, seconds)] += 1
        self._sum += seconds

    def lines(self, name: str, labels: Labels) -> Iterator[str]:
        below = 0
        for limit, count in zip((*map(str, _SECONDS), "+Inf"), self._counts, strict=True):
            below += count
            yield f"{name}_bucket{_written((*labels, ('le', limit)))} {below}"
        yield f"{name}_sum{_written(labels)} {self._sum:.6f}"
        yield f"{name}_count{_written(labels)} {below}"


def _ordered(labels: dict[str, str]) -> Labels:
    return tuple(sorted(labels.items()))


def _written(labels: Sequence[tuple[str, str]]) -> str:
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)
    return f"{{{inside}}}" if inside else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
