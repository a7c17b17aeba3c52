"""Models whose robustness is evaluated, and the card for people and as rows."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor, nn

from intnn.storage import write_atomically
from plaintext_models.attacks.losses import cross_entropy
from plaintext_models.attacks.norms import project, random_point, steepest
from plaintext_models.attacks.target import Target
from plaintext_models.datasets import Dataset
from plaintext_models.nets.mlp import mlp
from plaintext_models.training import deterministic, train

Report = Callable[[str], None]
RAMP = 0.5  # of the steps, in which the radius grows: at 0.3 from the start, networks for MNIST answer one class for ever


def digits_mlp(dataset: Dataset) -> nn.Module:
    """Two hidden layers, untrained."""
    return mlp(dataset.input_shape, dataset.classes, [64, 32])


def mnist_cnn(dataset: Dataset) -> nn.Module:
    """Two convolutions of 3 x 3 with pooling, two linear layers; untrained."""
    channels, height, width = dataset.input_shape
    pooled = [((side - 2) // 2 - 2) // 2 for side in (height, width)]
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * pooled[0] * pooled[1], 100),
        nn.ReLU(),
        nn.Linear(100, dataset.classes),
    )


@dataclass(frozen=True)
class Model:
    """A network and how it is trained.

    Attributes:
        dataset: Name of its data.
        build: The untrained network.
        epochs: Passes over the training images.
        learning_rate: The peak of the schedule.
        radius: Of the Linf ball that it is trained in; 0 for clean images.
        steps: Of the attack in every training step.
        batch_size: Images of a training step.
    """

    dataset: str
    build: Callable[[Dataset], nn.Module]
    epochs: int
    learning_rate: float
    radius: float = 0.0
    steps: int = 0
    batch_size: int = 64


MODELS: Mapping[str, Model] = MappingProxyType(
    {
        "digits-mlp": Model("digits", digits_mlp, epochs=20, learning_rate=5e-3),
        "digits-pgd-mlp": Model("digits", digits_mlp, epochs=60, learning_rate=5e-3, radius=0.15, steps=5),
        "mnist-cnn": Model("mnist", mnist_cnn, epochs=2, learning_rate=3e-3),
        "mnist-pgd-cnn": Model(
            "mnist", mnist_cnn, epochs=4, learning_rate=3e-3, radius=0.3, steps=7, batch_size=128
        ),
    }
)


def trained(name: str, dataset: Dataset, *, cache: Path | None = None, seed: int = 0, report: Report) -> nn.Module:
    """A model of the registry: from the cache, or trained and put there.

    Args:
        name: Key of MODELS.
        dataset: Its data.
        cache: Folder of states; None trains anew.
        seed: Of weights and training.
        report: Told what goes on.

    Raises:
        ValueError: What the cache holds is not this model's state.
    """
    recipe = MODELS[name]
    path = None if cache is None else cache / f"{name}-{seed}.pt"
    with deterministic(seed):
        module = recipe.build(dataset)
    if path is not None and path.is_file():
        try:
            module.load_state_dict(torch.load(path, weights_only=True))
        except Exception as error:  # torch raises what its readers raise: no common class but this
            raise ValueError(f"{path} must hold the state of {name}: {error}; delete it to train anew") from error
        return module.eval()
    report(f"training {name}")
    if recipe.radius:
        train_adversarially(module, dataset, recipe, seed, report)
    else:
        train(
            module,
            dataset,
            epochs=recipe.epochs,
            batch_size=recipe.batch_size,
            learning_rate=recipe.learning_rate,
            seed=seed,
            progress=False,
        )
    if path is not None:
        state = io.BytesIO()
        torch.save(module.state_dict(), state)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, state.getvalue())
    return module


def train_adversarially(module: nn.Module, dataset: Dataset, recipe: Model, seed: int, report: Report) -> None:
    """Minimise the cross-entropy on what PGD makes of every batch (Madry et al., arXiv:1706.06083), in place."""
    images, labels = torch.from_numpy(dataset.train_images), torch.from_numpy(dataset.train_labels)
    target = Target(module.eval())  # these networks have no layer that training mode would change
    total, done = recipe.epochs * (len(images) // recipe.batch_size), 0
    with deterministic(seed):
        generator = torch.Generator().manual_seed(seed)
        optimiser = torch.optim.AdamW(module.parameters(), recipe.learning_rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.learning_rate, total, pct_start=0.1)
        for epoch in range(recipe.epochs):
            order = torch.randperm(len(images), generator=generator)
            for batch in order[: total // recipe.epochs * recipe.batch_size].split(recipe.batch_size):
                radius = recipe.radius * min(1.0, done / (RAMP * total))
                moved = _hardest(target, images[batch], labels[batch], radius, recipe.steps, generator)
                loss = nn.functional.cross_entropy(module(moved), labels[batch])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
                done += 1
            report(f"epoch {epoch + 1} of {recipe.epochs}: loss {loss.item():.3f} within {radius:.2f}")


def _hardest(
    target: Target, images: Tensor, labels: Tensor, radius: float, steps: int, generator: torch.Generator
) -> Tensor:
    """The end of an ascent within the Linf ball, reached or not: what attacks return is clean where they fail."""
    moved = random_point(images, "linf", radius, target.bounds, generator)
    for _ in range(steps):
        gradient, _ = target.gradient(moved, partial(cross_entropy, classes=labels))
        stepped = moved + 2.5 * radius / steps * steepest(gradient, "linf")
        moved = project(images, stepped, "linf", radius, target.bounds)
    return moved
