"""Interrupts wherever one may come: Python looks for them behind calls, where functions begin, and where loops turn."""

import dis
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

_LOOKED_FOR_BEHIND = "CALL", "RESUME", "JUMP_BACKWARD"  # how the names of such instructions begin


class Interrupt:
    """One that comes at such a place of some functions, by its number; they are counted from 0 as they are reached.

    Attributes:
        came: Whether so many were reached.
    """

    def __init__(self, number: int, functions: tuple[Any, ...]) -> None:
        self._left, self.came = number, False
        self._codes: set[CodeType] = {function.__code__ for function in functions}
        self._last: dict[FrameType, str] = {}  # the instruction that a frame has executed

    def __call__(self, frame: FrameType, event: str, _: object) -> Any:
        """See `sys.settrace`."""
        if frame.f_code not in self._codes:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode":
            last = self._last.get(frame, "RESUME")
            self._last[frame] = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            if last.startswith(_LOOKED_FOR_BEHIND):
                self._left -= 1
                if self._left < 0 and not self.came:
                    self.came = True
                    self._last.clear()
                    raise KeyboardInterrupt
        elif event == "return":
            self._last.pop(frame, None)
        return self


@contextmanager
def interrupted_at(number: int, *functions: Any) -> Iterator[Interrupt]:
    """Interrupt this thread, and no other, at a place of some functions; the interrupt ends here."""
    interrupt, before = Interrupt(number, functions), sys.gettrace()
    sys.settrace(interrupt)
    try:
        yield interrupt
    except KeyboardInterrupt:
        assert interrupt.came
    finally:
        sys.settrace(before)
