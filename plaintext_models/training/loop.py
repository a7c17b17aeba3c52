"""The loop that trains models; hooks say what else happens to a batch, a loss, a score and an epoch.

Two attacks train what they need in short loops of their own: `substitute` learns from answers and not from labels, and
`upset` trains a generator through its victim's gradients. Attacks do not import this room, since adversarial training
imports them.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from intnn.values.arrays import integer
from plaintext_models.data.datasets import Dataset
from plaintext_models.determinism import deterministic
from plaintext_models.training.checkpoint import Checkpoint

GRADIENT_LIMIT = 1.0  # square activations explode without a limit


@dataclass(frozen=True)
class EpochRecord:
    """What one pass over the training images measured, on the images that the module saw.

    Attributes:
        loss: The mean loss of its batches; for the default loss, the cross-entropy in nats.
        accuracy: The mean score of its batches; for the default score, the fraction of right answers, from 0 to 1.
    """

    loss: float
    accuracy: float


@dataclass(frozen=True, eq=False)
class Batch:
    """What one step trains on.

    Attributes:
        images: What the module is going to see, [batch, *input_shape].
        clean: The same images as the data set has them.
        labels: What the module should say: of labelled images their classes, integers [batch].
        step: How many steps were taken before this one.
        steps: How many steps the whole training takes.
        generator: The generator that ordered the images; hooks draw from it as well.
    """

    images: Tensor
    clean: Tensor
    labels: Tensor
    step: int
    steps: int
    generator: torch.Generator


BatchHook = Callable[[Batch], Tensor]  # makes the images [batch, *input_shape] that take the place of `batch.images`
LossHook = Callable[[Tensor, Batch], Tensor]  # maps outputs [batch, outputs] and the batch to one number
ScoreHook = Callable[[Tensor, Batch], float]  # the same, for people to look at: the larger, the better
EpochHook = Callable[[int, EpochRecord], None]  # is told the number of the epoch, from 1, and its record
Augmentation = Callable[[Tensor, torch.Generator], Tensor]


def augmented(augmentation: Augmentation) -> BatchHook:
    """The hook that changes every batch of images at random, with the training's own generator."""
    return lambda batch: augmentation(batch.images, batch.generator)


def cross_entropy(logits: Tensor, batch: Batch) -> Tensor:
    """The mean cross-entropy of a batch, nats."""
    return nn.functional.cross_entropy(logits, batch.labels)


def right_answers(logits: Tensor, batch: Batch) -> float:
    """The fraction of a batch whose largest logit is that of its class, or of the likeliest, if labels are shares."""
    classes = batch.labels if batch.labels.ndim == 1 else batch.labels.argmax(1)
    return (logits.argmax(1) == classes).double().mean().item()


def train(
    module: nn.Module,
    dataset: Dataset,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    weight_decay: float = 0.0,
    gradient_limit: float | None = GRADIENT_LIMIT,
    batch: Sequence[BatchHook] = (),
    loss: LossHook = cross_entropy,
    after_epoch: EpochHook | None = None,
    checkpoint: Path | None = None,
    progress: bool = True,
) -> tuple[EpochRecord, ...]:
    """Minimise a loss on the training images by AdamW and a one-cycle schedule (Smith, arXiv:1708.07120).

    The module is trained in place; if anything interrupts, it is put back as it was, and where the loss is no longer
    finite, as it was after the last epoch in which everything was. Equal arguments give equal bits on one machine,
    whatever the state of torch's global generator, which is left alone.

    Args:
        module: Maps float32 images [batch, *input_shape] to logits [batch, classes].
        dataset: Its training part is used, its test part is not looked at.
        epochs: How many passes over the training images, at least 1.
        batch_size: Images per step, from 1 to all of them; an incomplete last batch is left out.
        learning_rate: The peak of the schedule, positive.
        seed: Determines the order of the images and everything that hooks draw.
        weight_decay: The decay of the weights, not negative and decoupled from the gradient (Loshchilov and Hutter,
            arXiv:1711.05101).
        gradient_limit: The greatest norm of the gradient of all weights, positive; None sets no limit.
        batch: Hooks that change the images of every batch, one after the other, before the forward pass.
        loss: What is minimised.
        after_epoch: Called after every epoch that is trained.
        checkpoint: A file that holds the training after every epoch: where it is there, the training goes on from it.
            One of other numbers, data or weights to begin with is refused; hooks have to be the same.
        progress: Whether to show a bar.

    Returns:
        One record per epoch.

    Raises:
        ValueError: A number is out of range, or the checkpoint is damaged or another training's.
        FloatingPointError: The loss is no longer finite, or a weight; the message names the step.
    """
    return minimise(
        module,
        torch.from_numpy(dataset.train_images),
        torch.from_numpy(dataset.train_labels),
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        weight_decay=weight_decay,
        gradient_limit=gradient_limit,
        batch=batch,
        loss=loss,
        after_epoch=after_epoch,
        checkpoint=checkpoint,
        progress=progress,
    )


