"""The envelope that every row travels in, and the reader of files of rows.

A file of rows is one of three:

- ``.json`` with an object ``{"rows": [envelope, ...], "command": "..."}``: what a command measured, and its arguments;
- ``.json`` with a list of envelopes;
- ``.jsonl`` with one envelope a line: a record that later commands add to.

An envelope is an object with these fields, and no others:

====================  ==================================================================================================
``case``              The name of the case, as on the command line: "table".
``schema``            The version of the row's fields, an integer from 1. A field that only is added leaves it as it is.
``version``           The version of this package.
``seed``              The seed that the command was given; null for a case that draws nothing at random.
``date``              When the command began: UTC, ISO 8601, to the second.
``machine``           An object: "processor", "cores", "python", "packages" (name to version); for the case "gpu" also
                      "device", "compute_capability", "multiprocessors", "driver" and "numba_cuda".
``threads``           Processors that the command might use. How many a measurement used stands in its row.
``row``               The row: an object with the fields of the case's dataclass (`bench.report`).
====================  ==================================================================================================
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Envelope:
    """A row with what is to be known of its measurement; see this module's text for the fields.

    Raises:
        ValueError: A field is not of its type, or a number is below its least value.
    """

    case: str
    schema: int
    version: str
    seed: int | None
    date: str
    machine: Mapping[str, Any]
    threads: int
    row: Mapping[str, Any]

    def __post_init__(self) -> None:
        _require("case", self.case, isinstance(self.case, str) and bool(self.case), "a name")
        _require("schema", self.schema, _is_count(self.schema), "an integer from 1")
        _require("version", self.version, isinstance(self.version, str), "a string")
        _require("seed", self.seed, self.seed is None or _is_integer(self.seed), "an integer or null")
        _require("date", self.date, isinstance(self.date, str), "a string")
        _require("machine", self.machine, isinstance(self.machine, Mapping), "an object")
        _require("threads", self.threads, _is_count(self.threads), "an integer from 1")
        _require("row", self.row, isinstance(self.row, Mapping), "an object")

    def as_json(self) -> dict[str, Any]:
        """The envelope as an object of JSON, its fields in their order."""
        return asdict(self)


def read(path: Path) -> tuple[Envelope, ...]:
    """The envelopes of a file of rows, in their order.

    Raises:
        ValueError: The file is none that this benchmark writes; the message says where and why.
        OSError: The file cannot be read.
    """
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".jsonl":
        lines = [(f"{path}, line {i}", line) for i, line in enumerate(text.splitlines(), 1) if line.strip()]
        return tuple(_envelope(_parsed(line, where), where) for where, line in lines)
    content = _parsed(text, str(path))
    found = content.get("rows") if isinstance(content, dict) else content
    if not isinstance(found, list):
        raise ValueError(f'{path} must hold a list of envelopes, or an object with such a list as its "rows"')
    return tuple(_envelope(entry, f"{path}, row {i}") for i, entry in enumerate(found, 1))


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where} must be JSON: {error}") from error


def _envelope(entry: Any, where: str) -> Envelope:
    names = [field.name for field in fields(Envelope)]
    if not isinstance(entry, dict):
        raise ValueError(f"{where} must be an envelope with the fields {', '.join(names)}, got {entry!r}")
    if set(entry) != set(names):
        missing, unknown = [n for n in names if n not in entry], sorted(set(entry) - set(names))
        raise ValueError(
            f"{where} must be an envelope with the fields {', '.join(names)}; missing: {', '.join(missing) or 'none'}; "
            f"unknown: {', '.join(unknown) or 'none'}. Measure anew: older files held rows without envelopes"
        )
    try:
        return Envelope(**entry)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _require(name: str, value: Any, holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"`{name}` must be {what}, got {value!r}")


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return _is_integer(value) and value >= 1
