"""Writes `table.txt`: what `make table` installs, each wheel with its SHA-256, so that no other bytes are accepted.

`make requirements` runs it. Versions are those of `constraints.txt`; hashes are what the package index says of the
wheels for Linux on x86-64 and 64-bit Arm, for every Python that is supported. Nothing is downloaded or installed.
"""

import json
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXTRAS = ("he", "data", "bench")
PYTHONS = ("3.11", "3.12", "3.13")
MACHINES = ("x86_64", "aarch64")
GLIBC = range(17, 35)  # manylinux_2_17 to manylinux_2_34


def wanted() -> list[str]:
    """Return what the project itself asks for: its dependencies, some extras, and what builds it."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    project = document["project"]
    extras = (name for extra in EXTRAS for name in project["optional-dependencies"][extra])
    return [*project["dependencies"], *extras, *document["build-system"]["requires"]]


def resolved(python: str, machine: str, glibc: Sequence[int]) -> list[tuple[str, str]]:
    """Return every wheel that pip would install there, as `name==version` and the hash that the index gives it.

    Of the wheels of a package, pip takes one for the first version of glibc that has any.
    """
    platforms = [f"--platform=manylinux_2_{minor}_{machine}" for minor in glibc]
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report=-"]
    command += ["--disable-pip-version-check", f"--constraint={ROOT / 'constraints.txt'}", "--only-binary=:all:"]
    command += ["--target=unused", f"--python-version={python}", "--implementation=cp", *platforms, *wanted()]
    report = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)  # noqa: S603 - pip itself
    found = []
    for entry in report["install"]:
        name, version = entry["metadata"]["name"], entry["metadata"]["version"]
        found.append((f"{name}=={version}", entry["download_info"]["archive_info"]["hashes"]["sha256"]))
    return found


def main() -> None:
    """Write the file."""
    hashes: defaultdict[str, set[str]] = defaultdict(set)
    for python in PYTHONS:
        for machine in MACHINES:
            for glibc in (GLIBC, GLIBC[::-1]):  # the wheels for old systems, and those for new ones
                for pinned, digest in resolved(python, machine, glibc):
                    hashes[pinned].add(digest)
    lines = ["# Written by `make requirements`; see requirements/lock.py."]
    for pinned in sorted(hashes, key=str.lower):
        lines.append(" \\\n    ".join([pinned, *(f"--hash=sha256:{digest}" for digest in sorted(hashes[pinned]))]))
    (ROOT / "requirements" / "table.txt").write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
