"""Integer inference beside other libraries: every row in one process, contenders taking turns."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.harness.turns import take_turns
from bench.harness.workloads import Work, works
from bench.peers.inference import BOUND_PEERS, PEERS, Bind, Run
from bench.peers.missing import UnavailableError
from intnn.machine.host import instruction_set

WORKS = {"mlp": "MLP 784-128-64-10", "cnn": "CNN 8c5-p-16c5-p-64-10", "gemm": "GEMM 1024x1024"}
BATCHES = (1, 64, 1024)
ROUNDS = 25


@dataclass(frozen=True)
class KernelRow:
    """Ours beside one peer, on one network, batch size and number of threads.

    Times are for one input of the batch: the least mean of a turn of calls, over all rounds.

    Attributes:
        work: The network.
        batch: Inputs of a call.
        threads: Of both; small batches may use fewer.
        ours_us: Microseconds for an input, from a uint8 array to an array of logits; beside a peer whose name ends in
            "bound", from and to arrays that were named before (`CompiledNetwork.bind`).
        peer: Library and arithmetic; "bound" if its inputs and outputs lie in buffers that stay.
        peer_us: The same for the peer; None if it is not available.
        ratio: ``peer_us / ours_us``: how many times as fast ours is.
        gops: 10**9 multiplications and additions a second of ours, counted by the network's definition.
        fraction_of_peak: ``gops`` in units of ``threads`` times the core's measured dot-product peak. Above 1 where
            pooling is folded into the weights of a convolution, which then takes fewer products than defined.
        peak_gops: That peak, of one core.
        instruction_set: That ours runs on.
        note: Why there is no time.
    """

    work: str
    batch: int
    threads: int
    ours_us: float
    peer: str
    peer_us: float | None
    ratio: float | None
    gops: float
    fraction_of_peak: float
    peak_gops: float
    instruction_set: str
    note: str = ""


def measure(
    names: Sequence[str],
    batches: Sequence[int],
    threads: Sequence[int],
    rounds: int,
    seed: int,
    report: Callable[[str], None],
) -> Iterator[KernelRow]:
    """Time networks, batches and numbers of threads, each against every peer.

    Args:
        names: Keys of WORKS.
        batches: Inputs of a call, each at least 1.
        threads: Each at least 1.
        rounds: Turns of every contender, at least 1.
        seed: For parameters and inputs.
        report: Told what is being measured.

    Raises:
        ValueError: A count is below 1.
    """
    for name, counts in (("--batch", batches), ("--threads", threads), ("--rounds", (rounds,))):
        if min(counts) < 1:
            raise ValueError(f"`{name}` must be at least 1, got {min(counts)}")
    rng = np.random.default_rng(seed)
    for work in works(tuple(WORKS[name] for name in names), rng):
        for count in threads:
            report(f"{work.name}: preparing the peers")
            peers, notes = _prepared(work, count)
            # Ours binds one thread; a product of matrices gives bytes, which it does not bind.
            bound = _bound(work) if count == 1 and work.name != WORKS["gemm"] else {}
            for batch in batches:
                if work.name == WORKS["gemm"] and batch != 1024:
                    continue  # one product of square matrices
                report(f"{work.name}, batch {batch}, threads {count}")
                yield from _compare(work, batch, count, rounds, rng, peers, bound, notes)


def _prepared(work: Work, threads: int) -> tuple[dict[str, Run], dict[str, str]]:
    peers, notes = {}, {}
    for name, prepare in PEERS.items():
        try:
            peers[name] = prepare(work, threads)
        except UnavailableError as error:
            notes[name] = str(error)
    return peers, notes


def _bound(work: Work) -> dict[str, Bind]:
    bound = {}
    for name, prepare in BOUND_PEERS.items():
        with suppress(UnavailableError):  # the peer without buffers says so
            bound[name] = prepare(work, 1)
    return bound


def _compare(
    work: Work,
    batch: int,
    threads: int,
    rounds: int,
    rng: np.random.Generator,
    peers: dict[str, Run],
    bound: dict[str, Bind],
    notes: dict[str, str],
) -> Iterator[KernelRow]:
    compiled = work.network.compiled
    assert compiled is not None
    x = work.inputs(batch, rng)
    floats = x.astype(np.float32) / np.float32(255)
    # A product of matrices gives bytes, as a layer within a network does; a network gives its logits.
    dtype = np.int8 if work.name == WORKS["gemm"] else np.int64
    contenders: dict[str, Callable[[], object]] = {"ours": lambda: compiled.logits(x, threads, dtype)}
    for name, run in peers.items():
        contenders[name] = lambda run=run: run(floats)  # type: ignore[misc]
    if bound:
        contenders["ours, bound"] = compiled.bind(x, np.empty((batch, compiled.classes), np.int64))
    for name, bind in bound.items():
        contenders[name] = bind(floats)
    seconds, peak = take_turns(contenders, rounds)
    for name in (*PEERS, *bound):
        ours, peer = seconds["ours, bound" if name in bound else "ours"], seconds.get(name)
        gops = 2 * work.products * batch / ours / 1e9
        yield KernelRow(
            work.name,
            batch,
            threads,
            1e6 * ours / batch,
            name,
            None if peer is None else 1e6 * peer / batch,
            None if peer is None else peer / ours,
            gops,
            gops / (peak * threads),
            peak,
            instruction_set().name,
            notes.get(name, ""),
        )


def available_threads() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def print_rows(console: Console, rows: Sequence[KernelRow]) -> None:
    """A short table for each network, batch and number of threads. Fits 80 columns."""
    if rows:
        peak = max(row.peak_gops for row in rows)
        console.print(f"[bold]Integer inference[/bold], {rows[0].instruction_set}, peak of a core {peak:.0f} GOPS")
    for (work, batch, threads), group in groupby(rows, key=lambda row: (row.work, row.batch, row.threads)):
        console.print(f"\n[bold]{work}[/bold], batch {batch}, threads {threads}", highlight=False)
        table = Table(box=None, padding=(0, 1), pad_edge=False)
        table.add_column("", width=33, no_wrap=True)
        for heading in ("µs each", "times ours"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("", no_wrap=True)
        for bound, contenders in groupby(group, key=lambda row: row.peer in BOUND_PEERS):
            beside = list(contenders)
            ours = beside[0]
            speed = f"{ours.gops:.0f} GOPS, {ours.fraction_of_peak:.2f} of peak"
            table.add_row("ours, bound" if bound else "ours", f"{ours.ours_us:.3g}", "1", speed, style="bold")
            for row in beside:
                times = ("-", "-") if row.peer_us is None else (f"{row.peer_us:.3g}", f"{row.ratio:.2f}")
                table.add_row(row.peer, *times, row.note)
        console.print(table)
