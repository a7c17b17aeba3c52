"""Networks with masked filters, binarised units or weights of -1 and 1, and the plain ones that they are compared with.

All are convolutions, each with ReLU and batch normalisation, then a dense layer and the output.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from plaintext_models.attacks.core.numbers import number
from plaintext_models.stochastic.activations import AdaptiveDropout, Pruning
from plaintext_models.stochastic.binarised import Binarised, PlusMinus
from plaintext_models.stochastic.gates import Asinh, Gate, MaskedConv2d, RandomGate

ImageShape = tuple[int, int, int]
Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)

SCALE = 0.05  # where the factor of a layer of binary weights starts

#: The units of the dense layer.
UNITS: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
    {
        "relu": nn.ReLU,
        "soft": partial(Binarised, "soft", annealed=True),
        "hard": partial(Binarised, "hard"),
        "reinforce": partial(Binarised, "reinforce"),
        "deterministic": partial(Binarised, "soft", random=False),
    }
)
#: What makes numbers into masks.
ENDS: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
    {"gates": partial(Binarised, "hard"), "logistic gates": nn.Sigmoid, "signed gates": PlusMinus}
)
BINARY: Mapping[str, bool] = MappingProxyType({"binary": False, "drawn binary": True})  # and whether they are drawn
MASKS = ("none", *ENDS, "random", "dropconnect", *BINARY)
ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
    {"relu": nn.ReLU, "adaptive": AdaptiveDropout, "adaptive mean": partial(AdaptiveDropout, random=False)}
)


class Scale(nn.Module):
    """A learnt factor."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(SCALE))

    def forward(self, x: Tensor) -> Tensor:
        """A tensor of any shape, times the factor."""
        return self.factor * x


def masked_cnn(
    input_shape: ImageShape,
    classes: int,
    *,
    channels: Sequence[int] = (32, 64),
    sides: Sequence[int] = (5, 5),
    strides: Sequence[int] = (2, 2),
    dense: int | None = 100,
    units: str = "soft",
    masks: str = "none",
    begin: int = 0,
    keep: Sequence[float] = (0.6, 0.5),
    gates: Mapping[str, Any] = MappingProxyType({}),
    activation: str = "relu",
    pruning: float | None = None,
    normalised: bool = True,
    dropout: float = 0.0,
) -> nn.Sequential:
    """A convolutional network in which something may be masked, binarised or dropped.

    Args:
        input_shape: (channels, height, width).
        classes: Number of outputs.
        channels: The maps of every convolution; empty for none.
        sides: The side of every convolution's filters.
        strides: The step of every convolution; zeros are put around images so that a step of 1 keeps odd filters' size.
        dense: The units of the dense layer; None for none.
        units: A key of `UNITS`.
        masks: What is done to convolutions: "none"; "gates", masks of 0 and 1 by gates that see the image; "logistic
            gates", by their probabilities; "signed gates", of -1 and 1; "random", masks that keep weights at random;
            "dropconnect", the same, and what is kept divided by the probability; "binary", weights of -1 and 1, those
            of the dense layer, too; "drawn binary", the same, those of convolutions drawn.
        begin: From which convolution on.
        keep: Of random masks, the probability to keep a weight, for every convolution.
        gates: What `Gate` takes beside its activations: stride, hidden, rank, shared.
        activation: A key of `ACTIVATIONS`, behind every convolution.
        pruning: The share of `Pruning` behind that; None for no such layer.
        normalised: Whether batch normalisation follows.
        dropout: The part of the dense layer's units that are dropped in training, from 0 to below 1.

    Raises:
        ValueError: A name is unknown, or a number out of range.
    """
    for value, name, known in (
        (units, "units", UNITS),
        (masks, "masks", MASKS),
        (activation, "activation", ACTIVATIONS),
    ):
        if value not in known:
            raise ValueError(f"`{name}` must be one of {', '.join(known)}, got {value!r}")
    layers: list[nn.Module] = []
    incoming, size = input_shape[0], input_shape[1:]
    for place, (outgoing, side, stride) in enumerate(zip(channels, sides, strides, strict=True)):
        kind = masks if place >= begin else "none"
        between = (Asinh, nn.Tanh)[min(place - begin, 1)] if kind in ENDS else None
        layers.append(
            _convolution(
                (incoming, outgoing, side, stride), size, kind, keep[min(place, len(keep) - 1)], between, gates
            )
        )
        layers += [ACTIVATIONS[activation](), *([Scale()] if kind in BINARY else [])]
        layers += [] if pruning is None else [Pruning(pruning)]
        layers += [nn.BatchNorm2d(outgoing)] if normalised else []
        incoming = outgoing
        down, across = ((length + 2 * (side // 2) - side) // stride + 1 for length in size)
        size = down, across
    width = incoming * math.prod(size)
    layers.append(nn.Flatten())
    if dense is not None:
        linear = nn.Linear(width, dense)
        layers += [
            _binary(linear, random=False) if masks in BINARY else linear,
            UNITS[units](),
            *([Scale()] if masks in BINARY else []),
        ]
        layers += [nn.Dropout(number(dropout, "dropout", least=0, below=1))] if dropout else []
        width = dense
    return nn.Sequential(*layers, nn.Linear(width, classes))


def _convolution(
    geometry: tuple[int, int, int, int],
    size: tuple[int, int],
    kind: str,
    keep: float,
    between: Callable[[], nn.Module] | None,
    gates: Mapping[str, Any],
) -> nn.Conv2d:
    """A convolution of (incoming, outgoing, side, stride) on images of a size, masked in some way."""
    padding = geometry[2] // 2
    if kind in ENDS:
        assert between is not None
        return MaskedConv2d(
            *geometry, padding, lambda beside: Gate(beside, size, between=between(), last=ENDS[kind](), **gates)
        )
    if kind in ("random", "dropconnect"):
        return MaskedConv2d(*geometry, padding, lambda beside: RandomGate(beside, keep, scaled=kind == "dropconnect"))
    layer = nn.Conv2d(*geometry, padding)
    return _binary(layer, random=BINARY[kind]) if kind in BINARY else layer


def _binary(layer: Layer, *, random: bool) -> Layer:
    """A layer, its weights from now on -1 and 1."""
    nn.init.uniform_(layer.weight, -1, 1)  # from closer to 0 those that are drawn would be coins, and stay so
    parametrize.register_parametrization(layer, "weight", PlusMinus(random=random))
    return layer
