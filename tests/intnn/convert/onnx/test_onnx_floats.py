import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intnn import Activation, Conv2d, Dense, Flatten
from intnn.convert.from_onnx import from_onnx
from intnn.layers.nodes import Scale, SumPool2d
from tests.intnn.convert.onnx.models import Model, activated, answers, float_models


def require_equal(path, shape, rows=2, magnitude=1.0, only_row=False):
    x = np.random.default_rng(0).normal(0, magnitude, (1 if only_row else rows, *shape)).astype(np.float32)
    graph, theirs = from_onnx(path), answers(path, x)
    ours = graph.logits(x)
    if graph.metadata.get("link") == "logistic":  # what is left to the client
        ours = 0.5 * (1 + np.tanh(0.5 * ours))
    # onnxruntime calculates in float32 (2**-24), through a few layers of a few dozen terms of these sizes.
    size = max(np.abs(value).max() for value in [x, *graph.values(x.astype(float))])
    assert np.abs(ours - theirs).max() <= 2e-5 * max(size, 1)
    return graph


@settings(max_examples=100, deadline=None)
@given(float_models())
def test_random_models_answer_as_onnxruntime_does(tmp_path_factory, drawn):
    model, output, shape = drawn
    path = model.save(tmp_path_factory.getbasetemp() / "random.onnx", output)
    require_equal(path, shape, only_row=model.batch == 1)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_patterns_of_activations_are_one_node(tmp_path_factory, data):
    model = Model((4,))
    inner = model.add("Gemm", "x", model.tensor(np.eye(4)))
    path = model.save(tmp_path_factory.getbasetemp() / "pattern.onnx", activated(data.draw, model, inner))
    graph = require_equal(path, (4,), magnitude=3.0)
    assert sum(isinstance(node, Activation) for node in graph.nodes) <= 1
    assert graph.is_chain


def test_patterns_stand_on_what_is_computed_before_them(tmp_path):
    model = Model((4,))
    first = model.add("Tanh", model.add("Mul", "x", model.tensor(2)))
    second = model.add("Mul", first, model.add("Sigmoid", first))
    third = model.add("Mul", second, second)
    graph = require_equal(model.save(tmp_path / "m.onnx", third), (4,))
    names = [node.name for node in graph.nodes if isinstance(node, Activation)]
    assert names == ["tanh", "silu", "square"]


def test_scales_go_into_the_layer_before_them(tmp_path):
    model = Model((1, 6, 6))
    conv = model.add("Conv", "x", model.tensor(np.ones((2, 1, 3, 3))), pads=[1, 1, 1, 1])
    norm = model.add("BatchNormalization", conv, *(model.tensor(v) for v in ([1, 2], [0, 1], [3, 4], [1, 1])))
    flat = model.add("Flatten", model.add("Relu", norm))
    product = model.add("Add", model.add("MatMul", flat, model.tensor(np.ones((72, 2)))), model.tensor([1, 2]))
    path = model.save(tmp_path / "m.onnx", product)
    graph = require_equal(path, (1, 6, 6))
    assert [type(node) for node in graph.nodes] == [Conv2d, Activation, Flatten, Dense]


def test_a_scale_stays_where_another_node_reads_the_layer_without_it(tmp_path):
    model = Model((3,))
    dense = model.add("Gemm", "x", model.tensor(np.arange(9).reshape(3, 3)))
    scaled = model.add("Mul", dense, model.tensor([1, 2, 3]))
    path = model.save(tmp_path / "m.onnx", model.add("Add", scaled, dense))
    assert any(isinstance(node, Scale) for node in require_equal(path, (3,)).nodes)


def test_links_at_the_end_are_left_to_the_client(tmp_path):
    for outputs, operator, link in (
        (3, "Softmax", "softmax"),
        (3, "LogSoftmax", "softmax"),
        (1, "Sigmoid", "logistic"),
        (3, "Sigmoid", "logistic"),
    ):
        model = Model((2,))
        dense = model.add("Gemm", "x", model.tensor(np.ones((2, outputs))))
        end = model.add("Identity", model.add(operator, dense))
        graph = from_onnx(model.save(tmp_path / "m.onnx", end))
        assert ([type(node) for node in graph.nodes], graph.metadata["link"]) == ([Dense], link)
    model = Model((2,))
    graph = require_equal(model.save(tmp_path / "m.onnx", model.add("Sigmoid", "x")), (2,))
    assert (graph.nodes, graph.metadata.get("link")) == ((Activation("sigmoid"),), None)


def test_classes_and_names(tmp_path):
    model = Model((2,))
    path = model.save(tmp_path / "m.onnx", model.add("Gemm", "x", model.tensor(np.ones((2, 3)))))
    graph = from_onnx(path, classes=["cat", "dog", np.str_("eel")])
    assert graph.metadata["classes"] == ["cat", "dog", "eel"]
    assert graph.metadata["task"] == "classification"
    assert (graph.name, graph.metadata["source"], graph.metadata["opset"]) == ("net", "onnx", 17)


def test_shapes_that_are_calculated_from_the_batch(tmp_path):
    model = Model((2, 3, 3))
    zero, rest = model.tensor([0], np.int64), model.tensor([-1], np.int64)
    batch = model.add("Gather", model.add("Shape", "x"), model.tensor(0, np.int64), axis=0)
    target = model.add("Concat", model.add("Unsqueeze", batch, zero), rest, axis=0)
    graph = require_equal(model.save(tmp_path / "m.onnx", model.add("Reshape", "x", target)), (2, 3, 3))
    assert graph.nodes == (Flatten(),)


