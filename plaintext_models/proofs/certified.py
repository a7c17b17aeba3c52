"""Training for proofs: every step learns from the worst logits that intervals cannot rule out.

Interval bound propagation (Gowal et al., arXiv:1810.12715): a box around every image goes through the network as a box
around every value; the last layer is folded into the differences of logits, which are bounded as they are. The radius
grows, and the weight of the clean loss falls, as the training goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from plaintext_models.bridge.plain import require_plain
from plaintext_models.nets.layers import Square, SumPool2d
from plaintext_models.proofs.schedule import Schedule
from plaintext_models.training.loop import Batch, LossHook
from plaintext_models.training.qat.bounded import BoundedConv2d, BoundedLinear
from plaintext_models.training.qat.quantiser import InputQuantiser
from plaintext_models.training.qat.table import TableActivation
from plaintext_models.training.qat.table_network import TableNetwork

Box = tuple[Tensor, Tensor]  # the least and the greatest value of every element
Bounds = Callable[[Any, Tensor, Tensor], Box]


def certified(module: nn.Module, schedule: Schedule) -> LossHook:
    """The loss of a module: the cross-entropy of its logits, and of the worst logits in the ball, weighted.

    Args:
        module: A chain of layers that `BOUNDS` knows, float or a `TableNetwork`, for images in [0, 1].
        schedule: Radius and weights.

    Raises:
        TypeError: The module is no such chain.
        ValueError: Where `require_bounded` raises it.
    """
    require_bounded(module)

    def both(logits: Tensor, batch: Batch) -> Tensor:
        radius, clean = schedule.at(batch.step / batch.steps)
        loss = functional.cross_entropy(logits, batch.labels)
        if clean == 1:
            return loss
        worst = worst_logits(module, batch.images, batch.labels, radius)
        return clean * loss + (1 - clean) * functional.cross_entropy(worst, batch.labels)

    return both


def worst_logits(module: nn.Module, images: Tensor, labels: Tensor, radius: float) -> Tensor:
    """Upper bounds of every logit minus that of the label, over an Linf ball within [0, 1].

    Args:
        module: As in `certified`.
        images: [batch, *input_shape] in [0, 1].
        labels: Classes, [batch].
        radius: The radius of the ball.

    Returns:
        [batch, classes], 0 at the label; where all others are negative, intervals prove the label.
    """
    *layers, last = layers_of(module)
    low, high = (images - radius).clamp(0, 1), (images + radius).clamp(0, 1)
    for layer in layers:
        low, high = BOUNDS[type(layer)](layer, low, high)
    weight, bias = _parameters(last)
    difference = weight - weight[labels].unsqueeze(1)  # [batch, classes, features]
    middle, reach = (high + low) / 2, (high - low) / 2
    worst = (difference @ middle.unsqueeze(2) + difference.abs() @ reach.unsqueeze(2)).squeeze(2)
    worst = worst + bias - bias[labels].unsqueeze(1)
    return worst * module.log_temperature.exp() if isinstance(module, TableNetwork) else worst


def layers_of(module: nn.Module) -> tuple[nn.Module, ...]:
    """The layers of a chain in their order, the quantiser of a `TableNetwork` among them."""
    if type(module) is TableNetwork:  # by its very class: a subclass may compute anything
        return (module.quantiser, *module.layers)
    return tuple(module) if type(module) is nn.Sequential else (module,)  # a layer may come twice


def require_bounded(module: nn.Module) -> None:
    """Refuse a module that boxes cannot go through.

    Raises:
        TypeError: It is not a chain of layers that `BOUNDS` knows and that ends in a linear layer; or one is
            parametrised.
        ValueError: Something besides a layer's class decides what it computes, as `require_plain` says; or a
            convolution pads with something else than zeros.
    """
    *layers, last = layers_of(module)
    unknown = next((layer for layer in layers if type(layer) not in BOUNDS), None)
    if unknown is not None or type(last) not in (nn.Linear, BoundedLinear):
        known = ", ".join(kind.__name__ for kind in BOUNDS)
        raise TypeError(
            f"`module` must be a chain of {known}, the last of them linear, got {last if unknown is None else unknown}"
        )
    for name, layer in module.named_modules(prefix="module"):
        require_plain(layer, name)
        if getattr(layer, "padding_mode", "zeros") != "zeros":
            raise ValueError(f"`module` must pad with zeros, got {layer} as {name}")


def _parameters(layer: nn.Module) -> tuple[Tensor, Tensor]:
    if isinstance(layer, BoundedLinear | BoundedConv2d):
        return layer.integers()
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    bias = layer.weight.new_zeros(len(layer.weight)) if layer.bias is None else layer.bias
    return layer.weight, bias


def _linear(layer: nn.Linear | BoundedLinear, low: Tensor, high: Tensor) -> Box:
    weight, bias = _parameters(layer)
    middle = functional.linear((high + low) / 2, weight, bias)
    reach = functional.linear((high - low) / 2, weight.abs())
    return middle - reach, middle + reach


def _convolution(layer: nn.Conv2d | BoundedConv2d, low: Tensor, high: Tensor) -> Box:
    weight, bias = _parameters(layer)
    geometry = (layer.stride, layer.padding) if isinstance(layer, BoundedConv2d) else _geometry(layer)
    middle = functional.conv2d((high + low) / 2, weight, bias, *geometry)
    reach = functional.conv2d((high - low) / 2, weight.abs(), None, *geometry)
    return middle - reach, middle + reach


def _geometry(layer: nn.Conv2d) -> tuple[Any, ...]:
    return layer.stride, layer.padding, layer.dilation, layer.groups


def _rising(layer: nn.Module, low: Tensor, high: Tensor) -> Box:
    return layer(low), layer(high)


def _even(layer: Callable[[Tensor], Tensor], low: Tensor, high: Tensor) -> Box:
    """A function of |x| that rises or falls in it."""
    zero = torch.zeros_like(low)
    ends = layer(low), layer(high), layer(torch.where((low < 0) & (high > 0), zero, low))
    return torch.minimum(torch.minimum(ends[0], ends[1]), ends[2]), torch.maximum(torch.maximum(*ends[:2]), ends[2])


def _table(layer: TableActivation, low: Tensor, high: Tensor) -> Box:
    return _even(layer, low, high)  # a line between its ends, or one on either side of zero


#: How every kind of layer takes the least and the greatest values of its inputs to those of its outputs.
BOUNDS: Mapping[type[nn.Module], Bounds] = MappingProxyType(
    {
        nn.Linear: _linear,
        nn.Conv2d: _convolution,
        BoundedLinear: _linear,
        BoundedConv2d: _convolution,
        TableActivation: _table,
        Square: _even,
        **dict.fromkeys(
            (InputQuantiser, nn.Flatten, nn.ReLU, nn.Sigmoid, nn.Tanh, nn.MaxPool2d, nn.AvgPool2d, SumPool2d), _rising
        ),
    }
)
