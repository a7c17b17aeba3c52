"""From ONNX files to float graphs."""

import math
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from intnn.convert.errors import ConversionError
from intnn.convert.labels import class_labels
from intnn.convert.onnx import arithmetic, layers, quantised, resized, shapes
from intnn.convert.onnx.builder import Builder, tidied
from intnn.convert.onnx.call import Call
from intnn.convert.onnx.file import OLDEST_OPSET, import_onnx, place_of, read_model, tensor_array
from intnn.convert.onnx.values import INPUT, Constant, Feature, Value
from intnn.network.fold import fold_scales
from intnn.network.graph import Graph

_STANDARD = ("", "ai.onnx")
_MICROSOFT = "com.microsoft"

#: The reader of every operator, by domain and name.
_READERS: Mapping[tuple[str, str], Callable[[Call], Value]] = MappingProxyType(
    {("", name): reader for name, reader in {
        "Abs": arithmetic.magnitude,
        "Add": arithmetic.binary,
        "AveragePool": layers.average_pool,
        "BatchNormalization": layers.batch_normalisation,
        "Cast": shapes.cast,
        "Celu": arithmetic.celu,
        "Clip": arithmetic.clip,
        "Concat": shapes.concat,
        "Constant": shapes.constant,
        "ConstantOfShape": shapes.constant_of_shape,
        "Conv": layers.convolution,
        "ConvTranspose": resized.transposed,
        "DequantizeLinear": quantised.dequantise,
        "Div": arithmetic.binary,
        "Dropout": shapes.identity,
        "Elu": arithmetic.activation("elu", ("alpha", 1.0)),
        "Erf": arithmetic.erf,
        "Flatten": shapes.flatten,
        "Gather": shapes.gather,
        "Gelu": arithmetic.gelu,
        "Gemm": layers.gemm,
        "GlobalAveragePool": layers.global_average_pool,
        "GlobalMaxPool": layers.global_max_pool,
        "HardSigmoid": arithmetic.hard_sigmoid,
        "HardSwish": arithmetic.activation("hardswish"),
        "Identity": shapes.identity,
        "LeakyRelu": arithmetic.activation("leaky_relu", ("alpha", 0.01)),
        "MatMul": layers.matmul,
        "Max": arithmetic.extremum(is_minimum=False),
        "MaxPool": layers.max_pool,
        "Min": arithmetic.extremum(is_minimum=True),
        "Mish": arithmetic.activation("mish"),
        "Mul": arithmetic.binary,
        "Neg": arithmetic.negated,
        "PRelu": arithmetic.leaky,
        "Pad": layers.pad,
        "Pow": arithmetic.power,
        "QLinearConv": quantised.convolution,
        "QLinearMatMul": quantised.matmul,
        "QuantizeLinear": quantised.quantise,
        "ReduceMean": layers.reduce_mean,
        "Relu": arithmetic.activation("relu"),
        "Reshape": shapes.reshape,
        "Resize": resized.resized,
        "Selu": arithmetic.selu,
        "Shape": shapes.shape_of,
        "Sigmoid": arithmetic.activation("sigmoid"),
        "Slice": shapes.slice_of,
        "Softplus": arithmetic.activation("softplus"),
        "Softsign": arithmetic.activation("softsign"),
        "Sqrt": arithmetic.square_root,
        "Squeeze": shapes.squeeze,
        "Sub": arithmetic.binary,
        "Swish": arithmetic.swish,
        "Tanh": arithmetic.activation("tanh"),
        "Transpose": shapes.transpose,
        "Unsqueeze": shapes.unsqueeze,
        "Upsample": resized.resized,
    }.items()}
    | {(_MICROSOFT, name): reader for name, reader in {
        "DequantizeLinear": quantised.dequantise,
        "Gelu": arithmetic.gelu,
        "QGemm": quantised.gemm,
        "QLinearAdd": quantised.added,
        "QLinearAveragePool": quantised.average_pool,
        "QLinearConcat": quantised.concat,
        "QLinearGlobalAveragePool": quantised.global_average_pool,
        "QLinearLeakyRelu": quantised.leaky_relu,
        "QLinearMul": quantised.multiplied,
        "QLinearSigmoid": quantised.sigmoid,
        "QuantizeLinear": quantised.quantise,
    }.items()}
)  # fmt: skip

