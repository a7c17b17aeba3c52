"""A training run: epochs of integer-only steps, which an interrupted run resumes to the bit."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from intnn.training import checkpoint, generator
from intnn.training.examples import Examples
from intnn.training.ops import numpy_, reference
from intnn.training.plan import Plan
from intnn.training.schedule import Epoch, Schedule, rate_at
from intnn.training.step import ArrayStep, Rate, Variables, initialise
from intnn.values.arrays import Array, IntArray


class Step(Protocol):
    """What makes the steps of a run, on any backend with the same bits.

    The caller writes a batch into ``inputs``, and then calls `step`.
    """

    inputs: Array

    def step(self, labels: IntArray, rate: Rate, rounding: tuple[int, int]) -> IntArray:
        """Train on the batch and return its logits before the update, int64 [batch, classes]."""

    def state(self) -> list[Variables]:
        """The variables as they are now."""


def train(
    plan: Plan,
    x: IntArray,
    labels: IntArray,
    schedule: Schedule,
    path: str | os.PathLike[str] | None = None,
    callback: Callable[[Epoch], None] | None = None,
    backend: str = "numba",
) -> list[Variables]:
    """Train from the schedule's seed, or go on from a checkpoint.

    Args:
        plan: The network.
        x: The inputs, int64 [n, height, width, channels] inside ``plan.inputs``.
        labels: The classes, int64 [n] in [0, plan.classes).
        schedule: How long and how fast to train.
        path: A checkpoint, written after every epoch, whole or not at all. If it exists, training goes on from there,
            and ends with the bits that an undisturbed run would have ended with.
        callback: A function that is called with the report of every epoch.
        backend: "reference", "numpy" or "numba"; all give the same bits.

    Returns:
        The variables of every block.

    Raises:
        FormatError: The checkpoint is corrupt, or belongs to another network, schedule or data set. It is not changed.
        ValueError: There is no such backend.
    """
    examples = Examples.of(x, labels, plan.inputs)
    identity = checkpoint.identity(plan, examples, schedule)
    state, done = initialise(plan, schedule.seed), 0
    if path is not None and Path(path).exists():
        state, done = checkpoint.load(path, plan, identity)
    stepper = step_on(backend, plan, state, schedule)
    size = schedule.batch_size
    steps = len(x) // size
    for epoch in range(done, schedule.epochs):
        correct = 0
        for number, batch in enumerate(examples.batches(size, schedule.seed, epoch), epoch * steps):
            stream = generator.key(schedule.seed, generator.CHANGES, number)
            examples.write(batch, schedule.changes, stream, stepper.inputs)
            rate = rate_at(schedule, number, schedule.epochs * steps)
            logits = stepper.step(labels[batch], rate, (schedule.seed, number))
            correct += int((logits.argmax(axis=1) == labels[batch]).sum())
        if path is not None:
            checkpoint.save(path, stepper.state(), epoch + 1, identity)
        if callback is not None:
            callback(Epoch(epoch + 1, correct, steps * size))
    return stepper.state()


def step_on(backend: str, plan: Plan, state: list[Variables], schedule: Schedule) -> Step:
    """What makes the steps on a backend.

    Raises:
        ValueError: There is no such backend.
    """
    size, descent = schedule.batch_size, schedule.descent
    match backend:
        case "numba":
            from intnn.training.cpu.compiled import CompiledStep  # late: Numba costs nothing where nobody trains

            return CompiledStep(plan, state, size, descent)
        case "numpy":
            return ArrayStep(plan, state, size, descent, numpy_)
        case "reference":
            return ArrayStep(plan, state, size, descent, reference)
    raise ValueError(f'`backend` must be "reference", "numpy" or "numba", got {backend!r}')
