"""What a kernel depends on: all that its file imports, and nothing else."""

import ast
from pathlib import Path

import pytest

from intnn.machine.sources import module, sources

ROOT = Path(__file__).parents[3]


def kernel_files() -> list[Path]:
    """Every file of the packages that has Numba compile something, or emits what it compiles in."""
    found = []
    for package in ("intnn", "he"):
        for path in sorted((ROOT / package).rglob("*.py")):
            text, names = path.read_text("utf-8"), {"compiled", "emitted", "intrinsic", "shared"}
            if not any(name in text for name in names):
                continue  # most files: the parser would take a second for them
            if names & {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}:
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
def test_all_that_a_kernel_imports_is_found(path):
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
