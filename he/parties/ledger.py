"""What a session remembers of requests: none is evaluated twice, and no more in all than are allowed."""

from __future__ import annotations

from threading import Lock
from typing import Protocol

from he.formats.messages import MessageError


class ReplayError(MessageError):
    """A request has been evaluated before."""

    def __init__(self) -> None:
        super().__init__("a request must be evaluated once only, got one again; encrypt the images again")


class SpentError(MessageError):
    """As many requests have been evaluated as are allowed."""

    def __init__(self, most: int) -> None:
        super().__init__(f"the session must evaluate at most {most} requests, and has; ask for another")


class Ledger(Protocol):
    """A record of requests by their digests. All methods are safe for threads.

    A session admits a request before it evaluates it, and gives no answer away before that is confirmed. So a ledger
    may write while the session evaluates: a request that is forgotten with its process has had no answer.
    """

    def admit(self, name: str) -> None:
        """Note that a request is being evaluated; it waits for no other one, which may be waiting for this one.

        Args:
            name: the request's digest, 64 hexadecimal digits.

        Raises:
            ReplayError: if it has been admitted before.
            SpentError: if as many have been as are allowed.
        """

    def confirm(self, name: str) -> None:
        """Return once it is recorded that a request was admitted.

        Raises:
            OSError: if it cannot be recorded.
        """

    def release(self, name: str) -> None:
        """Forget a request that was admitted and could not be evaluated."""


class MemoryLedger:
    """A ledger that lasts as long as this object.

    Args:
        most: the number of requests that are allowed.
    """

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, Lock()
        self._admitted: set[str] = set()  # never more than `most`

    def admit(self, name: str) -> None:
        """See `Ledger.admit`."""
        with self._lock:
            if name in self._admitted:
                raise ReplayError
            if len(self._admitted) >= self._most:
                raise SpentError(self._most)
            self._admitted.add(name)

    def confirm(self, name: str) -> None:
        """Return at once."""

    def release(self, name: str) -> None:
        """See `Ledger.release`."""
        with self._lock:
            self._admitted.discard(name)
