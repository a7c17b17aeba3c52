"""What a server is told when it starts: where its files are, and what it allows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from pathlib import Path

from he.engines.engine import thread_count
from he.parties.prepared import MOST_EVALUATIONS
from intnn.values.arrays import integer, real
from intnn.values.value_object import ValueObject

COUNTS = (
    *("evaluations", "threads", "requests", "requests_each", "uploads", "keys_each", "most_evaluations"),
    *("connections", "connections_each", "networks"),
)


@dataclass(frozen=True)
class Limits(ValueObject):
    """What a server allows. What goes beyond is refused with a status that says so, before it costs memory.

    Attributes:
        evaluations: how many requests are evaluated at once; by default one for each processor.
        threads: the number of threads of an evaluation.
        requests: how many requests are read, wait or are evaluated, of all clients together; the next is refused (503).
        requests_each: the same for one client (429).
        uploads: how many uploads of keys are read or expanded at once (503); one of each client (429).
        keys_each: how many sets of keys a client may keep; the next one takes the place of its oldest.
        most_evaluations: how many requests of one client a model evaluates in all (403).
        rate: how many calls a client may make in a second, in the long run (429).
        burst: how many calls it may make at once after it was silent.
        store_bytes: the most bytes of all expanded keys (507).
        spare_bytes: bytes that must stay free on the disk (507).
        body_seconds: how long a body may take, beside one second for each `least_rate` bytes (408).
        least_rate: bytes a second.
        head_seconds: how long a client may take to ask anything; the connection is closed then.
        wait_seconds: how long a request may wait for its evaluation (503).
        expand_seconds: how long keys may take to be expanded; the process is replaced then (503).
        answer_seconds: how long a client may take to receive a part of an answer; the connection is closed then.
        stop_seconds: how long what has begun may go on when the server stops.
        connections: how many connections there may be at once; others are refused (503).
        connections_each: the same for one address, a proxy's too (429).
        networks: how many encrypted networks are kept ready in memory; others are read again when they are used.

    Raises:
        TypeError: if a limit is no number.
        ValueError: if it is infinite or negative, or 0 where that is a number of things or a divisor.
    """

    evaluations: int = field(default_factory=lambda: thread_count(None))
    threads: int = 1
    requests: int = 128
    requests_each: int = 8
    uploads: int = 4
    keys_each: int = 4
    most_evaluations: int = MOST_EVALUATIONS
    rate: float = 50.0
    burst: float = 100.0
    store_bytes: int = 1 << 36
    spare_bytes: int = 1 << 28
    body_seconds: float = 10.0
    least_rate: float = 1 << 18
    head_seconds: float = 10.0
    wait_seconds: float = 30.0
    expand_seconds: float = 120.0
    answer_seconds: float = 30.0
    stop_seconds: float = 30.0
    connections: int = 512
    connections_each: int = 128
    networks: int = 8

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name in COUNTS:
                integer(value, one.name, 1)
            elif not 0 <= real(value, one.name) < math.inf:
                raise ValueError(f"`{one.name}` must be a finite number from 0, got {value}")
        if not self.least_rate:
            raise ValueError("`least_rate` must be positive, got 0: no body would ever be late")


@dataclass(frozen=True)
class Config(ValueObject):
    """Where a server's files are, and what it allows.

    Attributes:
        models: the folder of prepared circuits, files `NAME.he` that `PreparedCircuit.save` wrote.
        store: the folder of the server's own, for keys and what it must remember.
        tokens: the file of permitted clients (`he.service.tokens`); None for a server that serves everybody as one
            client, `public`.
        limits: what it allows.
    """

    models: Path
    store: Path
    tokens: Path | None = None
    limits: Limits = field(default_factory=Limits)
