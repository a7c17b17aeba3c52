"""What a measurement ran on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

#: The packages whose versions are stated with every row.
PACKAGES = ("numpy", "numba", "tenseal", "torch", "onnxruntime", "foolbox", "pyautoattack")


#: The most threads that an evaluation accepts, encrypted or not. `intnn` and `he` define it too, but importing either
#: loads Numba, and options are read without it.
MAX_THREADS = 1024


def machine() -> dict[str, Any]:
    """The processor, its cores, and the versions of Python and of the packages that were installed.

    TenSEAL's wheel carries a library of another version than its own: SEAL, which is named beside it.
    """
    packages = {name: found for name in PACKAGES if (found := installed_version(name)) is not None}
    if "tenseal" in packages:
        from he.formats.seal_bridge import seal_version

        packages["SEAL"] = seal_version()
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "packages": packages,
    }


def available_threads() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def installed_version(package: str) -> str | None:
    """The version of an installed package; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
