"""Distillation: a network learns the answers of another one, and needs no labels (Hinton et al., arXiv:1503.02531)."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from intnn.approximation.agreement import Decision, agreement_of
from plaintext_models.training.loop import Batch, BatchHook, minimise

TEMPERATURE = 2.0  # softens the answers, so that they say which wrong classes are the least wrong
PENALTY = 10.0  # per unit of what `Trainable.escaped` measures
ROWS = 1000  # evaluated at a time
MOVES = (0, 1, 1, 2)  # where an image begins on a border of one pixel around it


@dataclass(frozen=True)
class Cycle:
    """One cycle of the schedule.

    Attributes:
        epochs: How many passes over the samples it takes.
        loss: How far the network's answers are from those expected after it, on samples held out.
        agreement: How far they agree there.
    """

    epochs: int
    loss: float
    agreement: float


def distil(
    student: nn.Module,
    teacher: nn.Module,
    samples: Tensor,
    held_out: Tensor,
    *,
    cycles: tuple[int, ...],
    batch_size: int,
    learning_rate: float,
    seed: int,
    shifts: bool = False,
    penalty: Callable[[], Tensor] | None = None,
    seconds: float = math.inf,
    progress: bool = True,
) -> tuple[Cycle, ...]:
    """Train a network to answer as another one does, and leave it as it agreed best on what it was not trained on.

    Every cycle is a warm restart (Loshchilov and Hutter, arXiv:1608.03983) of the one-cycle schedule. The first one
    that does not bring the answers nearer to those expected on samples held out, or whose loss does not stay finite,
    ends the training. Agreement alone would end it too early: it differs by a few samples from cycle to cycle.

    Args:
        student: Maps inputs [batch, ...] to outputs [batch, outputs]; trained in place.
        teacher: The same, and not trained.
        samples: float32 [n, ...].
        held_out: float32 [m, ...], never trained on.
        cycles: The number of epochs of every cycle.
        batch_size: Samples per step.
        learning_rate: The peak of the schedule.
        seed: Determines the order of the samples, and their shifts.
        shifts: Whether images are moved by up to one pixel; the teacher sees the same ones.
        penalty: Added to the loss, after every forward pass.
        seconds: A cycle that would probably not end within so many seconds is not begun, unless it is the first.
        progress: Whether to show a bar.

    Returns:
        The cycles that were trained to their end.
    """
    targets, expected = outputs(teacher, samples), outputs(teacher, held_out)
    scale = torch.where((spread := targets.std(0)) > 0, spread, 1.0)
    distance = _mean_square(scale) if targets.shape[1] == 1 else _divergence

    def loss(answers: Tensor, batch: Batch) -> Tensor:
        value = distance(answers, _targets(batch))
        return value if penalty is None else value + PENALTY * penalty()

    def _targets(batch: Batch) -> Tensor:
        if batch.images is batch.clean:
            return batch.labels
        with torch.no_grad():
            return teacher(batch.images)

    def judged() -> tuple[float, float]:
        answers = outputs(student, held_out)
        return float(distance(answers, expected)), agreement(answers, expected)

    begin = time.monotonic()
    (nearest, best), kept = judged(), _copy(student)
    hooks: list[BatchHook] = [_shifted] if shifts else []
    done: list[Cycle] = []
    try:
        for number, epochs in enumerate(cycles):
            spent, trained = time.monotonic() - begin, sum(cycle.epochs for cycle in done)
            if done and spent + spent / trained * epochs > seconds:
                break
            try:
                minimise(
                    student,
                    samples,
                    targets,
                    epochs=epochs,
                    batch_size=batch_size,
                    learning_rate=learning_rate,
                    seed=seed + number,
                    batch=hooks,
                    loss=loss,
                    score=lambda answers, batch: agreement(answers, batch.labels),
                    progress=progress,
                )
            except FloatingPointError:  # it diverged, and is as it was before this cycle
                break
            done.append(Cycle(epochs, *judged()))
            is_nearer = done[-1].loss < nearest
            if done[-1].agreement > best or (done[-1].agreement == best and is_nearer):
                best, kept = done[-1].agreement, _copy(student)
            if not is_nearer:
                break
            nearest = done[-1].loss
    finally:
        student.load_state_dict(kept)
    return tuple(done)


@torch.no_grad()
def outputs(module: nn.Module, inputs: Tensor) -> Tensor:
    """The outputs [n, outputs] of a module in evaluation mode."""
    module.eval()
    return torch.cat([module(part) for part in inputs.split(ROWS)])


def agreement(answers: Tensor, expected: Tensor) -> float:
    """How far answers [n, outputs] are those that are expected; see `intnn.approximation.agreement`."""
    decision: Decision = "values" if expected.shape[1] == 1 else "largest"
    return agreement_of(answers.numpy(), expected.numpy(), decision)


def _divergence(answers: Tensor, targets: Tensor) -> Tensor:
    """The Kullback-Leibler divergence of softened answers, in the units of an unsoftened gradient."""
    ours, theirs = (answers / TEMPERATURE).log_softmax(1), (targets / TEMPERATURE).log_softmax(1)
    return functional.kl_div(ours, theirs, reduction="batchmean", log_target=True) * TEMPERATURE**2


def _mean_square(scale: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """The mean square error in units of the targets' own deviation."""
    return lambda answers, targets: ((answers - targets) / scale).square().mean()


def _shifted(batch: Batch) -> Tensor:
    """The images moved along both axes, by a pixel or, as often, not at all; the border is repeated.

    All images of a batch move alike, and most batches keep much of what they are trained for.
    """
    down, across = (MOVES[draw] for draw in torch.randint(len(MOVES), (2,), generator=batch.generator).tolist())
    height, width = batch.images.shape[2:]
    wide = functional.pad(batch.images, (1, 1, 1, 1), mode="replicate")
    return wide[:, :, down : down + height, across : across + width]


def _copy(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}
