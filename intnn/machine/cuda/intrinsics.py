"""The instructions that CUDA kernels use: assembly on a GPU, plain Python in Numba's simulator.

Numba reads NUMBA_ENABLE_CUDASIM when it is imported, and so the choice is made once.
"""

from numba import config

SIMULATED = bool(config.ENABLE_CUDASIM)

if SIMULATED:
    from intnn.machine.cuda.simulated import (
        acquire_map,
        arrive,
        await_phase,
        commit,
        copy4,
        copy_tile,
        dp4a,
        expect_bytes,
        in_flight,
        init_barrier,
        load4,
        mma,
        settled,
        store2,
        store4,
        tensor_map,
        wait_for,
        warpgroup_mma,
    )
else:
    from intnn.machine.cuda.assembly import (
        acquire_map,
        arrive,
        await_phase,
        commit,
        copy4,
        copy_tile,
        dp4a,
        expect_bytes,
        in_flight,
        init_barrier,
        load4,
        mma,
        settled,
        store2,
        store4,
        tensor_map,
        wait_for,
        warpgroup_mma,
    )

# Accesses to four words at once need their array on a 16-byte border, which the simulator has no notion of.
ALIGNMENT = None if SIMULATED else 16
LINE_BLOCK = None if SIMULATED else 1024  # the border of eight lines of 128 bytes, as `warpgroup_mma` reads them

__all__ = [
    "ALIGNMENT",
    "LINE_BLOCK",
    "SIMULATED",
    "acquire_map",
    "arrive",
    "await_phase",
    "commit",
    "copy4",
    "copy_tile",
    "dp4a",
    "expect_bytes",
    "in_flight",
    "init_barrier",
    "load4",
    "mma",
    "settled",
    "store2",
    "store4",
    "tensor_map",
    "wait_for",
    "warpgroup_mma",
]
