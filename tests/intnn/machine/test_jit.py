"""Numba's cache on disk, and what it must notice."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
KERNEL = """
import sys
sys.path.insert(0, {root!r})
from intnn.machine.jit import compiled
from other import called, NUMBER

@compiled
def kernel():
    return called() + NUMBER

print(kernel(), len(kernel.stats.cache_misses))
"""
OTHER = """
from intnn.machine.jit import compiled

NUMBER = {number}

@compiled
def called():
    return {result}
"""


@pytest.fixture
def outcome(tmp_path):
    """Runs the kernel in a new process, after writing what it calls: its result, and whether it was compiled anew."""
    (tmp_path / "main.py").write_text(KERNEL.format(root=str(ROOT)))

    def run(number: int, result: int) -> tuple[int, bool]:
        (tmp_path / "other.py").write_text(OTHER.format(number=number, result=result))
        printed = subprocess.run([sys.executable, "main.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
        value, misses = map(int, printed.stdout.split())
        return value, misses == 1

    return run


def test_a_kernel_is_compiled_anew_when_another_file_changes(outcome):
    assert outcome(1, 10) == (11, True)
    assert outcome(1, 10) == (11, False)
    assert outcome(2, 10) == (12, True)
    assert outcome(2, 20) == (22, True)
