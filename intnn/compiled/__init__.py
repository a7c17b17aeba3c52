"""Integer networks as one compiled call: layers are fused, and weights packed for the processor's instruction set."""

from intnn.compiled.evaluator import CompiledNetwork
from intnn.compiled.fuse import UnsupportedError

__all__ = ["CompiledNetwork", "UnsupportedError"]
