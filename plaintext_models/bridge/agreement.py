"""An export is compared with its module on random inputs before anybody gets it."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import nn
from torch.func import functional_call

from intnn.layers.nodes import Activation, Conv2d, Dense, Node
from intnn.network.graph import Graph
from intnn.network.network import IntNetwork
from plaintext_models.training.qat.table_network import TableNetwork

ROWS = 2  # of random inputs at every scale
SCALES = (0.01, 1.0, 30.0)  # where activations are smooth, bend, and have saturated
# Both sides compute in float64, where a sum of n terms is right to n 2^-53 of the sum of their magnitudes: this allows
# for layers of some million terms, and finds every error that float32 could have shown.
TOLERANCE = 1e-9


def require_equal_floats(module: nn.Module, graph: Graph) -> None:
    """Compare a module in evaluation mode, as if its parameters were float64, with its graph.

    Its mode, its parameters and torch's generators stay as they are.

    Raises:
        ValueError: An output differs by more than `TOLERANCE` of the sum of absolute terms that it is made of.
    """
    rng = np.random.default_rng(0)
    x = np.concatenate([scale * rng.normal(size=(ROWS, *graph.input_shape)) for scale in SCALES])
    parameters = {name: value.detach().cpu().double() for name, value in module.named_parameters()}
    with _evaluating(module):
        theirs = functional_call(module, parameters, torch.from_numpy(x)).numpy()
    with np.errstate(over="ignore", invalid="ignore"):
        ours, allowed = graph.forward(x), TOLERANCE * _sizes(graph).forward(np.abs(x))
        ours, theirs, allowed = (y.reshape(len(x), -1) for y in (ours, theirs, allowed))  # as a twin gives them
        _require(ours.shape == theirs.shape and not (np.abs(ours - theirs) > allowed).any())


def require_equal_integers(module: TableNetwork, network: IntNetwork) -> None:
    """Compare a quantisation-aware module with its network, bit for bit, on images within and around [0, 1].

    Raises:
        ValueError: A logit differs.
    """
    images = np.random.default_rng(0).uniform(-0.2, 1.2, (ROWS * len(SCALES), *network.input_shape)).astype(np.float32)
    with _evaluating(module):
        theirs = module.integers(torch.from_numpy(images).to(module.log_temperature.device)).cpu().numpy()
    _require(np.array_equal(network.logits(network.quantise_input(images)), theirs))


@contextlib.contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards every layer has the mode that it had."""
    modes = [(layer, layer.training) for layer in module.modules()]
    try:
        module.eval()
        with torch.no_grad():
            yield
    finally:
        for layer, mode in modes:
            layer.training = mode


def _sizes(graph: Graph) -> Graph:
    """The graph that adds up magnitudes where the given one adds up values."""
    return Graph(graph.input_shape, tuple(map(_size, graph.chain)))


def _size(node: Node) -> Node:
    match node:
        case Dense():
            return Dense(np.abs(node.weight), np.abs(node.bias))
        case Conv2d():
            return replace(node, weight=np.abs(node.weight), bias=np.abs(node.bias))
        case Activation(name="relu" | "tanh" | "sigmoid"):  # no slope is above one, no value but a sigmoid's above x
            return Activation("polynomial", (1.0, 1.0))
    return node  # sums and squares of magnitudes


def _require(is_equal: bool) -> None:
    if not is_equal:
        raise ValueError(
            "`module` must compute what its layers say, but on random inputs it gives other outputs than they; "
            "export a chain of torch's own layers"
        )
