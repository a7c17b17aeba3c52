"""Integer networks as ONNX models that give identical integers."""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from intnn.export.proved import INPUT, Proved
from intnn.layers.geometry import all_four, both
from intnn.layers.nodes import (
    Add,
    Concatenate,
    Conv2d,
    Dense,
    Flatten,
    IntPolynomial,
    Join,
    LutActivation,
    Node,
    Requantise,
    Reshape,
    Scale,
    Shape,
    SumPool2d,
)
from intnn.storage.document import file_path, write_atomically
from intnn.values.arrays import Array, IntArray
from intnn.values.domain import IntDomain

OPSET, IR_VERSION = 13, 7  # what onnxruntime reads since version 1.8
MAX_BYTES = (1 << 31) - 1  # of one protobuf
LIMIT = 1 << 63


def write_onnx(network: Proved, path: str | os.PathLike[str]) -> None:
    """Write an integer network as an ONNX model of the standard's operators, on int64.

    The model reads the integers that `IntNetwork.logits` reads, int64 [batch, *input_shape], by the name "input", and
    gives the same logits bit for bit, int64 [batch, classes], by the name "logits". Dense layers and convolutions whose
    worst case fits are MatMulInteger and ConvInteger on unsigned bytes, whose products no processor saturates; all else
    is arithmetic of int64, which does not overflow, since the network proves so. Tables are Gather; an input outside
    the domain, which `logits` refuses, gives an undefined result or an error there. The domain, the input's scale and
    the network's metadata lie in the model's metadata.

    Args:
        network: The network, usually an `IntNetwork`, whose method `to_onnx` calls this.
        path: The file, which appears whole or not at all.

    Raises:
        ValueError: A value can reach 2**63, or the model would have 2 GB or more.
        ImportError: The package onnx is not installed.
        OSError: The file cannot be written.
    """
    path = file_path(path)
    if max(network.bounds) >= LIMIT:
        raise ValueError(
            f"`network` must have all values below 2**63 to be an ONNX model, got {max(network.bounds)}; "
            "use fewer bits for inputs and weights"
        )
    writer = _Writer()
    names = {INPUT: "input"}
    hulls = {INPUT: network.input_domain}
    shapes = {INPUT: network.input_shape}
    for number, (layer, read) in enumerate(zip(network.layers, network.sources, strict=True)):
        operands = [names[source] for source in read]
        shapes[number], hulls[number] = network.shapes[number], network.intervals[number].hull
        place = _Place(hulls[read[0]], shapes[read[0]], shapes[number], network.bounds[number])
        names[number] = _written(writer, layer, operands, place)
    size = math.prod(network.shapes[-1])
    end = writer.reshaped(names[len(network.layers) - 1], (size,))
    write_atomically(path, writer.model(network, writer.add("Identity", end, output="logits"), size))


@dataclass(frozen=True)
class _Place:
    """Where a layer stands: what reaches it, and what can happen in it."""

    hull: IntDomain
    shape: Shape
    output_shape: Shape
    bound: int

    def in_bytes(self, weight: IntArray) -> bool:
        """Whether inputs and weights fit unsigned bytes around a zero point, and sums 32 bits."""
        spans = (_around_zero(self.hull.lo, self.hull.hi), _around_zero(int(weight.min()), int(weight.max())))
        return all(high - low < 256 for low, high in spans) and self.bound < 1 << 31


def _around_zero(low: int, high: int) -> tuple[int, int]:
    return min(low, 0), max(high, 0)


