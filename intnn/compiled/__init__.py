"""Integer networks as one compiled call: layers fused, weights packed for the processor's instruction set."""

from intnn.compiled.fuse import UnsupportedError
from intnn.compiled.network import CompiledNetwork

__all__ = ["CompiledNetwork", "UnsupportedError"]
