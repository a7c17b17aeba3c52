"""Training as it is, on inputs that the trainer cannot read: functional keys for every update.

This is the protocol of R. Xu, J. B. D. Joshi and C. Li, "CryptoNN: Training Neural Networks over Encrypted Data"
(ICDCS 2019), section 3, on integer training, where inner products are exact: a step needs the inputs x only for the
first layer's sums x wT and its gradient eT x, so the trainer asks for keys of the weights w, and of the errors e.

    owner:      vectors = batch_vectors(x, batch_size), encrypted: one instance forward, and one for every batch, or
                one for all batches by a scheme whose keys hold for some samples only (`in_batches`)
    trainer:    state = train(plan, schedule, labels, forward, gradient)
    the same:   state = train_in_clear(plan, schedule, labels, x)

What it reveals, to an honest but curious trainer who keeps every product: all of a batch's inputs, exactly, at the
first update in which its errors have as many independent rows as the batch has examples, which is the usual case where
the first layer is at least as wide as a batch; and at its first update, by the sums alone, where the first layer is at
least as wide as examples are long. A narrow layer is no remedy: where keys hold for all samples ("rlwe",
"ddh"), the weights of all updates are a projection of every input, and inputs such as images follow from a part of the
rank that their space has (`he.functional.attacks`, `docs/functional.md`). The labels are the trainer's from the start:
errors are the softmax p less the one-hot labels, and the trainer knows p. Encrypting labels, or the loss, would hide
nothing.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from he.functional.protocols.products import Products
from intnn.storage.document import checked_suffix, file_path, require_place
from intnn.training import checkpoint
from intnn.training.blind import BlindStep
from intnn.training.examples import NO_CHANGES, offset_of
from intnn.training.plan import Plan
from intnn.training.run import step_on
from intnn.training.schedule import Epoch, Schedule, rate_at
from intnn.training.step import Rate, Variables, initialise
from intnn.values.arrays import Array, IntArray, integer, integers
from intnn.values.domain import IntDomain


@dataclass(frozen=True, eq=False)
class BatchVectors:
    """What a data owner encrypts.

    Attributes:
        forward: For the forward instance: the examples of all whole batches, int64 [examples, features].
        gradients: For the gradient instance of each batch: its examples the other way round, int64 [features, batch].
    """

    forward: IntArray
    gradients: tuple[IntArray, ...]


def batch_vectors(x: ArrayLike, batch_size: int) -> BatchVectors:
    """Bring an owner's examples into batches of fixed composition.

    Examples behind the last whole batch are left out, and so must be their labels. Where there are several owners, each
    of them does this, and their batches follow each other: a batch is of one owner.

    Args:
        x: The inputs, integers [n, features]; images are flattened with their channels last.
        batch_size: The examples of a batch, in [1, n].

    Raises:
        TypeError: ``x`` holds no integers.
        ValueError: Its shape is another, or there are fewer examples than a batch has.
    """
    rows = integers(x, "x")
    if rows.ndim != 2:
        raise ValueError(f"`x` must have shape [n, features], got {list(rows.shape)}; flatten images, channels last")
    size = integer(batch_size, "batch_size", 1)
    batches = _batches(len(rows), size)
    whole = rows[: batches * size]
    return BatchVectors(whole, tuple(np.ascontiguousarray(batch.T) for batch in np.split(whole, batches)))


def in_batches(products: Products, features: int) -> Callable[[int], Products]:
    """The gradient instance of every batch, where one instance is for all of them.

    Args:
        products: The instance, whose samples are the vectors of all batches, one batch behind the other.
        features: How many vectors a batch has.

    Returns:
        What `train` takes: the products of a batch by its number.
    """
    return cache(lambda batch: _Part(products, batch * features))


class _Part(NamedTuple):
    """The samples of an instance from one on."""

    whole: Products
    first: int

    def products(self, y: IntArray, start: int, stop: int) -> IntArray:
        return self.whole.products(y, self.first + start, self.first + stop)


def train(
    plan: Plan,
    schedule: Schedule,
    labels: ArrayLike,
    forward: Products,
    gradient: Callable[[int], Products],
    *,
    data: str = "",
    path: str | os.PathLike[str] | None = None,
    callback: Callable[[Epoch], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
    backend: str = "numba",
) -> list[Variables]:
    """Train from the schedule's seed on encrypted examples, or go on from a checkpoint.

    Batch b is the examples [b size, (b + 1) size) in every epoch, and batches follow each other in this order. A run
    that was stopped, at whatever moment, goes on from its last whole epoch, and ends with the bits of an undisturbed
    one: it asks again for the keys that it has had, which tell nothing new.

    A rate of 1/5 is a good start. Of rates from 1/20 to 2/5 it was the best on 5,000 held-out examples of MNIST's
    training set (one hidden layer of 128 units, pixels of 4 bits, batches of 64, 1 and 3 epochs), and as good as the
    best on 300 of the digits' (64 units, batches of 32, 10 to 40 epochs).

    Args:
        plan: The network; its first layer is dense.
        schedule: How long and how fast to train.
        labels: The classes, int64 [n] in [0, plan.classes), in the order of the examples.
        forward: The instance of all examples: vectors of as many elements as an example has features.
        gradient: The instance of a batch by its number: vectors of as many elements as a batch has examples, and as
            many of them as there are features.
        data: The name of the data, which a checkpoint is bound to.
        path: A checkpoint, written after every epoch, whole or not at all.
        callback: A function that is called with the report of every epoch.
        progress: A function that is called after every step, with the numbers of steps made and of all steps.
        backend: "reference", "numpy" or "numba"; all give the same bits.

    Returns:
        The variables of every block, those of `train_in_clear` bit for bit.

    Raises:
        BudgetError: The authority refuses a key.
        MismatchError: A product could be wrong.
        FormatError: The checkpoint is corrupt, or belongs to another network, schedule or data. It is not changed.
        OSError: The checkpoint's folder does not exist, or the checkpoint is a folder.
        TypeError: Labels are no integers, or the checkpoint is neither a string nor a Path.
        ValueError: The first layer is a convolution, there is no such backend, a label is no class, there are fewer
            examples than a batch has, inputs are to be changed at random, a product is none that inputs of the plan
            have, or the checkpoint's name has another suffix.
    """
    if path is not None:
        path = file_path(path, "checkpoint")
        checked_suffix(path, "checkpoint")
        require_place(path)
    classes, size = _classes(plan, schedule, labels), schedule.batch_size
    identity = checkpoint.identity(plan, _digest(classes, data), schedule)
    state, done = initialise(plan, schedule.seed), 0
    if path is not None and path.exists():
        state, done = checkpoint.load(path, plan, identity)
    stepper = BlindStep(plan, state, size, schedule.descent, backend)
    features = plan.blocks[0].fan_in

    def step(batch: int, labels: IntArray, rate: Rate, rounding: tuple[int, int]) -> IntArray:
        sums = forward.products(stepper.weights, batch * size, (batch + 1) * size)
        logits, errors = stepper.begin(sums, labels, rate, rounding)
        stepper.finish(gradient(batch).products(errors.T, 0, features).T)
        return logits

    for epoch in range(done, schedule.epochs):
        report = _epoch(schedule, classes, epoch, step, progress)
        if path is not None:
            checkpoint.save(path, stepper.state(), epoch + 1, identity)
        if callback is not None:
            callback(report)
    return stepper.state()


def train_in_clear(
    plan: Plan,
    schedule: Schedule,
    labels: ArrayLike,
    x: ArrayLike,
    *,
    callback: Callable[[Epoch], None] | None = None,
    backend: str = "numba",
) -> list[Variables]:
    """Train on examples that can be read, in the same batches: what `train` is held to, and compared with.

    Args:
        plan: The network.
        schedule: How long and how fast to train.
        labels: The classes, int64 [n] in [0, plan.classes).
        x: The inputs, integers [n, features] inside ``plan.inputs``; images are flattened with their channels last.
        callback: A function that is called with the report of every epoch.
        backend: "reference", "numpy" or "numba"; all give the same bits.

    Returns:
        The variables of every block.

    Raises:
        TypeError: Labels or inputs are no integers.
        ValueError: There is no such backend, a label is no class, an input lies outside the plan's domain, their
            numbers or shapes differ, there are fewer examples than a batch has, or inputs are to be changed at random.
    """
    classes, size = _classes(plan, schedule, labels), schedule.batch_size
    inputs, first = plan.inputs.require(x, "x"), plan.blocks[0]
    shape = (len(classes), first.height * first.width * first.channels)
    if inputs.shape != shape:
        raise ValueError(f"`x` must have shape {list(shape)}, got {list(inputs.shape)}")
    stored: Array = (inputs + offset_of(plan.inputs)).astype(np.uint8)
    stepper = step_on(backend, plan, initialise(plan, schedule.seed), schedule)

    def step(batch: int, labels: IntArray, rate: Rate, rounding: tuple[int, int]) -> IntArray:
        stepper.inputs[...] = stored[batch * size : (batch + 1) * size].reshape(stepper.inputs.shape)
        return stepper.step(labels, rate, rounding)

    for epoch in range(schedule.epochs):
        report = _epoch(schedule, classes, epoch, step, None)
        if callback is not None:
            callback(report)
    return stepper.state()


_Step = Callable[[int, IntArray, Rate, tuple[int, int]], IntArray]


def _epoch(
    schedule: Schedule, labels: IntArray, epoch: int, step: _Step, progress: Callable[[int, int], None] | None
) -> Epoch:
    """Make the steps of an epoch, one for each batch in its order."""
    size = schedule.batch_size
    batches = len(labels) // size
    correct, total = 0, schedule.epochs * batches
    for batch in range(batches):
        number, own = epoch * batches + batch, labels[batch * size : (batch + 1) * size]
        logits = step(batch, own, rate_at(schedule, number, total), (schedule.seed, number))
        correct += int((logits.argmax(axis=1) == own).sum())
        if progress is not None:
            progress(number + 1, total)
    return Epoch(epoch + 1, correct, batches * size)


def _classes(plan: Plan, schedule: Schedule, labels: ArrayLike) -> IntArray:
    """The labels of a run on fixed batches."""
    if schedule.changes != NO_CHANGES:
        raise ValueError("`schedule.changes` must be none: batches are encrypted as they are; change examples before")
    classes = IntDomain(0, plan.classes - 1).require(labels, "labels")
    if classes.ndim != 1:
        raise ValueError(f"`labels` must have shape [n], got {list(classes.shape)}")
    _batches(len(classes), schedule.batch_size)
    return classes


def _batches(examples: int, size: int) -> int:
    """The number of whole batches."""
    if examples < size:
        raise ValueError(f"there must be as many examples as a batch has, {size}, got {examples}")
    return examples // size


def _digest(labels: IntArray, data: str) -> str:
    """What names a run's data in its checkpoints: the trainer has no more of it than a name and the labels."""
    return hashlib.sha256(repr((data, labels.shape)).encode() + labels.astype("<i8").tobytes()).hexdigest()
