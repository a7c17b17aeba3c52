"""Float networks: the exported graph computes what torch computes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from intnn.values.domain import IntDomain
from plaintext_models.bridge.export import to_graph, to_network
from plaintext_models.nets.cnn import cnn
from plaintext_models.nets.initialise import unit_variance
from plaintext_models.nets.layers import ACTIVATIONS, Square, SumPool2d, activation
from plaintext_models.nets.mlp import mlp
from plaintext_models.training.qat.bounded import BoundedLinear
from plaintext_models.training.qat.quantiser import InputQuantiser
from plaintext_models.training.qat.table_network import TableNetwork

SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def float_networks(draw):
    """A chain of convolutions, pools and dense layers that fit, and the shape of its input."""
    torch.manual_seed(draw(SEEDS))
    shape = (draw(st.integers(1, 2)), draw(st.integers(5, 9)), draw(st.integers(5, 9)))
    channels, height, width = shape
    layers = []
    for _ in range(draw(st.integers(0, 2))):
        out, kernel = draw(st.integers(1, 3)), draw(st.integers(1, 3))
        stride, padding = draw(st.integers(1, 2)), draw(st.integers(0, 2))
        if min(height, width) < kernel:
            break
        layers.append(nn.Conv2d(channels, out, kernel, stride, padding, bias=draw(st.booleans())))
        channels, height, width = out, *((s + 2 * padding - kernel) // stride + 1 for s in (height, width))
        if min(height, width) >= 2 and draw(st.booleans()):
            step = draw(st.integers(1, 2))
            layers.append(SumPool2d(2, step))
            height, width = ((s - 2) // step + 1 for s in (height, width))
        layers.append(nn.Sequential(activation(draw(st.sampled_from(sorted(ACTIVATIONS)))), nn.Dropout(0.5)))
    layers += [nn.Flatten(), nn.Linear(channels * height * width, 5, bias=draw(st.booleans())), nn.Identity()]
    return nn.Sequential(*layers).eval(), shape


@settings(max_examples=20)  # torch takes a tenth of a second to trace a module
@given(float_networks(), SEEDS)
def test_graph_equals_torch(network, seed):
    module, shape = network
    x = torch.rand(4, *shape, generator=torch.Generator().manual_seed(seed))
    graph = to_graph(module, shape)
    with torch.no_grad():
        single, double = module(x).numpy(), module.double()(x.double()).numpy()
    # In the same float64 arithmetic only the order of summation differs: a few hundred terms of 2^-53 each.
    np.testing.assert_allclose(graph.forward(x.numpy()), double, rtol=1e-10, atol=1e-10)
    # In torch's own float32, 2^-24 per operation, relative to the largest value: squares of squares cancel.
    np.testing.assert_allclose(graph.forward(x.numpy()), single, rtol=1e-4, atol=1e-4 * (1 + np.abs(double).max()))


def test_a_number_in_place_of_a_shape_is_named():
    with pytest.raises(TypeError, match=r"`input_shape` must be a tuple of sides such as \(64,\) or .*, got 64"):
        to_graph(nn.Linear(64, 2), 64)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_architectures_export(name):
    torch.manual_seed(0)
    x = torch.rand(3, 1, 8, 8)
    for module in (
        mlp((1, 8, 8), 10, [16, 12], name),
        cnn((1, 8, 8), 10, channels=3, kernel=3, stride=2, padding=1, hidden=[7], activation=name),
    ):
        graph = to_graph(module, (1, 8, 8), "n", note=1)
        assert (graph.output_shape, graph.name, dict(graph.metadata)) == ((10,), "n", {"note": 1})
        # float32 against float64 over at most 64 terms of order one.
        np.testing.assert_allclose(graph.forward(x.numpy()), module(x).detach().numpy(), atol=1e-5)


def test_linear_classifier_has_one_layer():
    assert len(to_graph(mlp((1, 2, 2), 3, []), (1, 2, 2)).nodes) == 2


def test_refuses_float_layers_in_an_integer_network():
    last = BoundedLinear(4, 2, 1, IntDomain(-100, 100))
    with pytest.raises(TypeError, match="must be made of integer layers, got ReLU"):
        to_network(TableNetwork((4,), InputQuantiser(1), [nn.ReLU(), last]))


def test_unknown_activation():
    with pytest.raises(ValueError, match="`activation` must be one of relu, tanh, sigmoid, square, got 'gelu'"):
        activation("gelu")


def test_unit_variance():
    torch.manual_seed(0)
    module = cnn((1, 8, 8), 10, channels=4, kernel=3, hidden=[16, 16], activation="square")
    images = torch.rand(256, 1, 8, 8)
    unit_variance(module, images)
    x = images
    for layer in list(module)[:-1]:
        x = layer(x)
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            assert abs(x.std().item() - 1) < 1e-5  # float32


def test_square_and_sum_pool():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert torch.equal(Square()(x), x * x)
    assert SumPool2d(2)(x).flatten().tolist() == [10.0, 18.0, 42.0, 50.0]
