"""Memory of the host that a GPU reads by itself."""

import warnings

import numpy as np
from numba import cuda
from numpy.typing import DTypeLike

from intnn.machine.cuda.device import DeviceError, reported
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
