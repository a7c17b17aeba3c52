"""How every shipped network is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import torch
from torch import nn

from plaintext_models.data.augment import RandomAffine
from plaintext_models.data.datasets import Dataset
from plaintext_models.determinism import deterministic
from plaintext_models.nets.cnn import cnn, table_cnn
from plaintext_models.nets.initialise import unit_variance
from plaintext_models.nets.mlp import table_mlp
from plaintext_models.training.loop import train
from plaintext_models.training.qat.table_network import TableNetwork


@dataclass(frozen=True)
class Recipe:
    """Everything that determines a trained network on a given machine.

    The numbers were chosen on images held out of the training part (`--validate` of `plaintext_models.zoo.publish`
    repeats that measurement); the test part gave the figure in the manifest and had no say in anything else.

    Attributes:
        dataset: Name of the data set.
        build: Makes the untrained network from (input_shape, classes).
        epochs: Passes over the training images.
        learning_rate: The peak of the schedule.
        batch_size: Images per step.
        weight_decay: Decoupled.
        augment: Random changes of the training images, or None.
        seed: Of the initial weights and of the training.
    """

    dataset: str
    build: Callable[..., nn.Sequential | TableNetwork]
    epochs: int
    learning_rate: float
    batch_size: int = 128
    weight_decay: float = 0.0
    augment: RandomAffine | None = None
    seed: int = 0

    def run(self, dataset: Dataset, progress: bool = True) -> nn.Sequential | TableNetwork:
        """Build and train the network."""
        with deterministic(self.seed):
            module = self.build(dataset.input_shape, dataset.classes)
            if isinstance(module, nn.Sequential):
                unit_variance(module, torch.from_numpy(dataset.train_images[:512]))
        train(
            module,
            dataset,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            seed=self.seed,
            weight_decay=self.weight_decay,
            augment=self.augment,
            progress=progress,
        )
        return module


# 57 points: an even table on them is a polynomial of degree 28 in the square of its input.
RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "digits-table-mlp": Recipe(
            "digits",
            partial(table_mlp, hidden=64, points=57, input_bits=2, even=True),
            epochs=200,
            learning_rate=5e-3,
            batch_size=64,
            augment=RandomAffine(degrees=5, zoom=0.05, shear=0.05, shift=0.5),
        ),
        "digits-table-cnn": Recipe(
            "digits",
            partial(table_cnn, channels=8, kernel=3, padding=1, points=57, input_bits=2, even=True),
            epochs=200,
            learning_rate=5e-3,
            batch_size=64,
            augment=RandomAffine(degrees=5, zoom=0.05, shear=0.05, shift=0.5),
        ),
        "digits-square-cnn": Recipe(
            "digits",
            partial(cnn, channels=8, kernel=3, hidden=(32,), activation="square"),
            epochs=60,
            learning_rate=3e-3,
            batch_size=64,
            weight_decay=0.5,
        ),
        "mnist-table-mlp": Recipe(
            "mnist",
            partial(table_mlp, hidden=256, points=57, input_bits=1, even=True),
            epochs=40,
            learning_rate=3e-3,
            augment=RandomAffine(degrees=8, zoom=0.08, shear=0.08, shift=1),
        ),
        "mnist-table-cnn": Recipe(
            "mnist",
            partial(table_cnn, channels=16, kernel=7, stride=3, points=57, input_bits=1, even=True),
            epochs=40,
            learning_rate=5e-3,
            batch_size=64,
            augment=RandomAffine(degrees=8, zoom=0.08, shear=0.08, shift=1),
        ),
        # Decay keeps the worst case small, too: without it, logits could reach a hundred times as far.
        "mnist-square-cnn": Recipe(
            "mnist",
            partial(cnn, channels=16, kernel=7, stride=3, hidden=(64,), activation="square"),
            epochs=40,
            learning_rate=4e-3,
            weight_decay=0.5,
            augment=RandomAffine(degrees=8, zoom=0.08, shear=0.08, shift=1),
        ),
        # The network that other toolkits are compared on.
        "mnist-small-cnn": Recipe(
            "mnist",
            partial(cnn, channels=4, kernel=7, stride=3, hidden=(64,), activation="square"),
            epochs=30,
            learning_rate=4e-3,
            weight_decay=0.5,
            augment=RandomAffine(degrees=5, zoom=0.05, shear=0.05, shift=1),
        ),
    }
)
