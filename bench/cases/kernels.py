"""Integer inference beside other libraries: every row in one process, contenders taking turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from bench.cases.options import KernelOptions
from bench.harness.case import Reporter
from bench.harness.machine import available_threads
from bench.harness.turns import take_turns
from bench.harness.workloads import WORKLOADS, Workload, workload
from bench.peers.inference import BOUND_PEERS, PEERS, Bind, Run
from bench.peers.missing import UnavailableError
from bench.report.kernels import KernelRow, show
from intnn.machine.host import instruction_set

__all__ = ["KernelJob", "jobs", "measure", "show"]

MATRIX, MATRIX_BATCH = "gemm", 1024  # one product of square matrices: only this batch makes it one


@dataclass(frozen=True)
class KernelJob:
    """One network on one number of threads, with batches of several sizes.

    Attributes:
        work: A key of WORKLOADS.
        threads: The number of threads of ours and of the peers.
        batches: The numbers of inputs of a call.
        rounds: The number of turns that every contender takes.
        seed: The seed of parameters and inputs.
    """

    work: str
    threads: int
    batches: tuple[int, ...]
    rounds: int
    seed: int

    @property
    def title(self) -> str:
        """The network and the threads."""
        return f"{WORKLOADS[self.work].title}, threads {self.threads}"


def jobs(options: KernelOptions) -> tuple[KernelJob, ...]:
    """One job for each network and number of threads.

    Raises:
        ValueError: Nothing but the product of matrices is asked for, and not with its batch.
    """
    found = []
    for work in options.work or WORKLOADS:
        batches = tuple(b for b in options.batch if work != MATRIX or b == MATRIX_BATCH)
        for threads in options.threads or sorted({1, available_threads()}):
            if batches:
                found.append(KernelJob(work, threads, batches, options.rounds, options.seed))
    if not found:
        raise ValueError(f"`--batch` must be {MATRIX_BATCH} for {MATRIX}, got {', '.join(map(str, options.batch))}")
    return tuple(found)


def measure(job: KernelJob, report: Reporter) -> Iterator[KernelRow]:
    """Time a network in batches of every size, each against every peer."""
    rng = np.random.default_rng(job.seed)
    work = workload(job.work, rng)
    report("preparing the peers")
    peers, notes = _prepared(work, job.threads)
    # Ours binds one thread; a product of matrices gives bytes, which it does not bind.
    bound = _bound(work) if job.threads == 1 and job.work != MATRIX else {}
    for batch in job.batches:
        report(f"batch {batch}")
        yield from _compare(work, batch, job, rng, peers, bound, notes)


def _prepared(work: Workload, threads: int) -> tuple[dict[str, Run], dict[str, str]]:
    peers, notes = {}, {}
    for name, prepare in PEERS.items():
        try:
            peers[name] = prepare(work, threads)
        except UnavailableError as error:
            notes[name] = str(error)
    return peers, notes


def _bound(work: Workload) -> dict[str, Bind]:
    bound = {}
    for name, prepare in BOUND_PEERS.items():
        with suppress(UnavailableError):  # the peer without buffers says so
            bound[name] = prepare(work, 1)
    return bound


def _compare(
    work: Workload,
    batch: int,
    job: KernelJob,
    rng: np.random.Generator,
    peers: dict[str, Run],
    bound: dict[str, Bind],
    notes: dict[str, str],
) -> Iterator[KernelRow]:
    """Time a batch by the compiled network and by every peer, in turns; peers get the bytes as floats in [0, 1]."""
    compiled = work.network.compiled
    assert compiled is not None
    x = work.inputs(batch, rng)
    floats = x.astype(np.float32) / np.float32(255)
    # A product of matrices gives bytes, as a layer within a network does; a network gives its logits.
    dtype = np.int8 if work.name == WORKLOADS[MATRIX].title else np.int64
    contenders: dict[str, Callable[[], object]] = {"ours": lambda: compiled.logits(x, job.threads, dtype)}
    for name, run in peers.items():
        contenders[name] = lambda run=run: run(floats)  # type: ignore[misc]
    if bound:
        contenders["ours, bound"] = compiled.bind(x, np.empty((batch, compiled.classes), np.int64))
    for name, bind in bound.items():
        contenders[name] = bind(floats)
    seconds, peak = take_turns(contenders, job.rounds)
    for name in (*PEERS, *bound):
        ours, peer = seconds["ours, bound" if name in bound else "ours"], seconds.get(name)
        gops = 2 * work.products * batch / ours / 1e9
        yield KernelRow(
            work=work.name,
            batch=batch,
            threads=job.threads,
            ours_us=1e6 * ours / batch,
            peer=name,
            peer_us=None if peer is None else 1e6 * peer / batch,
            ratio=None if peer is None else peer / ours,
            gops=gops,
            fraction_of_peak=gops / (peak * job.threads),
            peak_gops=peak,
            instruction_set=instruction_set().name,
            note=notes.get(name, ""),
        )
