"""Networks with tables that keep their accuracy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intnn import (
    Activation,
    Conv2d,
    Dense,
    Flatten,
    Graph,
    IntDomain,
    LutActivation,
    MaxPool2d,
    QuantConfig,
    Scale,
    SumPool2d,
    calibrate,
    quantise,
)
from intnn.quantisation.tables import integer_tables
from intnn.testing import float_graphs, float_inputs

configs = st.builds(
    QuantConfig,
    input_bits=st.integers(1, 6),
    activation_bits=st.integers(1, 6),
    weight_bits=st.integers(2, 12),
    table_points=st.integers(3, 300),
    logit_bound=st.integers(1, 2**31 - 1),
)


@settings(max_examples=60, deadline=None)
@given(st.data(), configs)
def test_whatever_the_configuration_no_input_leaves_a_table(data, config):
    graph = data.draw(float_graphs())
    samples = data.draw(float_inputs(graph, batch=20))
    try:
        network = integer_tables(graph, samples, config)  # construction is the proof
    except ValueError as error:
        assert "must be a weighted layer" in str(error)  # noqa: PT017 - scalings between activations
        return
    domains = [layer.lut.domain for layer in network.layers if isinstance(layer, LutActivation)]
    assert all(domain == IntDomain.symmetric(config.table_points) for domain in domains)
    for layer in network.layers:
        if isinstance(layer, (Dense, Conv2d)):
            assert np.abs(layer.weight).max() < 2 ** (config.weight_bits - 1)
    assert network.output_shape == graph.output_shape
    assert network.metadata["output_scale"] > 0


def test_rows_of_very_different_sizes_keep_their_values():
    """A row that is a hundred times as small fills the table all the same, where one scale would leave it nothing."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(6, 5)) * np.array([100.0, 1.0, 100.0, 1.0, 100.0, 1.0])[:, None]
    read = rng.normal(size=(3, 6)) / np.array([100.0, 1.0, 100.0, 1.0, 100.0, 1.0])
    graph = Graph((5,), (Dense(weight, np.zeros(6)), Activation("relu"), Dense(read, np.zeros(3))))
    x = rng.random((500, 5))
    config = QuantConfig(input_bits=4, table_points=431, activation_bits=6)
    errors = [
        np.abs(network.real_logits(x) - graph.logits(x)).mean()
        for network in (quantise(graph, x, config), quantise(graph, calibrate(graph, x), config))
    ]
    assert errors[0] < 0.3 * errors[1]


def test_images_with_pools_and_functions_of_other_kinds():
    rng = np.random.default_rng(1)
    nodes = (
        Conv2d(rng.normal(size=(3, 1, 3, 3)), rng.normal(size=3) / 4, 1, 1),
        SumPool2d(2),
        Scale(np.array([0.25]), np.zeros(1)),
        Activation("tanh"),
        Conv2d(rng.normal(size=(4, 3, 2, 2)), np.zeros(4)),
        Activation("leaky_relu", (0.1,)),
        Flatten(),
        Dense(rng.normal(size=(3, 36)), np.zeros(3)),
    )
    graph = Graph((1, 8, 8), nodes)
    x = rng.random((300, 1, 8, 8))
    network = integer_tables(graph, x, QuantConfig(4, 5, 10, 1001))
    wanted = graph.logits(x)
    assert np.square(network.real_logits(x) - wanted).mean() < 0.05 * wanted.var()


def test_what_has_no_table_is_refused():
    maximum = Graph((1, 2, 2), (Conv2d(np.ones((1, 1, 1, 1)), np.zeros(1)), MaxPool2d(2), Flatten()))
    with pytest.raises(ValueError, match=r"`graph.nodes\[1\]` must be a weighted layer, an activation behind one"):
        integer_tables(maximum, np.ones((10, 1, 2, 2)))
    bare = Graph((2,), (Activation("relu"), Dense(np.eye(2), np.zeros(2))))
    with pytest.raises(ValueError, match=r"`graph.nodes\[0\]` must be a weighted layer"):
        integer_tables(bare, np.ones((10, 2)))
