"""Rows of the case `service`, and how they are printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from bench.report.units import duration, size, times


@dataclass(frozen=True)
class ServiceRow:
    """A server on this machine's loopback. What was not measured is None.

    Attributes:
        network: The network that it serves.
        what: "one image" or "load".
        evaluation_s: Seconds of an evaluation in this process: the least of turns.
        service_s: Seconds from sending a request to having its answer: the least of the same turns.
        ratio: The second by the first.
        evaluation_cpu_s: Seconds on a processor of an evaluation's thread in this process: the median of the turns.
        service_cpu_s: The same of the server's threads and of the one that asks, from sending to having the answer;
            what the server does after that is not in it.
        ratio_cpu: The second by the first.
        request_bytes, answer_bytes, key_bytes: The sizes of what crosses.
        expanded_bytes: The size of a client's expanded keys on the server's disk.
        upload_s: Seconds of sending keys, until the server has expanded them.
        restart_s: Seconds from starting the server's process to its first health answer, with all keys in its store.
        session_s: Seconds until a client's session is ready in a server that has started: the median.
        clients: How many asked at once.
        tenants: How many sets of keys they had together.
        seconds: For how long.
        killed: Whether the server was killed and started again in the middle.
        answered, wrong, lost: How many requests were answered rightly, not rightly, and not at all.
        refused: How many were refused, by status.
        median_s, slow_s: Seconds of an answer: the median, and what 99 of 100 stay below.
        peak_bytes: The largest memory of the server's processes, without mapped files.
        threads: The threads of an evaluation.
    """

    network: str
    what: str
    evaluation_s: float | None = None
    service_s: float | None = None
    ratio: float | None = None
    evaluation_cpu_s: float | None = None
    service_cpu_s: float | None = None
    ratio_cpu: float | None = None
    request_bytes: int | None = None
    answer_bytes: int | None = None
    key_bytes: int | None = None
    expanded_bytes: int | None = None
    upload_s: float | None = None
    restart_s: float | None = None
    session_s: float | None = None
    clients: int | None = None
    tenants: int | None = None
    seconds: float | None = None
    killed: bool | None = None
    answered: int | None = None
    wrong: int | None = None
    lost: int | None = None
    refused: dict[str, int] = field(default_factory=dict)
    median_s: float | None = None
    slow_s: float | None = None
    peak_bytes: int | None = None
    threads: int = 1


def show(console: Console, rows: Sequence[ServiceRow]) -> None:
    """Print a line for each thing that was measured, within 80 columns."""
    for row in rows:
        table = Table(title=f"{row.network}, {row.what}", title_justify="left", box=None, show_header=False)
        table.add_column(min_width=40)
        table.add_column(justify="right", no_wrap=True)
        for name, value in _lines(row).items():
            table.add_row(name, value)
        console.print(table)


def _lines(row: ServiceRow) -> dict[str, str]:
    if row.ratio is not None:
        return {
            "an evaluation, here": duration(row.evaluation_s),
            "a request and its answer, over loopback": f"{duration(row.service_s)}, {times(row.ratio)}",
            "the same in processor time": _processor(row),
            "keys sent and expanded": f"{size(row.key_bytes)}, {duration(row.upload_s)}",
            "keys on the server's disk": size(row.expanded_bytes),
            "the server starts again": duration(row.restart_s),
            "a client's session after that": duration(row.session_s),
        }
    refused = ", ".join(f"{count} with {status}" for status, count in row.refused.items()) or "none"
    return {
        "clients, sets of keys, seconds": f"{row.clients}, {row.tenants}, {row.seconds:g}",
        "killed and started again": "in the middle" if row.killed else "no",
        "answered rightly, wrongly": f"{row.answered}, {row.wrong}",
        "refused": refused,
        "without an answer": str(row.lost),
        "an answer takes, 99 of 100 below": f"{duration(row.median_s)}, {duration(row.slow_s)}",
        "memory of the server, without mapped files": size(row.peak_bytes),
    }


def _processor(row: ServiceRow) -> str:
    if row.ratio_cpu is None:
        return "-"
    return f"{duration(row.evaluation_cpu_s)}, {duration(row.service_cpu_s)}, {times(row.ratio_cpu)}"
