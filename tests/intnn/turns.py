"""Threads of a simulated block that take turns, in place of the simulator's, which all run at once and are polled.

A thread has its turn until it waits for the others of its block, or ends. The next to have theirs are in the opposite
order every time. So a barrier that is missing is found in every run: of two threads, one reads what the other has yet
to write, or has already written over. Most kernels never wait, and one Python thread does for all threads of a block.

All threads of a block must wait at the same barrier: what a GPU makes of several at a time is open. Threads whose
instruction looks again and again whether others are ready have their turns before a barrier ends.
"""

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from itertools import cycle
from types import CodeType, FrameType, FunctionType
from typing import Any

import numpy as np
from numba.cuda.simulator import kernel
from numba.cuda.simulator.kernelapi import Dim3

from intnn.machine.cuda.simulated import wait_until
from tests.intnn.bodies import Bodies

IDLE: list["Worker"] = []
DIRECTIONS = cycle((1, -1))


class Worker(threading.Thread):
    """What a kernel takes for its thread: it does for one after the other, until one has to wait."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._go, self._done = threading.Lock(), threading.Lock()  # released by the other side
        self._go.acquire()
        self._done.acquire()
        self.start()

    def begin(self, manager: "Block", points: Iterator[Sequence[int]], body: Callable[[], None]) -> None:
        """Be the threads at these places of the block from now on."""
        self._manager, self._points, self._body = manager, points, body
        self.abort, self.exception = False, None
        self.turn()

    def turn(self) -> None:
        """Have it run until its thread waits, or no thread is left that has not begun."""
        self.waits = False
        self._go.release()
        self._done.acquire()

    def run(self) -> None:
        while True:
            self._go.acquire()
            try:
                for point in self._points:
                    self._become(point)
                    self._body()
            except BaseException as error:
                error.add_note(f"in thread {tuple(self.threadIdx)} of block {tuple(self.blockIdx)}")
                self.exception = error
            self._done.release()

    def _become(self, point: Sequence[int]) -> None:
        self.blockIdx, self.threadIdx = self._manager.place, Dim3(*point)
        x, y, _ = self._manager.block_dim
        self.thread_id = self.threadIdx.x + x * (self.threadIdx.y + y * self.threadIdx.z)

    def syncthreads(self) -> None:
        """Wait for the other threads of the block."""
        self.waits, self.place = True, _place()
        self._done.release()
        self._go.acquire()
        if self.abort:
            raise RuntimeError("another thread of the block failed")

    def syncthreads_or(self, value: Any) -> int:
        """Wait for the other threads of the block, and tell whether one of all has a value that is true."""
        self._manager.said[self.thread_id] = bool(value)
        self.syncthreads()
        result = any(self._manager.said.values())
        self.syncthreads()  # before anybody says something else
        return int(result)


class Block:
    """The simulator's `BlockManager`."""

    def __init__(self, function: FunctionType, _grid_dim: Any, block_dim: tuple[int, ...], _debug: Any) -> None:
        self._function, self.block_dim = function, block_dim
        self.said: dict[int, bool] = {}  # by each thread, to all

    def run(self, grid_point: Sequence[int], *arguments: Any) -> None:
        """Run all threads of a block; the first error of one is raised when the others have ended."""
        self.place = Dim3(*grid_point)
        points = iter([*np.ndindex(*self.block_dim)][:: next(DIRECTIONS)])
        body = _bodies().body(self._function, arguments)
        workers: list[Worker] = []
        while not workers or workers[-1].waits:  # threads may be left that have not begun
            workers.append(IDLE.pop() if IDLE else Worker())
            workers[-1].begin(self, points, body)
        waiting, failed = workers, None
        while waiting:
            failed = failed or next((worker.exception for worker in waiting if worker.exception), None)
            waiting = [worker for worker in reversed(waiting) if worker.waits]
            looking = [worker for worker in waiting if not worker.place]
            if failed is None and not looking and len({worker.place for worker in waiting}) > 1:
                failed = RuntimeError(f"threads of block {tuple(self.place)} wait at different barriers")
            for worker in waiting if failed else looking or waiting:
                worker.abort = failed is not None
                worker.turn()
        IDLE.extend(workers)
        if failed is not None:
            raise failed


def _place() -> tuple[tuple[CodeType, int], ...]:
    """Where a thread waits: the calls that it is in; none where its instruction looks again and again."""
    found: list[tuple[CodeType, int]] = []
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code is not Worker.run.__code__:
        if frame.f_code is wait_until.__code__:
            return ()
        found.append((frame.f_code, frame.f_lasti))
        frame = frame.f_back
    return tuple(found)


def _bodies() -> Bodies:
    """Those of the launch at work."""
    module = kernel._get_kernel_context()
    return vars(module).setdefault("bodies", Bodies(module))


def install() -> None:
    """Have the simulator run kernels so, and leave alone what modules call `cuda`, as other threads need it."""
    kernel.BlockManager = Block
    kernel.swapped_cuda_module = lambda _function, _module: nullcontext()
