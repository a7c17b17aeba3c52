"""Networks of tables start near the float network that they are made of."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from intnn.layers.nodes import Activation, Add, Conv2d, Dense, Flatten, MaxPool2d, Scale, SumPool2d
from intnn.network.graph import Graph
from plaintext_models.adaptation.tables import table_network
from plaintext_models.bridge.export import to_network
from tests.plaintext_models.adaptation.networks import SEEDS

NAMES = st.sampled_from(["relu", "tanh", "sigmoid", "gelu", "softplus"])


def dense_graph(rng, name, hidden=8):
    first = Dense(rng.normal(size=(hidden, 12)) / 3, rng.normal(size=hidden) / 3)
    return Graph((12,), (first, Activation(name), Dense(rng.normal(size=(3, hidden)), rng.normal(size=3))))


def image_graph(rng, pool):
    first = Conv2d(rng.normal(size=(4, 1, 3, 3)) / 3, rng.normal(size=4) / 3, 1, 1)
    middle = (Activation("relu"), pool, Scale(np.array([0.25]), np.zeros(1)), Flatten())
    second = Dense(rng.normal(size=(6, 36)) / 6, rng.normal(size=6) / 3)
    return Graph((1, 6, 6), (first, *middle, second, Activation("relu"), Dense(rng.normal(size=(3, 6)), np.zeros(3))))


def images(rng, graph, count=400):
    return torch.from_numpy(rng.uniform(size=(count, *graph.input_shape)).astype(np.float32))


@settings(max_examples=20)
@given(SEEDS, NAMES)
def test_with_fine_tables_it_gives_about_what_the_float_network_gives(seed, name):
    rng = np.random.default_rng(seed)
    graph = dense_graph(rng, name)
    x = images(rng, graph)
    module = table_network(graph, x, 5, 65535, 64, even=False)
    with torch.no_grad():
        ours = module(x).numpy()
    theirs = graph.logits(x.double().numpy())
    theirs, ours = theirs - theirs.mean(0), ours - ours.mean(0)
    # inputs of 5 bits, levels of 6, and a clipped line is no sigmoid
    assert np.square(ours - theirs).sum() < 0.4 * np.square(theirs).sum()


@settings(max_examples=20)
@given(SEEDS, st.sampled_from([SumPool2d(2), MaxPool2d(2)]), st.integers(1, 3), st.booleans())
def test_images_become_networks_of_tables_that_can_be_exported(seed, pool, input_bits, even):
    rng = np.random.default_rng(seed)
    graph = image_graph(rng, pool)
    x = images(rng, graph, 50)
    module = table_network(graph, x, input_bits, 121, 8, even)
    network = to_network(module)  # which compares both, bit for bit
    assert [type(layer).__name__ for layer in network.layers].count("LutActivation") == 2


def test_refusals():
    rng = np.random.default_rng(0)
    graph = dense_graph(rng, "relu")
    x = images(rng, graph, 20)
    first, relu, last = graph.nodes
    square = Dense(np.eye(12), np.zeros(12))

    def refuse(kind, text, graph, x=x):
        with pytest.raises(kind, match=re.escape(text)):
            table_network(graph, x, 1, 57, 4, even=False)

    branches = Graph((12,), (square, Add(), first, relu, last), inputs=((-1,), (-1, 0), (1,), (2,), (3,)))
    refuse(TypeError, "`graph` must be a chain to be made of tables, got branches; use the form `squares`", branches)
    refuse(ValueError, "`samples` must lie in [0, 1] for tables, got [-0.9", graph, x * 2 - 1)
    refuse(TypeError, "must have every activation right behind a linear layer", Graph((12,), (relu, square)))
    two = Graph((12,), (square, first, relu, last))
    refuse(TypeError, "must have an activation between linear layers to be made of tables", two)
    ending = Graph((12,), (first, relu))
    refuse(TypeError, "must end in a dense layer to be made of tables, got Activation", ending)