_AT_THE_END = "a softmax is read over all outputs at the end alone, where it is left to the client"
#: What to do about some of the others.
_REMEDIES: Mapping[str, str] = MappingProxyType(
    {
        "ArgMax": "leave it to the client, who sees the outputs: export the model without it",
        "TopK": "leave it to the client, who sees the outputs: export the model without it",
        "ConvInteger": "quantise the model statically (QDQ), or convert its float original",
        "DynamicQuantizeLinear": "quantise the model statically (QDQ), or convert its float original",
        "GatherND": 'give the module itself, which may pool adaptively to any size, and resize by mode="nearest-exact"',
        **dict.fromkeys(("GRU", "LSTM", "RNN"), "unrolled networks of dense layers can be read, recurrent ones cannot"),
        "InstanceNormalization": "train with BatchNormalization, whose factors are constants",
        "LayerNormalization": "train with BatchNormalization, whose factors are constants",
        "GroupNormalization": "train with BatchNormalization, whose factors are constants",
        "MatMulInteger": "quantise the model statically (QDQ), or convert its float original",
        "Split": "leave gates (GLU) out: encrypted networks add branches and do not multiply them",
        "Softmax": _AT_THE_END,
        "LogSoftmax": _AT_THE_END,
    }
)
_LINKS = {"Softmax": "softmax", "LogSoftmax": "softmax", "Sigmoid": "logistic"}


def from_onnx(path: str | os.PathLike[str], classes: Sequence[Any] | None = None) -> Graph:
    """Convert an ONNX model with one input and one output.

    Read are float32 and float64 models of dense layers, convolutions over one or two axes, plain and transposed,
    resizing to the nearest pixels or linearly, batch normalisation, pooling, activations, sums and concatenations of
    branches, scaling by constants, and whatever moves values between them; opsets from 7 on. A softmax or a sigmoid at
    the end is left to the client: `metadata["link"]` says so, see `intnn.convert.labels`. Quantised models, with
    QuantizeLinear and DequantizeLinear or with QLinear operators, are read as the float network of their dequantised
    weights, which neither rounds nor saturates between layers; `metadata["quantised"]` is then true.

    Args:
        path: The file; its weights lie in it.
        classes: A label for each output, or two for a single one; they are kept as `metadata["classes"]`.

    Raises:
        ConversionError: The file is damaged, or a part of it has no equal among the nodes of a graph; the message says
            which, and what to do.
        ImportError: The package onnx is not installed.
        OSError: The file cannot be read.
    """
    model = read_model(path)
    _require_read(model)
    reader = _Reader(model)
    for node in model.graph.node:
        reader.read(node)
    return reader.graph(path, classes)


class _Reader:
    """What the names of a file stand for, node after node."""

    def __init__(self, model: Any):
        self._model = model
        self._opset = max((o.version for o in model.opset_import if o.domain in _STANDARD), default=OLDEST_OPSET)
        self._output = _only(model.graph.output, "output", "leave the others out when you export it").name
        self._readers = Counter(name for node in model.graph.node for name in node.input)
        self._readers[self._output] += 1
        self._last = self._names_of_the_answer()
        self._link: str | None = None
        self._is_quantised = False
        self._values: dict[str, Value] = {t.name: Constant(tensor_array(t)) for t in model.graph.initializer}
        given = _only(
            [i for i in model.graph.input if i.name not in self._values],
            "input",
            "concatenate them before the model, or export a part of it",
        )
        try:
            self._builder = Builder(_input_shape(given))
        except ConversionError:
            raise
        except (TypeError, ValueError) as error:
            raise ConversionError(f"input {given.name!r}", f"does not fit: {error}") from None
        self._values[given.name] = Feature(INPUT, self._builder.input_shape)

    def read(self, node: Any) -> None:
        """Take in one node, whose operands have been read before."""
        place = place_of(node)
        missing = [name for name in node.input if name and name not in self._values]
        if missing:
            raise ConversionError(
                place, f"must read what stands before it, got {missing[0]!r}", "nodes must be sorted, without a cycle"
            )
        domain = _domain(node)
        extra = [name for name in node.output[1:] if self._readers[name]]
        if extra:
            raise ConversionError(place, f"must have one output that is read, got {extra[0]!r}", "export it without")
        call = Call(
            node.op_type,
            tuple(self._values[name] if name else None for name in node.input),
            _attributes(node),
            self._opset,
            self._builder,
            place,
        )
        reader = self._reader(call, domain, is_last=node.output[0] in self._last)
        try:
            self._values[node.output[0]] = reader(call)
        except ConversionError:
            raise
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            raise ConversionError(place, f"does not fit: {error}", "export the model again") from error
        self._forget(node.input)

    def _forget(self, names: Sequence[str]) -> None:
        """Give free what no later node reads."""
        self._readers.subtract(names)
        for name in set(names):
            if not self._readers[name]:
                self._values.pop(name, None)

    def graph(self, path: str | os.PathLike[str], classes: Sequence[Any] | None) -> Graph:
        """The graph of what was read."""
        value = self._values.get(self._output)
        if value is None or isinstance(value, Constant):
            raise ConversionError(f"output {self._output!r}", "must depend on the input", "export the model again")
        result = self._builder.feature(value)
        if result.order is not None:
            raise ConversionError(f"output {self._output!r}", "must not be transposed", Call.transposed)
        result = self._builder.in_shape(result, result.shape)
        if result.node == INPUT:
            raise ConversionError(f"output {self._output!r}", "must be calculated, got the input itself")
        nodes, inputs = tidied(self._builder.nodes, self._builder.inputs, result.node)
        metadata: dict[str, Any] = {"source": "onnx", "opset": self._opset}
        if self._link is not None:
            metadata["link"] = self._link
        if self._model.producer_name:
            metadata["producer"] = _text(self._model.producer_name)
        if self._is_quantised:
            metadata["quantised"] = True
        if classes is not None:
            metadata["task"] = "classification"
            metadata["classes"] = class_labels(classes, math.prod(result.shape), "`classes`")
        name = _text(self._model.graph.name) or Path(path).stem
        return fold_scales(Graph(self._builder.input_shape, tuple(nodes), name, metadata, tuple(inputs)))

    def _reader(self, call: Call, domain: str, is_last: bool) -> Callable[[Call], Value]:
        """How an operator is read: a link at the end is left to the client."""
        if domain == "" and call.operator in _LINKS and is_last and self._may_be_left_out(call):
            self._link = _LINKS[call.operator]
            return lambda call: call.floating(0)
        reader = _READERS.get((domain, call.operator))
        if reader is None:
            raise _unread(call.place, call.operator, domain)
        self._is_quantised |= reader.__module__ == quantised.__name__
        return reader

    def _may_be_left_out(self, call: Call) -> bool:
        """Whether a link works on the outputs: a softmax on all of them, a sigmoid on what is calculated."""
        value = call.floating(0)
        shape = value.shape if isinstance(value, Feature) else value.base.shape
        if call.operator == "Sigmoid":
            return not (isinstance(value, Feature) and value.node == INPUT)
        axis = call.attribute("axis", -1 if self._opset >= 13 else 1)
        return len(shape) == 1 and call.axes(axis, 2) == [1]

    def _names_of_the_answer(self) -> set[str]:
        """The output, and what it is a copy of."""
        producers = {name: node for node in self._model.graph.node for name in node.output}
        names, name = {self._output}, self._output
        for _ in self._model.graph.node:  # as far as there may be copies, even in a circle
            node = producers.get(name)
            if node is None or node.op_type not in ("Identity", "Dropout", "Cast") or self._readers[node.input[0]] > 1:
                break
            name = node.input[0]
            names.add(name)
        return names


