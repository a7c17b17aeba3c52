"""Every check passes on what is right, and can fail: on broken backends, layers and networks."""

import types
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st

from intnn import (
    Activation,
    Conv2d,
    Dense,
    Flatten,
    Graph,
    IntDomain,
    Interval,
    IntNetwork,
    Lut,
    LutActivation,
    QuantConfig,
    Requantise,
    SumPool2d,
)
from intnn.ops import numpy_
from intnn.quantisation import quantise as quantisation
from intnn.testing import (
    backends_agree,
    checks,
    float_graphs,
    float_inputs,
    int_inputs,
    int_networks,
    layer_keeps_its_promises,
    nodes,
    nothing_overflows,
    save_and_load,
    twin_keeps_its_ranges,
)

BYTE = IntDomain(0, 255)
SATURATION = IntDomain(-128, 127)
TABLE = Lut.from_callable(abs, SATURATION, name="abs")
#: One layer of every kind.
NETWORK = IntNetwork(
    (1, 4, 4),
    BYTE,
    (
        Conv2d(np.arange(-4, 4).reshape(2, 1, 2, 2), np.array([3, -3]), stride=1, padding=1),
        SumPool2d(2),
        Requantise(np.array([3, 5]), 6, SATURATION),
        LutActivation(TABLE),
        Flatten(),
        Dense(np.arange(-12, 12).reshape(3, 8), np.array([1, 2, 3])),
    ),
    name="all",
)
X = np.random.default_rng(0).integers(0, 256, (5, 1, 4, 4))


def backend(**operations):
    """numpy's operations, some of them replaced."""
    return types.SimpleNamespace(**{**vars(numpy_), "__name__": "broken", **operations})


def forged(network, **derived):
    """A network whose derived fields are other than it proved."""
    result = replace(network)
    for name, value in derived.items():
        object.__setattr__(result, name, value)
    return result


def test_all_backends_agree_on_a_network_of_every_layer():
    backends_agree(NETWORK, X)
    nothing_overflows(NETWORK, X)
    nothing_overflows(NETWORK, np.where(X > 99, 255, 0))


@settings(max_examples=30)
@given(st.data())
def test_random_networks_pass(data):
    network = data.draw(int_networks())
    x = data.draw(int_inputs(network))
    backends_agree(network, x)
    nothing_overflows(network, x)


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        ({"dense": lambda x, w, b: numpy_.dense(x, w, b) + (w.sum() == -12)}, r"layer 5, Dense\(8 -> 3\): must be"),
        ({"dense": lambda x, w, b: numpy_.dense(x, w, b)[:1]}, r"layer 5.*must have shape \(5, 3\), got \(1, 3\)"),
        ({"conv2d": lambda x, w, b, s, p: numpy_.conv2d(x, w, b, s, p) * [[[[1]], [[-1]]]]}, r"layer 0, .*, got -"),
        ({"sum_pool2d": lambda x, size, step: x[:, :, ::step, ::step]}, "layer 1"),
        ({"requantise": lambda x, m, shift, lo, hi: numpy_.requantise(x, m, shift, lo, hi + 1)}, "layer 2"),
        ({"lookup": lambda x, table, lo: table[x - lo - 1]}, "layer 3"),
        ({"arithmetic": lambda bound: np.int8}, "layer 0"),
    ],
)
def test_a_broken_backend_is_found(operations, message):
    with pytest.raises(AssertionError, match=f"backend broken, {message}"):
        backends_agree(NETWORK, X, [backend(**operations)])


def narrow(operation, dtype):
    """An operation whose sums are of a type that is too small for them."""
    return lambda x, w, b, *geometry: operation(x, w, b, *geometry).astype(np.int64).astype(dtype).astype(x.dtype)


RANDOM_FAULTS = {
    "dense wraps": {"dense": narrow(numpy_.dense, np.int16)},
    "conv2d wraps": {"conv2d": narrow(numpy_.conv2d, np.int16)},
    "conv2d on float32": {
        "conv2d": lambda x, w, b, s, p: numpy_.conv2d(x.astype(np.float32), w, b, s, p).astype(x.dtype)
    },
    "conv2d pads on one side": {
        "conv2d": lambda x, w, b, s, p: numpy_.conv2d(np.pad(x, ((0, 0), (0, 0), (0, 2 * p), (0, 2 * p))), w, b, s, 0)
    },
    "conv2d transposes": {"conv2d": lambda x, w, b, s, p: numpy_.conv2d(x, w[:, :, ::-1], b, s, p)},
    "sum_pool2d leaves the last out": {
        "sum_pool2d": lambda x, size, step: (
            numpy_.sum_pool2d(x, size, step) - x[:, :, size - 1 :: step, size - 1 :: step] * (size > 1)
        )
    },
    "requantise adds one": {"requantise": lambda x, m, shift, lo, hi: numpy_.requantise(x, m, shift, lo, hi) + 1},
    "requantise rounds down": {
        "requantise": lambda x, m, shift, lo, hi: np.clip((x * m.reshape(-1, *[1] * (x.ndim - 2))) >> shift, lo, hi)
    },
    "requantise saturates late": {"requantise": lambda x, m, shift, lo, hi: numpy_.requantise(x, m, shift, lo, hi + 1)},
    "lookup of the one below": {"lookup": lambda x, table, lo: table[x - lo - 1]},
}