@dataclass
class _Writer:
    """Operators and constants so far."""

    nodes: list[Any] = field(default_factory=list)
    tensors: list[Any] = field(default_factory=list)
    bytes_so_far: int = 0

    def constant(self, values: Any, dtype: Any = np.int64) -> str:
        """The name of a constant."""
        array = np.ascontiguousarray(np.asarray(values, dtype))
        self.bytes_so_far += array.nbytes
        if self.bytes_so_far > MAX_BYTES:
            raise ValueError("`network` must fit an ONNX model of less than 2 GB; write it as .npz, by `save`")
        name = f"c{len(self.tensors)}"
        self.tensors.append(_onnx().numpy_helper.from_array(array, name))
        return name

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """The name of an operator's output."""
        output = output or f"v{len(self.nodes)}"
        self.nodes.append(_onnx().helper.make_node(operator, inputs, [output], f"n{len(self.nodes)}", **attributes))
        return output

    def reshaped(self, x: str, shape: Shape) -> str:
        """A batch with rows of another shape."""
        return self.add("Reshape", x, self.constant([-1, *shape]))

    def model(self, network: Proved, output: str, size: int) -> bytes:
        """The model's bytes."""
        onnx = _onnx()
        ends = [
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT64, ["batch", *shape])
            for name, shape in (("input", network.input_shape), (output, (size,)))
        ]
        graph = onnx.helper.make_graph(self.nodes, network.name or "network", ends[:1], ends[1:], self.tensors)
        opsets = [onnx.helper.make_opsetid("", OPSET)]
        model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="intnn")
        domain = network.input_domain
        about = {
            "input_domain": json.dumps([domain.lo, domain.hi, domain.modulus]),
            "input_scale": repr(network.input_scale),
            "metadata": json.dumps(network.metadata),
        }
        onnx.helper.set_model_props(model, about)
        encoded = model.SerializeToString()
        if len(encoded) > MAX_BYTES:
            raise ValueError("`network` must fit an ONNX model of less than 2 GB; write it as .npz, by `save`")
        return encoded


def _onnx() -> Any:
    try:
        import onnx
        import onnx.helper
        import onnx.numpy_helper
    except ImportError as error:
        raise ImportError("ONNX files need the package onnx: install the extra `onnx` of this package") from error
    return onnx


def _written(writer: _Writer, layer: Node | Join, x: Sequence[str], place: _Place) -> str:
    """Write a layer; the name of its output."""
    match layer:
        case Dense():
            products = _dense(writer, x[0], layer.weight, place)
            return writer.add("Add", products, writer.constant(layer.bias))
        case Conv2d():
            convolve = _convolved_bytes if place.in_bytes(layer.weight) else _convolved
            bias = writer.constant(layer.bias.reshape(-1, 1, 1))
            return writer.add("Add", convolve(writer, x[0], layer, place), bias)
        case Scale():
            along = (-1, *[1] * (len(place.shape) - 1))
            weight, bias = (writer.constant(p.reshape(along)) for p in (layer.weight, layer.bias))
            return writer.add("Add", writer.add("Mul", x[0], weight), bias)
        case SumPool2d():
            taps = _taps(writer, x[0], place, both(layer.size), both(layer.step), all_four(layer.padding), (1, 1))
            # By a product, since ReduceSum of onnxruntime 1.31 goes through float64.
            return writer.reshaped(
                writer.add("MatMul", taps, writer.constant(np.ones((layer.area, 1)))), place.output_shape
            )
        case Flatten() | Reshape():
            return writer.reshaped(x[0], place.output_shape)
        case Requantise():
            return _requantised(writer, x[0], layer, place)
        case LutActivation():
            index = writer.add("Sub", x[0], writer.constant(layer.lut.domain.lo))
            return writer.add("Gather", writer.constant(layer.lut.table), index, axis=0)
        case IntPolynomial():
            return _polynomial(writer, x[0], layer)
        case Add():
            total = x[0]
            for value in x[1:]:
                total = writer.add("Add", total, value)
            return total
        case Concatenate():
            return writer.add("Concat", *x, axis=1)
    raise TypeError(f"`network` must have layers of intnn, got {type(layer).__name__}; replace it by one of them")


def _dense(writer: _Writer, x: str, weight: IntArray, place: _Place) -> str:
    if not place.in_bytes(weight):
        return writer.add("MatMul", x, writer.constant(weight.T))
    values, zero = _byte_values(writer, x, place.hull)
    matrix, offset = _byte_weights(writer, weight.T)
    return writer.add("Cast", writer.add("MatMulInteger", values, matrix, zero, offset), to=_onnx().TensorProto.INT64)


def _convolved_bytes(writer: _Writer, x: str, layer: Conv2d, place: _Place) -> str:
    values, zero = _byte_values(writer, x, place.hull)
    kernel, offset = _byte_weights(writer, layer.weight)
    top, bottom, left, right = layer.borders
    made = writer.add(
        "ConvInteger",
        values,
        kernel,
        zero,
        offset,
        strides=layer.strides,
        dilations=layer.dilations,
        pads=(top, left, bottom, right),
        group=layer.groups,
    )
    return writer.add("Cast", made, to=_onnx().TensorProto.INT64)