def test_sides_that_are_multiplied(tmp_path):
    """What `x.view(x.size(0), x.size(1) * x.size(2) * x.size(3))` is exported as: each side alone, without an axis."""
    model = Model((2, 3, 4))
    sides = [model.add("Gather", model.add("Shape", "x"), model.tensor(i, np.int64), axis=0) for i in range(4)]
    product = model.add("Mul", model.add("Mul", sides[1], sides[2]), sides[3])
    zero = model.tensor([0], np.int64)
    target = model.add("Concat", *(model.add("Unsqueeze", side, zero) for side in (sides[0], product)), axis=0)
    graph = require_equal(model.save(tmp_path / "m.onnx", model.add("Reshape", "x", target)), (2, 3, 4))
    assert graph.nodes == (Flatten(),)


def test_padding_that_is_calculated(tmp_path):
    """What `F.pad` is exported as: torch's order of ends, last axis first, turned round by a slice of a matrix."""
    model = Model((2, 3, 4))
    ends = model.add("Concat", model.tensor([0, 1, 2, 0], np.int64), model.tensor([0] * 4, np.int64), axis=0)
    pairs = model.add("Reshape", ends, model.tensor([-1, 2], np.int64))
    last, least = model.tensor([-1], np.int64), model.tensor([1 - (1 << 63)], np.int64)
    turned = model.add("Slice", pairs, last, least, model.tensor([0], np.int64), last)
    flat = model.add("Reshape", model.add("Transpose", turned, perm=[1, 0]), last)
    path = model.save(tmp_path / "m.onnx", model.add("Pad", "x", flat))
    assert require_equal(path, (2, 3, 4)).output_shape == (2, 5, 5)


@pytest.mark.parametrize(
    ("axes", "steps", "shape"),
    [([1], [1], (4, 5)), ([-1, 0], [2, 1], (3, 3)), (None, [1, 1], (3, 5)), ([0, 1], [-1, -2], (4, 2))],
)
def test_parts_of_constants(tmp_path, axes, steps, shape):
    model = Model(shape)
    starts, ends = ([3] * len(steps), [-9] * len(steps)) if steps[0] < 0 else ([1] * len(steps), [9] * len(steps))
    given = [model.tensor(numbers, np.int64) if numbers else "" for numbers in (starts, ends, axes, steps)]
    part = model.add("Slice", model.tensor(np.arange(24.0).reshape(4, 6)), *given)
    require_equal(model.save(tmp_path / "m.onnx", model.add("Relu", model.add("Add", "x", part))), shape)


def test_means_over_images(tmp_path):
    for operator, options in (("GlobalAveragePool", {}), ("ReduceMean", {"axes": [2, -1], "keepdims": 0})):
        model = Model((2, 3, 4))
        graph = require_equal(model.save(tmp_path / "m.onnx", model.add(operator, "x", **options), opset=13), (2, 3, 4))
        assert isinstance(graph.nodes[0], SumPool2d)


def test_old_forms_of_operators(tmp_path):
    model = Model((1, 4, 4))
    clipped = model.add("Clip", "x", min=0.0, max=6.0)
    flat = model.add("Flatten", model.add("Squeeze", model.add("Unsqueeze", clipped, axes=[2]), axes=[2]))
    end = model.add("Softmax", model.add("Gemm", flat, model.tensor(np.ones((16, 2))), model.tensor([0, 1])), axis=1)
    graph = from_onnx(model.save(tmp_path / "m.onnx", end, opset=9))
    assert graph.nodes[0] == Activation("hardtanh", (0.0, 6.0))
    assert graph.metadata["opset"] == 9


def test_doubles_are_exact(tmp_path):
    model = Model((3,), kind=11)
    weight = np.random.default_rng(0).normal(size=(3, 2))
    path = model.save(tmp_path / "m.onnx", model.add("MatMul", "x", model.tensor(weight, np.float64)))
    assert (from_onnx(path).nodes[0].weight == weight.T).all()


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(["AveragePool", "MaxPool"]), st.sampled_from([1, 2]))
def test_windows_that_hang_over_the_border(tmp_path_factory, data, operator, rank):
    """They divide by what they hold, with the padding or without it, but never by what is beyond it."""
    draw = data.draw
    taps = draw(st.lists(st.integers(1, 4), min_size=rank, max_size=rank))
    steps = draw(st.lists(st.integers(1, 4), min_size=rank, max_size=rank))
    sides = [draw(st.integers(side, 8)) for side in taps]
    pads = [draw(st.integers(0, side // 2)) for side in taps] + [draw(st.integers(0, side // 2)) for side in taps]
    counting = {"count_include_pad": draw(st.integers(0, 1))} if operator == "AveragePool" else {}
    model = Model((2, *sides))
    pooled = model.add(
        operator, "x", kernel_shape=taps, strides=steps, pads=pads, ceil_mode=draw(st.integers(0, 1)), **counting
    )
    path = model.save(tmp_path_factory.getbasetemp() / "pooled.onnx", model.add("Neg", pooled))
    require_equal(path, (2, *sides))
