import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from intnn import (
    Activation,
    Conv2d,
    Dense,
    Flatten,
    Graph,
    IntDomain,
    LutActivation,
    QuantConfig,
    Ranges,
    SumPool2d,
    calibrate,
    quantise,
)
from intnn.quantisation.bounded import Budget, round_layer
from intnn.testing import float_arrays, float_graphs

configs = st.builds(
    QuantConfig,
    input_bits=st.integers(1, 8),
    activation_bits=st.integers(1, 8),
    weight_bits=st.integers(2, 16),
    table_points=st.integers(3, 300),
    logit_bound=st.integers(1, 2**31 - 1),
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), configs)
def test_whatever_the_configuration_no_input_leaves_a_table(data, config):
    graph = data.draw(float_graphs())
    ranges = calibrate(graph, data.draw(float_arrays((3, *graph.input_shape))))
    network = quantise(graph, ranges, config)  # construction is the proof: every table contains its worst case
    domains = [layer.lut.domain for layer in network.layers if isinstance(layer, LutActivation)]
    assert all(domain == IntDomain.symmetric(config.table_points) for domain in domains)
    for layer in network.layers:
        if isinstance(layer, (Dense, Conv2d)):
            assert np.abs(layer.weight).max() < 2 ** (config.weight_bits - 1)
    if isinstance(graph.nodes[-1], (Dense, Conv2d)):
        assert network.ranges[-1].magnitude <= config.logit_bound
    assert network.output_shape == graph.output_shape
    assert network.input_domain.size <= max(2**config.input_bits, 3)
    assert network.metadata["origin"] == "strategy"


@given(st.data())
def test_a_linear_network_is_as_near_as_its_scales_say(data):
    weight, x = data.draw(float_arrays((3, 4))), data.draw(float_arrays((5, 4)))
    assume(np.abs(x).max() > 1e-3)
    # Of the products' order: 12 bits of an input, 12 of a weight and 4 of either's range are 28 of the logits' 31.
    bias = data.draw(float_arrays((3,))) * np.abs(weight).max() * np.abs(x).max()
    graph = Graph((4,), (Dense(weight, bias),))
    config = QuantConfig(input_bits=12, weight_bits=12, logit_bound=2**31 - 1)
    network = quantise(graph, calibrate(graph, x), config)
    logits = network.logits(network.quantise_input(x)) / network.metadata["output_scale"]
    # Half a step of every input, of every weight and of the bias: no bound is in the way.
    input_step, output_scale = 1 / network.input_scale, network.metadata["output_scale"]
    weight_step = network.input_scale / output_scale
    reach = np.abs(x).sum(axis=1, keepdims=True) + 2 * input_step
    bound = np.abs(weight).sum(axis=1) * input_step / 2 + reach * weight_step / 2 + 1 / output_scale
    assert (np.abs(logits - graph.logits(x)) <= bound * (1 + 1e-9)).all()


@given(
    st.data(),
    st.integers(1, 20),
    st.tuples(st.integers(-9, 0), st.integers(0, 9)),
    st.tuples(st.integers(-300, 0), st.integers(0, 300)),
    st.integers(1, 127),
    st.floats(0.01, 100.0),
)
def test_a_fitted_layer_keeps_to_its_budget(data, width, inputs, target, weight_limit, scale):
    weight, bias = data.draw(float_arrays((2, width))), data.draw(float_arrays((2,)))
    budget = Budget(IntDomain(*inputs), IntDomain(*target), weight_limit)
    integers, offset, weight_scale = round_layer(weight, bias, scale, budget)
    positive, negative = np.maximum(integers, 0).sum(axis=1), np.minimum(integers, 0).sum(axis=1)
    assert (positive * inputs[1] + negative * inputs[0] + offset <= target[1]).all()
    assert (positive * inputs[0] + negative * inputs[1] + offset >= target[0]).all()
    assert np.abs(integers).max() <= weight_limit
    assert (integers * weight >= 0).all()
    # Never further from the scaled weight than rounding goes, in the direction of more.
    assert (np.abs(integers) <= np.abs(weight) * weight_scale + 0.5).all()


def test_where_the_budget_is_ample_weights_are_rounded_to_nearest():
    weight = np.random.default_rng(0).normal(size=(4, 30))
    integers, offset, scale = round_layer(
        weight, np.ones(4), 3.0, Budget(IntDomain(-3, 3), IntDomain(-(2**30), 2**30), 127)
    )
    assert np.abs(integers - weight * scale).max() <= 0.5
    assert np.abs(offset - 3.0 * scale).max() <= 0.5
    assert np.abs(integers).max() == 127


def test_unsigned_inputs_may_have_twice_the_weight():
    """Positive and negative weights cannot reach their worst at once."""
    weight = np.array([[1.0, -1.0] * 8])
    norms = {}
    for lo in (0, -1):
        integers, _, _ = round_layer(weight, np.zeros(1), 1.0, Budget(IntDomain(lo, 1), IntDomain(-24, 24), 127))
        norms[lo] = np.abs(integers).sum()
    assert norms == {0: 48, -1: 24}


def test_tight_budgets_keep_the_largest_weights():
    budget = Budget(IntDomain(-1, 1), IntDomain(-5, 5), 7)
    integers, _, _ = round_layer(np.array([[8.0, 1.0, 1.0, 1.0, -1.0]]), np.zeros(1), 1.0, budget)
    assert integers[0, 0] >= 4
    assert np.abs(integers).sum() <= 5