@pytest.mark.parametrize("fault", RANDOM_FAULTS)
def test_random_networks_find_faults(fault):
    @settings(max_examples=300, phases=[Phase.generate], database=None)
    @given(st.data())
    def check(data):
        network = data.draw(int_networks())
        backends_agree(network, data.draw(int_inputs(network)), [backend(**RANDOM_FAULTS[fault])])

    with pytest.raises(AssertionError, match="backend broken, layer"):
        check()


def spoils(x, w, b):
    y = numpy_.dense(x, w, b)
    x.setflags(write=True)
    x[:] = 0
    return y


def overwrites(x, w, b):
    x *= 1
    return numpy_.dense(x, w, b)


def test_a_backend_that_spoils_its_input_is_found_and_no_other():
    x = X.copy()
    with pytest.raises(AssertionError, match=r"the input of backend broken, layer 5, .*: must be"):
        backends_agree(NETWORK, x, [backend(dense=spoils), "numpy"])
    with pytest.raises(AssertionError, match=r"backend broken, layer 5, .*: must .* leave it as it is, got ValueError"):
        backends_agree(NETWORK, x, ["numpy", backend(dense=overwrites)])
    assert np.array_equal(x, X)


def test_a_network_that_promises_too_small_sums_is_found():
    """numpy then computes in float32, where 2**24 + 1 has no number."""
    large = IntNetwork((2,), IntDomain(0, 1), (Dense(np.array([[1 << 24, 1]]), np.zeros(1, int)),))
    x = np.ones((1, 2), int)
    backends_agree(large, x)
    with pytest.raises(AssertionError, match=r"backend numpy, layer 0, .*: must be 16777217 at \(0, 0\), got 16777216"):
        backends_agree(forged(large, bounds=(3,)), x)


def test_a_network_with_other_logits_than_its_layers_is_found():
    class Another(IntNetwork):
        def logits(self, x, backend="numpy", threads=1):
            return super().logits(x, backend, threads) + 1

    another = Another(NETWORK.input_shape, NETWORK.input_domain, NETWORK.layers)
    with pytest.raises(AssertionError, match="backend reference, logits: must be"):
        backends_agree(another, X)
    with pytest.raises(AssertionError, match="logits: must be"):
        nothing_overflows(another, X)


def test_values_and_sums_beyond_what_was_proven_are_found():
    bounds = (*NETWORK.bounds[:5], 100)
    with pytest.raises(AssertionError, match=r"layer 5, .*: sums of absolute terms must be at most 100, got \d{4}"):
        nothing_overflows(forged(NETWORK, bounds=bounds), X)
    narrow = Interval(np.zeros((2, 5, 5), int), np.full((2, 5, 5), 10))
    with pytest.raises(AssertionError, match=r"layer 0, .*: the value at \(0, .*\) must lie in \[0, 10\], got"):
        nothing_overflows(forged(NETWORK, intervals=(narrow, *NETWORK.intervals[1:])), X)
    too_large = (*NETWORK.bounds[:5], 1 << 63)
    with pytest.raises(AssertionError, match=r"`accumulator_bound` must be below 2\*\*63, got 9223372036854775808"):
        nothing_overflows(forged(NETWORK, bounds=too_large), X)


class Layer:
    """Doubles, as it says."""

    def output_shape(self, shape):
        return shape

    def apply(self, x, ops):
        return 2 * x


class WrongShape(Layer):
    def output_shape(self, shape):
        return (*shape, 1)


class MixesRows(Layer):
    def apply(self, x, ops):
        return x - x.mean(axis=0).astype(int)


class WritesItsInput(Layer):
    def apply(self, x, ops):
        x *= 2
        return x


class WritesWhatWasThere(Layer):
    def apply(self, x, ops):
        x *= 1
        return 2 * x


class WritesInSpiteOfALock(Layer):
    def apply(self, x, ops):
        y = 2 * x
        x.setflags(write=True)
        x[:] = 0
        return y


class CountsRows(Layer):
    def apply(self, x, ops):
        return x * len(x)


class ReturnsFloats(Layer):
    def apply(self, x, ops):
        return x * 2.0


class HasADtypeForEveryBackend(Layer):
    def apply(self, x, ops):
        return (2 * x).astype(np.int32 if ops is numpy_ else np.int64)


class Fails(Layer):
    def apply(self, x, ops):
        raise KeyError("missing")


class DependsOnTheBackend(Layer):
    def apply(self, x, ops):
        return x + (ops is numpy_)


def test_every_layer_keeps_its_promises():
    layer_keeps_its_promises(Layer(), X)
    values = X
    for layer in NETWORK.layers:
        layer_keeps_its_promises(layer, values)
        values = layer.apply(values, numpy_)
    layer_keeps_its_promises(Activation("tanh"), X / 255, ["numpy"])


