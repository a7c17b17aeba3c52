"""Programs that `torch.export.save` has written, read without running anything that stands in the file.

torch's own reader unpickles some parts of a file, evaluates expressions and imports modules that it names. So a file is
looked at first, and what torch reads is written anew: tensors as bytes, operators of ATen by name, and nothing else.
"""

import io
import json
import math
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.pt2_archive._package import PT2ArchiveWriter
from torch.utils import _pytree as pytree

from plaintext_models.bridge.tracing.quiet import quiet

LARGEST = 1 << 31  # bytes of a file
_TARGET = re.compile(r"torch\.ops\.aten\.\w+\.\w+|_operator\.getitem")
#: Sizes as torch writes them: sums and products of numbers and symbols such as s0, and no other call or power.
_EXPRESSION = re.compile(
    r"((Symbol|Integer|Mul|Add)\(|'[a-z]\d{1,9}'|[a-z]\d{1,9}\b|\d{1,9}\b|\w+=(True|False)|[ ,()+-]|\*(?!\*))+"
)
_PAYLOAD = re.compile(r"(weight|tensor)_\d+")
_FOREIGN = ("as_graph", "as_graphs", "as_custom_obj", "as_operator", "as_complex", "as_float_list_graph")
_ARGUMENTS: Any = ((0,), {})  # of a module with one input
_SPECS = ("parameter", "buffer", "tensor_constant", "user_input", "user_output")


def read_program(path: str | os.PathLike[str]) -> ExportedProgram:
    """Read a program from one tensor to one tensor.

    Raises:
        ValueError: The file is none that `torch.export.save` writes, is damaged, or holds what could run: pickled
            objects, compiled code, operators of others.
        OSError: The file cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            content = _written_anew(archive)
        with quiet():
            return torch.export.load(content)
    except OSError:
        raise
    except _ForeignError as error:
        raise ValueError(
            f"`{os.fspath(path)}` must hold a program of tensors and torch's operators, got {error}"
        ) from None
    except Exception as error:  # whatever a damaged file makes of its reader
        text = (str(error).strip().splitlines() or [""])[0]
        raise ValueError(
            f"`{os.fspath(path)}` must be a file of `torch.export.save`, got {type(error).__name__}: {text}"
        ) from error


class _ForeignError(Exception):
    """Something that is not read."""


def _written_anew(archive: zipfile.ZipFile) -> io.BytesIO:
    entries = {entry.filename.partition("/")[2]: entry for entry in archive.infolist()}
    if sum(entry.file_size for entry in entries.values()) > LARGEST or any(e.compress_type for e in entries.values()):
        raise _ForeignError(f"compressed parts, or more than {LARGEST} bytes")
    if any(name.startswith(("data/aotinductor/", "data/executorch/")) for name in entries):
        raise _ForeignError("compiled code; save the program with torch.export.save")
    if "models/model.json" not in entries:
        raise _ForeignError("none; save one with torch.export.save")
    content = io.BytesIO()
    with PT2ArchiveWriter(content) as writer:
        writer.write_bytes(
            "models/model.json", json.dumps(_program(_read(archive, entries, "models/model.json"))).encode()
        )
        writer.write_bytes("data/sample_inputs/model.pt", b"")
        for folder, name in (("data/weights/", "model_weights_config"), ("data/constants/", "model_constants_config")):
            described = _read(archive, entries, f"{folder}{name}.json")
            writer.write_bytes(f"{folder}{name}.json", json.dumps(described).encode())
            for payload in sorted({_payload(key, held) for key, held in described["config"].items()}):
                data = archive.read(entries[folder + payload])
                for key, held in described["config"].items():
                    if held["path_name"] == payload:
                        _require_size(key, held["tensor_meta"], len(data))
                writer.write_bytes(folder + payload, data)
    content.seek(0)
    return content


def _read(archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo], name: str) -> Any:
    return json.loads(archive.read(entries[name]))


def _payload(key: str, held: Mapping[str, Any]) -> str:
    """The part of the archive that holds a tensor's bytes."""
    if held["use_pickle"] or not _PAYLOAD.fullmatch(held["path_name"]):
        raise _ForeignError(f"a pickled object as {key}; save a module whose state is plain tensors")
    return str(held["path_name"])


def _require_size(key: str, meta: Mapping[str, Any], size: int) -> None:
    """Refuse a tensor that announces more than is there."""
    if math.prod(side["as_int"] for side in meta["sizes"]) > size:  # a byte or more for each element
        raise _ForeignError(f"{size} bytes for {key}, fewer than its shape needs")


def _program(document: dict[str, Any]) -> dict[str, Any]:
    """A program's description with nothing that torch would evaluate or import."""
    module = document["graph_module"]
    graph = module["graph"]
    for node in graph["nodes"]:
        if not _TARGET.fullmatch(node["target"]):
            raise _ForeignError(f"the operator {node['target']}; build the module of torch's own operators")
        stack = node["metadata"].get("nn_module_stack")
        node["metadata"] = {} if stack is None else {"nn_module_stack": str(stack)}
    if graph.get("custom_obj_values"):
        raise _ForeignError("objects that are no tensors")
    for key, value in _members(document):
        if key in _FOREIGN and value is not None:
            raise _ForeignError(f"a part of the kind {key}")
        if key == "expr_str" and not _EXPRESSION.fullmatch(str(value)):
            raise _ForeignError(f"the size {value}; export the program with a fixed size, or a batch that is free")
    specs = [kind for part in ("input_specs", "output_specs") for spec in module["signature"][part] for kind in spec]
    if strange := sorted({*specs} - {*_SPECS}):
        raise _ForeignError(f"inputs or outputs of the kind {', '.join(strange)}; export the module in evaluation mode")
    if specs.count("user_input") != 1 or specs.count("user_output") != 1:
        raise _ForeignError("several inputs or outputs; export a module from one tensor to one tensor")
    pair, one = (pytree.treespec_dumps(pytree.tree_structure(tree)) for tree in (_ARGUMENTS, 0))
    signature: dict[str, Any] = {
        "inputs": [],
        "outputs": [],
        "in_spec": pair,
        "out_spec": one,
        "forward_arg_names": None,
    }
    module["module_call_graph"] = [{"fqn": "", "signature": signature}]
    return {**document, "graph_module": {**module, "treespec_namedtuple_fields": {}}, "guards_code": []}


def _members(tree: Any) -> Iterator[tuple[str, Any]]:
    """Every key of a document with its value, however deep."""
    waiting = [tree]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield from part.items()
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
