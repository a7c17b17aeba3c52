"""Files that a command writes: they are prepared before anything is measured, and written whole when it is over."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.harness.case import Writes
from bench.harness.rows import Envelope, read
from intnn.storage.document import write_atomically

#: The suffixes of the files that each kind of output is written to; a folder has none.
SUFFIXES: dict[Writes, tuple[str, ...]] = {
    "rows": (".json",),
    "lines": (".jsonl",),
    "picture": (".png", ".svg", ".pdf"),
}


def prepare(writes: Writes, path: Path) -> None:
    """Make sure, before anything is measured, that `path` can be written when it is over.

    Raises:
        ValueError: The suffix is not one of its kind of output, a file was expected and a folder is there or the other
            way round, or the record that lines are added to is none.
        OSError: Its folder can neither be found nor made, or not be written to.
    """
    if writes == "pictures":
        if path.exists() and not path.is_dir():
            raise ValueError(f"pictures are written to a folder, got the file {path}")
        folder = path
    else:
        if path.suffix not in SUFFIXES[writes] or path.is_dir():
            what = {"rows": "results", "lines": "records", "picture": "results"}[writes]
            raise ValueError(f"{what} are written to {_listed(writes)} files, got {path}")
        folder = path.parent
        if writes == "lines" and path.exists():
            read(path)
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"{folder} cannot be written to; name another folder")


def write_rows(path: Path, envelopes: Sequence[Envelope]) -> None:
    """Write a command's rows; an existing file is replaced whole or not at all."""
    content = {"rows": [envelope.as_json() for envelope in envelopes], "command": " ".join(sys.argv[1:])}
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def add_lines(path: Path, envelopes: Sequence[Envelope]) -> None:
    """Add rows to a record, one a line; what the record holds already stays as it is."""
    known = path.read_text(encoding="utf-8") if path.exists() else ""
    lines = [json.dumps(envelope.as_json()) + "\n" for envelope in envelopes]
    write_atomically(path, (known + "".join(lines)).encode())


def _listed(writes: Writes) -> str:
    # Rows and pictures are named together: whoever mixes them up sees both.
    suffixes = SUFFIXES["rows"] + SUFFIXES["picture"] if writes in ("rows", "picture") else SUFFIXES[writes]
    return suffixes[0] if len(suffixes) == 1 else f"{', '.join(suffixes[:-1])} or {suffixes[-1]}"
