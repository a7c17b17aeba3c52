"""Functions that kernels call without containing them."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
KERNELS = """
import sys
sys.path.insert(0, {root!r})
import numpy as np
from intnn.machine.jit import compiled
from other import fill

@compiled
def first(x):
    fill((x.ctypes.data, x.size, 3))

@compiled
def second(x, number):
    fill((x.ctypes.data, x.size // 2, number > 4))

x, y = np.zeros(4, np.uint64), np.zeros(4, np.uint64)
first(x)
second(y, 5)
print(*x, *y, len(first.stats.cache_misses), len(second.stats.cache_misses))
"""
OTHER = """
from intnn.machine.memory import words
from intnn.machine.shared import shared

@shared
def fill(address, size, number):
    x = words(address, size)
    for i in range(size):
        x[i] = {factor} * number + i
"""


@pytest.fixture
def outcome(tmp_path):
    """Runs two kernels in a new process, after writing what they call: what they print."""
    (tmp_path / "main.py").write_text(KERNELS.format(root=str(ROOT)))

    def run(factor: int) -> str:
        (tmp_path / "other.py").write_text(OTHER.format(factor=factor))
        return subprocess.run(
            [sys.executable, "main.py"], cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout.strip()

    return run


def test_kernels_call_what_they_share_compiled_or_from_the_disk_and_never_yesterdays(outcome):
    assert outcome(1) == "3 4 5 6 1 2 0 0 1 1"
    assert outcome(1) == "3 4 5 6 1 2 0 0 0 0"
    assert outcome(10) == "30 31 32 33 10 11 0 0 1 1"


def test_a_shared_function_that_cannot_be_compiled_is_an_error_for_every_kernel(tmp_path):
    (tmp_path / "main.py").write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from intnn.machine.jit import compiled\n"
        "from intnn.machine.shared import shared\n"
        "@shared\n"
        "def broken(number):\n"
        "    number.nonsense\n"
        "@compiled\n"
        "def kernel():\n"
        "    return 1\n"
        "for _ in range(2):\n"
        "    try:\n"
        "        kernel()\n"
        "    except Exception as error:\n"
        "        print(type(error).__name__)\n"
    )
    command = [sys.executable, "main.py"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["TypingError", "TypingError"]
