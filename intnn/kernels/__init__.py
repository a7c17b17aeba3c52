"""Kernels on raw arrays: a plain-Python definition and faster implementations that are bit-equal to it.

`reference`, `numpy_` and `numba_portable` have the same six functions, one for each kind of layer (see
`dispatch.Kernels`). `program` evaluates a whole network of bytes at once, by the tiles of `tile` and the instruction
sets of `simd_*`. None of them validates its arguments.
"""

from intnn.kernels.dispatch import BACKENDS, Kernels, kernels

__all__ = ["BACKENDS", "Kernels", "kernels"]
