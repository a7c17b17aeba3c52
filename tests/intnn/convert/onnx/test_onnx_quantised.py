import logging
import warnings

import numpy as np
import onnx
import pytest

from intnn import Activation
from intnn.convert.errors import ConversionError
from intnn.convert.from_onnx import from_onnx
from tests.intnn.convert.onnx.models import Model, answers

RNG = np.random.default_rng(0)
IMAGES = RNG.random((64, 2, 8, 8)).astype(np.float32)


def float_model(path):
    """Two convolutions, a residual sum, pooling and two dense layers."""
    model = Model((2, 8, 8))

    def normal(*sides):
        return model.tensor(RNG.normal(0, 0.4, sides))

    first = model.add("Relu", model.add("Conv", "x", normal(4, 2, 3, 3), normal(4), pads=[1] * 4))
    second = model.add("Conv", first, normal(4, 4, 3, 3), normal(4), pads=[1] * 4)
    joined = model.add("Relu", model.add("Add", first, second))
    pooled = model.add("MaxPool", joined, kernel_shape=[2, 2], strides=[2, 2])
    hidden = model.add("Sigmoid", model.add("Gemm", model.add("Flatten", pooled), normal(6, 64), normal(6), transB=1))
    return model.save(path, model.add("Gemm", hidden, normal(3, 6), normal(3), transB=1))


class Reader:
    def __init__(self):
        self.rows = iter(IMAGES[:, None])

    def get_next(self):
        row = next(self.rows, None)
        return None if row is None else {"x": row}


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
@pytest.mark.parametrize("activations", ["QInt8", "QUInt8"])
def test_what_onnxruntime_quantises_is_read_as_its_float_network(tmp_path, form, per_channel, activations):
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    before = float_model(tmp_path / "float.onnx")
    after = tmp_path / "int8.onnx"
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantize_static(
            before,
            after,
            Reader(),
            quant_format=QuantFormat[form],
            per_channel=per_channel,
            activation_type=QuantType[activations],
            weight_type=QuantType.QInt8,
        )
    logging.disable(logging.NOTSET)
    names = {node.op_type for node in onnx.load(after).graph.node}
    assert names & ({"QLinearConv", "QGemm"} if form == "QOperator" else {"DequantizeLinear"})
    graph, original = from_onnx(after), from_onnx(before)
    assert graph.metadata["quantised"] is True
    assert "quantised" not in original.metadata
    assert [n.name for n in graph.nodes if isinstance(n, Activation)] == ["relu", "relu", "sigmoid"]
    ours, theirs, floats = graph.logits(IMAGES), answers(after, IMAGES), original.logits(IMAGES)
    spread = np.ptp(floats)
    # Weights of 8 bits move an answer by a percent or two of its range; so do activations of 8 bits, which we leave.
    assert np.abs(ours - theirs).max() < 0.05 * spread
    assert 0 < np.abs(ours - floats).max() < 0.05 * spread


def quantised(model, x, scale=0.05, zero=0, dtype=np.int8):
    """A value behind QuantizeLinear, with the names of its scale and zero point."""
    steps = model.tensor(scale), model.tensor(zero, dtype)
    return model.add("QuantizeLinear", x, *steps), steps


def test_scales_of_channels_and_zero_points_are_exact(tmp_path):
    integers, scales, zeros = RNG.integers(-128, 128, (3, 4)), np.array([0.5, 0.25, 2.0]), np.array([-3, 0, 7])
    model = Model((4,))
    weight = model.add(
        "DequantizeLinear", model.tensor(integers, np.int8), model.tensor(scales), model.tensor(zeros, np.int8), axis=0
    )
    graph = from_onnx(model.save(tmp_path / "m.onnx", model.add("Gemm", "x", weight, transB=1)))
    assert (graph.nodes[0].weight == (integers - zeros[:, None]) * scales[:, None]).all()


@pytest.mark.parametrize(("zero", "names"), [(0, []), (-128, ["relu"])])
def test_a_relu_that_saturation_stands_for_is_put_back(tmp_path, zero, names):
    model = Model((4,))
    first, steps = quantised(model, "x", zero=-128)  # the smallest input is zero: no ReLU on inputs
    dense = model.add("Gemm", model.add("DequantizeLinear", first, *steps), model.tensor(RNG.normal(size=(4, 4))))
    second, steps = quantised(model, dense, zero=zero)
    moved = model.add("Flatten", second)
    end = model.add("Gemm", model.add("DequantizeLinear", moved, *steps), model.tensor(np.ones((4, 2))))
    graph = from_onnx(model.save(tmp_path / "m.onnx", end))
    assert [node.name for node in graph.nodes if isinstance(node, Activation)] == names


def test_microsofts_operators(tmp_path):
    model, more = Model((2, 4, 4)), {"domain": "com.microsoft"}
    x, steps = quantised(model, "x", 0.01, 3)
    double = model.add("QLinearAdd", x, *steps, x, *steps, *steps, **more)
    steep = model.add("QLinearLeakyRelu", double, *steps, *steps, alpha=0.5, **more)
    joined = model.add("QLinearConcat", *steps, x, *steps, steep, *steps, **more)
    mean = model.add("QLinearGlobalAveragePool", joined, *steps, *steps, channels_last=0, **more)
    end = model.add("QLinearSigmoid", mean, *steps, *steps, **more)
    path = model.save(tmp_path / "m.onnx", model.add("DequantizeLinear", end, *steps))
    values = RNG.normal(0, 0.3, (5, 2, 4, 4))
    twice = np.where(values > 0, 2 * values, values)
    expected = 1 / (1 + np.exp(-np.concatenate([values, twice], axis=1).mean((2, 3))))
    assert np.abs(from_onnx(path).logits(values) - expected).max() < 1e-7  # slopes and scales are float32


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda m: m.add("DequantizeLinear", quantised(m, "x")[0], m.tensor(0.5)),
            "must be read with the scale and zero",
        ),
        (
            lambda m: m.add("QuantizeLinear", "x", m.tensor([0.5] * 4), m.tensor([0] * 4, np.int8)),
            "must have one scale",
        ),
        (lambda m: m.add("QuantizeLinear", "x", m.tensor(0.0), m.tensor(0, np.int8)), "must have a positive scale"),
        (lambda m: m.add("Relu", quantised(m, "x")[0]), "must calculate with floats, got quantised integers"),
        (
            lambda m: m.add("MatMulInteger", quantised(m, "x")[0], m.tensor(np.ones((4, 2)), np.int8)),
            "must be of an operator that is read, got another; quantise the model statically",
        ),
    ],
)
def test_what_is_quantised_otherwise(tmp_path, build, message):
    model = Model((4,))
    path = model.save(tmp_path / "m.onnx", build(model))
    with pytest.raises(ConversionError, match=message):
        from_onnx(path)