def _require_read(model: Any) -> None:
    """Refuse an operator that is never read before all that stands around it and could be refused for its sake."""
    for node in model.graph.node:
        key = domain, operator = _domain(node), node.op_type
        if key not in _READERS and not (domain == "" and operator in _LINKS):
            raise _unread(place_of(node), operator, domain)


def _unread(place: str, operator: str, domain: str) -> ConversionError:
    """What to raise of an operator that is not read where it stands."""
    if domain not in ("", _MICROSOFT):
        remedy = "convert its original; models of scikit-learn are read by `from_sklearn`"
    else:
        remedy = _REMEDIES.get(operator, "leave it out, or put operators in its place that are read")
    return ConversionError(place, "must be of an operator that is read, got another", remedy)


def _domain(node: Any) -> str:
    """The domain of a node's operator, empty for the standard one."""
    return "" if node.domain in _STANDARD else str(node.domain)


def _only(values: Sequence[Any], what: str, remedy: str) -> Any:
    if len(values) != 1:
        names = ", ".join(repr(value.name) for value in values) or "none"
        raise ConversionError("the model", f"must have one {what}, got {names}", remedy)
    return values[0]


def _input_shape(given: Any) -> tuple[int, ...]:
    """The shape of one input: floats, with a batch axis that is open or 1, and fixed sides behind it."""
    kinds = import_onnx().TensorProto
    place = f"input {given.name!r}"
    tensor = given.type.tensor_type
    if tensor.elem_type not in (kinds.FLOAT, kinds.DOUBLE):
        names = {number: name for name, number in kinds.DataType.items()}
        kind = names.get(tensor.elem_type, "no tensor")
        remedy = (
            "convert the model to float32" if "FLOAT" in kind else "export it for floats, and scale images beforehand"
        )
        raise ConversionError(place, f"must be of float32 or float64, got {kind}", remedy)
    sides = list(tensor.shape.dim)
    if len(sides) < 2:
        raise ConversionError(
            place, f"must have a batch axis and others behind it, got {len(sides)} axes", "export it for a batch"
        )
    batch, *rest = sides
    if batch.HasField("dim_value") and batch.dim_value not in (0, 1):
        raise ConversionError(
            place, f"must have an open batch axis or one of 1, got {batch.dim_value}", "export it for one row or any"
        )
    for side in rest:
        if not side.HasField("dim_value") or side.dim_value < 1:
            got = side.dim_param or "an open side"
            raise ConversionError(
                place, f"must have fixed sides behind the batch axis, got {got}", "export it for one size of input"
            )
    return tuple(side.dim_value for side in rest)


def _text(text: Any) -> str:
    """A text of a file, which protobuf gives as bytes where they are no UTF-8."""
    return text if isinstance(text, str) else text.decode(errors="replace")


def _attributes(node: Any) -> dict[str, Any]:
    onnx = import_onnx()
    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
