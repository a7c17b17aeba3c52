import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intnn import Activation, Conv2d, Dense, Flatten, Graph, IntDomain, Lut, LutActivation, SumPool2d
from intnn.network.edges import MAX_ELEMENTS
from intnn.network.graph import BATCH
from intnn.ops import numpy_
from intnn.testing import float_arrays, float_graphs

DENSE = Dense(np.eye(3), np.zeros(3))
NESTED = []
for _ in range(100_000):
    NESTED = [NESTED]


@settings(max_examples=50)
@given(float_graphs(), st.data())
def test_forward_is_one_node_after_the_other(graph, data):
    x = y = data.draw(float_arrays((2, *graph.input_shape)))
    for node, shape in zip(graph.nodes, graph.shapes, strict=True):
        y = node.apply(y, numpy_)
        assert y.shape == (2, *shape)
    forward = graph.forward(x)
    assert forward.dtype == np.float64
    assert np.array_equal(forward, y)
    assert np.array_equal(graph.logits(x), y.reshape(2, -1))
    assert np.array_equal(graph.predict(x), y.reshape(2, -1).argmax(axis=1))
    assert graph.output_shape == graph.shapes[-1]


def test_batches_longer_than_a_chunk_are_whole():
    x = np.arange(3.0 * (2 * BATCH + 1)).reshape(-1, 3)
    assert np.array_equal(Graph((3,), (DENSE,)).forward(x.astype(np.float32)), x)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((2, 4)), ValueError, r"`x` must have shape \(batch, 3\), got \(2, 4\)"),
        (np.zeros(3), ValueError, r"`x` must have shape \(batch, 3\), got \(3,\)"),
        (np.zeros((0, 3)), ValueError, "`x` must hold at least one row, got an empty batch"),
        (np.full((1, 3), np.nan), ValueError, "`x` must be finite"),
        (np.zeros((1, 3), int), TypeError, "`x` must hold floats, got dtype int64"),
    ],
)
def test_bad_input(x, error, message):
    with pytest.raises(error, match=message):
        Graph((3,), (DENSE,)).forward(x)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (((3,), ()), ValueError, "`nodes` must hold at least one node"),
        (((), (Flatten(),)), ValueError, "`input_shape` must have between 1 and"),
        (((0,), (Flatten(),)), ValueError, "`input_shape` must lie in"),
        ((64, (Flatten(),)), TypeError, r"`input_shape` must be a tuple of sides such as \(64,\) or .*, got 64"),
        (((MAX_ELEMENTS, 2), (Flatten(),)), ValueError, "`input_shape` must have between 1 and"),
        (((2.0,), (Flatten(),)), TypeError, "`input_shape` must be an integer, got 2.0"),
        (((3,), (DENSE, Dense(np.ones((1, 4)), np.zeros(1)))), ValueError, r"`nodes\[1\]`: Dense\(4 -> 1\) must have"),
        (((3,), (np.eye(3),)), TypeError, r"`nodes\[0\]` must be a node of intnn.layers.nodes, got ndarray"),
        (((3,), (Dense,)), TypeError, r"`nodes\[0\]` must be a node of intnn.layers.nodes, got type"),
        (((3,), DENSE), TypeError, r"`nodes` must be a sequence of nodes, got Dense\(3"),
        (((3,), None), TypeError, "`nodes` must be a sequence of nodes, got None"),
        (((3,), (Dense(np.eye(3, dtype=int), np.zeros(3, int)),)), TypeError, r"`nodes\[0\]` must have float param"),
        (((3,), (LutActivation(Lut(IntDomain(0, 0), np.zeros(1, int))),)), TypeError, "it belongs to an IntNetwork"),
        (((3,), (DENSE,), b"name"), TypeError, "`name` must be a string"),
        (((3,), (DENSE,), "", {"a": {1, 2}}), ValueError, "`metadata` must be representable as JSON"),
        (((3,), (DENSE,), "", {"a": NESTED}), ValueError, "`metadata` must be representable as JSON"),
        (((3,), (DENSE,), "", {"a": float("nan")}), ValueError, "`metadata` must be representable as JSON"),
    ],
)
def test_what_is_no_graph(arguments, error, message):
    with pytest.raises(error, match=message):
        Graph(*arguments)


def test_an_output_too_large_is_refused_before_it_is_allocated():
    conv = Conv2d(np.zeros((1, 1, 1, 1)), np.zeros(1), padding=1 << 16)
    with pytest.raises(ValueError, match=r"`nodes\[0\]`: `output shape` must have between"):
        Graph((1, 1, 1), (conv,))


def test_metadata_is_what_a_file_would_give_back():
    metadata = {"seed": 3, "shape": (1, 2)}
    graph = Graph((1, 4, 4), (SumPool2d(2), Activation("relu")), metadata=metadata)
    metadata["seed"] = 4
    assert graph.metadata == {"seed": 3, "shape": [1, 2]}


def test_metadata_cannot_be_changed():
    metadata = {"scaling": "minmax", "sides": [1, {"a": [2]}]}
    kept = Graph((3,), (DENSE,), metadata=metadata)
    fingerprint = kept.fingerprint
    for change in (lambda m: m.clear(), lambda m: m["sides"].pop(), lambda m: m["sides"][1]["a"].append(3)):
        with pytest.raises(TypeError, match="cannot be changed"):
            change(kept.metadata)
    plain = dict(kept.metadata)
    plain["scaling"] = None
    assert (kept.metadata, kept.fingerprint) == (metadata, fingerprint)
    assert (
        replace(kept, metadata=kept.metadata).fingerprint == pickle.loads(pickle.dumps(kept)).fingerprint == fingerprint
    )


def test_shapes_and_layers_may_be_lists_and_numbers_of_numpy():
    graph = Graph([np.int64(3)], [Dense(np.eye(3).tolist(), [0.0, 0.0, 0.0])])
    assert graph.fingerprint == Graph((3,), (Dense(np.eye(3), np.zeros(3)),)).fingerprint
