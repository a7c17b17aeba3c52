"""Runs checks of CUDA kernels in Numba's simulator, and prints their outcomes as JSON. This is not a test by itself.

The argument "ops" asks for the checks of layers, "training" for those of a training step.

The simulator is chosen when numba is imported: hence its own process.
"""

import json
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba.cuda.simulator import kernelapi

from bench.cases.gpu_checks import SMALL, checks
from intnn.ops.cuda.gemm import Tile
from intnn.ops.cuda.warpgroups import GroupTile
from tests.intnn import turns

GARBAGE = 0x5A  # bytes of memory that nobody has written: no zeros, and beyond what is meant to be there

lock = threading.Lock()


def garbage(shape: Any, dtype: Any) -> np.ndarray:
    """An array as a GPU may have it: a new one of NumPy's is often all zeros."""
    array = np.empty(shape, dtype)
    array.reshape(-1).view(np.uint8)[:] = GARBAGE
    return array


class Local(kernelapi.FakeCUDALocal):
    """A thread's own arrays."""

    def array(self, shape: Any, dtype: Any, alignment: int | None = None) -> np.ndarray:
        assert alignment is None
        return garbage(shape, dtype)


class Shared(kernelapi.FakeCUDAShared):
    """Shared memory without the simulator's race, in which two threads of a block can each allocate the same array."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._dynshared[:] = GARBAGE

    def array(self, shape: Any, dtype: Any, alignment: int | None = None) -> np.ndarray:
        assert alignment is None
        if shape == 0:  # what the launch asked for
            return super().array(shape, np.dtype(dtype))
        caller = sys._getframe(1)
        with lock:
            where = caller.f_code, caller.f_lineno
            if where not in self._allocations:
                self._allocations[where] = garbage(shape, dtype)
            return self._allocations[where]


def prepare() -> None:
    """Mend the simulator, and have its threads take turns."""
    kernelapi.FakeCUDALocal, kernelapi.FakeCUDAShared = Local, Shared
    turns.install()


def outcomes_of(checks: Sequence[Callable[[], None]]) -> str:
    """JSON of what checks say: true, or how they failed."""
    outcomes: dict[str, bool | str] = {}
    for check in checks:
        try:
            check()
        except BaseException:
            outcomes[check.__name__] = traceback.format_exc(limit=-4)
        else:
            outcomes[check.__name__] = True
    return json.dumps(outcomes)


if __name__ == "__main__":
    prepare()
    # One group of warps in a ring of three slices; two warps in a ring of three, then one warp in a ring of two.
    groups, warp = GroupTile(1, 64, stages=3), Tile(1, 1, 1, stages=2)
    if sys.argv[1] == "ops":
        found = dict(checks(SMALL, (None, groups, Tile(2, 1, 1, stages=3), warp), "reference"))
        wanted = {name: check for name, check in found.items() if not name.startswith("training")}
    else:
        wanted = {
            f"{name}, {tile.unit}": check
            for tile in (warp, groups)
            for name, check in checks(SMALL, (tile,), "reference")
            if name.startswith("training")
        }
    print(json.dumps({name: check() for name, check in wanted.items()}))
