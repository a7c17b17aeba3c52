"""Rows of any case as JSON, with what they were measured on."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from intnn.storage.document import write_atomically

#: Whose versions a file of rows states.
PACKAGES = ("numpy", "numba", "tenseal", "torch", "onnxruntime", "foolbox", "pyautoattack")


def prepare_output(path: Path) -> None:
    """Make sure, before anything is measured, that `path` can be written when it is over.

    Raises:
        ValueError: if its suffix is not one of a JSON file or a picture, or it is a folder.
        OSError: if its folder can neither be found nor made, or not be written to.
    """
    if path.suffix not in (".json", ".png", ".svg", ".pdf") or path.is_dir():
        raise ValueError(f"results are written to .json, .png, .svg or .pdf files, got {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"{path.parent} cannot be written to; name another folder")


def write_json(path: Path, rows: Sequence[Any]) -> None:
    """Write dataclass rows and what they were measured on; an existing file is replaced whole or not at all."""
    machine = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES if _is_installed(name)},
    }
    content = {"rows": [asdict(row) for row in rows], "machine": machine, "command": " ".join(sys.argv[1:])}
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def _is_installed(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
