"""The operations of layers on raw arrays: a plain-Python definition, and faster ones that are bit-equal to it.

`reference`, `numpy_` and `portable` have the same six functions, one for each kind of layer (see `dispatch.Kernels`).
None of them validates its arguments. A whole network of bytes at once is evaluated by `intnn.compiled`.
"""

from intnn.ops.dispatch import BACKENDS, Kernels, kernels

__all__ = ["BACKENDS", "Kernels", "kernels"]
