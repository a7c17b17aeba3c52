"""Networks with masks, thresholds and binary weights in place of a recipe's own, and how an attacker sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from plaintext_models.attacks.core.numbers import number
from plaintext_models.data.datasets import Dataset
from plaintext_models.defences.defence import Defended
from plaintext_models.stochastic.annealing import annealed
from plaintext_models.stochastic.draws import drawing, twin
from plaintext_models.stochastic.modes import through_probabilities
from plaintext_models.stochastic.reinforce import reinforced, units
from plaintext_models.training.loop import Batch, LossHook
from plaintext_models.zoo.make import Report, make
from plaintext_models.zoo.recipe import Recipe

EPOCHS = 25  # through which slopes grow at least, as in the thesis on learnt stochastic masks

#: Of the networks, by the names of data sets; that thesis's own, and of digits smaller ones.
SIZES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "digits": {"channels": (16, 32), "sides": (3, 3), "strides": (2, 2), "dense": 64},
        "mnist": {"channels": (32, 64), "sides": (5, 5), "strides": (2, 2), "dense": 100},
        "cifar10": {"channels": (64, 128, 128), "sides": (8, 6, 5), "strides": (2, 2, 1), "dense": None, "begin": 1},
    }
)
#: Of their gates.
GATES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {"digits": {"hidden": 64}, "mnist": {"hidden": 512}, "cifar10": {"hidden": 512}}
)


@dataclass(frozen=True)
class Masked:
    """Training of a `masked_cnn` in place of the recipe's network.

    Attributes:
        options: What the network takes; sizes that it does not state are those of `SIZES` and `GATES`.
        norm: Of a penalty on the weights of all layers, without biases: 1, the sum of their magnitudes, or 2, of their
            squares.
        penalty: What the sum is multiplied by, from 0.

    Raises:
        ValueError: The penalty is negative or not finite.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    norm: Literal[1, 2] = 2
    penalty: float = 0.0

    def __post_init__(self) -> None:
        number(self.penalty, "penalty", least=0)

    def changed(self, recipe: Recipe) -> Recipe:
        """The recipe with this network."""
        options = {**SIZES[recipe.dataset], **self.options}
        if options.get("masks", "").endswith("gates"):
            options["gates"] = {**GATES[recipe.dataset], **options.get("gates", {})}
        return replace(recipe, network="masked_cnn", options=options)

    def train(self, recipe: Recipe, dataset: Dataset, *, report: Report | None = None) -> nn.Module:
        """The network, trained so."""
        slopes = partial(annealed, epochs=max(EPOCHS, recipe.epochs))
        return make(self.changed(recipe), dataset, report=report, batch=slopes, loss=self.loss)

    def loss(self, module: nn.Module) -> LossHook:
        """Cross-entropy, what is told to units without a gradient, and the penalty."""
        told = reinforced(module)

        def punished(logits: Tensor, batch: Batch) -> Tensor:
            if not self.penalty:
                return told(logits, batch)
            layers = [part for part in module.modules() if isinstance(part, nn.Linear | nn.Conv2d)]
            return told(logits, batch) + self.penalty * sum(length(layer.weight, self.norm) for layer in layers)

        return punished


def length(weight: Tensor, norm: Literal[1, 2]) -> Tensor:
    """The sum of magnitudes of a weight of any shape, or of its squares."""
    return weight.abs().sum() if norm == 1 else weight.square().sum()


def defended(module: nn.Module, generator: torch.Generator, *, surrogates: bool = True) -> Defended:
    """A network that draws, with what an attacker makes of it who knows how.

    Args:
        module: The network.
        generator: Draws.
        surrogates: Whether its thresholds have other gradients than those of the probabilities behind them. Where they
            have none, because they learn from losses, these are the target's own.
    """
    target, soft = drawing(module, generator), through_probabilities(module)
    if units(module):
        return Defended(soft, randomness_off=twin(module))
    return Defended(target, randomness_off=twin(module), surrogates=(soft,) if surrogates else ())
