"""What the case `accuracy` trains in integers, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from intnn import Convolution, Hidden, IntDomain


@dataclass(frozen=True)
class Experiment:
    """A network, and how it is trained in integers.

    Attributes:
        dataset: The name of its data set.
        shape: The network in short: "64-64-32-10".
        levels: The largest grey level as an integer; images in [0, 1] are multiplied by it.
        flat: Whether the network takes images as vectors.
        options: The arguments of its `IntClassifier`.
        centre: What is subtracted from the grey levels.
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
        """The domain of the inputs."""
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

#: The numbers were chosen on validation images that were held out of the training part.
EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType(
    {
        "digits-mlp": Experiment("digits", "64-64-32-10", 16, True, {"layers": (64, 32)}),
        "mnist-mlp": Experiment(
            "mnist",
            "784-100-50-10",
            255,
            False,  # vectors cannot be moved by pixels
            {"layers": (100, 50), "epochs": 40, "batch_size": 64, "decay_shift": 16, "moved_by": 1},
        ),
        "mnist-cnn": Experiment(
            "mnist",
            "16c5-p-32c5-p-128-10",
            255,
            False,
            {"layers": _SMALL, "epochs": 25, "batch_size": 64, "decay_shift": 15, "moved_by": 2},
        ),
        "cifar10-cnn": Experiment(
            "cifar10",
            "48c3-48c3-p-96c3-96c3-p-192c3-192c3-p-256-10",
            255,
            False,
            {"layers": _VGG, "epochs": 30, "batch_size": 64, "decay_shift": 15, "moved_by": 2, "mirrored": True},
            centre=128,
        ),
    }
)
