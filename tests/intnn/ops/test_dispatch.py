"""Backends are found by their names, and cost nothing before."""

import sys
from subprocess import run

import pytest

from intnn import ops
from intnn.ops import BACKENDS


def test_an_unknown_backend_lists_the_known_ones():
    with pytest.raises(ValueError, match="`backend` must be one of 'reference', 'numpy', 'numba', 'cuda', got 'gpu'"):
        ops.backend("gpu")
    with pytest.raises(ValueError, match="`backend` must have operations on arrays of the host, got 'cuda'"):
        ops.backend("cuda")
    assert set(BACKENDS) == {"reference", "numpy", "numba"}


def test_importing_the_package_loads_no_compiler_and_no_other_package():
    code = "import sys, intnn; print(*{'numba', 'torch', 'tenseal', 'he', 'plaintext_models'} & sys.modules.keys())"
    assert run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
