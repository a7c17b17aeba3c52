"""The CUDA kernels on residues against the CPU's, in Numba's simulator; `python -m bench gpu` repeats this on a GPU."""

import json
import os
import sys
from pathlib import Path
from subprocess import run

import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

WORKS = "transforms", "products", "plain products", "key switch", "division", "automorphism", "bfv products"
NAMES = [*(f"residues: {work}, N = 32" for work in WORKS), "residues: transforms, N = 256"]


@pytest.fixture(scope="module")
def outcomes():
    root = Path(__file__).parents[3]
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": str(root)}
    command = [sys.executable, "-W", "error", "-m", "tests.he.kernels.cuda_simulation"]
    done = run(command, capture_output=True, text=True, cwd=root, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_check_is_named(outcomes):
    assert sorted(outcomes) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_residues_equal_the_cpus(outcomes, name):
    assert outcomes[name]
