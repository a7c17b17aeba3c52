"""A step of integer training beside float training: every row in one process, contenders taking turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from bench.cases.options import TrainingOptions
from bench.harness.case import Reporter
from bench.harness.machine import available_threads
from bench.harness.turns import take_turns
from bench.harness.workloads import WORKLOADS, trained_networks
from bench.peers.missing import UnavailableError
from bench.peers.training import PEERS
from bench.report.training import TrainingRow, show
from intnn import IntDomain
from intnn.machine.host import instruction_set
from intnn.training.cpu.compiled import CompiledStep
from intnn.training.plan import Plan, plan
from intnn.training.step import Descent, Rate, initialise

__all__ = ["TrainingJob", "jobs", "measure", "products", "show"]

CLASSES = 10


@dataclass(frozen=True)
class TrainingJob:
    """One network, one batch size, and one number of threads of the peers.

    Attributes:
        work: A key of WORKLOADS whose training can be timed.
        batch: The number of examples of a step.
        threads: The number of threads of the peers; ours has one.
        rounds: The number of turns that every contender takes.
        seed: The seed of parameters and examples.
    """

    work: str
    batch: int
    threads: int
    rounds: int
    seed: int

    @property
    def title(self) -> str:
        """The network, the batch and the threads."""
        return f"{WORKLOADS[self.work].title}, batch {self.batch}, threads {self.threads}"


def jobs(options: TrainingOptions) -> tuple[TrainingJob, ...]:
    """One job for each network, batch size and number of threads."""
    return tuple(
        TrainingJob(work, batch, threads, options.rounds, options.seed)
        for work in options.work or trained_networks()
        for batch in options.batch
        for threads in options.threads or sorted({1, available_threads()})
    )


def measure(job: TrainingJob, report: Reporter) -> Iterator[TrainingRow]:
    """Time a step of ours against every peer's."""
    shape = WORKLOADS[job.work]
    assert shape.hidden is not None
    report("taking turns")
    yield from _compare(job, plan(shape.hidden, shape.input_shape, IntDomain(0, 255), CLASSES))


def _compare(job: TrainingJob, layout: Plan) -> Iterator[TrainingRow]:
    """Time the step of a network and the same step of every peer, in turns, on one batch of random bytes."""
    rng = np.random.default_rng(job.seed)
    ours = CompiledStep(layout, initialise(layout, job.seed), job.batch, Descent(momentum_shift=3))
    ours.inputs[...] = rng.integers(0, 256, ours.inputs.shape)
    labels = rng.integers(0, CLASSES, job.batch)
    contenders: dict[str, Callable[[], object]] = {"ours": lambda: ours.step(labels, Rate(100, 16), (job.seed, 0))}
    notes, floats = {}, ours.inputs.astype(np.float32) / np.float32(255)
    for name, prepare in PEERS.items():
        try:
            contenders[name] = prepare(layout, floats, labels, job.threads)
        except UnavailableError as error:
            notes[name] = str(error)
    seconds, peak = take_turns(contenders, job.rounds)
    gops = 2 * job.batch * products(layout) / seconds["ours"] / 1e9
    for name in PEERS:
        peer = seconds.get(name)
        yield TrainingRow(
            work=WORKLOADS[job.work].title,
            batch=job.batch,
            threads=job.threads,
            ours_us=1e6 * seconds["ours"],
            peer=name,
            peer_us=None if peer is None else 1e6 * peer,
            ratio=None if peer is None else peer / seconds["ours"],
            gops=gops,
            fraction_of_peak=gops / peak,
            peak_gops=peak,
            instruction_set=instruction_set().name,
            note=notes.get(name, ""),
        )


def products(layout: Plan) -> int:
    """The number of multiplications of a step for one example: forward, gradients of the weights, and errors."""
    of_blocks = [block.rows * block.cols * block.outputs * block.fan_in for block in layout.blocks]
    return 3 * sum(of_blocks) - of_blocks[0]
