"""What training in integers alone reaches: several seeds of one recipe, on a test part that no choice has seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.harness.timing import timed
from intnn import Convolution, Hidden, IntClassifier, IntDomain
from intnn.training.run import Epoch
from plaintext_models.datasets import Dataset


@dataclass(frozen=True)
class Recipe:
    """A network and how to train it.

    Attributes:
        dataset: Its name.
        shape: In words.
        levels: The largest grey level as an integer; images in [0, 1] are multiplied by it.
        centre: What is subtracted from the grey levels.
        flat: Whether images are vectors.
        options: Of the `IntClassifier`.
    """

    dataset: str
    shape: str
    levels: int
    flat: bool
    options: Mapping[str, Any]
    centre: int = 0

    def inputs(self, images: np.ndarray) -> np.ndarray:
        """Float images [n, channels, height, width] in [0, 1] as integers."""
        integers = np.rint(images * self.levels).astype(np.int64) - self.centre
        return integers.reshape(len(images), -1) if self.flat else integers

    @property
    def domain(self) -> IntDomain:
        """Of the inputs."""
        return IntDomain(-self.centre, self.levels - self.centre)


_SMALL = (Convolution(16, 5, padding=2, pool=2), Convolution(32, 5, padding=2, pool=2), 128)
_VGG = (
    Convolution(48, 3, padding=1),
    Convolution(48, 3, padding=1, pool=2),
    Convolution(96, 3, padding=1),
    Convolution(96, 3, padding=1, pool=2),
    Convolution(192, 3, padding=1),
    Convolution(192, 3, padding=1, pool=2),
    Hidden(256),
)

#: Chosen on validation images that were held out of the training part.
RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "digits-mlp": Recipe("digits", "64-64-32-10", 16, True, {"layers": (64, 32)}),
        "mnist-mlp": Recipe(
            "mnist",
            "784-100-50-10",
            255,
            False,  # vectors cannot be moved by pixels
            {"layers": (100, 50), "epochs": 40, "batch_size": 64, "decay_shift": 16, "moved_by": 1},
        ),
        "mnist-cnn": Recipe(
            "mnist",
            "16c5-p-32c5-p-128-10",
            255,
            False,
            {"layers": _SMALL, "epochs": 25, "batch_size": 64, "decay_shift": 15, "moved_by": 2},
        ),
        "cifar10-cnn": Recipe(
            "cifar10",
            "48c3-48c3-p-96c3-96c3-p-192c3-192c3-p-256-10",
            255,
            False,
            {"layers": _VGG, "epochs": 30, "batch_size": 64, "decay_shift": 15, "moved_by": 2, "mirrored": True},
            centre=128,
        ),
    }
)


@dataclass(frozen=True)
class AccuracyRow:
    """One recipe, trained from several seeds.

    Attributes:
        network: The recipe's name.
        dataset: Its data.
        shape: Of the network.
        n_train: Training images.
        n_test: Test images.
        epochs: Passes over the training images.
        seeds: Of the runs.
        accuracies: On the test images after the last epoch, one for each seed.
        mean_accuracy: Of those.
        train_seconds: Mean time of a run, on one thread.
        options: Of the `IntClassifier`, as it was made.
    """

    network: str
    dataset: str
    shape: str
    n_train: int
    n_test: int
    epochs: int
    seeds: tuple[int, ...]
    accuracies: tuple[float, ...]
    mean_accuracy: float
    train_seconds: float
    options: dict[str, str] = field(default_factory=dict)


def measure(
    network: str, dataset: Dataset, seeds: Sequence[int], epochs: int | None, report: Callable[[str, float], None]
) -> AccuracyRow:
    """Train and test one recipe from every seed.

    Args:
        network: Key of RECIPES.
        dataset: The recipe's data.
        seeds: At least one.
        epochs: Instead of the recipe's.
        report: Told what is happening, and the share of all that is done.

    Raises:
        ValueError: There are no seeds, or an option is out of range.
    """
    if not seeds:
        raise ValueError("`--seeds` must be at least 1, got 0")
    recipe = RECIPES[network]
    options = {**recipe.options, "input_domain": recipe.domain, **({"epochs": epochs} if epochs is not None else {})}
    train, test = recipe.inputs(dataset.train_images), recipe.inputs(dataset.test_images)
    accuracies, seconds = [], []
    for i, seed in enumerate(seeds):
        model = IntClassifier(random_state=seed, **options)

        def progress(epoch: Epoch, done: int = i, seed: int = seed, total: int = model.epochs) -> None:
            share = (done + epoch.number / total) / len(seeds)
            report(f"seed {seed}, epoch {epoch.number}: {epoch.correct / epoch.seen:.4f} while training", share)

        model.callback = progress
        seconds.append(timed(lambda model=model: model.fit(train, dataset.train_labels))[0])  # type: ignore[misc]
        right = [
            model.predict(images) == labels
            for images, labels in zip(_parts(test), _parts(dataset.test_labels), strict=True)
        ]
        accuracies.append(float(np.concatenate(right).mean()))
    return AccuracyRow(
        network,
        dataset.name,
        recipe.shape,
        len(train),
        len(test),
        model.epochs,
        tuple(seeds),
        tuple(accuracies),
        float(np.mean(accuracies)),
        float(np.mean(seconds)),
        {name: repr(value) for name, value in options.items()},
    )


def _parts(array: np.ndarray, size: int = 500) -> Iterator[np.ndarray]:
    for start in range(0, len(array), size):
        yield array[start : start + size]


def print_rows(console: Console, rows: Sequence[AccuracyRow]) -> None:
    """One line for each network. Fits 80 columns."""
    table = Table(title="Training in integers alone", title_justify="left", box=None, padding=(0, 1), pad_edge=False)
    table.add_column("network", no_wrap=True)
    for heading in ("seeds", "test images", "mean", "least", "most", "seconds a run"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        shares = (row.mean_accuracy, min(row.accuracies), max(row.accuracies))
        table.add_row(
            row.network,
            str(len(row.seeds)),
            f"{row.n_test:,}",
            *(f"{100 * share:.2f} %" for share in shares),
            f"{row.train_seconds:,.1f}",
        )
    console.print(table)
