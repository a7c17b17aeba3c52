"""Runs the checks of CUDA kernels on residues in Numba's simulator, and prints the outcomes as JSON.

Not a test by itself; `tests.intnn.cuda_simulation` says why this is a process of its own.
"""

from tests.he.kernels.cuda_residues import CHECKS
from tests.intnn.cuda_simulation import outcomes_of, prepare

if __name__ == "__main__":
    prepare()
    print(outcomes_of(CHECKS))