def _byte_values(writer: _Writer, x: str, hull: IntDomain) -> tuple[str, str]:
    """Values as unsigned bytes, and the byte that stands for zero."""
    zero = -_around_zero(hull.lo, hull.hi)[0]
    shifted = writer.add("Add", x, writer.constant(zero))
    return writer.add("Cast", shifted, to=_onnx().TensorProto.UINT8), writer.constant(zero, np.uint8)


def _byte_weights(writer: _Writer, weight: Array) -> tuple[str, str]:
    """Weights alike: bytes of one sign on both sides are multiplied exactly, others saturate on some processors."""
    zero = -_around_zero(int(weight.min()), int(weight.max()))[0]
    return writer.constant(weight + zero, np.uint8), writer.constant(zero, np.uint8)


def _convolved(writer: _Writer, x: str, layer: Conv2d, place: _Place) -> str:
    """A convolution on int64, which onnxruntime has not: the pixels of each window, and a product of matrices."""
    out, inputs, *size = layer.weight.shape
    groups, positions = layer.groups, math.prod(place.output_shape[1:])
    taps = _taps(writer, x, place, (size[0], size[1]), layer.strides, layer.borders, layer.dilations)
    apart = writer.reshaped(taps, (groups, inputs, positions, math.prod(size)))
    rows = writer.add("Transpose", apart, perm=[0, 1, 3, 2, 4])  # batch, group, position, channel, tap
    rows = writer.reshaped(rows, (groups, positions, inputs * math.prod(size)))
    matrix = layer.weight.reshape(groups, out // groups, -1).transpose(0, 2, 1)
    products = writer.add("MatMul", rows, writer.constant(matrix))
    return writer.reshaped(writer.add("Transpose", products, perm=[0, 1, 3, 2]), place.output_shape)


def _taps(
    writer: _Writer,
    x: str,
    place: _Place,
    size: tuple[int, int],
    strides: tuple[int, int],
    borders: tuple[int, int, int, int],
    dilations: tuple[int, int],
) -> str:
    """The pixels of every window, [batch, channels, windows, taps], with zeros around the image."""
    channels, height, width = place.shape
    top, bottom, left, right = borders
    if any(borders):
        x = writer.add("Pad", x, writer.constant([0, 0, top, left, 0, 0, bottom, right]))
    height, width = height + top + bottom, width + left + right
    _, rows, columns = place.output_shape
    down = strides[0] * np.arange(rows)[:, None] + dilations[0] * np.arange(size[0])
    across = strides[1] * np.arange(columns)[:, None] + dilations[1] * np.arange(size[1])
    pixels = width * down[:, None, :, None] + across[None, :, None, :]
    flat = writer.reshaped(x, (channels, height * width))
    return writer.add("Gather", flat, writer.constant(pixels.reshape(rows * columns, -1)), axis=2)


def _requantised(writer: _Writer, x: str, layer: Requantise, place: _Place) -> str:
    """Floor division by a power of two: what remains modulo it is taken away, so that division is exact."""
    along = (-1, *[1] * (len(place.shape) - 1))
    value = writer.add("Mul", x, writer.constant(layer.multiplier.reshape(along)))
    if layer.shift:
        divisor = writer.constant(1 << layer.shift)
        value = writer.add("Add", value, writer.constant(1 << (layer.shift - 1)))
        value = writer.add("Div", writer.add("Sub", value, writer.add("Mod", value, divisor)), divisor)
    for comparison, end in (("Less", layer.domain.lo), ("Greater", layer.domain.hi)):
        limit = writer.constant(end)  # Clip, Min and Max of onnxruntime 1.31 are wrong for int64 beyond 32 bits
        value = writer.add("Where", writer.add(comparison, value, limit), limit, value)
    return value


def _polynomial(writer: _Writer, x: str, layer: IntPolynomial) -> str:
    """Horner's rule, none of whose values is larger than the sum of all terms."""
    total = x if layer.coefficients[-1] == 1 else writer.add("Mul", x, writer.constant(layer.coefficients[-1]))
    for coefficient in layer.coefficients[-2:0:-1]:
        if coefficient:
            total = writer.add("Add", total, writer.constant(coefficient))
        total = writer.add("Mul", total, x)
    constant = layer.coefficients[0]
    return writer.add("Add", total, writer.constant(constant)) if constant else total
