"""A step of integer training beside float training: every row in one process, contenders taking turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.harness.turns import take_turns
from bench.peers.missing import UnavailableError
from bench.peers.training import PEERS
from intnn import IntDomain
from intnn.machine.host import instruction_set
from intnn.training.cpu.compiled import CompiledStep
from intnn.training.plan import Convolution, Plan, plan
from intnn.training.step import Descent, Rate, initialise

BATCH = 64
CLASSES = 10
NETWORKS = {
    "mlp": ("MLP 784-128-64-10", (128, 64), (784,)),
    "cnn": ("CNN 8c5-p-16c5-p-64-10", (Convolution(8, 5, pool=2), Convolution(16, 5, pool=2), 64), (1, 28, 28)),
}


@dataclass(frozen=True)
class TrainingRow:
    """Our step beside a peer's, on one network and batch size.

    Attributes:
        work: The network.
        batch: Examples of a step.
        threads: Of the peer; ours has one.
        ours_us: Microseconds for one step: forward, loss, backward, momentum and update. The least mean of a turn.
        peer: Library, arithmetic and optimiser.
        peer_us: The same for the peer; None if it is not available.
        ratio: ``peer_us / ours_us``: how many times as fast ours is.
        gops: 10**9 multiplications and additions a second of ours, counted by the network's definition: forward,
            gradients of the weights, and errors of all but the first layer's inputs.
        fraction_of_peak: ``gops`` in units of the core's measured dot-product peak.
        peak_gops: That peak.
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
) -> Iterator[TrainingRow]:
    """Time steps, each against every peer.

    Args:
        names: Keys of NETWORKS.
        batches: Examples of a step, each at least 1.
        threads: Of the peers, each at least 1.
        rounds: Turns of every contender, at least 1.
        seed: For parameters and examples.
        report: Told what is being measured.

    Raises:
        ValueError: A count is below 1.
    """
    for name, counts in (("--batch", batches), ("--threads", threads), ("--rounds", (rounds,))):
        if min(counts) < 1:
            raise ValueError(f"`{name}` must be at least 1, got {min(counts)}")
    rng = np.random.default_rng(seed)
    for name in names:
        title, layers, shape = NETWORKS[name]
        layout = plan(layers, shape, IntDomain(0, 255), CLASSES)
        for batch in batches:
            for count in threads:
                report(f"{title}, batch {batch}, threads {count}")
                yield from _compare(title, layout, batch, count, rounds, seed, rng)


def _compare(
    title: str, layout: Plan, batch: int, threads: int, rounds: int, seed: int, rng: np.random.Generator
) -> Iterator[TrainingRow]:
    ours = CompiledStep(layout, initialise(layout, seed), batch, Descent(momentum_shift=3))
    ours.inputs[...] = rng.integers(0, 256, ours.inputs.shape)
    labels = rng.integers(0, CLASSES, batch)
    contenders: dict[str, Callable[[], object]] = {"ours": lambda: ours.step(labels, Rate(100, 16), (seed, 0))}
    notes, floats = {}, ours.inputs.astype(np.float32) / np.float32(255)
    for name, prepare in PEERS.items():
        try:
            contenders[name] = prepare(layout, floats, labels, threads)
        except UnavailableError as error:
            notes[name] = str(error)
    seconds, peak = take_turns(contenders, rounds)
    gops = 2 * batch * products(layout) / seconds["ours"] / 1e9
    for name in PEERS:
        peer = seconds.get(name)
        yield TrainingRow(
            title,
            batch,
            threads,
            1e6 * seconds["ours"],
            name,
            None if peer is None else 1e6 * peer,
            None if peer is None else peer / seconds["ours"],
            gops,
            gops / peak,
            peak,
            instruction_set().name,
            notes.get(name, ""),
        )


def products(layout: Plan) -> int:
    """Multiplications of a step for one example."""
    of_blocks = [block.rows * block.cols * block.outputs * block.fan_in for block in layout.blocks]
    return 3 * sum(of_blocks) - of_blocks[0]


def print_rows(console: Console, rows: Sequence[TrainingRow]) -> None:
    """A short table for each network, batch and number of threads. Fits 80 columns."""
    if rows:
        peak = max(row.peak_gops for row in rows)
        console.print(f"[bold]Integer training[/bold], {rows[0].instruction_set}, peak of a core {peak:.0f} GOPS")
    for (work, batch, threads), group in groupby(rows, key=lambda row: (row.work, row.batch, row.threads)):
        contenders = list(group)
        ours = contenders[0]
        console.print(f"\n[bold]{work}[/bold], batch {batch}, threads of the others {threads}", highlight=False)
        table = Table(box=None, padding=(0, 1), pad_edge=False)
        table.add_column("", width=28, no_wrap=True)
        for heading in ("µs a step", "times ours"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("", no_wrap=True)
        speed = f"{ours.gops:.0f} GOPS, {ours.fraction_of_peak:.2f} of peak"
        table.add_row("ours, momentum", f"{ours.ours_us:,.0f}", "1", speed, style="bold")
        for row in contenders:
            times = ("-", "-") if row.peer_us is None else (f"{row.peer_us:,.0f}", f"{row.ratio:.2f}")
            table.add_row(row.peer, *times, row.note)
        console.print(table)
