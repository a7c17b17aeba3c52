"""Work in several processes: what belongs to one key goes one after another, so that nothing of it is made twice."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import cache
from itertools import chain

Work = Callable[[], object]  # what can be pickled: a `functools.partial` of a module's function


def in_processes(work: Mapping[int, Sequence[Work]], processes: int, done: Callable[[int], object]) -> None:
    """Call everything once, in so many processes, which stay for the next time.

    Args:
        work: What is called, by keys: in order, and never two of one key at the same time.
        processes: How many there are at most.
        done: Told how many calls are over, whenever one is.

    Raises:
        ChildProcessError: A process has ended by itself.
        Exception: What a call raises. It ends all processes, as an interrupt does; they tidy up before.
    """
    queues = [deque(chain.from_iterable([*work.values()][one::processes])) for one in range(processes)]
    running: dict[Future[object], int] = {}
    over = 0
    try:
        for number, queue in enumerate(queues):
            if queue:
                running[_process(number).submit(queue.popleft())] = number
        while running:
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                number = running.pop(future)
                future.result()
                over += 1
                done(over)
                if queues[number]:
                    running[_process(number).submit(queues[number].popleft())] = number
    except BaseException as error:
        _end(processes)
        if isinstance(error, BrokenProcessPool):
            raise ChildProcessError(
                "a process that made runs has ended, for want of memory perhaps; go on with `--processes 1`"
            ) from error
        raise


@cache
def _process(_number: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin)


def _begin() -> None:
    """In the process: interrupts are the parent's to see, who asks for the end; and without a parent it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _end(processes: int) -> None:
    pools = [_process(number) for number in range(processes)]
    _process.cache_clear()
    for child in multiprocessing.active_children():
        with suppress(ProcessLookupError):
            child.terminate()
    for pool in pools:
        pool.shutdown(cancel_futures=True)
