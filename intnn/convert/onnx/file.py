"""ONNX files as bytes: nothing is made of what a file announces before it is known to be there."""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from intnn.convert.errors import ConversionError
from intnn.storage.document import file_path
from intnn.values.arrays import Array

MAX_FILE_BYTES = (1 << 31) - 1  # what protobuf reads in one piece
MAX_NODES = 3_000  # networks for encrypted inference have hundreds
OLDEST_OPSET = 7

_CONTROL_FLOW = ("If", "Loop", "Scan", "SequenceMap")


def read_model(path: str | os.PathLike[str]) -> Any:
    """Parse and check an ONNX file.

    Returns:
        The `ModelProto`: of one graph without subgraphs, its nodes in order, every name defined once.

    Raises:
        ConversionError: The file is truncated, foreign, too large, keeps its weights elsewhere, or is of an opset that
            is not read.
        ImportError: The package onnx is not installed.
        OSError: The file cannot be read at all.
    """
    onnx = import_onnx()
    path = file_path(path)
    place = f"file {path.name!r}"
    model = _parsed(onnx, path, place)
    _require_opsets(onnx, model, place)
    if len(model.graph.node) > MAX_NODES:
        raise ConversionError(
            place, f"must have at most {MAX_NODES} nodes, got {len(model.graph.node)}", "convert a part of the model"
        )
    if model.functions:
        name = model.functions[0].name
        raise ConversionError(
            place,
            f"must have no functions of its own, got {name!r}",
            "write the result of onnx.inliner.inline_local_functions",
        )
    for node in model.graph.node:
        if node.op_type in _CONTROL_FLOW:
            raise ConversionError(
                place_of(node), "must not depend on values, got control flow", "export the branch that is taken"
            )
    for tensor in _tensors(model.graph):
        require_inside(tensor)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        said = " ".join(str(error).split("\n\n")[0].split())
        raise ConversionError(place, f"must be valid ONNX: {said}", "export the model again") from None
    return model


def import_onnx() -> Any:
    """The package onnx; an ImportError says how to have it."""
    try:
        import onnx
        import onnx.checker
        import onnx.numpy_helper
    except ImportError as error:
        raise ImportError("ONNX files need the package onnx: install the extra `onnx` of this package") from error
    return onnx


def place_of(node: Any) -> str:
    """How messages call a node of a file."""
    name = f"{node.name!r} " if node.name else ""
    output = node.output[0] if node.output else ""
    domain = f"{node.domain}." if node.domain else ""
    return f"node {name}({domain}{node.op_type}, which gives {output!r})"


def tensor_array(tensor: Any) -> Array:
    """The values of a tensor of a file.

    Raises:
        ConversionError: There are fewer or more than its shape says, or they are of a type that is not read.
    """
    onnx = import_onnx()
    place = _name(tensor)
    require_inside(tensor)
    kinds = onnx.TensorProto
    if tensor.data_type in (kinds.FLOAT16, kinds.BFLOAT16):
        raise ConversionError(place, "must not be of a half type", "convert the model to float32")
    read = (kinds.FLOAT, kinds.DOUBLE, kinds.INT64, kinds.INT32, kinds.INT16, kinds.UINT16, kinds.INT8, kinds.UINT8)
    if tensor.data_type not in (*read, kinds.BOOL):
        names = {number: name for name, number in kinds.DataType.items()}
        raise ConversionError(
            place,
            f"must hold float32, float64 or integers of 8 to 64 bits, got {names.get(tensor.data_type, 'no type')}",
            "convert the model to float32",
        )
    if any(side < 0 for side in tensor.dims):
        raise ConversionError(place, f"must have a shape, got {list(tensor.dims)}")
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    count = math.prod(tensor.dims)
    if tensor.HasField("raw_data"):
        expected, found, unit = count * dtype.itemsize, len(tensor.raw_data), "bytes"
    else:
        field = {kinds.FLOAT: "float_data", kinds.DOUBLE: "double_data", kinds.INT64: "int64_data"}
        expected, found, unit = count, len(getattr(tensor, field.get(tensor.data_type, "int32_data"))), "values"
    if expected != found:
        raise ConversionError(
            place, f"must hold {expected} {unit} for shape {list(tensor.dims)}, got {found}", "export the model again"
        )
    try:
        return np.asarray(onnx.numpy_helper.to_array(tensor))
    except (TypeError, ValueError, OverflowError) as error:
        raise ConversionError(place, f"must be a tensor: {error}", "export the model again") from None


def require_inside(tensor: Any) -> None:
    """Refuse a tensor whose values lie in another file."""
    if tensor.data_location or tensor.external_data:
        raise ConversionError(
            _name(tensor),
            "must lie in the file itself, got external data",
            "export it with external_data=False, or save it by onnx.save_model(onnx.load(path), path)",
        )


def _name(tensor: Any) -> str:
    return f"tensor {tensor.name!r}" if tensor.name else "a tensor without a name"


def _parsed(onnx: Any, path: Path, place: str) -> Any:
    from google.protobuf.message import DecodeError

    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_FILE_BYTES:
            raise ConversionError(
                place, f"must have less than 2 GB, got {size} bytes", "such models are not for encrypted inference"
            )
        encoded = file.read(size)  # and no more: the file may grow, and a device has no end
    model = onnx.ModelProto()
    try:
        model.ParseFromString(encoded)
    except (DecodeError, RuntimeError, ValueError) as error:
        raise ConversionError(
            place, f"must be an ONNX model, got what protobuf cannot read ({error})", "it may be truncated or foreign"
        ) from None
    if not model.ir_version or not model.graph.node:
        raise ConversionError(
            place, "must be an ONNX model with at least one node, got none", "it may be empty, truncated or foreign"
        )
    return model


def _require_opsets(onnx: Any, model: Any, place: str) -> None:
    newest = onnx.defs.onnx_opset_version()
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx") and not OLDEST_OPSET <= opset.version <= newest:
            raise ConversionError(
                place,
                f"must be of an opset from {OLDEST_OPSET} to {newest}, got {opset.version}",
                "export it with another one, or use onnx.version_converter.convert_version",
            )


def _tensors(graph: Any) -> Iterator[Any]:
    """The tensors that a graph holds, those of its nodes too."""
    if graph.sparse_initializer:
        name = graph.sparse_initializer[0].values.name
        raise ConversionError(f"tensor {name!r}", "must be dense, got a sparse one", "export dense weights")
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
