"""The evaluation of a program on several threads.

An operation begins as soon as the values that it reads exist, and large operations are divided among the threads.
"""

from __future__ import annotations

from _thread import start_new_thread
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from heapq import heappop, heappush
from itertools import pairwise
from threading import Lock
from typing import Generic, TypeVar

from he.program.algebra import Algebra, apply
from he.program.operations import arguments, results
from he.program.program import Program

V = TypeVar("V")
Task = Callable[[], object]
Waiting = deque[Lock]  # of threads, each with a lock that it waits for


class Workers:
    """Threads that share one list of tasks; a thread that waits for tasks works on them.

    It is a context manager; within the context, ``threads`` - 1 helpers work beside the caller. Where an interrupt has
    left the context before they were done, the next one, or `end`, waits for them first, and tasks that nobody had
    begun are forgotten.

    Threads are begun by one call, and wait for each other by locks alone, which an interrupt finds taken or not: one in
    the middle of Python's conditions may leave their lock taken for ever, and one in the middle of joining a thread may
    call it over while it runs (Python 3.11 and 3.12).

    Args:
        threads: the number of threads, at least 1, with the caller's.

    Attributes:
        threads: the same number.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._tasks: deque[Task] = deque()
        self._parts: deque[Task] = deque()
        self._lock = Lock()
        self._free: Waiting = deque()
        self._joining: Waiting = deque()
        self._context: object | None = None  # another one each time that the context is entered
        self._helpers: list[Lock] = []  # each is taken by a helper while it works

    def __enter__(self) -> Workers:
        self.end()
        context = self._context = object()
        for _ in range(self.threads - 1):
            working = Lock()
            self._helpers.append(working)  # before it can have begun
            start_new_thread(self._help, (context, working))
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Leave the context; return once no helper works on anything, also where this was interrupted before."""
        with self._lock:
            self._context = None
            _wake(self._free)
            _wake(self._joining)  # again, if an interrupt came between
        while self._helpers:
            with self._helpers[-1]:  # one that begins later finds that its context is over
                pass
            self._helpers.pop()
        self._tasks.clear()  # now, and not while a helper waits for parts of its task
        self._parts.clear()

    def all(self, parts: Sequence[Task], meanwhile: Task | None = None) -> None:
        """Do all of these tasks in any order and return once they are done.

        Args:
            parts: the tasks.
            meanwhile: what the caller does first, while helpers work on the tasks.

        Raises:
            BaseException: the exception of the first task that failed; with several threads, once all others are done.
                What `meanwhile` raises is raised at once: leave the context then, which waits for helpers.
            InterruptedError: if the context is left meanwhile: an interrupt may have lost a task that was taken.
        """
        if self.threads == 1 or (len(parts) == 1 and not meanwhile):
            for part in (meanwhile, *parts) if meanwhile else parts:
                part()
            return
        left, failures, context = len(parts), list[BaseException](), self._context

        def counted(part: Task) -> None:
            nonlocal left
            try:
                part()
            except BaseException as failure:
                failures.append(failure)
            with self._lock:
                left -= 1
                if left == 0:
                    _wake(self._joining)

        with self._lock:
            self._parts.extend(lambda part=part: counted(part) for part in parts)  # type: ignore[misc]
            for waiting in (self._free, self._joining):
                _wake(waiting, len(parts) - (not meanwhile))
        if meanwhile:
            meanwhile()
        # A thread that waits for parts takes no other task: that may wait for parts too, and so on without end.
        self._until(lambda: left == 0 or self._context is not context, self._joining, self._parts)
        if failures:
            raise failures[0]
        if left:
            raise InterruptedError("the threads' context was left before all tasks were done")

    def share(self, count: int, work: Callable[[int, int], object]) -> None:
        """Call ``work(first, stop)`` for consecutive parts of range(count), at most one for each thread."""
        ends = [count * i // self.threads for i in range(self.threads + 1)]
        self.all([partial(work, first, stop) for first, stop in pairwise(ends) if first < stop])

    def later(self, task: Task) -> None:
        """Leave a task, which must not raise, to a free thread; parts of operations that have begun come first."""
        with self._lock:
            self._tasks.append(task)
            _wake(self._free, 1)

    def wake(self) -> None:
        """Let waiting threads test their conditions again."""
        with self._lock:
            _wake(self._free)

    def until(self, is_over: Callable[[], bool]) -> None:
        """Work on tasks until the condition holds; the thread that makes it true must call `wake`."""
        self._until(is_over, self._free, self._parts, self._tasks)

    def _until(self, is_over: Callable[[], bool], waiting: Waiting, *queues: deque[Task]) -> None:
        while True:
            with self._lock:
                if is_over():
                    return
                task = next((queue.popleft() for queue in queues if queue), None)
                if task is None:
                    turn = Lock()
                    turn.acquire()
                    waiting.append(turn)
            if task is None:
                turn.acquire()  # once it is released by `_wake`
            else:
                task()

    def _help(self, context: object, working: Lock) -> None:
        with working:
            self.until(lambda: self._context is not context)


def _wake(waiting: Waiting, count: int | None = None) -> None:
    """Let so many waiting threads go on, or all; who calls this holds the lock by which they began to wait."""
    for _ in range(len(waiting) if count is None else min(count, len(waiting))):
        if waiting[0].locked():  # an interrupt may have come between these two
            waiting[0].release()
        waiting.popleft()


def run_on(
    workers: Workers, program: Program, algebra: Algebra[V], made: Callable[[int, V], None] = lambda *_: None
) -> list[V]:
    """Return what `he.program.algebra.run` returns, with independent operations side by side.

    The algebra's operations are called from several threads at once, which is faster where they release the GIL.

    Args:
        workers: the threads that evaluate, within their context.
        program: the program.
        algebra: the algebra that reads it.
        made: called with the number of every value and the value, before any operation reads it.
    """
    return _Run(workers, program, algebra, made).result()


class _Run(Generic[V]):
    """One evaluation of a program: the values that exist, and the operations that are ready."""

    def __init__(self, workers: Workers, program: Program, algebra: Algebra[V], made: Callable[[int, V], None]) -> None:
        self._workers, self._program, self._algebra, self._made = workers, program, algebra, made
        self._values: dict[int, V] = {}
        self._failure: BaseException | None = None
        self._lock = Lock()
        self._ready: list[int] = []  # a heap of positions: in their order, few values wait
        operations = program.operations
        defined_by = [position for position, operation in enumerate(operations) for _ in range(results(operation))]
        self._operands = [set(arguments(operation)) for operation in operations]
        self._waits = [len({defined_by[a] for a in operands}) for operands in self._operands]
        self._readers: list[set[int]] = [set() for _ in operations]  # the operations that read an operation's values
        self._unread = [0] * program.first_values[-1]
        for position, operands in enumerate(self._operands):
            for a in operands:
                self._readers[defined_by[a]].add(position)
                self._unread[a] += 1
        for output in program.outputs:
            self._unread[output] += 1  # the caller reads it
        self._left = len(operations)

    def result(self) -> list[V]:
        for position, count in enumerate(list(self._waits)):
            if count == 0:
                self._begin(position)
        self._workers.until(lambda: self._left == 0)
        if self._failure is not None:
            raise self._failure
        return [self._values[output] for output in self._program.outputs]

    def _begin(self, position: int) -> None:
        with self._lock:
            heappush(self._ready, position)
        self._workers.later(self._evaluate)

    def _evaluate(self) -> None:
        with self._lock:
            position = heappop(self._ready)
        operation, operands = self._program.operations[position], self._operands[position]
        first = self._program.first_values[position]
        defined = range(first, first + results(operation))
        if self._failure is None:
            try:
                made = apply(self._algebra, operation, [self._values[a] for a in arguments(operation)])
                for number, value in enumerate(made, first):
                    self._made(number, value)
                    self._values[number] = value
                del made, value
            except BaseException as failure:  # the caller's thread raises it, and the other operations are skipped
                self._failure = failure
        with self._lock:
            ready = []
            for reader in sorted(self._readers[position]):
                self._waits[reader] -= 1
                if self._waits[reader] == 0:
                    ready.append(reader)
            for a in operands:
                self._unread[a] -= 1
            for a in (*operands, *defined):
                if self._unread[a] == 0:
                    self._values.pop(a, None)
        for reader in ready:
            self._begin(reader)
        with self._lock:
            self._left -= 1
        if self._left == 0:
            self._workers.wake()
