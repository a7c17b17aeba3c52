"""What a defence is: something that changes a training, or something around a trained network.

Whatever a defence draws at random comes from a generator that its caller gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import nn

from plaintext_models.attacks.core.target import Target
from plaintext_models.data.datasets import Dataset
from plaintext_models.evaluation.judge import Detector
from plaintext_models.zoo.make import Report
from plaintext_models.zoo.recipe import Recipe


class Training(Protocol):
    """A defence that changes how a network is trained, or what it is made of."""

    def train(self, recipe: Recipe, dataset: Dataset, *, report: Report | None = None) -> nn.Module:
        """The defended network of a recipe, in evaluation mode; of the data set, the training part is used."""


class Wrapping(Protocol):
    """A defence that stands in front of a network or behind it."""

    def wrap(self, target: Target) -> Target:
        """The defended network. Its gradients are the adaptive attacker's, straight through what has none."""


@dataclass(frozen=True, eq=False)
class Defended:
    """A network with its defence, as `evaluation.runner.evaluate` takes it.

    Attributes:
        target: The network behind its defence; it says whether its answers are random.
        bare: The network that an attacker sees who does not know of the defence; None where there is no other.
        randomness_off: The same without what is random; None where nothing is.
        surrogates: The same network with other backward passes, through which it may be attacked better than by its
            own: through a probability, say, in place of the hard sign of a draw.
        detector: Scores of images, positive where the defence turns one away; None where it turns none away.
    """

    target: Target
    bare: Target | None = None
    randomness_off: Target | None = None
    surrogates: tuple[Target, ...] = ()
    detector: Detector | None = None
