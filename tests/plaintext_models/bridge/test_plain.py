"""An export computes what its module computes, or is refused by the name of what stands in the way."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm

from intnn.layers.nodes import Activation
from plaintext_models.bridge import agreement
from plaintext_models.bridge.export import to_graph, to_network
from plaintext_models.nets.layers import Square
from plaintext_models.nets.mlp import mlp, table_mlp


def network(*layers) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*(layers or (nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))))


class Negated(nn.Sequential):
    def forward(self, x):
        return -super().forward(x)


class Doubled(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


class Shifted(nn.Conv2d):
    def forward(self, x):
        return super().forward(x) + 1


class Halved(nn.Identity):
    def forward(self, x):
        return x / 2


class Off(nn.Dropout):
    def forward(self, x):
        return 0 * x


class Flipped(nn.Flatten):
    def forward(self, x):
        return super().forward(x).flip(1)


class Leaky(nn.ReLU):
    def forward(self, x):
        return nn.functional.leaky_relu(x)


def test_what_is_no_chain_of_layers_is_named():
    (absent := network()).add_module("x", None)
    with pytest.raises(ValueError, match=r"`module` must run on a batch like `example`.*'NoneType' object is not"):
        to_graph(absent, (4,))
    (square := nn.Sequential(nn.Linear(4, 4))).append(square)
    for chain in (square, nn.Sequential(square)):
        with pytest.raises(ValueError, match=r"`module` must run on a batch .*RecursionError"):
            to_graph(chain, (4,))


@pytest.mark.parametrize("layer", [nn.LazyLinear(3), nn.LazyConv2d(3, 1)])
def test_a_layer_that_waits_for_its_first_input_says_so(layer):
    with pytest.raises(ValueError, match=r"got module\.1 that waits for its first input; run it once"):
        to_graph(nn.Sequential(nn.Linear(4, 4), layer), (4,))


@pytest.mark.parametrize("place", [lambda x: nn.Sequential(x), lambda x: nn.Sequential(nn.Sequential(x)), lambda x: x])
@pytest.mark.parametrize(
    "layer", [Negated(nn.Linear(4, 2)), Doubled(4, 2), Shifted(1, 1, 1), Halved(), Off(), Flipped(), Leaky()]
)
def test_a_subclass_may_compute_anything_and_is_exported_as_it_computes(layer, place):
    shape = (1, 2, 2) if isinstance(layer, Shifted) else (4,)
    module = nn.Sequential(place(copy.deepcopy(layer)), nn.Flatten())
    x = np.random.default_rng(0).normal(size=(3, *shape))
    module.append(nn.Linear(module(torch.zeros(1, *shape)).shape[1], 2))
    graph = to_graph(module, shape)
    if not isinstance(layer, Off):
        expected = module.double()(torch.from_numpy(x)).detach()
        np.testing.assert_allclose(graph.forward(x), expected, rtol=1e-12, atol=1e-12)  # a few terms in float64


def hooked(how):
    module = network()
    how(module)
    return module


def recomputed_by_pruning(module):
    prune.l1_unstructured(module[2], "weight", 0.5)
    module.load_state_dict({k: v + 1 for k, v in module.state_dict().items()})


def with_forward_of_its_own(module):
    module[1].forward = lambda x: -x


def without_a_parameter(module):
    weight = module[0].weight.detach()
    del module[0].weight
    module[0].weight = weight


def with_a_parameter(change):
    def how(module):
        module[0].weight = nn.Parameter(change(module[0].weight.detach()), requires_grad=False)

    return how


REFUSED = {
    "a hook on a layer": (
        lambda m: m[1].register_forward_hook(lambda *a: -a[-1]),
        "forward hooks, got one on module.1",
    ),
    "a hook on the whole": (lambda m: m.register_forward_hook(lambda *a: -a[-1]), "forward hooks, got one on module;"),
    "a hook before": (lambda m: m[0].register_forward_pre_hook(lambda _, x: (-x[0],)), "hooks, got one on module.0"),
    "pruning": (recomputed_by_pruning, r"got module.2.weight recomputed; .* prune.remove"),
    "spectral norm": (lambda m: spectral_norm(m[0]), "got module.0.weight recomputed"),
    "a forward": (with_forward_of_its_own, "`forward` of its classes, got another one on module.1"),
    "a bare tensor": (without_a_parameter, "got module.0.weight recomputed"),
    "not a number": (with_a_parameter(lambda w: w * torch.nan), "got NaN or infinity in module.0.weight"),
    "infinity": (with_a_parameter(lambda w: w / 0), "got NaN or infinity in module.0.weight"),
    "complex": (with_a_parameter(lambda w: w * 1j), "got module.0.weight with .*complex64"),
    "integers": (with_a_parameter(lambda w: w.int()), "got module.0.weight with .*int32"),
    "sparse": (with_a_parameter(lambda w: w.to_sparse()), "got module.0.weight with torch.sparse_coo"),
    "no values": (lambda m: m.to("meta"), "got module.0.weight with no values, on the meta device"),
}


@pytest.mark.parametrize(("how", "message"), REFUSED.values(), ids=REFUSED)
def test_what_decides_beside_a_layers_class_is_refused_by_name(how, message):
    with pytest.raises((TypeError, ValueError), match=message):
        to_graph(hooked(how), (4,))


def test_a_hook_on_all_modules_is_refused():
    handle = nn.modules.module.register_module_forward_hook(lambda *a: -a[-1])
    try:
        with pytest.raises(ValueError, match="hooks on all modules"):
            to_graph(network(), (4,))
    finally:
        handle.remove()


def test_what_a_class_was_changed_to_compute_is_what_is_exported(monkeypatch):
    monkeypatch.setattr(nn.ReLU, "forward", lambda self, x: nn.functional.leaky_relu(x))
    assert to_graph(network(), (4,)).nodes[1] == Activation("leaky_relu", (0.01,))


@pytest.mark.parametrize("parametrised", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_parametrised_weights_are_computed_once(parametrised):
    module = network()
    parametrised(module[2])
    before = copy.deepcopy(module.state_dict())
    graph = to_graph(module, (4,))
    expected = module.eval().double()[2].weight.detach().numpy()
    np.testing.assert_allclose(graph.nodes[2].weight, expected, rtol=1e-12)  # products of a few floats
    assert all(torch.equal(value, module.float().state_dict()[key]) for key, value in before.items())


@settings(max_examples=30)
@given(st.sampled_from(["relu", "tanh", "sigmoid", "square"]), st.sampled_from([1e-6, 1e-3]), st.data())
def test_comparison_finds_a_small_change_of_any_weight_and_no_other(activation, change, data):
    torch.manual_seed(data.draw(st.integers(0, 99)))
    module = mlp((5,), 4, [6, 5], activation)
    module[-1].bias.data[0] = -1e9  # a class that is masked does not hide what the others do
    graph = to_graph(module, (5,))
    changed = copy.deepcopy(module)
    changed[-1].bias.data[data.draw(st.integers(1, 3))] += change
    with pytest.raises(ValueError, match="on random inputs"):
        agreement.require_equal_floats(changed.double(), graph)


def test_a_module_that_keeps_what_it_computed_is_exported():
    module = network()
    module[0].seen = module(torch.ones(1, 4))  # torch would not copy it
    with torch.inference_mode():
        other = network()
    assert to_graph(module, (4,)).fingerprint == to_graph(other, (4,)).fingerprint


def test_a_layer_may_come_twice():
    square, relu = nn.Linear(4, 4), nn.ReLU()
    graph = to_graph(network(square, relu, square, relu, square), (4,))
    assert [str(node) for node in graph.nodes[::2]] == ["Dense(4 -> 4)"] * 3


@pytest.mark.parametrize("module", [lambda x: x, None, "mlp", nn.Linear])
def test_what_is_no_module_is_named(module):
    with pytest.raises(TypeError, match="`module` must be a"):
        to_graph(module, (4,))
    with pytest.raises(TypeError, match="`module` must be a"):
        to_network(module)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_module_stays_as_it_is(dtype):
    module = network(nn.Linear(4, 6), nn.Dropout(0.9), Square(), nn.Linear(6, 3)).to(dtype).train()
    before, drawn = copy.deepcopy(module.state_dict()), torch.get_rng_state()
    with torch.inference_mode():
        graph = to_graph(module, (4,))
    assert module.training
    assert all(layer.training for layer in module)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(torch.equal(value, before[key]) and value.dtype == dtype for key, value in module.state_dict().items())
    x = np.random.default_rng(0).normal(size=(3, 4))
    double = copy.deepcopy(module).double().eval()(torch.from_numpy(x)).detach()
    np.testing.assert_allclose(graph.forward(x), double, rtol=1e-12, atol=1e-12)  # sums of six terms in float64


def table_network():
    torch.manual_seed(0)
    return table_mlp((2, 3), 4, hidden=5, points=41, input_bits=2)


def test_an_integer_network_is_held_to_its_module_as_well():
    assert to_network(table_network()).output_shape == (4,)

    class Other(type(table_network())):
        def integers(self, images):
            return -super().integers(images)

    other = table_network()
    other.__class__ = Other
    with pytest.raises(TypeError, match="must be a TableNetwork with an InputQuantiser"):
        to_network(other)
    for change in (
        lambda m: m.layers[1].register_forward_hook(lambda *a: -a[-1]),
        lambda m: m.layers[1].weight.data.fill_(torch.nan),
        lambda m: setattr(m, "integers", lambda images: -type(m).integers(m, images)),
        lambda m: m.quantiser.register_forward_hook(lambda *a: a[-1] + 1),
    ):
        changed = table_network()
        change(changed)
        with pytest.raises(ValueError, match="`module` must"):
            to_network(changed)
