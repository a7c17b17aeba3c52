"""Threads of a simulated block that take turns, in place of the simulator's, which all run at once and are polled.

A thread has its turn until it waits for the others of its block, or ends. The next to have theirs are in the opposite
order every time. So a barrier that is missing is found in every run: of two threads, one reads what the other has yet
to write, or has already written over. Most kernels never wait, and one Python thread does for all threads of a block.

All threads of a block must wait at the same barrier: what a GPU makes of several at a time is open. Threads whose
instruction looks again and again whether others are ready have their turns before a barrier ends.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from itertools import cycle
from types import CodeType, FrameType, FunctionType, SimpleNamespace
from typing import Any

import numpy as np
from greenlet import getcurrent, greenlet
from numba.cuda.simulator import kernel, kernelapi
from numba.cuda.simulator.kernelapi import Dim3

from intnn.machine.cuda.simulated import wait_until
from tests.intnn.bodies import Bodies

DIRECTIONS = cycle((1, -1))


class Worker(greenlet):
    """What a kernel takes for its thread: it does for one after the other, until one has to wait."""

    def __init__(self, manager: "Block", points: Iterator[Sequence[int]], body: Callable[[], None]) -> None:
        super().__init__()
        self._manager, self._points, self._body = manager, points, body
        self.place: tuple[tuple[CodeType, int], ...] = ()

    def run(self) -> None:
        """Be the threads at places of the block that no other has been."""
        for point in self._points:
            self.blockIdx, self.threadIdx = self._manager.place, Dim3(*point)
            x, y, _ = self._manager.block_dim
            self.thread_id = self.threadIdx.x + x * (self.threadIdx.y + y * self.threadIdx.z)
            self._body()

    def turn(self, failed: bool) -> Exception | None:
        """Have it run until its thread waits, or no thread is left that has not begun; what it fails with, if it does.

        Its thread fails where another has failed.
        """
        try:
            if failed:
                self.throw(RuntimeError("another thread of the block failed"))
            else:
                self.switch()
        except Exception as error:
            error.add_note(f"in thread {tuple(self.threadIdx)} of block {tuple(self.blockIdx)}")
            return error
        return None

    def syncthreads(self) -> None:
        """Wait for the other threads of the block."""
        self.place = _place()
        self.parent.switch()

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
        failed = None
        while not workers or not workers[-1].dead:  # threads may be left that have not begun
            workers.append(Worker(self, points, body))
            failed = workers[-1].turn(failed=False)
        while workers := [worker for worker in reversed(workers) if not worker.dead]:
            looking = [worker for worker in workers if not worker.place]
            if failed is None and not looking and len({worker.place for worker in workers}) > 1:
                failed = RuntimeError(f"threads of block {tuple(self.place)} wait at different barriers")
            for worker in workers if failed else looking or workers:
                error = worker.turn(failed is not None)
                failed = failed or error
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
    kernelapi.threading = SimpleNamespace(current_thread=getcurrent)
    kernel.swapped_cuda_module = lambda _function, _module: nullcontext()
