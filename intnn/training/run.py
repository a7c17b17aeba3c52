"""A training run: epochs of integer-only steps, which an interrupted run resumes to the bit."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from intnn.storage.document import checked_suffix, file_path, require_place
from intnn.training import checkpoint, generator
from intnn.training.examples import NO_CHANGES, Examples
from intnn.training.ops import numpy_, reference
from intnn.training.plan import Plan
from intnn.training.schedule import Epoch, Schedule, rate_at
from intnn.training.step import ArrayStep, Rate, Variables, initialise
from intnn.values.arrays import Array, IntArray
from intnn.values.domain import IntDomain


@dataclass(frozen=True, eq=False)
class Progress:
    """How far training has come.

    Attributes:
        plan: The network.
        state: The variables of every block.
        epochs: The passes over examples that are behind it.
        steps: The steps that are behind it.
    """

    plan: Plan
    state: list[Variables]
    epochs: int = 0
    steps: int = 0


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
    repeats: IntArray | None = None,
) -> list[Variables]:
    """Train from the schedule's seed, or go on from a checkpoint.

    Where one batch holds all examples, their order in ``x`` makes no difference.

    Args:
        plan: The network.
        x: The inputs, int64 [n, height, width, channels] inside ``plan.inputs``.
        labels: The classes, int64 [n] in [0, plan.classes).
        schedule: How long and how fast to train.
        path: A checkpoint, written after every epoch, whole or not at all. If it exists, training goes on from there,
            and ends with the bits that an undisturbed run would have ended with.
        callback: A function that is called with the report of every epoch.
        backend: "reference", "numpy", "numba" or "cuda", the GPU in use; all give the same bits.
        repeats: How often an epoch shows every example, see `repeats_of`; once each by default.

    Returns:
        The variables of every block.

    Raises:
        FormatError: The checkpoint is corrupt, or belongs to another network, schedule or data set. It is not changed.
        OSError: The checkpoint's folder does not exist, or the checkpoint is a folder.
        TypeError: Labels are no integers, or the checkpoint is neither a string nor a Path.
        DeviceError: With "cuda", there is no GPU, or it fails; a checkpoint has what was trained before.
        ValueError: There is no such backend, a label is no class, inputs that are no images are to be moved or
            mirrored, or the checkpoint's name has another suffix.
    """
    if path is not None:  # now, and not after the first epoch
        path = file_path(path, "checkpoint")
        checked_suffix(path, "checkpoint")
        require_place(path)
    examples = _examples(plan, x, labels, schedule, repeats)
    identity = checkpoint.identity(plan, checkpoint.data_digest(examples), schedule)
    state, done = initialise(plan, schedule.seed), 0
    if path is not None and path.exists():
        state, done = checkpoint.load(path, plan, identity)
    stepper = step_on(backend, plan, state, schedule)
    steps = examples.shown // schedule.batch_size
    rate = partial(rate_at, schedule, total=schedule.epochs * steps)
    for epoch in range(done, schedule.epochs):
        report = _epoch(stepper, examples, schedule, epoch, epoch * steps, rate)
        if path is not None:
            checkpoint.save(path, stepper.state(), epoch + 1, identity)
        if callback is not None:
            callback(report)
    return stepper.state()


def train_on(
    progress: Progress,
    x: IntArray,
    labels: IntArray,
    schedule: Schedule,
    callback: Callable[[Epoch], None] | None = None,
    backend: str = "numba",
    repeats: IntArray | None = None,
) -> Progress:
    """Train one epoch more, on other examples if need be, at the rate with which the schedule begins.

    Velocities are kept, and streams of random numbers go on. The arguments are those of `train`, and so are the errors;
    the schedule's number of epochs makes no difference.

    Returns:
        How far training has come; ``progress`` stays as it is.
    """
    examples = _examples(progress.plan, x, labels, schedule, repeats)
    stepper = step_on(backend, progress.plan, progress.state, schedule)
    rate = rate_at(schedule, 0, 1)
    report = _epoch(stepper, examples, schedule, progress.epochs, progress.steps, lambda _number: rate)
    if callback is not None:
        callback(report)
    steps = progress.steps + examples.shown // schedule.batch_size
    return Progress(progress.plan, stepper.state(), progress.epochs + 1, steps)


def _examples(plan: Plan, x: IntArray, labels: IntArray, schedule: Schedule, repeats: IntArray | None) -> Examples:
    classes = IntDomain(0, plan.classes - 1).require(labels, "labels")
    if classes.shape != (len(x),):
        raise ValueError(f"`labels` must have shape ({len(x)},), one for each example, got {classes.shape}")
    if len(plan.input_shape) == 1 and schedule.changes != NO_CHANGES:
        raise ValueError(
            "`moved_by` and `mirrored` must be 0 and False for rows of features, which have no pixels; "
            "give images, [n, channels, height, width]"
        )
    examples = Examples.of(x, classes, plan.inputs, repeats)
    return examples.sorted() if examples.shown == schedule.batch_size else examples


def _epoch(
    stepper: Step, examples: Examples, schedule: Schedule, epoch: int, first: int, rate: Callable[[int], Rate]
) -> Epoch:
    """Make the steps of an epoch, which are numbered from ``first`` on."""
    correct = seen = 0
    for number, batch in enumerate(examples.batches(schedule.batch_size, schedule.seed, epoch), first):
        stream = generator.key(schedule.seed, generator.CHANGES, number)
        examples.write(batch, schedule.changes, stream, stepper.inputs)
        labels = examples.labels[batch]
        logits = stepper.step(labels, rate(number), (schedule.seed, number))
        correct += int((logits.argmax(axis=1) == labels).sum())
        seen += len(batch)
    return Epoch(epoch + 1, correct, seen)


def step_on(backend: str, plan: Plan, state: list[Variables], schedule: Schedule) -> Step:
    """What makes the steps on a backend.

    Raises:
        ValueError: There is no such backend.
        DeviceError: There is no GPU for "cuda".
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
        case "cuda":
            from intnn.machine.cuda.device import device

            capability = device().capability  # or what is missing is said, before anything is loaded
            from intnn.ops.cuda.product import fitting_tile
            from intnn.training.cuda.step import DeviceStep

            return DeviceStep(plan, state, size, descent, fitting_tile(capability))
    raise ValueError(f'`backend` must be "reference", "numpy", "numba" or "cuda", got {backend!r}')
