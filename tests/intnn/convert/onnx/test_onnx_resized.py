"""Images of another size: transposed convolutions and resizing, beside onnxruntime."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from intnn.convert.errors import ConversionError
from intnn.convert.from_onnx import from_onnx
from intnn.layers.nodes import Conv2d, Reshape, SumPool2d
from tests.intnn.convert.onnx.models import Model, answers


def require_same(path, shape):
    """The graph of a file gives what onnxruntime gives, which calculates in float32."""
    graph, x = from_onnx(path), np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    theirs = answers(path, x)
    assert graph.logits(x).shape == theirs.shape
    # A few hundred terms of the size of a few units, each with an error of 2**-24.
    assert np.abs(graph.logits(x) - theirs).max() <= 1e-4
    return graph


def numbers(low, high, count):
    return st.lists(st.integers(low, high), min_size=count, max_size=count)


@settings(max_examples=150)
@given(st.data(), st.sampled_from([1, 2]), st.integers(0, 99))
def test_transposed_convolutions_answer_as_onnxruntime_does(tmp_path_factory, data, rank, seed):
    draw, rng = data.draw, np.random.default_rng(seed)
    groups = draw(st.sampled_from([1, 2]))
    channels, outputs = groups * draw(st.integers(1, 2)), draw(st.integers(1, 2))
    sides, window = draw(numbers(1, 5, rank)), draw(numbers(1, 4, rank))
    strides, dilations = draw(numbers(1, 3, rank)), draw(numbers(1, 2, rank))
    more = [draw(st.integers(0, stride - 1)) for stride in strides]
    automatic = draw(st.sampled_from(["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    pads = draw(numbers(0, 3, 2 * rank)) if automatic == "NOTSET" else None
    whole = [
        stride * (side - 1) + end + gap * (taps - 1) + 1
        for stride, side, end, gap, taps in zip(strides, sides, more, dilations, window, strict=True)
    ]
    wanted = [max(1, end - draw(st.integers(0, 3))) for end in whole] if draw(st.booleans()) else None
    left = wanted or ([s * n for s, n in zip(strides, sides, strict=True)] if "SAME" in automatic else None)
    if left is None:
        left = [end - a - b for end, a, b in zip(whole, pads[:rank], pads[rank:], strict=True)] if pads else whole
    assume(min(left) >= 1)
    assume(all(has >= end for has, end in zip(whole, left, strict=True)))
    model = Model((channels, *sides))
    weight, bias = rng.normal(size=(channels, outputs, *window)), rng.normal(size=groups * outputs)
    made = model.add(
        "ConvTranspose", "x", model.tensor(weight), model.tensor(bias), group=groups, strides=strides, pads=pads,
        dilations=dilations, output_padding=more, output_shape=wanted, auto_pad=automatic,
    )  # fmt: skip
    path = model.save(tmp_path_factory.getbasetemp() / "transposed.onnx", made)
    graph = require_same(path, (channels, *sides))
    assert sum(isinstance(node, Conv2d) for node in graph.nodes) == 1
    assert all(isinstance(node, Conv2d | SumPool2d | Reshape) for node in graph.nodes)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"strides": [2]}, "must have one number for each of 2 axes"),
        ({"output_shape": [3]}, "must have one number for each of 2 axes"),
        ({"pads": [-1, 0, 0, 0]}, "pads of at least 0; crop behind the model"),
        ({"pads": [4, 4, 4, 4]}, "must have an input at least as large as its window"),
        ({"group": 3}, "must have weights for 2 channels in 3 groups"),
        ({"output_shape": [90, 9]}, "must reach its output_shape, got at most 6"),
        ({"kernel_shape": [2, 3]}, "must have the kernel_shape of its weight"),
        ({"auto_pad": "SAME"}, "must have an auto_pad of the standard, got 'SAME'"),
        ({"strides": [1 << 15, 1 << 15]}, "`output shape` must have between 1 and 16777216 elements"),
        ({"dilations": [1 << 15, 1 << 15], "pads": [1 << 18] * 4}, "`kernel` must have between"),
        ({"strides": [1 << 40, 1]}, "does not fit"),
    ],
)
def test_transposed_convolutions_that_no_graph_has(tmp_path, attributes, message):
    model = Model((2, 4, 4))
    model.add("ConvTranspose", "x", model.tensor(np.ones((2, 1, 3, 3))), **attributes)
    (node,) = model.nodes
    proto = Model((2, 4, 4)).proto("x")
    proto.graph.node.append(node)
    proto.graph.initializer.extend(model.tensors)
    proto.graph.output[0].name = node.output[0]
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    tracemalloc.start()
    with pytest.raises(ConversionError, match=message):
        from_onnx(tmp_path / "m.onnx")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e8  # nothing is made before its size is known


def test_a_weight_of_another_number_of_axes(tmp_path):
    for shape, sides, message in (
        ((2, 4), (2, 1, 3, 3), "must have an image of 2 axes"),
        ((2, 4, 4), (2, 1, 3, 3, 3), "must have one or two spatial axes"),
    ):
        model = Model(shape)
        made = model.add("ConvTranspose", "x", model.tensor(np.ones(sides)))
        end = model.proto(model.add("Relu", "x")).graph.output[0]
        end.name = made
        path = model.save(tmp_path / "m.onnx", made, outputs=[end])
        with pytest.raises(ConversionError, match=message):
            from_onnx(path)


@st.composite
def resizings(draw):
    """A model that resizes an image or a sequence, in whatever words of its opset, its opset, and the input's shape."""
    rank, opset = draw(st.sampled_from([1, 2])), draw(st.sampled_from([9, 10, 11, 13, 18]))
    shape = (draw(st.integers(1, 2)), *draw(numbers(1, 6, rank)))
    model = Model(shape, 1)
    if opset < 11:  # onnxruntime copies an image that keeps its sides, whatever the factors
        factors = draw(st.lists(st.sampled_from([2, 3, 1.5, 2.5]), min_size=rank, max_size=rank))
        assume(any(int(side * factor) != side for side, factor in zip(shape[1:], factors, strict=True)))
        operator = "Upsample" if opset == 9 else "Resize"
        return model, model.add(operator, "x", model.tensor([1, 1, *factors]), mode="nearest"), opset, shape
    ways = ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]
    mode, way = draw(st.sampled_from(["nearest", "linear"])), draw(st.sampled_from(ways))
    words = {"mode": mode, "coordinate_transformation_mode": way}
    if mode == "nearest":
        roundings = ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]
        words["nearest_mode"] = draw(st.sampled_from(roundings))
    roi = model.tensor([])
    if draw(st.booleans()):
        sides = model.tensor([1, shape[0], *draw(numbers(1, 12, rank))], np.int64)
        return model, model.add("Resize", "x", roi, model.tensor([]), sides, **words), opset, shape
    factors = draw(st.lists(st.sampled_from([0.5, 2, 3, 1.5, 2.5]), min_size=rank, max_size=rank))
    assume(all(side * factor >= 1 for side, factor in zip(shape[1:], factors, strict=True)))
    return model, model.add("Resize", "x", roi, model.tensor([1, 1, *factors]), **words), opset, shape


