"""What a search says while it goes on."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from threading import Timer

Progress = Callable[[str], None]


def speaking(progress: Progress | None, patience: float) -> AbstractContextManager[Progress]:
    """Return a context with what a search is to call with its lines: the caller's function, or else `Patient`."""
    return Patient(patience) if progress is None else nullcontext(progress)


class Patient:
    """Says on stderr what is being done, once it has taken so many seconds: the last line then, and each later one.

    It is a context manager, within which it waits. What is done may be one long call, so a timer says the last line.

    Args:
        seconds: How long nothing is said.
    """

    def __init__(self, seconds: float) -> None:
        self._line, self._end = "", time.monotonic() + seconds
        self._timer = Timer(seconds, self._say)
        self._timer.daemon = True

    def __enter__(self) -> Patient:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def __call__(self, line: str) -> None:
        """Say a line, or have it ready."""
        self._line = line
        if time.monotonic() >= self._end:
            self._say()

    def _say(self) -> None:
        line, self._line = self._line, ""  # by whom it is said, and nobody else
        if line and sys.stderr:
            with suppress(OSError, ValueError):  # nobody reads it, or it is closed: no search ends for that
                print(line, file=sys.stderr, flush=True)
