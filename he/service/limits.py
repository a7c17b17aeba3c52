"""How much each client, and all of them together, may ask of a server at a time. Clocks are monotonic.

All of it is used from the one thread of the event loop.
"""

from __future__ import annotations

import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from he.service.problems import Problem, busy

_MOST_BUCKETS = 4096


class Rates:
    """A bucket of calls for each client, which fills again as time goes by (a token bucket).

    Args:
        rate: calls a second that flow into a bucket.
        burst: calls that a full bucket holds.
        clock: seconds that never go back.
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> None:
        """Take a call from a client's bucket.

        Raises:
            Problem: if it is empty (429).
        """
        now = self._clock()
        left, since = self._buckets.pop(client, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._rate)
        self._buckets[client] = (left - 1 if left >= 1 else left, now)
        if len(self._buckets) > _MOST_BUCKETS:  # the one that was silent for longest, and so the fullest
            self._buckets.popitem(last=False)
        if left < 1:
            wait = math.ceil((1 - left) / self._rate) if self._rate else 3600
            raise Problem(429, "too many calls; slow down", {"Retry-After": str(wait)})


class Gate:
    """Places for what goes on at once.

    Args:
        what: what the places are for, as clients are told.
        most: the number of places.
        each: the number of places that one client may have.
    """

    def __init__(self, what: str, most: int, each: int) -> None:
        self._what, self._most, self._each = what, most, each
        self._inside: Counter[str] = Counter()

    @property
    def inside(self) -> int:
        """The number of places that are taken."""
        return self._inside.total()

    @contextmanager
    def place(self, client: str) -> Iterator[None]:
        """Have a place for a while.

        Raises:
            Problem: if the client has as many as it may have (429), or none is free (503).
        """
        if self._inside[client] >= self._each:
            raise Problem(429, f"at most {self._each} {self._what} of a client at once", {"Retry-After": "1"})
        if self.inside >= self._most:
            raise busy(f"the server has {self._most} {self._what} at once already")
        self._inside[client] += 1
        try:
            yield
        finally:
            self._inside[client] -= 1
            if not self._inside[client]:
                del self._inside[client]