@settings(max_examples=200)
@given(resizings())
def test_images_are_resized_as_by_onnxruntime(tmp_path_factory, drawn):
    model, output, opset, shape = drawn
    path = model.save(tmp_path_factory.getbasetemp() / "resized.onnx", model.add("Neg", output), opset=opset)
    graph, x = from_onnx(path), np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    assert np.abs(graph.logits(x) - answers(path, x)).max() <= 1e-5  # of a few values of float32
    assert not any(isinstance(node, Conv2d) for node in graph.nodes)


def test_sizes_that_are_calculated(tmp_path):
    """What `F.interpolate(x, (5, 6))` is exported as: batch and channels are those of the input."""
    model = Model((2, 3, 4))
    first = model.add("Slice", model.add("Shape", "x"), *(model.tensor([i], np.int64) for i in (0, 2, 0)))
    sides = model.add("Concat", first, model.tensor([5, 6], np.int64), axis=0)
    words = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    made = model.add("Resize", "x", "", "", sides, **words)
    assert require_same(model.save(tmp_path / "m.onnx", made, opset=13), (2, 3, 4)).output_shape == (2, 5, 6)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize(("factor", "side"), [(1.3, 13), (0.7, 7), (2.3, 23), (1.05, 10)])
def test_sides_are_rounded_down_as_by_onnxruntime(tmp_path, mode, factor, side):
    model = Model((1, 10, 10))
    made = model.add("Resize", "x", model.tensor([]), model.tensor([1, 1, factor, factor]), mode=mode)
    path = model.save(tmp_path / "m.onnx", model.add("Neg", made), opset=18)
    graph, x = from_onnx(path), np.random.default_rng(0).normal(size=(1, 1, 10, 10)).astype(np.float32)
    assert graph.output_shape == (1, side, side)
    assert np.abs(graph.logits(x) - answers(path, x)).max() <= 1e-5


