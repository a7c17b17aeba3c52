"""From torch modules to graphs: as exact as float64 is, whatever the module is written like."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F  # noqa: N812 - its usual name
from torch.nn.utils import parametrizations

from intnn.layers.nodes import Activation, Add, Conv2d, Dense, Scale
from intnn.network.graph import Graph
from plaintext_models.bridge import agreement
from plaintext_models.bridge.from_torch import from_torch
from plaintext_models.bridge.tracing.wide import in_float64
from tests.plaintext_models.bridge.architectures import ACTIVATIONS, ZOO, Call, random_modules, taken, trained


def require_equal(graph, module, shape, seed=0):
    """A graph gives what its module gives in float64, to 1e-9 of the largest value."""
    x = torch.randn(5, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad(), in_float64():  # constants as well
        expected = copy.deepcopy(module).double().eval()(x.clone())
    ours = torch.from_numpy(graph.forward(x.numpy()))
    if link := graph.metadata.get("link"):
        ours = {"softmax": lambda y: y.softmax(1), "logistic": torch.sigmoid}[link](ours)
        expected = expected.exp() if (expected < 0).all() else expected  # of log_softmax
    assert ours.reshape(expected.shape).shape == expected.shape
    largest = max(1.0, expected.abs().max().item())
    np.testing.assert_allclose(ours.reshape(expected.shape), expected, rtol=1e-9, atol=1e-9 * largest)


@pytest.mark.parametrize("name", ZOO)
def test_models_as_people_write_them(name):
    torch.manual_seed(0)
    make, shape = ZOO[name]
    module = trained(make())
    before = copy.deepcopy(module.state_dict())
    graph = from_torch(module, torch.rand(2, *shape), name)
    require_equal(graph, module, shape)
    assert (graph.name, graph.input_shape) == (name, shape)
    assert module.training
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert not any(isinstance(node, Scale) for node in graph.nodes) or name in ("inception", "mixer")


@settings(max_examples=40)
@given(random_modules(), st.integers(0, 99))
def test_random_architectures(network, seed):
    module, shape = network
    require_equal(taken(module, torch.randn(1, *shape)), module, shape, seed)


@pytest.mark.parametrize("number", range(len(ACTIVATIONS)))
def test_every_activation(number):
    torch.manual_seed(number)
    module = nn.Sequential(nn.Linear(4, 5), ACTIVATIONS[number](), nn.Linear(5, 2))
    require_equal(from_torch(module, torch.randn(1, 4)), module, (4,))


FUNCTIONS = {
    "a product with a matrix": (lambda x: x.flatten(1) @ torch.linspace(-1, 1, 24).view(12, 2), (3, 4)),
    "a matrix along the last axis": (lambda x: x @ torch.linspace(-1, 1, 8).view(4, 2), (3, 4)),
    "a product with a vector": (lambda x: x @ torch.linspace(-1, 1, 4), (3, 4)),
    "addmm": (lambda x: torch.addmm(torch.ones(2), x, torch.linspace(-1, 1, 8).view(4, 2)), (4,)),
    "a constant minus, times, over": (lambda x: (1 - 3 * x) / torch.linspace(1, 2, 3)[:, None], (3, 4)),
    "constants for each element": (lambda x: x * torch.linspace(1, 2, 42).view(1, 6, 7) + 1, (3, 6, 7)),
    "a constant with more channels": (lambda x: x + torch.linspace(1, 2, 3).view(3, 1, 1), (1, 6, 7)),
    "a sum that broadcasts": (lambda x: x + x.mean(1, keepdim=True), (1, 6, 7)),
    "a stack": (lambda x: torch.stack([x, 2 * x], 1).flatten(1), (3,)),
    "slices of features": (lambda x: x[:, 2:5] - x[:, :3], (5,)),
    "one feature": (lambda x: 2 * x, (1,)),
    "a chunk as output": (lambda x: (x + 1).chunk(2, 1)[1], (4, 3, 3)),
    "a scalar for each input": (lambda x: x.sum(1), (5,)),
    "narrow casts": (lambda x: (x.float() * torch.linspace(1, 2, 4, dtype=torch.float32)).to(torch.float32), (4,)),
    "pooling with a divisor": (lambda x: F.avg_pool2d(x, 2, divisor_override=3), (2, 4, 6)),
    "global pooling in one row": (lambda x: F.adaptive_max_pool2d(x, 1).flatten(1), (2, 4, 6)),
    "space to depth": (lambda x: F.pixel_unshuffle(x, 2).flatten(1) @ torch.linspace(-1, 1, 24), (1, 4, 6)),
    "padding, then padded convolution": (lambda x: F.conv2d(F.pad(x, (1, 0, 2, 0)), torch.ones(1, 1, 3, 3), padding=1),
                                         (1, 4, 5)),
    "a shuffle of channels": (lambda x: F.relu(F.channel_shuffle(x, 2)).flatten(1), (4, 2, 2)),
    "padded features": (lambda x: F.pad(x, (1, 2, 0, 1)), (2, 4)),
    "padded channels": (lambda x: F.pad(x, (1, 0, 0, 1, 1, 2)), (2, 3, 3)),
    "every third pixel": (lambda x: x[:, [1, 0], ::3, ::2] * 2, (2, 7, 5)),
    "a transposed convolution": (lambda x: F.conv_transpose2d(x, torch.linspace(-1, 1, 36).view(4, 1, 3, 3), None,
                                                              (2, 3), (1, 0), (1, 0), 2, (1, 2)), (4, 3, 2)),
    "one of sequences": (lambda x: F.conv_transpose1d(x, torch.linspace(-1, 1, 12).view(2, 3, 2), torch.ones(3), 3),
                         (2, 5)),
    "larger images": (lambda x: F.interpolate(F.interpolate(x, scale_factor=2), (7, 5)) * 2, (2, 3, 4)),
    "smaller images": (lambda x: F.interpolate(x, (2, 3), mode="nearest-exact") * 2, (2, 7, 5)),
    "longer sequences": (lambda x: F.interpolate(x, 7, mode="linear") + F.interpolate(x, 7) * 2, (2, 5)),
    "images between their corners": (lambda x: F.interpolate(x, (5, 7), mode="bilinear", align_corners=True),
                                     (2, 3, 4)),
    "an axis that stays": (lambda x: F.interpolate(x, scale_factor=1.25, mode="bilinear") * 2, (2, 2, 4)),
    "images between their pixels": (lambda x: F.interpolate(x, scale_factor=(1.5, 2.3), mode="bilinear"), (2, 4, 3)),
    "a part of an image": (lambda x: F.relu(x[:, :, 1:4, 2:5]) * 2, (2, 6, 7)),
    "uneven adaptive pooling": (lambda x: F.adaptive_avg_pool2d(x, (3, 5)), (2, 8, 7)),
    "more windows than pixels": (lambda x: F.adaptive_avg_pool2d(x, (None, 5)) - F.adaptive_max_pool2d(x, (None, 5)),
                                 (2, 4, 3)),
    "uneven adaptive maxima": (lambda x: F.adaptive_max_pool2d(x, (3, 4)), (2, 8, 6)),
    "uneven pooling of sequences": (lambda x: F.adaptive_avg_pool1d(x, 4) + F.adaptive_max_pool1d(x, 4), (2, 7)),
    "a power of one": (lambda x: x**1 + x**2 * 2, (3,)),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functional_calls(name):
    function, shape = FUNCTIONS[name]
    module, x = Call(function), torch.randn(4, *shape, dtype=torch.float64)
    graph = from_torch(module, x)
    with in_float64():
        expected = function(x)
    np.testing.assert_allclose(graph.forward(x.numpy()).reshape(expected.shape), expected, rtol=1e-12, atol=1e-12)


def test_normalisation_and_average_pooling_become_part_of_convolutions():
    module = trained(
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(8, 2))
    )
    graph = from_torch(module, torch.rand(1, 1, 6, 6))
    assert [type(node).__name__ for node in graph.nodes] == ["Conv2d", "SumPool2d", "Flatten", "Dense"]


def test_a_permutation_before_a_dense_layer_is_an_order_of_its_weights():
    module = nn.Sequential(Call(lambda x: x.permute(0, 2, 3, 1)), nn.Flatten(), nn.Linear(12, 2))
    graph = from_torch(module, torch.rand(1, 3, 2, 2))
    assert [type(node).__name__ for node in graph.nodes] == ["Flatten", "Dense"]
    weight = module[2].weight.detach().double().view(2, 2, 2, 3).permute(0, 3, 1, 2).reshape(2, 12)
    np.testing.assert_array_equal(graph.nodes[1].weight, weight)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: 0.25 * x**2 + 0.5 * x + 1,
        lambda x: (0.25 * x + 0.5) * x + 1,
        lambda x: x * (x / 2 + 1) / 2 + 1,
        lambda x: 1 + x / 2 + torch.square(x / 2),
    ],
)
def test_a_polynomial_is_one_activation_however_it_is_written(function):
    module = nn.Sequential(nn.Linear(3, 4), Call(function), nn.Linear(4, 2))
    graph = from_torch(module, torch.rand(1, 3))
    require_equal(graph, module, (3,))
    assert [type(node) for node in graph.nodes] == [Dense, Activation, Dense]


def test_a_layer_that_is_called_twice_is_two_nodes():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x):
            return self.layer(F.relu(self.layer(x))) + x

    graph = from_torch(module := Twice(), torch.rand(2, 3))
    assert [type(node) for node in graph.nodes] == [Dense, Activation, Dense, Add]
    require_equal(graph, module, (3,))


def test_nothing_but_what_the_output_needs_is_kept():
    class Auxiliary(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 2), nn.Linear(3, 5)

        def forward(self, x):
            self.b(x)
            return self.a(x)

    assert len(from_torch(Auxiliary(), torch.rand(2, 3)).nodes) == 1


@pytest.mark.parametrize(
    ("tail", "outputs", "link"),
    [
        (nn.Softmax(1), 3, "softmax"), (nn.LogSoftmax(-1), 3, "softmax"), (nn.Sigmoid(), 1, "logistic"),
        (nn.Sequential(nn.Sigmoid(), Call(lambda x: x.squeeze(1))), 1, "logistic"),
        (nn.Sigmoid(), 3, "logistic"), (nn.Identity(), 3, None),
    ],
)  # fmt: skip
def test_what_is_left_to_the_client(tail, outputs, link):
    module = nn.Sequential(nn.Linear(4, outputs), tail)
    graph = from_torch(module, torch.rand(2, 4), note="kept")
    assert graph.metadata.get("link") == link
    assert graph.metadata["note"] == "kept"
    assert len(graph.nodes) == 1
    require_equal(graph, module, (4,))


def test_a_softmax_that_is_not_the_one_that_is_left_out_is_found():
    graph = Graph((3,), (Dense(np.eye(3), np.zeros(3)),))
    agreement.require_equal_floats(nn.Softmax(1), graph, link="softmax")
    with pytest.raises(ValueError, match="on random inputs"):
        agreement.require_equal_floats(lambda x: (1.001 * x).softmax(1), graph, link="softmax")


@pytest.mark.parametrize(
    ("classes", "kept"),
    [(["a", "b"], ["a", "b"]), (range(2), [0, 1]), (np.array([3, 7]), [3, 7]), (np.array(["x", "y"]), ["x", "y"])],
)
def test_class_names_survive(classes, kept):
    graphs = [from_torch(nn.Linear(3, outputs), torch.rand(1, 3), classes=classes) for outputs in (1, 2)]
    assert [list(graph.metadata["classes"]) for graph in graphs] == [kept, kept]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_weights_are_those_of_the_module_exactly(dtype):
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).to(dtype)
    graph = from_torch(module, torch.rand(2, 3, dtype=dtype))
    assert np.array_equal(graph.nodes[0].weight, module[0].weight.detach().double())


@pytest.mark.parametrize("batch", [1, 2, 3, 17])
def test_examples_of_any_batch_size_and_memory_format(batch):
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 2))
    example = torch.rand(batch, 3, 6, 6)
    expected = from_torch(module, example).fingerprint
    last = module.to(memory_format=torch.channels_last)
    assert from_torch(last, example.to(memory_format=torch.channels_last)).fingerprint == expected
    assert from_torch(last, example.numpy()).fingerprint == expected


@pytest.mark.parametrize(
    "wrap", [torch.fx.symbolic_trace, nn.DataParallel, lambda m: torch.compile(m, backend="eager")]
)
def test_wrapped_modules_are_what_they_wrap(wrap):
    module, x = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), torch.rand(1, 3)
    assert from_torch(wrap(module), x).fingerprint == from_torch(module, x).fingerprint


def test_layers_that_torch_does_not_know_of_are_part_of_a_module():
    class Listed(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = [nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2)]

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    assert [type(node) for node in from_torch(Listed(), torch.rand(1, 3)).nodes] == [Dense, Dense]


def test_arrays_of_any_kind_are_examples():
    rows = np.random.default_rng(0).random((9, 3), np.float32)
    rows.setflags(write=False)
    graphs = [from_torch(nn.Linear(3, 2).double(), x) for x in (rows, rows[::-1, ::-1], rows.astype(">f8"))]
    assert len(graphs) == 3


def test_a_sequence_becomes_an_image_of_height_one_once():
    module = nn.Sequential(nn.Conv1d(2, 3, 3), nn.ReLU(), nn.Conv1d(3, 4, 3), nn.Flatten(), nn.Linear(16, 2))
    nodes = from_torch(module, torch.rand(1, 2, 8)).nodes
    assert [type(node).__name__ for node in nodes] == ["Reshape", "Conv2d", "Activation", "Conv2d", "Flatten", "Dense"]


def test_geometry_survives():
    layer = nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), (1, 2), groups=2)
    (node,) = from_torch(layer, torch.rand(1, 4, 9, 9)).nodes
    assert isinstance(node, Conv2d)
    assert (node.strides, node.borders, node.dilations, node.groups) == ((2, 1), (1, 1, 0, 0), (1, 2), 2)


def test_parametrisations_random_numbers_and_modes_stay_as_they_are():
    module = nn.Sequential(parametrizations.spectral_norm(nn.Linear(3, 3)), nn.Dropout(0.5)).train()
    before, drawn = copy.deepcopy(module.state_dict()), torch.get_rng_state()
    with torch.inference_mode():
        from_torch(module, torch.rand(2, 3, generator=torch.Generator()))
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(layer.training for layer in module.modules())