def minimise(
    module: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    weight_decay: float = 0.0,
    gradient_limit: float | None = GRADIENT_LIMIT,
    batch: Sequence[BatchHook] = (),
    loss: LossHook = cross_entropy,
    score: ScoreHook = right_answers,
    after_epoch: EpochHook | None = None,
    checkpoint: Path | None = None,
    progress: bool = True,
) -> tuple[EpochRecord, ...]:
    """Minimise a loss on any inputs and targets, as `train` does on a data set; arguments it shares mean the same.

    Args:
        module: Maps inputs [batch, ...] to outputs [batch, outputs].
        inputs: float32 [n, ...].
        targets: [n, ...]; a batch's are its ``labels``.
        epochs: How many passes over the inputs, at least 1.
        batch_size: Inputs per step, from 1 to all of them.
        learning_rate: The peak of the schedule, positive.
        seed: Determines the order of the inputs and everything that hooks draw.
        weight_decay: The decay of the weights, not negative.
        gradient_limit: The greatest norm of the gradient of all weights, positive; None sets no limit.
        batch: Hooks that change the inputs of every batch.
        loss: What is minimised.
        score: What is shown beside the loss, and recorded as ``accuracy``.
        after_epoch: Called after every epoch that is trained.
        checkpoint: A file that holds the training after every epoch: where it is there, the training goes on from it.
            One of other numbers, data or weights to begin with is refused; hooks have to be the same.
        progress: Whether to show a bar.

    Returns:
        One record per epoch.

    Raises:
        ValueError: A number is out of range, or the checkpoint is damaged or another training's.
        FloatingPointError: The loss is no longer finite, or a weight; the message names the step.
    """
    integer(epochs, "epochs", 1)
    per_epoch = len(inputs) // integer(batch_size, "batch_size", 1, len(inputs))
    if not learning_rate > 0 or not weight_decay >= 0:
        raise ValueError(
            f"`learning_rate` must be positive and `weight_decay` not negative, got {learning_rate}, {weight_decay}"
        )
    if gradient_limit is not None and not gradient_limit > 0:
        raise ValueError(f"`gradient_limit` must be positive or None, got {gradient_limit}")
    before = good = _state(module)
    history: list[EpochRecord] = []
    steps = epochs * per_epoch
    with deterministic(seed), _bar(steps, progress) as advance:
        generator = torch.Generator().manual_seed(seed)
        optimiser = torch.optim.AdamW(module.parameters(), learning_rate, weight_decay=weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, steps, pct_start=0.1)
        numbers = epochs, batch_size, learning_rate, seed, weight_decay, gradient_limit
        kept = Checkpoint(
            checkpoint,
            (*numbers, inputs, targets, *before.values()),
            module=module,
            optimiser=optimiser,
            schedule=schedule,
            generator=generator,
        )
        module.train()
        try:
            history += [EpochRecord(*record) for record in kept.resumed()]
            good = _state(module)
            for epoch in range(len(history), epochs):
                loss_sum, score_sum = 0.0, 0.0
                order = torch.randperm(len(inputs), generator=generator)
                for number, rows in enumerate(order[: per_epoch * batch_size].split(batch_size), 1):
                    clean = inputs[rows]
                    step = Batch(clean, clean, targets[rows], epoch * per_epoch + number - 1, steps, generator)
                    for hook in batch:
                        step = replace(step, images=hook(step))
                    outputs = module(step.images)
                    value = loss(outputs, step)
                    _require_finite("loss", value, step)
                    optimiser.zero_grad()
                    value.backward()
                    if gradient_limit is not None:
                        nn.utils.clip_grad_norm_(module.parameters(), gradient_limit)
                    optimiser.step()
                    schedule.step()
                    loss_sum += value.item()
                    score_sum += score(outputs.detach(), step)
                    advance(loss_sum / number, score_sum / number)
                for weights in module.parameters():
                    _require_finite("weights", weights, step)
                good = _state(module)
                history.append(EpochRecord(loss_sum / per_epoch, score_sum / per_epoch))
                kept.keep([(record.loss, record.accuracy) for record in history])
                if after_epoch is not None:
                    after_epoch(epoch + 1, history[-1])
        except FloatingPointError:
            module.load_state_dict(good)
            raise
        except BaseException:
            module.load_state_dict(before)
            raise
        finally:
            module.eval()
    return tuple(history)


def _state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def _require_finite(name: str, values: Tensor, batch: Batch) -> None:
    if not torch.isfinite(values).all():
        raise FloatingPointError(
            f"the {name} must stay finite, got NaN or infinity in step {batch.step + 1} of {batch.steps}; "
            "lower `learning_rate`"
        )


@contextlib.contextmanager
def _bar(steps: int, visible: bool) -> Iterator[Callable[[float, float], None]]:
    """A progress bar; the function it gives advances it by a step and shows mean loss and accuracy of the epoch."""
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3f}, accuracy {task.fields[accuracy]:.2%}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, disable=not visible) as bar:
        task = bar.add_task("", total=steps, loss=float("nan"), accuracy=0.0)
        yield lambda loss, accuracy: bar.update(task, advance=1, loss=loss, accuracy=accuracy)