def test_pooling_before_a_table_shares_its_domain():
    conv = Conv2d(np.ones((1, 1, 1, 1)), np.zeros(1))
    graph = Graph((1, 2, 2), (conv, SumPool2d(2), Activation("relu"), Flatten(), Dense(np.ones((1, 1)), np.zeros(1))))
    network = quantise(graph, calibrate(graph, np.ones((1, 1, 2, 2))), QuantConfig(input_bits=1, table_points=41))
    assert network.ranges[:2] == (IntDomain(0, 5), IntDomain(0, 20))
    assert network.layers[2].lut.domain == IntDomain(-20, 20)


def test_weighted_layers_in_a_row_get_a_requantising_table():
    graph = Graph((2,), (Dense(np.eye(2), np.zeros(2)), Dense(np.eye(2), np.zeros(2))))
    network = quantise(graph, calibrate(graph, np.array([[0.0, 1.0]])))
    assert [type(layer) for layer in network.layers] == [Dense, LutActivation, Dense]


def test_an_activation_on_the_input_has_a_table_of_the_input():
    graph = Graph((2,), (Activation("square"), Dense(np.eye(2), np.zeros(2))))
    ranges = calibrate(graph, np.array([[0.0, 1.0]]))
    network = quantise(graph, ranges, QuantConfig(input_bits=4, table_points=16))
    assert network.layers[0].lut.domain == IntDomain(0, 15)
    with pytest.raises(ValueError, match=r"layer 0 must be an activation on at most 15 points, got \[0, 15\]"):
        quantise(graph, ranges, QuantConfig(input_bits=4, table_points=15))


@pytest.mark.parametrize("magnitude", [0.0, 1e-300, 1e-20, 1e20])
def test_extreme_magnitudes_overflow_nothing(magnitude):
    graph = Graph((2,), (Dense(magnitude * np.eye(2), np.zeros(2)), Activation("tanh"), Dense(np.eye(2), np.zeros(2))))
    network = quantise(graph, calibrate(graph, np.array([[0.0, magnitude]])))
    assert network.predict([[1, 0]]).shape == (1,)


def test_magnitudes_too_large_to_scale_are_refused():
    graph = Graph((1,), (Dense(np.array([[1e200]]), np.zeros(1)),))
    with pytest.raises(ValueError, match=r"`ranges` must stay within 1e\+30 in magnitude, got \(0.0, 1e\+40\)"):
        quantise(graph, Ranges((0.0, 1e40), ((0.0, 1.0),)))
    with pytest.raises(ValueError, match=r"`weight` and `bias` must be at most 1e\+30 in magnitude, got 1e\+200"):
        quantise(graph, Ranges((0.0, 1.0), ((0.0, 1.0),)))


def test_ranges_of_another_graph_are_refused():
    graph = Graph((2,), (Flatten(),))
    with pytest.raises(ValueError, match="`ranges` must have 1 nodes like `graph`, got 0"):
        quantise(graph, Ranges((0.0, 1.0), ()))


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("input_bits", 0, ValueError),
        ("activation_bits", 17, ValueError),
        ("weight_bits", 1, ValueError),
        ("table_points", 2, ValueError),
        ("logit_bound", 2**31, ValueError),
        ("input_bits", 4.0, TypeError),
    ],
)
def test_bad_configurations(field, value, error):
    with pytest.raises(error, match=f"`{field}` must"):
        QuantConfig(**{field: value})


@pytest.fixture(scope="module")
def digits():
    """A hidden layer of fixed random features under a ridge regression: a real network without a training loop."""
    images, labels = load_digits(return_X_y=True)
    images = images / 16.0
    rng = np.random.default_rng(0)
    hidden = Dense(rng.normal(size=(256, 64)) / 4, rng.normal(size=256) / 2)
    nodes = (hidden, Activation("relu"))
    features = np.hstack([Graph((64,), nodes).forward(images[:1200]), np.ones((1200, 1))])
    targets = 2.0 * np.eye(10)[labels[:1200]] - 1.0
    head = np.linalg.solve(features.T @ features + np.eye(257), features.T @ targets).T
    return Graph((64,), (*nodes, Dense(head[:, :-1], head[:, -1]))), images, labels


@pytest.mark.parametrize(
    ("config", "points_lost"),
    [
        (QuantConfig(input_bits=6, activation_bits=8, weight_bits=12, table_points=65537, logit_bound=2**31 - 1), 3.0),
        (QuantConfig(input_bits=2, activation_bits=5, table_points=497), 5.0),
    ],
)
def test_digits_survive_quantisation(digits, config, points_lost):
    graph, images, labels = digits
    network = quantise(graph, calibrate(graph, images[:1200], 99.9), config)
    held_out, truth = images[1200:], labels[1200:]
    exact = 100 * (graph.predict(held_out) == truth).mean()
    quantised = 100 * (network.predict(network.quantise_input(held_out)) == truth).mean()
    # A fixed experiment: measured 94.3 % in floats, and 92.8 and 91.1 % quantised. The margins, about ten images, leave
    # room for another BLAS's last bits in the regression.
    assert exact >= 92.3
    assert quantised >= exact - points_lost


def test_the_package_s_example_holds():
    import doctest

    import intnn

    results = doctest.testmod(intnn)
    assert results.failed == 0
    assert results.attempted > 5
