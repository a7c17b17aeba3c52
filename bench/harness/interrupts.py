"""Ctrl-C: pressed several times it counts once, so that nothing that is being tidied up is cut short."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: Seconds after an interrupt in which another one is taken for the same.
SAME = 3.0


@contextmanager
def counted_once() -> Iterator[None]:
    """Let interrupts that follow one another quickly raise one KeyboardInterrupt; once the block is left, none.

    It is the outermost block of a process: what follows it is the process's end, and an interrupt there would change
    its exit code to that of a signal. A later interrupt raises again, for the first may have fallen into foreign code
    that drops exceptions.
    """
    last = -math.inf

    def take(_number: int, _frame: FrameType | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= SAME:
            last = now
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, take)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
