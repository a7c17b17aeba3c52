"""Checks of CUDA kernels in Numba's simulator, which a process must ask for before it imports Numba."""

import json
import os
import sys
from pathlib import Path
from subprocess import run


def simulated(module: str, *arguments: str) -> dict[str, bool]:
    """What a module of checks prints, run as a program with arguments: outcomes by name."""
    root = Path(__file__).parents[1]
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": str(root)}
    command = [sys.executable, "-W", "error", "-m", module, *arguments]
    done = run(command, capture_output=True, text=True, cwd=root, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
