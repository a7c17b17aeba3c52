"""Kernels on raw arrays: a plain-Python definition and faster implementations that are bit-equal to it.

Every module has the same six functions (see `dispatch.Kernels`). None of them validates its arguments.
"""

from intnn.kernels.dispatch import BACKENDS, Kernels, kernels

__all__ = ["BACKENDS", "Kernels", "kernels"]
