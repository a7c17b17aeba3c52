"""An export is compared with its module on random inputs before anybody gets it."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from intnn.layers.nodes import Activation, Conv2d, Dense, Join, Node, Scale
from intnn.network.graph import Graph
from intnn.network.network import IntNetwork
from plaintext_models.bridge.tracing.wide import in_float64
from plaintext_models.training.qat.table_network import TableNetwork

ROWS = 2  # of random inputs at every scale
SCALES = (0.01, 1.0, 30.0)  # where activations are smooth, bend, and have saturated
# Both sides compute in float64, where a sum of n terms is right to n 2^-53 of the sum of their magnitudes: this allows
# for layers of some million terms, and finds every error that float32 could have shown.
TOLERANCE = 1e-9
EXAMPLES = 4  # of those given
LINKS: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {"softmax": lambda y: y.softmax(1), "log_softmax": lambda y: y.log_softmax(1), "logistic": torch.sigmoid}
)
STEEPEST = 1.5  # hardswish has the steepest slope of all activations without coefficients


def require_equal_floats(
    compute: Callable[[Tensor], Tensor],
    graph: Graph,
    example: NDArray[np.float64] | None = None,
    *,
    link: str = "",
) -> None:
    """Compare what computes in float64 with its graph, on random inputs and on an example.

    Args:
        compute: Maps float64 inputs [batch, *graph.input_shape] to outputs, such as a module in float64.
        graph: What it is to be equal to.
        example: More inputs [n, *graph.input_shape], the first `EXAMPLES` of which are looked at.
        link: What it computes behind the graph, by its name in `LINKS`.

    Raises:
        ValueError: An output differs by more than `TOLERANCE` of the sum of absolute terms that it is made of.
    """
    rng = np.random.default_rng(0)
    x = np.concatenate([scale * rng.normal(size=(ROWS, *graph.input_shape)) for scale in SCALES])
    if example is not None:
        x = np.concatenate([x, example[:EXAMPLES]])
    with torch.no_grad(), in_float64():
        theirs = compute(torch.tensor(x)).cpu().double().numpy()  # a copy, which may be overwritten
    with np.errstate(over="ignore", invalid="ignore"):
        allowed = TOLERANCE * _sizes(graph).forward(np.abs(x))
        ours = graph.forward(x)
        if link:  # none of them makes the differences of a row more than twice as large as the largest
            ours = LINKS[link](torch.from_numpy(ours)).numpy()
            allowed = 2 * allowed.reshape(len(x), -1).max(1, keepdims=True) + np.zeros_like(ours.reshape(len(x), -1))
        ours, theirs, allowed = (y.reshape(len(x), -1) for y in (ours, theirs, allowed))
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
    return Graph(graph.input_shape, tuple(map(_size, graph.nodes)), inputs=graph.inputs)


def _size(node: Node | Join) -> Node | Join:
    match node:
        case Dense() | Conv2d() | Scale():
            return replace(node, weight=np.abs(node.weight), bias=np.abs(node.bias))
        case Activation(name="polynomial"):
            return replace(node, coefficients=tuple(map(abs, node.coefficients)))
        case Activation(name=name) if name != "square":
            slope = max(STEEPEST, *map(abs, node.coefficients), 0.0)
            return Activation("polynomial", (slope, slope))  # of the value at zero, and of the steepest slope
    return node  # sums, squares and maxima of magnitudes


def _require(is_equal: bool) -> None:
    if not is_equal:
        raise ValueError(
            "`module` must compute what its layers say, but on random inputs it gives other outputs than they; "
            "export a chain of torch's own layers"
        )