def test_two_axes_of_four(tmp_path):
    model = Model((2, 3, 4))
    made = model.add("Resize", "x", "", model.tensor([2, 3]), axes=[2, -1])
    graph = from_onnx(model.save(tmp_path / "m.onnx", made, opset=18))
    x = np.arange(24.0).reshape(1, 2, 3, 4)
    np.testing.assert_array_equal(graph.forward(x), x.repeat(2, 2).repeat(3, 3))


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_sizes_that_have_nothing_in_common(tmp_path, mode):
    model = Model((1, 6, 6))
    made = model.add("Resize", "x", "", "", model.tensor([1, 1, 997, 6], np.int64), mode=mode)
    with pytest.raises(ConversionError, match=r"small numbers, got 6 to 997; choose a size that has more divisors"):
        from_onnx(model.save(tmp_path / "m.onnx", made, opset=18))


@pytest.mark.parametrize(
    ("factors", "words", "message"),
    [
        ([1, 1, 2, 2], {"mode": "cubic"}, r'nearest pixels or linearly, got cubic.*"bilinear", or convolve'),
        ([1, 1, 2, 2], {"coordinate_transformation_mode": "tf_crop_and_resize"}, "got nearest, tf_crop_and_resize"),
        ([1, 1, 2, 2], {"antialias": 1, "mode": "linear"}, "must have antialias=0, got 1; use antialias=False"),
        ([1, 1, 2, 2], {"nearest_mode": "middle"}, "a nearest_mode of the standard, got middle"),
        ([1, 2, 1, 1], {}, "must resize height and width by positive factors"),
        ([2, 1, 1, 1], {}, "must resize height and width by positive factors"),
        ([1, 1, np.inf, 1], {}, "must resize height and width by positive factors"),
        ([1, 1, 2], {}, "a size or a factor for each of 4 axes, got .* of 3|for each of 4 axes, got"),
        ([1, 1, 32768, 1], {}, "must have sides of at most 65536 pixels"),
        ([1, 1, 4096, 4096], {}, "`output shape` must have between 1 and 16777216"),
        ([1, 1, 1.37123, 1], {"mode": "linear"}, "must resize by a ratio of small numbers, got 4 to 5 by 1.37.*a size"),
    ],
)
def test_resizing_that_no_graph_has(tmp_path, factors, words, message):
    model = Model((2, 4, 4))
    output = model.add("Resize", "x", "", model.tensor(factors), **words)
    proto = Model((2, 4, 4)).proto("x", opset=18)
    proto.graph.node.extend(model.nodes)
    proto.graph.initializer.extend(model.tensors)
    proto.graph.output[0].name = output
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ConversionError, match=message):
        from_onnx(tmp_path / "m.onnx")


def test_quantised_images_stay_quantised(tmp_path):
    model = Model((1, 2, 3))
    steps = model.tensor(0.1), model.tensor(3, np.uint8)
    larger = model.add("Resize", model.add("QuantizeLinear", "x", *steps), "", model.tensor([1, 1, 2, 2]))
    graph = from_onnx(model.save(tmp_path / "m.onnx", model.add("DequantizeLinear", larger, *steps)))
    x = np.arange(6.0).reshape(1, 1, 2, 3) / 10
    np.testing.assert_array_equal(graph.forward(x), x.repeat(2, 2).repeat(2, 3))
