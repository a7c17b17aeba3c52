"""The operations of layers on raw arrays: a definition in plain Python, and faster modules that are bit-equal to it.

The modules `reference`, `numpy_` and `portable` have the same six functions, which `dispatch.Operations` lists. None of
them validates its arguments. `intnn.compiled` evaluates whole networks of bytes in one call.
"""

from intnn.ops.dispatch import BACKENDS, CUDA, Operations, backend

__all__ = ["BACKENDS", "CUDA", "Operations", "backend"]
