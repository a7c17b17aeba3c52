"""The one training loop."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from intnn.values.arrays import integer
from plaintext_models.data.datasets import Dataset
from plaintext_models.determinism import deterministic

Augment = Callable[[Tensor, torch.Generator], Tensor]

LARGEST_GRADIENT = 1.0  # norm; square activations explode without a limit


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training images measured, on the way and under augmentation.

    Attributes:
        loss: Mean cross-entropy, nats.
        accuracy: Fraction of right answers.
    """

    loss: float
    accuracy: float


def train(
    module: nn.Module,
    dataset: Dataset,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    weight_decay: float = 0.0,
    augment: Augment | None = None,
    progress: bool = True,
) -> tuple[Epoch, ...]:
    """Minimise the cross-entropy on the training images by AdamW and a one-cycle schedule (Smith, arXiv:1708.07120).

    The module is trained in place; if anything interrupts, it is put back as it was. Equal arguments give equal bits on
    one machine, whatever the state of torch's global generator, which is left alone.

    Args:
        module: Maps float32 images [batch, *input_shape] to logits [batch, classes].
        dataset: Its training part is used, its test part is not looked at.
        epochs: Passes over the training images, at least 1.
        batch_size: Images per step, from 1 to all of them; an incomplete last batch is left out.
        learning_rate: The peak of the schedule, positive.
        seed: Of the order of the images and of the augmentation.
        weight_decay: Decoupled (Loshchilov and Hutter, arXiv:1711.05101).
        augment: Applied to every batch of images.
        progress: Whether to show a bar.

    Returns:
        One `Epoch` per pass.

    Raises:
        ValueError: A number is out of range.
        FloatingPointError: The loss is no longer finite; lower the learning rate.
    """
    images, labels = torch.from_numpy(dataset.train_images), torch.from_numpy(dataset.train_labels)
    integer(epochs, "epochs", 1)
    steps = len(images) // integer(batch_size, "batch_size", 1, len(images))
    if not learning_rate > 0 or not weight_decay >= 0:
        raise ValueError(
            f"`learning_rate` must be positive and `weight_decay` not negative, got {learning_rate}, {weight_decay}"
        )
    before = {name: value.clone() for name, value in module.state_dict().items()}
    history: list[Epoch] = []
    with deterministic(seed), _bar(epochs * steps, progress) as advance:
        generator = torch.Generator().manual_seed(seed)
        optimiser = torch.optim.AdamW(module.parameters(), learning_rate, weight_decay=weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, epochs * steps, pct_start=0.1)
        module.train()
        try:
            for _ in range(epochs):
                loss_sum, right = 0.0, 0
                order = torch.randperm(len(images), generator=generator)
                for step, batch in enumerate(order[: steps * batch_size].split(batch_size), 1):
                    x, y = images[batch], labels[batch]
                    logits = module(augment(x, generator) if augment else x)
                    loss = nn.functional.cross_entropy(logits, y)
                    optimiser.zero_grad()
                    loss.backward()
                    nn.utils.clip_grad_norm_(module.parameters(), LARGEST_GRADIENT)
                    optimiser.step()
                    schedule.step()
                    loss_sum += loss.item()
                    right += int((logits.argmax(1) == y).sum())
                    advance(loss_sum / step, right / (step * batch_size))
                if not torch.isfinite(loss):
                    raise FloatingPointError(f"the loss must stay finite, got {loss.item()}; lower `learning_rate`")
                history.append(Epoch(loss_sum / steps, right / (steps * batch_size)))
        except BaseException:
            module.load_state_dict(before)
            raise
        finally:
            module.eval()
    return tuple(history)


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
