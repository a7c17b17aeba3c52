"""The instructions that CUDA kernels use: assembly on a GPU, plain Python in Numba's simulator.

Numba reads NUMBA_ENABLE_CUDASIM when it is imported, and so the choice is made once.
"""

from numba import config

SIMULATED = bool(config.ENABLE_CUDASIM)

if SIMULATED:
    from intnn.machine.cuda.simulated import commit, copy4, dp4a, load4, mma, store4, wait_for
else:
    from intnn.machine.cuda.assembly import commit, copy4, dp4a, load4, mma, store4, wait_for

# Accesses to four words at once need their array on a 16-byte border, which the simulator has no notion of.
ALIGNMENT = None if SIMULATED else 16

__all__ = ["ALIGNMENT", "SIMULATED", "commit", "copy4", "dp4a", "load4", "mma", "store4", "wait_for"]
