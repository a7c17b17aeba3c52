"""Epochs of integer-only steps, resumable to the bit."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from intnn.arrays import IntArray
from intnn.training import checkpoint, generator, numpy_
from intnn.training.plan import Plan
from intnn.training.step import Descent, Parameters, Rate, initialise, step

SMALLEST_MANTISSA, LARGEST_SHIFT = 64, 60


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Attributes:
        epochs: Passes over the data, at least 1.
        batch_size: Examples of a step; an incomplete last batch is left out of its epoch.
        learning_rate: Of the first step, for the mean gradient of a batch; it falls linearly to zero.
        descent: Momentum and decay.
        seed: Of the initial weights, the order of the examples and the random roundings; in [0, 2**64).
    """

    epochs: int
    batch_size: int
    learning_rate: Fraction
    descent: Descent
    seed: int


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

    Returns:
        The variables of every block.

    Raises:
        FormatError: The checkpoint is corrupt, or of another network, schedule or data set. It is left as it is.
    """
    identity = checkpoint.identity(plan, x, labels, schedule)
    state, done = initialise(plan, schedule.seed), 0
    if path is not None and Path(path).exists():
        state, done = checkpoint.load(path, plan, identity)
    steps = len(x) // schedule.batch_size
    for epoch in range(done, schedule.epochs):
        correct = 0
        for number, batch in enumerate(_batches(len(x), steps, schedule, epoch), epoch * steps):
            rate = rate_at(schedule, number, schedule.epochs * steps)
            rounding = (schedule.seed, number)
            logits = step(plan, state, x[batch], labels[batch], rate, schedule.descent, rounding, numpy_)
            correct += int((logits.argmax(axis=1) == labels[batch]).sum())
        if path is not None:
            checkpoint.save(path, state, epoch + 1, identity)
        if callback is not None:
            callback(Epoch(epoch + 1, correct, steps * schedule.batch_size))
    return state


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


def _batches(count: int, steps: int, schedule: Schedule, epoch: int) -> Iterator[IntArray]:
    """Indices of every batch: a random order of the examples, cut up."""
    draws = generator.draws(generator.key(schedule.seed, generator.ORDER, epoch), count)
    order = np.argsort(draws, kind="stable")
    for start in range(0, steps * schedule.batch_size, schedule.batch_size):
        yield order[start : start + schedule.batch_size]
