"""Programs as JSON beside arrays: `to_document` writes them, and `from_document` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from he.program.operations import OPERATIONS, Matrix, Operation, Plain, Scalar, Source
from he.program.program import Program

#: Integer plaintexts are stored in this type if they fit it, and as int64 otherwise.
STORED_INTEGERS = np.int32


def to_document(program: Program) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the program as JSON types, and its plaintexts and matrices as arrays by name."""
    arrays: dict[str, np.ndarray] = {}
    if program.plaintexts:
        plaintexts = np.stack(program.plaintexts)
        small = plaintexts.dtype == np.int64 and np.abs(plaintexts).max() <= np.iinfo(STORED_INTEGERS).max
        arrays["plaintexts"] = plaintexts.astype(STORED_INTEGERS) if small else plaintexts
    operations = []
    for position, operation in enumerate(program.operations):
        if isinstance(operation, Matrix):
            arrays[f"weights.{position}"], arrays[f"constants.{position}"] = operation.weights, operation.constants
        operations.append([type(operation).__name__, *(_written(v) for v in _values(operation))])
    content = {
        "slots": program.slots,
        "inputs": [[source.owner, source.kind] for source in program.inputs],
        "operations": operations,
        "outputs": list(program.outputs),
        **({"guards": program.guards} if program.guards else {}),
    }
    return content, arrays


def from_document(content: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Program:
    """Return the program that `to_document` wrote.

    Raises:
        ValueError: if anything is missing or malformed.
    """
    try:
        operations = tuple(_read(position, entry, arrays) for position, entry in enumerate(content["operations"]))
        plaintexts = arrays.get("plaintexts", np.empty((0, content["slots"])))
        if plaintexts.ndim != 2 or plaintexts.shape[1] != content["slots"] or not np.isfinite(plaintexts).all():
            raise ValueError(f"plaintexts must be finite and [count, {content['slots']}], got {plaintexts.shape}")
        if plaintexts.dtype == STORED_INTEGERS:
            plaintexts = plaintexts.astype(np.int64)
        return Program(
            slots=content["slots"],
            inputs=tuple(Source(owner, kind) for owner, kind in content["inputs"]),
            operations=operations,
            plaintexts=tuple(plaintexts),
            outputs=tuple(content["outputs"]),
            guards=content.get("guards", 0),
        )
    except (KeyError, TypeError, IndexError, OverflowError) as error:
        raise ValueError(f"the program is malformed: {error!r}") from error


def _values(operation: Operation) -> list[Any]:
    """Return the fields of an operation in their order, without its arrays."""
    values = (getattr(operation, field.name) for field in fields(operation))
    return [value for value in values if not isinstance(value, np.ndarray)]


def _written(value: Any) -> Any:
    match value:
        case Plain(index, level, scale):
            return [index, level, scale]
        case Scalar(number, level, scale):
            return [number, level, scale]
        case tuple():
            return [_written(part) for part in value]
    return value


def _read(position: int, entry: list[Any], arrays: Mapping[str, np.ndarray]) -> Operation:
    name, *values = entry
    match name:
        case "PlainDot" | "CipherDot":
            args, plains = values
            return OPERATIONS[name](tuple(args), tuple(Plain(*plain) for plain in plains))
        case "ScalarDot":
            args, scalars, constant = values
            return OPERATIONS[name](tuple(args), tuple(Scalar(*s) for s in scalars), Scalar(*constant))
        case "AddPlain" | "AddCipher":
            args, plain = values
            return OPERATIONS[name](tuple(args), Plain(*plain))
        case "Matrix":
            args, *rest = values
            weights, constants = arrays[f"weights.{position}"], arrays[f"constants.{position}"]
            return Matrix(tuple(args), weights, constants, *rest)
    if name not in OPERATIONS:
        raise ValueError(f"an operation must be one of {', '.join(OPERATIONS)}, got {name!r}")
    return OPERATIONS[name](*(tuple(value) if isinstance(value, list) else value for value in values))
