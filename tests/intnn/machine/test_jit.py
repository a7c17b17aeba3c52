"""Numba's cache on disk, and what it must notice."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_without_numbas_compiler_kernels_say_what_turns_it_off():
    program = """
import numpy as np
import he
from intnn import Dense, IntDomain, IntNetwork
network = IntNetwork((2,), IntDomain(0, 255), (Dense([[1, 2]], [3]),))
print(network.logits([[4, 5]], "numpy"))
network.logits([[4, 5]], "numba")
"""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.stdout == "[[17]]\n"
    assert "RuntimeError: the kernels need Numba's compiler, which NUMBA_DISABLE_JIT turns off" in result.stderr


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
    # Python takes what it has compiled of a file of the same second and size for that of the new one.
    start = [sys.executable, "-B", "-m", main.relative_to(tmp_path).with_suffix("").as_posix().replace("/", ".")]

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
