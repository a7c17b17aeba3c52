"""Quantised files, read as the float network of their dequantised weights.

A value keeps its real meaning when it is quantised: it is neither rounded nor saturated, with one exception. Tools
leave a ReLU out where the smallest integer stands for zero and saturation does its work; there it is put back.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from intnn.convert.onnx import arithmetic, layers, shapes
from intnn.convert.onnx.call import Call
from intnn.convert.onnx.values import INPUT, Constant, Feature, Pointwise, Steps, Value
from intnn.layers.nodes import Activation
from intnn.values.arrays import Array, FloatArray

_ONE_SCALE = "quantise values of the network with one scale for all channels"


def quantise(call: Call) -> Value:
    """QuantizeLinear: a value as it is, or a constant as integers."""
    if call.attribute("block_size", 0):
        raise call.refused("must not quantise in blocks", "quantise by channels")
    if isinstance(call.operand(0), Constant):
        raise call.refused("must not quantise a constant while it runs", "store the integers")
    return quantised(call, call.floating(0), *steps_of(call, 1))


def dequantise(call: Call) -> Value:
    """DequantizeLinear: a value as it is, or integers that are known as floats."""
    if call.attribute("block_size", 0):
        raise call.refused("must not be quantised in blocks", "quantise by channels")
    if isinstance(call.operand(0), Constant):
        zero = call.constant(2) if call.has(2) else np.zeros_like(call.constant(0), shape=())
        return Constant(real(call, call.constant(0), call.floats(1), zero, call.attribute("axis", 1)))
    value = call.moved(0)
    steps, _ = steps_of(call, 1)
    if value.steps is None:
        raise call.refused("must read integers, got floats", "put a QuantizeLinear before it")
    return floats(call, value, steps)


def real(call: Call, integers: Array, scale: FloatArray, zero: Array, axis: int) -> FloatArray:
    """What integers stand for; scales of more than one element belong to an axis."""
    if integers.dtype.kind not in "iu" or zero.dtype.kind not in "iu":
        raise call.refused(f"must have integers, got {integers.dtype}", "export the model again")
    scale, zero = scale.ravel(), zero.ravel().astype(np.float64)
    length = max(len(scale), len(zero))
    if length > 1:
        axis = call.axes(axis, integers.ndim)[0]
        if integers.shape[axis] != length or len(zero) not in (1, length) or len(scale) not in (1, length):
            raise call.refused(f"must have a scale for each channel of axis {axis}, got {length}", "export it again")
        along = (1,) * axis + (-1,) + (1,) * (integers.ndim - axis - 1)
        scale, zero = (p.reshape(along) if p.size > 1 else p for p in (scale, zero))
    return np.asarray((integers.astype(np.float64) - zero) * scale).reshape(integers.shape)


def steps_of(call: Call, number: int) -> tuple[Steps, bool]:
    """The scale and the zero point from an operand on, and whether the zero point is the smallest integer."""
    scale = call.floats(number)
    zero = call.constant(number + 1) if call.has(number + 1) else np.zeros((), np.uint8)
    if scale.size != 1 or zero.size != 1:
        raise call.refused("must have one scale and one zero point", _ONE_SCALE)
    if zero.dtype not in (np.uint8, np.int8, np.uint16, np.int16, np.int32):
        raise call.refused(f"must quantise to integers of 8 or 16 bits, got {zero.dtype}", "quantise to int8")
    if not (np.isfinite(scale).all() and scale.item() > 0):
        raise call.refused(f"must have a positive scale, got {scale.item()}", "quantise the model again")
    return Steps(scale.item(), int(zero.item())), int(zero.item()) == np.iinfo(zero.dtype).min


def floats(call: Call, value: Feature, steps: Steps) -> Feature:
    """A quantised value as floats, by the steps with which it is read."""
    if value.steps != steps:
        raise call.refused(
            f"must be read with the scale and zero point it was quantised with, got {steps} after {value.steps}",
            "quantise the model again",
        )
    return replace(value, steps=None)


def quantised(call: Call, value: Feature | Pointwise, steps: Steps, is_cut_at_zero: bool) -> Feature:
    """A value of floats as a quantised one, behind the ReLU that its saturation is."""
    feature = call.builder.feature(value)
    if is_cut_at_zero and not feature.never_negative and feature.node != INPUT:
        feature = call.builder.activated(Activation("relu"), feature)
    return replace(feature, steps=steps)


def _called(call: Call, operator: str, operands: Sequence[Value | None]) -> Call:
    """The same node as another operator on floats."""
    return replace(call, operator=operator, operands=tuple(operands))


def _input(call: Call, number: int) -> Feature:
    """An input with its scale and zero point behind it, as floats."""
    steps, _ = steps_of(call, number + 1)
    value = call.moved(number)
    if value.steps is None:
        raise call.refused("must read integers, got floats", "put a QuantizeLinear before it")
    return floats(call, value, steps)


def _operand(call: Call, number: int) -> Value:
    """An operand with its scale and zero point behind it, as floats: a value or a constant."""
    if isinstance(call.operand(number), Constant):
        zero = call.constant(number + 2) if call.has(number + 2) else np.zeros((), np.uint8)
        return Constant(real(call, call.constant(number), call.floats(number + 1), zero, -1))
    return _input(call, number)


def _output(call: Call, value: Value, number: int) -> Value:
    """The result as integers, where the node has a scale for it."""
    assert not isinstance(value, Constant)
    return quantised(call, value, *steps_of(call, number)) if call.has(number) else value


def _weighted(call: Call, number: int, axis: int) -> Constant:
    zero = call.constant(number + 2) if call.has(number + 2) else np.zeros((), np.int8)
    return Constant(real(call, call.constant(number), call.floats(number + 1), zero, axis))


def _bias(call: Call, number: int) -> Constant | None:
    """A bias of integers, whose scale is that of the products."""
    if not call.has(number):
        return None
    scale = call.floats(1) * call.floats(4)
    return Constant(real(call, call.constant(number), scale, np.zeros((), np.int32), 0))


def convolution(call: Call) -> Value:
    """QLinearConv."""
    operands = (_input(call, 0), _weighted(call, 3, 0), _bias(call, 8))
    return _output(call, layers.convolution(_called(call, "Conv", operands)), 6)


def matmul(call: Call) -> Value:
    """QLinearMatMul."""
    operands = (_input(call, 0), _weighted(call, 3, 1))
    return _output(call, layers.matmul(_called(call, "MatMul", operands)), 6)


def gemm(call: Call) -> Value:
    """QGemm."""
    axis = 0 if call.attribute("transB", 0) else 1
    if call.attribute("alpha", 1.0) != 1:
        raise call.refused("must have alpha=1", "scale the weights")
    operands = (_input(call, 0), _weighted(call, 3, axis), _bias(call, 6))
    return _output(call, layers.gemm(_called(call, "Gemm", operands)), 7)


def added(call: Call) -> Value:
    """QLinearAdd."""
    return _output(call, arithmetic.binary(_called(call, "Add", (_operand(call, 0), _operand(call, 3)))), 6)


def multiplied(call: Call) -> Value:
    """QLinearMul."""
    return _output(call, arithmetic.binary(_called(call, "Mul", (_operand(call, 0), _operand(call, 3)))), 6)


def leaky_relu(call: Call) -> Value:
    """QLinearLeakyRelu."""
    inner = _called(call, "LeakyRelu", (_input(call, 0),))
    return _output(call, arithmetic.activated(inner, "leaky_relu", call.attribute("alpha", 0.01)), 3)


def sigmoid(call: Call) -> Value:
    """QLinearSigmoid."""
    return _output(call, arithmetic.activated(_called(call, "Sigmoid", (_input(call, 0),)), "sigmoid"), 3)


def average_pool(call: Call) -> Value:
    """QLinearAveragePool."""
    call.require("channels_last", 0, call.transposed)
    return _output(call, layers.average_pool(_called(call, "AveragePool", (_input(call, 0),))), 3)


def global_average_pool(call: Call) -> Value:
    """QLinearGlobalAveragePool."""
    call.require("channels_last", 0, call.transposed)
    return _output(call, layers.global_average_pool(_called(call, "GlobalAveragePool", (_input(call, 0),))), 3)


def concat(call: Call) -> Value:
    """QLinearConcat: the output's scale and zero point come first."""
    count = (len(call.operands) - 2) // 3
    operands = [_input(call, 2 + 3 * i) for i in range(count)]
    return _output(call, shapes.concat(_called(call, "Concat", operands)), 0)
