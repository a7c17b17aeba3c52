"""Trainable graphs compute what their graphs do, settled or not, and come back."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from intnn.layers.nodes import Activation, Dense
from intnn.network.graph import Graph
from plaintext_models.adaptation.trainable import ENOUGH, Polynomial, Trainable
from tests.plaintext_models.adaptation.networks import FLOAT_ACTIVATIONS, SEEDS, graphs, samples


def close(a, b):
    # float32 through a few layers of some dozen terms each; polynomials of degree 3 in a row magnify
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3 * max(1.0, float(np.abs(b).max())))


@settings(max_examples=40)
@given(graphs(FLOAT_ACTIVATIONS, maxima=True), st.booleans())
def test_computes_what_the_graph_computes(graph, is_settled):
    x = samples(graph)
    module = Trainable(graph)
    if is_settled:
        module.settle(torch.from_numpy(x))
    with torch.no_grad():
        ours = module.eval()(torch.from_numpy(x)).numpy()
    close(ours, graph.logits(x))


@settings(max_examples=40)
@given(graphs(FLOAT_ACTIVATIONS, maxima=True))
def test_comes_back_as_a_graph(graph):
    x = samples(graph)
    module = Trainable(graph)
    module.settle(torch.from_numpy(x))
    back = module.to_graph()
    assert (back.sources, back.name, back.metadata) == (graph.sources, graph.name, graph.metadata)
    close(back.logits(x), graph.logits(x))


@given(SEEDS)
def test_settled_weights_look_fresh(seed):
    rng = np.random.default_rng(seed)
    scales = 10.0 ** rng.uniform(-3, 3, 20)
    graph = Graph((20,), (Dense(1e4 * rng.normal(size=(6, 20)) / scales, rng.normal(size=6)),))
    module = Trainable(graph)
    module.settle(torch.from_numpy((rng.uniform(0.5, 1.0, (50, 20)) * scales).astype(np.float32)))
    (layer,) = module.layers
    size = layer.weight.detach().square().mean(1).sqrt() * np.sqrt(20)
    np.testing.assert_allclose(size.numpy(), 1.0, rtol=1e-4)  # of float32


def test_weights_of_what_never_varies_become_a_bias():
    rng = np.random.default_rng(0)
    graph = Graph((4,), (Dense(rng.normal(size=(3, 4)), rng.normal(size=3)),))
    x = rng.uniform(size=(ENOUGH, 4)).astype(np.float32)
    x[:, 1], x[:, 2] = 0.75, 0.0
    module = Trainable(graph)
    module.settle(torch.from_numpy(x))
    node = module.to_graph().nodes[0]
    assert not node.weight[:, 1:3].any()
    assert node.weight[:, [0, 3]].all()
    close(module.to_graph().logits(x), graph.logits(x))
    few = Trainable(graph)
    few.settle(torch.from_numpy(x[: ENOUGH - 1]))
    assert few.to_graph().nodes[0].weight.all()


def test_one_escape_is_enough_and_the_gradient_pulls_it_back():
    graph = Graph((2,), (Dense(np.eye(2), np.zeros(2)), Activation("square")))
    module = Trainable(graph)
    module.settle(torch.tensor([[1.0, 2.0], [-0.5, -1.0]]))
    reach = Polynomial.MARGIN * torch.tensor([1.0, 2.0])
    module.train()
    inside = torch.zeros(1000, 2)
    inside[0] = reach
    module(inside)
    assert module.escaped() < 1e-6  # float32
    inside[0, 0] = -3 * reach[0]
    module(inside)
    assert module.escaped().item() == pytest.approx((2.0**2 + 0.0) / 2)
    module.escaped().backward()
    (layer, _) = module.layers
    assert (layer.weight.grad[0] * layer.weight[0].detach()).sum() > 0  # a smaller weight escapes less
    assert not layer.weight.grad[1].any()


def test_an_integer_node_is_refused():
    class Foreign:
        def output_shape(self, shape):
            return shape

        def apply(self, x, ops):
            return x

    with pytest.raises(TypeError, match=r"must be made of float nodes of intnn\.layers\.nodes, got Foreign"):
        Trainable(Graph((2,), (Foreign(),)))
