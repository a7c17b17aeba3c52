"""Checks of CUDA kernels in Numba's simulator, which a process must ask for before it imports Numba."""

import ast
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


def checks_of(module: str) -> list[str]:
    """The names of the checks that a module of them makes, which only the simulator's process can import."""
    tree = ast.parse((Path(__file__).parents[1] / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    (checks,) = [node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "CHECKS"]
    return [name.id for name in checks.elts]
