"""Runs the checks of the CUDA kernels on residues in Numba's simulator, and prints their outcomes as JSON.

Not a test by itself; `tests.intnn.cuda_simulation` says why this is a process of its own.
"""

import json
import sys

from numba.cuda.simulator import kernelapi

from bench.cases.gpu_residues import checks
from tests.intnn.cuda_simulation import Shared

if __name__ == "__main__":
    kernelapi.FakeCUDAShared = Shared
    sys.setswitchinterval(1e-5)  # threads mostly wait for each other
    # Blocks of 16; three stages before them, in two launches; transforms with four as well.
    selected = [*checks(128, count=2), next(checks(256, count=1))]
    print(json.dumps({name: check() for name, check in selected}))
