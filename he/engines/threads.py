"""A program's operations on several threads: each as soon as what it reads is there."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

from he.program import Algebra, Program, apply, arguments

V = TypeVar("V")


def run_on(threads: int, program: Program, algebra: Algebra[V]) -> V:
    """`he.program.run` with independent operations side by side; the same result.

    The algebra's operations may be called from several threads at once, and gain by it where they release the GIL.
    """
    return _Run(program, algebra).on(threads)


class _Run(Generic[V]):
    def __init__(self, program: Program, algebra: Algebra[V]) -> None:
        self._program, self._algebra = program, algebra
        self._values: dict[int, V] = {}
        self._failure: BaseException | None = None
        self._changed = threading.Condition()
        operations = program.operations
        self._waits = [len(set(arguments(operation))) for operation in operations]
        self._readers: list[list[int]] = [[] for _ in operations]
        for position, operation in enumerate(operations):
            for a in set(arguments(operation)):
                self._readers[a].append(position)
        self._unread = [len(readers) for readers in self._readers]
        self._ready = deque(i for i, count in enumerate(self._waits) if count == 0)
        self._left = len(operations)

    def on(self, threads: int) -> V:
        helpers = [threading.Thread(target=self._work, daemon=True) for _ in range(threads - 1)]
        for helper in helpers:
            helper.start()
        self._work()
        for helper in helpers:
            helper.join()
        if self._failure is not None:
            raise self._failure
        return self._values[self._program.output]

    def _work(self) -> None:
        while (position := self._next()) is not None:
            operation = self._program.operations[position]
            try:
                value = apply(self._algebra, operation, [self._values[a] for a in arguments(operation)])
            except BaseException as failure:  # handed to the caller's thread
                with self._changed:
                    self._failure = failure
                    self._changed.notify_all()
                return
            self._done(position, value)

    def _next(self) -> int | None:
        """An operation that can begin; None when there is nothing left to begin."""
        with self._changed:
            while not self._ready:
                if self._left == 0 or self._failure is not None:
                    return None
                self._changed.wait()
            return None if self._failure is not None else self._ready.popleft()

    def _done(self, position: int, value: V) -> None:
        with self._changed:
            self._values[position] = value
            self._left -= 1
            for reader in self._readers[position]:
                self._waits[reader] -= 1
                if self._waits[reader] == 0:
                    self._ready.append(reader)
            for a in {*arguments(self._program.operations[position]), position}:
                self._unread[a] -= a != position
                if self._unread[a] == 0 and a != self._program.output:
                    self._values.pop(a, None)
            self._changed.notify_all()
