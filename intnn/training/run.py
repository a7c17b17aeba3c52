"""Epochs of integer-only steps, resumable to the bit."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from intnn.training import checkpoint, generator
from intnn.training.examples import NO_CHANGES, Changes, Examples
from intnn.training.ops import numpy_, reference
from intnn.training.plan import Plan
from intnn.training.step import ArrayStep, Descent, Parameters, Rate, initialise
from intnn.values.arrays import Array, IntArray

SMALLEST_MANTISSA, LARGEST_SHIFT = 64, 60


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Attributes:
        epochs: Passes over the data, at least 1.
        batch_size: Examples of a step; an incomplete last batch is left out of its epoch.
        learning_rate: Of the first step, for the mean gradient of a batch; it falls linearly to zero.
        descent: Momentum and decay.
        seed: Of the initial weights, the order of the examples, their changes and the random roundings; in [0, 2**64).
        changes: To the examples, at random, every time that they are seen.
    """

    epochs: int
    batch_size: int
    learning_rate: Fraction
    descent: Descent
    seed: int
    changes: Changes = NO_CHANGES


class Step(Protocol):
    """What does the steps of a run, all with the same bits: the batch goes into ``inputs``, then `step` is called."""

    inputs: Array

    def step(self, labels: IntArray, rate: Rate, rounding: tuple[int, int]) -> IntArray:
        """Train on the batch; its logits before the update, int64 [batch, classes]."""

    def state(self) -> list[Parameters]:
        """The variables as they are now."""


@dataclass(frozen=True)
class Epoch:
    """What one pass measured on the way.

    Attributes:
        number: From 1 to the number of epochs.
        correct: Right answers, each before the step that learned from it.
        seen: Examples of the pass.
    """

    number: int
    correct: int
    seen: int


def train(
    plan: Plan,
    x: IntArray,
    labels: IntArray,
    schedule: Schedule,
    path: str | os.PathLike[str] | None = None,
    callback: Callable[[Epoch], None] | None = None,
    backend: str = "numba",
) -> list[Parameters]:
    """Train from the schedule's seed, or go on from a checkpoint.

    Args:
        plan: The network.
        x: int64 [n, height, width, channels] inside ``plan.inputs``.
        labels: int64 [n] in [0, plan.classes).
        schedule: What to do.
        path: Written after every epoch, whole or not at all. If it exists, training goes on from there, and ends with
            the bits that an undisturbed run would have ended with.
        callback: Called after every epoch.
        backend: "reference", "numpy" or "numba"; all give the same bits.

    Returns:
        The variables of every block.

    Raises:
        FormatError: The checkpoint is corrupt, or of another network, schedule or data set. It is left as it is.
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


def step_on(backend: str, plan: Plan, state: list[Parameters], schedule: Schedule) -> Step:
    """What does the steps on a backend."""
    size, descent = schedule.batch_size, schedule.descent
    match backend:
        case "numba":
            from intnn.training.cpu.compiled import CompiledStep  # here: Numba costs nothing where nobody trains

            return CompiledStep(plan, state, size, descent)
        case "numpy":
            return ArrayStep(plan, state, size, descent, numpy_)
        case "reference":
            return ArrayStep(plan, state, size, descent, reference)
    raise ValueError(f'`backend` must be "reference", "numpy" or "numba", got {backend!r}')


def rate_at(schedule: Schedule, number: int, total: int) -> Rate:
    """The linearly falling rate of step ``number`` of ``total``, per unit of a batch's summed gradient.

    It is rounded down to seven bits, and to zero where it is too small for any weight to notice.
    """
    rate = schedule.learning_rate * (total - number) / (total * schedule.batch_size)
    shift = 0
    while rate * (1 << shift) < SMALLEST_MANTISSA and shift < LARGEST_SHIFT:
        shift += 1
    mantissa = int(rate * (1 << shift))
    return Rate(mantissa if mantissa >= SMALLEST_MANTISSA else 0, shift)
