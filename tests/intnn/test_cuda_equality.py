"""The CUDA kernels against their definitions, in Numba's simulator; `python -m bench gpu` repeats this on a GPU."""

import json
import os
import sys
from pathlib import Path
from subprocess import run

import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

UNITS = ("dp4a", "mma.sync, 32 x 64, 3 stages", "mma.sync, 16 x 64, 2 stages")
NAMES = [f"{kind}, {unit}" for unit in UNITS for kind in ("dense", "conv2d and table")] + ["training steps", "lookup"]


@pytest.fixture(scope="module")
def outcomes():
    root = Path(__file__).parents[2]
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": str(root)}
    command = [sys.executable, "-W", "error", "-m", "tests.intnn.cuda_simulation"]
    done = run(command, capture_output=True, text=True, cwd=root, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_check_is_named(outcomes):
    assert sorted(outcomes) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_bits_equal_the_reference(outcomes, name):
    assert outcomes[name]
