"""Numba's cache on disk, and what it must notice."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from intnn.machine.jit import module, sources

ROOT = Path(__file__).parents[3]
KERNEL = """
import sys
sys.path.insert(0, {root!r})
from intnn.machine.jit import compiled
from {other} import (  # a comment
    NUMBER,
    called as helper,
)

@compiled
def kernel():
    return helper() + NUMBER

if __name__ == "__main__":
    print(kernel(), len(kernel.stats.cache_misses))
"""
OTHER = """
from intnn.machine.jit import compiled
from {deep} import NUMBER

@compiled
def called():
    return {result}
"""


@pytest.fixture(params=["files", "rooms"])
def outcome(request, tmp_path):
    """Runs a kernel in a new process, after writing the files that it depends on: its result, and if it was compiled.

    The kernel's helper, and the helper's constant, lie beside it or in folders below its own.
    """
    is_nested = request.param == "rooms"
    main = tmp_path / "package" / "room" / "main.py" if is_nested else tmp_path / "main.py"
    other = "package.room.inner.other" if is_nested else "other"
    deep = "package.room.inner.innermost.deep" if is_nested else "deep"
    for name in (other, deep):
        (tmp_path / name.replace(".", "/")).parent.mkdir(parents=True, exist_ok=True)
    for folder in [path for path in tmp_path.rglob("*") if path.is_dir()]:
        (folder / "__init__.py").touch()
    main.write_text(KERNEL.format(root=str(ROOT), other=other))
    start = [sys.executable, "-m", main.relative_to(tmp_path).with_suffix("").as_posix().replace("/", ".")]

    def run(number: int, result: int) -> tuple[int, bool]:
        (tmp_path / f"{deep.replace('.', '/')}.py").write_text(f"NUMBER = {number}\n")
        (tmp_path / f"{other.replace('.', '/')}.py").write_text(OTHER.format(deep=deep, result=result))
        printed = subprocess.run(start, cwd=tmp_path, capture_output=True, text=True, check=True)
        value, misses = map(int, printed.stdout.split())
        return value, misses == 1

    return run


def test_a_kernel_is_compiled_anew_when_another_file_changes(outcome):
    assert outcome(1, 10) == (11, True)
    assert outcome(1, 10) == (11, False)
    assert outcome(2, 10) == (12, True)
    assert outcome(2, 20) == (22, True)


def kernel_files() -> list[Path]:
    """Every file of the packages that has Numba compile something, or emits what it compiles in."""
    found = []
    for package in ("intnn", "he"):
        for path in sorted((ROOT / package).rglob("*.py")):
            used = {node.id for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Name)}
            if used & {"compiled", "emitted", "intrinsic"}:
                found.append(path)
    return found


def imported(path: Path) -> set[Path]:
    """The files of this repository that a file imports, as the parser sees its statements."""
    names = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    files = set()
    for name in names:
        whole, _, _ = name.rpartition(".")
        places = [ROOT / f"{part.replace('.', '/')}{end}" for part in (name, whole) for end in (".py", "/__init__.py")]
        files.update([place for place in places if place.is_file()][:1])
    return files


@pytest.mark.parametrize("path", kernel_files(), ids=module)
def test_the_cache_looks_at_all_that_a_kernel_imports(path):
    expected, new = set(), {path}
    while new:
        expected |= new
        new = set().union(*map(imported, new)) - expected
    assert sources(path) == expected


def test_a_kernel_does_not_depend_on_what_is_not_a_kernel():
    """Else a change in a network's layers, say, would have all of homomorphic encryption compiled anew."""
    paths = [ROOT / "intnn/training/cpu/step.py", ROOT / "intnn/compiled/run.py", *(ROOT / "he/kernels").rglob("*.py")]
    names = {module(source) for path in paths for source in sources(path)}
    assert {"intnn.machine.simd", "he.kernels.passes.transform"} <= names
    assert not [n for n in names if n.startswith(("intnn.layers", "intnn.network", "intnn.storage", "he.circuit"))]
