"""Memory of the host that a GPU reads by itself, and copies from there.

Numba's own call takes about 40 µs of Python to start a copy, which finds the same addresses every time, and which no
other thread of Python may work beside. With addresses that are found once, under 1 µs is left.
"""

import warnings
from typing import Any

import numpy as np
from numba import cuda
from numpy.typing import DTypeLike

from intnn.machine.cuda.device import DeviceError, reported
from intnn.machine.cuda.intrinsics import SIMULATED
from intnn.values.arrays import Array


def pinned(shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Return memory that the driver has pinned, or other memory where it pins no more, which a RuntimeWarning says.

    What is copied from either is the same.

    Args:
        shape: The shape of the array.
        dtype: Its type; what it holds is not defined.
    """
    try:
        with reported("pinning memory"):
            found: Array = cuda.pinned_array(shape, dtype)
    except DeviceError as error:  # whose own advice is for the GPU's memory
        said = f"inputs are copied from memory that is not pinned, which takes longer: {error.__cause__}"
        warnings.warn(said, RuntimeWarning, stacklevel=2)
        return np.empty(shape, dtype)
    return found


def address(array: Any, first: int = 0) -> Any:
    """Return where an element of a contiguous array lies, on the host or on the GPU, as `start_copy` takes it.

    It is an address, and the array must outlive it; in the simulator, which has none, all elements from there on.
    """
    if SIMULATED:
        return array.reshape(array.size)[first:]
    start = array.ctypes.data if isinstance(array, np.ndarray) else array.device_ctypes_pointer.value
    return start + first * array.dtype.itemsize


def start_copy(there: Any, here: Any, size: int, stream: Any, *, on_gpu: bool = False) -> None:
    """Start copying to the GPU, which must be in use by this thread.

    Args:
        there: The `address` on the GPU.
        here: The one on the host, or on the GPU. What is on the host must be held, and stay as it is, until the stream
            has been waited for, pinned or not: CUDA does not promise that it has been read when this returns.
        size: The number of bytes.
        stream: A stream of Numba's, not 0.
        on_gpu: Whether it is copied from there.
    """
    if SIMULATED:
        count = size // here.dtype.itemsize
        there[:count].copy_to_device(here[:count], stream=stream)
        return
    from numba.cuda.cudadrv.driver import driver

    start = driver.cuMemcpyDtoDAsync if on_gpu else driver.cuMemcpyHtoDAsync
    start(there, here, size, int(stream.handle))
