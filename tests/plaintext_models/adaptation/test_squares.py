"""Networks of squares: the module's integers are the exported ones, and never more bits than were asked for."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from intnn.layers.nodes import Activation, Dense, Flatten, IntPolynomial
from intnn.network.graph import Graph
from intnn.values.domain import IntDomain
from plaintext_models.adaptation.budget import Budget, aligned, budgets
from plaintext_models.adaptation.distil import distil
from plaintext_models.adaptation.squares import SquareNetwork, input_grid, require_equal_integers
from plaintext_models.adaptation.trainable import Trainable
from tests.plaintext_models.adaptation.networks import SEEDS, graphs, samples


def worst_bits(network):
    last = network.intervals[-1]
    return max(int(-last.lo.min()), int(last.hi.max())).bit_length() + 1


@settings(max_examples=40)
@given(graphs(), st.integers(1, 4), st.booleans(), st.integers(90, 200))
def test_the_network_gives_the_integers_of_the_module(graph, input_bits, signed, max_bits):
    x = torch.from_numpy(samples(graph, signed=signed))
    module = SquareNetwork(graph, x, input_bits, max_bits)
    network = module.to_network()
    require_equal_integers(module, network, x)
    assert worst_bits(network) <= max_bits
    if network.accumulator_bound < 2**53:
        with torch.no_grad():
            theirs = module.integers(x).numpy()
        np.testing.assert_array_equal(network.logits(network.quantise_input(x.double().numpy())), theirs)


@settings(max_examples=20)
@given(graphs(), st.integers(90, 300))
def test_forward_is_the_integers_in_the_units_of_the_float_network(graph, max_bits):
    x = torch.from_numpy(samples(graph))
    module = SquareNetwork(graph, x, 3, max_bits).eval()
    network = module.to_network()
    with torch.no_grad():
        ours = module(x).numpy()
    exact = network.logits(network.quantise_input(x.double().numpy())).astype(np.float64)
    # float32 through a few layers
    np.testing.assert_allclose(
        ours, exact / network.metadata["output_scale"], rtol=1e-3, atol=1e-3 * max(1.0, float(np.abs(ours).max()))
    )


@given(SEEDS)
def test_with_many_bits_it_is_the_float_network_of_rounded_inputs(seed):
    rng = np.random.default_rng(seed)
    nodes = (Dense(rng.normal(size=(6, 4)), rng.normal(size=6)), Activation("square"))
    graph = Graph((4,), (*nodes, Dense(rng.normal(size=(3, 6)), rng.normal(size=3))))
    x = torch.from_numpy(samples(graph, 20))
    x[0] = 1.0
    module = SquareNetwork(graph, x, 4, 60).eval()
    rounded = np.floor(x.double().numpy() * 15 + 0.5) / 15
    with torch.no_grad():
        ours = module(x).numpy()
    np.testing.assert_allclose(ours, graph.logits(rounded), rtol=1e-3, atol=1e-3)  # float32; weights of some 13 bits


@given(
    seed=SEEDS,
    inputs=st.integers(1, 1000),
    signed=st.booleans(),
    factor=st.floats(2.0, 1e6),
    spread=st.sampled_from([1e-6, 1.0, 1e6]),
    bias=st.sampled_from([0.0, 1.0, 1e6]),
)
def test_a_budget_is_kept_and_used(seed, inputs, signed, factor, spread, bias):
    rng = np.random.default_rng(seed)
    rows, offset = torch.tensor(spread * rng.normal(size=(5, 30))), torch.tensor(bias * rng.normal(size=5))
    budget = Budget(float(inputs), signed, inputs * factor + 2, False)
    scale = budget.scale(rows, offset)
    assert (scale > 0).all()

    def reach(scale):
        whole = (rows * scale[:, None]).round()
        above, below = whole.clamp(min=0).sum(1), whole.clamp(max=0).abs().sum(1)
        taps = above + below if signed else torch.maximum(above, below)
        return taps * inputs + (offset * scale).round().abs()

    assert (reach(scale) <= budget.sums).all()
    shared = Budget(float(inputs), signed, budget.sums, True).scale(rows, offset)
    assert (shared == scale.min()).all()


def test_layers_before_squares_get_fewer_bits():
    rng = np.random.default_rng(0)
    nodes = (Dense(rng.normal(size=(16, 16)), np.zeros(16)), Activation("square"))
    graph = aligned(Graph((16,), (*nodes, *nodes, Dense(rng.normal(size=(16, 16)), np.zeros(16)))))
    found, _ = budgets(graph, IntDomain(0, 1), 60)
    means = [budget.sums / budget.inputs for budget in found.values()]
    assert means[0] < means[1] < means[2]
    assert found[4].is_shared
    assert not found[0].is_shared


def test_refusals():
    rng = np.random.default_rng(0)
    dense = Dense(rng.normal(size=(4, 4)), np.zeros(4))
    x = torch.rand(20, 4)
    with pytest.raises(ValueError, match="`max_bits` must be at least 7 for this network and its inputs, got 5"):
        SquareNetwork(Graph((4,), (dense, Activation("square"), dense)), x, 1, 5)
    with pytest.raises(TypeError, match="must be made of linear layers and squares, got Activation"):
        SquareNetwork(Graph((4,), (dense, Activation("relu"), dense)), x, 1, 50)


def test_inputs_have_a_sign_where_samples_do():
    assert input_grid(torch.tensor([[0.0, 2.0]]), 3) == (IntDomain(0, 7), 3.5)
    assert input_grid(torch.tensor([[-4.0, 2.0]]), 3) == (IntDomain(-3, 3), 0.75)
    assert input_grid(torch.tensor([[-4.0, 2.0]]), 1) == (IntDomain(-1, 1), 0.25)
    assert input_grid(torch.zeros(1, 2), 2) == (IntDomain(0, 3), 3.0)


@settings(max_examples=10)
@given(SEEDS)
def test_it_stays_exact_after_training(seed):
    rng = np.random.default_rng(seed)
    nodes = (Flatten(), Dense(rng.normal(size=(8, 12)) / 3, rng.normal(size=8)))
    last = Dense(rng.normal(size=(3, 8)), rng.normal(size=3))
    teacher = Trainable(Graph((12,), (*nodes, Activation("relu"), last)))
    student_graph = Graph((12,), (*nodes, Activation("square"), last))
    x = torch.from_numpy(rng.uniform(size=(200, 12)).astype(np.float32))
    module = SquareNetwork(student_graph, x, 2, 24)
    options = {"cycles": (1, 1), "batch_size": 32, "learning_rate": 1e-3, "seed": 0, "progress": False}
    distil(module, teacher, x[40:], x[:40], **options)
    network = module.to_network()
    assert network.layers[2] == IntPolynomial((0, 0, 1))
    assert worst_bits(network) <= 24
    with torch.no_grad():
        expected = module.integers(x).numpy()
    np.testing.assert_array_equal(network.logits(network.quantise_input(x.double().numpy())), expected)
