"""A trainer of heads in a process of its own, so that its memory and its time are nobody else's."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType

from bench.harness.timing import peak_rss_bytes
from he.training.plan import HeadPlan
from he.training.trainer import Trainer

_FIT = b""  # instead of a block


@dataclass(frozen=True)
class Spent:
    """What a trainer took.

    Attributes:
        cpu_seconds: Processor time to read keys and blocks and to make the steps, of all threads.
        peak_rss_bytes: The largest resident memory of its process; None where the system does not tell.
    """

    cpu_seconds: float
    peak_rss_bytes: int | None


class TrainerProcess:
    """Starts a trainer, hands it blocks one by one, and ends it; a context manager.

    Args:
        plan: The plan.
        keys: The evaluation keys, as they travel.
        threads: The trainer's threads.

    Attributes:
        keys_s: The wall-clock seconds that the trainer took to read the keys.
    """

    def __init__(self, plan: HeadPlan, keys: bytes, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, plan, keys, threads), daemon=True)
        self._process.start()
        other.close()  # so that the end of the process is the end of the connection
        self.keys_s: float = self._connection.recv()

    def __enter__(self) -> TrainerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.join()
        self._connection.close()

    def add(self, block: bytes) -> None:
        """Hand a block over, and wait until it has been read.

        Raises:
            EOFError: The trainer refused it, and has said why.
        """
        self._connection.send_bytes(block)
        self._connection.recv()

    def fit(self, progress: Callable[[int, int], None]) -> tuple[bytes, Spent]:
        """Have all steps made, and return the encrypted head, as it travels, and what the trainer took."""
        self._connection.send_bytes(_FIT)
        while isinstance(told := self._connection.recv(), tuple):
            progress(*told)
        return self._connection.recv_bytes(), told


def _serve(connection: Connection, plan: HeadPlan, keys: bytes, threads: int) -> None:
    """Be the trainer."""
    wall, processor = time.perf_counter(), time.process_time()
    trainer = Trainer(plan, keys, threads)
    connection.send(time.perf_counter() - wall)
    while block := connection.recv_bytes():
        trainer.add(block)
        connection.send(None)
    head = trainer.fit(lambda *told: connection.send(told)).to_bytes()
    connection.send(Spent(time.process_time() - processor, peak_rss_bytes()))
    connection.send_bytes(head)
