"""Imports point one way: intnn <- he, intnn <- plaintext_models, all <- bench."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("intnn", "he", "plaintext_models", "bench")

#: What each package may import of the others and of the libraries that not every user has.
MAY_IMPORT = {
    "intnn": {"numba", "llvmlite", "sklearn"},  # sklearn: only for those who have loaded it already
    "he": {"intnn", "tenseal", "numba", "llvmlite", "zstandard"},
    "plaintext_models": {"intnn", "torch", "sklearn", "scipy", "matplotlib", "pooch", "rich", "typer"},
    "bench": None,  # everything
}
#: Modules that may touch SEAL: the bridge, the engine that is SEAL's, and the two parties.
SEAL_MODULES = {"he/seal.py", "he/engines/seal.py", "he/protocol.py"}
FORBIDDEN = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal"}


def imports(path: Path) -> set[str]:
    """Top-level names of everything that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names.add((node.module or "").split(".")[0])
    return names


def modules(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_one_way(package: str) -> None:
    allowed = MAY_IMPORT[package]
    if allowed is None:
        return
    ours = {package, "numpy", *allowed} | set(sys.stdlib_module_names)
    for path in modules(package):
        assert imports(path) <= ours, f"{path.relative_to(ROOT)} imports {imports(path) - ours}"


def test_only_the_bridge_touches_seal() -> None:
    touching = {str(p.relative_to(ROOT)) for p in modules("he") if "tenseal" in imports(p)}
    assert touching == SEAL_MODULES


def test_nothing_unpickles() -> None:
    for package in PACKAGES:
        for path in modules(package):
            assert not imports(path) & FORBIDDEN, path


def loaded_by(statement: str) -> set[str]:
    """Top-level modules in a fresh interpreter after the statement."""
    code = f"{statement}; import sys; print(*{{m.split('.')[0] for m in sys.modules}})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(result.stdout.split())


def test_importing_intnn_loads_no_heavy_library() -> None:
    loaded = loaded_by("import intnn, intnn.network, intnn.quantise")
    assert "numpy" in loaded
    assert not loaded & {"torch", "tenseal", "sklearn", "he", "plaintext_models", "bench", "numba"}


def test_the_table_needs_no_torch() -> None:
    loaded = loaded_by("import bench.__main__, plaintext_models.shipped, plaintext_models.datasets")
    assert {"tenseal", "he", "intnn"} <= loaded
    assert "torch" not in loaded
