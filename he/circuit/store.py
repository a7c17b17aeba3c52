"""Circuits as files, and the digest that names a circuit."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from he.circuit.circuit import Circuit, require_circuit
from he.circuit.interface import Interface
from he.circuit.residues import ResidueCircuit
from he.formats import stored
from he.program.serialise import from_document, to_document

KIND = "circuit"


def save(circuit: Circuit | ResidueCircuit, path: str | os.PathLike[str]) -> None:
    """Write a circuit to a file, whole or not at all. The file holds the weights, so it is the model owner's.

    Raises:
        StoredError: if the circuit is too large for a file, or the machine is big-endian.
        TypeError: if `circuit` is no circuit, or `path` no path.
        OSError: if the file cannot be written.
    """
    stored.write(path, KIND, *to_stored(circuit))


def load(path: str | os.PathLike[str]) -> Circuit | ResidueCircuit:
    """Read a circuit that `save` wrote.

    Raises:
        StoredError: if the file is damaged, foreign, or of another version, or the machine is big-endian.
        OSError: if the file cannot be read.
    """
    return from_stored(*stored.read(path, KIND))


def digest(circuit: Circuit | ResidueCircuit) -> str:
    """Return SHA-256 over the whole circuit, weights included, in hexadecimal digits."""
    content, arrays = to_stored(circuit)
    result = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        result.update(f"{name} {array.dtype.name} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return result.hexdigest()


def to_stored(circuit: Circuit | ResidueCircuit) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return what a file holds of a circuit: JSON types, and arrays by name; those of residues begin with a number."""
    if isinstance(circuit, ResidueCircuit):
        each = [to_stored(one) for one in circuit.circuits]
        content = {"reach_bits": circuit.reach_bits, "reasons": list(circuit.reasons)}
        return {**content, "circuits": [one for one, _ in each]}, joined([arrays for _, arrays in each])
    program, arrays = to_document(require_circuit(circuit).program)
    arrays |= {f"gather.{i}": table for i, table in enumerate(circuit.interface.tables)}
    content = {
        "interface": circuit.interface.to_dict(),
        "program": program,
        "output_bound": circuit.output_bound,
        "reasons": list(circuit.reasons),
        "salt": circuit.salt.hex(),
    }
    return content, arrays


def from_stored(content: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Circuit | ResidueCircuit:
    """Return the circuit that `to_stored` wrote.

    Raises:
        StoredError: if anything is missing or malformed.
    """
    try:
        if "circuits" in content:
            parts = zip(content["circuits"], divided(arrays, len(content["circuits"])), strict=True)
            each = tuple(_one(*part) for part in parts)
            return ResidueCircuit(each, content["reach_bits"], tuple(map(str, content["reasons"])))
        return _one(content, arrays)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise stored.StoredError(f"the stored circuit is malformed: {error}") from error


def joined(each: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return the arrays of several circuits under names that begin with the circuit's number."""
    return {f"{i}.{name}": array for i, arrays in enumerate(each) for name, array in arrays.items()}


def divided(arrays: Mapping[str, np.ndarray], count: int) -> list[dict[str, np.ndarray]]:
    """Return the arrays of each of `count` circuits that `joined` has named."""
    each: list[dict[str, np.ndarray]] = [{} for _ in range(count)]
    for name, array in arrays.items():
        number, _, own = name.partition(".")
        if number.isdecimal() and int(number) < count:
            each[int(number)][own] = array
    return each


def _one(content: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Circuit:
    return Circuit(
        Interface.from_dict(content["interface"], _tables(arrays)),
        from_document(content["program"], arrays),
        float(content["output_bound"]),
        tuple(map(str, content["reasons"])),
        bytes.fromhex(content["salt"]),
    )


def _tables(arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Return the tables of the interface's inputs, which are numbered."""
    return [arrays[name] for name in map("gather.{}".format, range(len(arrays))) if name in arrays]