@settings(max_examples=60)
@given(st.data())
def test_random_layers_keep_their_promises(data):
    shape = data.draw(st.sampled_from([(4,), (2, 3, 4)]))
    layer = data.draw(nodes(Interval.full(IntDomain(-3, 3), shape)))
    layer_keeps_its_promises(layer, data.draw(st.builds(np.full, st.just((2, *shape)), st.integers(-3, 3))))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (WrongShape(), r"must give \(5, 1, 4, 4, 1\) as it states, got \(5, 1, 4, 4\)"),
        (MixesRows(), "row 0 by itself: must be"),
        (WritesItsInput(), "on backend reference: must evaluate a batch and leave it as it is, got ValueError"),
        (WritesWhatWasThere(), "on backend reference: must evaluate a batch and leave it as it is, got ValueError"),
        (WritesInSpiteOfALock(), "the input of .* on backend reference: must be"),
        (DependsOnTheBackend(), "on backend numpy, which must agree with reference: must be"),
        (HasADtypeForEveryBackend(), "on backend numpy, which must agree with reference: must be int64, got int32"),
        (ReturnsFloats(), "on backend reference: must make integers of integers, got float64 from int64"),
        (Fails(), r"on backend reference: must evaluate a batch .*, got KeyError\('missing'\)"),
    ],
)
def test_a_layer_that_breaks_a_promise_is_found(layer, message):
    with pytest.raises(AssertionError, match=message):
        layer_keeps_its_promises(layer, X.copy())


@pytest.mark.parametrize("layer", [MixesRows(), CountsRows()])
def test_a_row_alone_is_tried_beside_others(layer):
    with pytest.raises(AssertionError, match="on backend reference, beside other rows: must be"):
        layer_keeps_its_promises(layer, X[:1].copy())


def test_nothing_to_check_is_refused():
    with pytest.raises(ValueError, match="`x` must hold at least one row, got an empty batch"):
        layer_keeps_its_promises(Layer(), X[:0])
    with pytest.raises(ValueError, match="`x` must hold at least one row, got an empty batch"):
        backends_agree(NETWORK, X[:0])
    for check, subject in ((layer_keeps_its_promises, Layer()), (backends_agree, NETWORK)):
        with pytest.raises(ValueError, match="`backends` must hold at least one backend"):
            check(subject, X, [])


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(int_networks(), float_graphs()))
def test_random_networks_are_saved_and_loaded(tmp_path, network):
    save_and_load(network, tmp_path)


def test_a_network_that_does_not_come_back_as_it_was_is_found(tmp_path, monkeypatch):
    graph = Graph((2,), (Dense(np.eye(2), np.zeros(2)),))
    save_and_load(NETWORK, tmp_path)
    save_and_load(graph, tmp_path)
    load_network, load_graph = IntNetwork.load, Graph.load
    monkeypatch.setattr(IntNetwork, "load", lambda path: replace(load_network(path), name="another"))
    monkeypatch.setattr(Graph, "load", lambda path: forged(load_graph(path), shapes=()))
    with pytest.raises(AssertionError, match=r"\.npz: `fingerprint` must be [0-9a-f]{64}, got"):
        save_and_load(NETWORK, tmp_path)
    with pytest.raises(AssertionError, match=r"\.npz: `shapes` must be \(\(2,\),\), got \(\)"):
        save_and_load(graph, tmp_path)


@settings(max_examples=20)
@given(st.data(), st.integers(1, 5), st.integers(2, 6))
def test_random_twins_keep_their_ranges(data, bits, weight_bits):
    graph = data.draw(float_graphs())
    config = QuantConfig(input_bits=bits, activation_bits=bits, weight_bits=weight_bits, table_points=65)
    try:
        twin_keeps_its_ranges(graph, data.draw(float_inputs(graph)), config)
    except ValueError as refusal:  # so few bits may leave a layer no weight
        if "round to zero" not in str(refusal):
            raise
        reject()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"input_bits": 5}, r"the input domain must lie in \[0, 15\], got \[0, 31\]"),
        ({"activation_bits": 5}, r"layer 1, .*: values must lie in \[0, 15\], got \[0, 31\]"),
        ({"weight_bits": 9}, r"layer 0, .*: weights must lie in \[-127, 127\], got"),
        ({"table_points": 50001}, "layer 1, .*: must have at most 40001 points"),
        ({"logit_bound": 9000}, r"logits must lie in \[-900, 900\], got"),
    ],
)
def test_a_twin_that_takes_more_than_it_was_granted_is_found(monkeypatch, wrong, message):
    rng = np.random.default_rng(1)
    nodes = (
        Dense(rng.normal(size=(6, 8)), np.zeros(6)),
        Activation("relu"),
        Dense(rng.normal(size=(2, 6)), np.ones(2)),
    )
    graph, samples = Graph((8,), nodes), rng.random((20, 8))
    config = QuantConfig(table_points=40001, logit_bound=900)
    assert isinstance(twin_keeps_its_ranges(graph, samples, config), IntNetwork)
    monkeypatch.setattr(checks, "quantise", lambda g, r, c: quantisation.quantise(g, r, replace(c, **wrong)))
    with pytest.raises(AssertionError, match=message):
        twin_keeps_its_ranges(graph, samples, config)
