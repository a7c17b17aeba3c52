"""Affine maps of feature vectors, which are folded into the layer that follows them."""

from dataclasses import dataclass

import numpy as np

from intnn.values.arrays import FloatArray


@dataclass(frozen=True, eq=False)
class Affine:
    """y = W x + b, where W is kept as a diagonal as long as it is one.

    Attributes:
        weight: [out, in], or [in] for a diagonal.
        bias: [out].
    """

    weight: FloatArray
    bias: FloatArray

    @classmethod
    def identity(cls, width: int) -> "Affine":
        """The map that changes nothing."""
        return cls(np.ones(width), np.zeros(width))

    def then(self, after: "Affine") -> "Affine":
        """This map, and ``after`` on what it gives."""
        if after.weight.ndim == 1:
            scale = after.weight if self.weight.ndim == 1 else after.weight[:, None]
            return Affine(scale * self.weight, after.weight * self.bias + after.bias)
        weight = after.weight * self.weight if self.weight.ndim == 1 else after.weight @ self.weight
        return Affine(weight, after.weight @ self.bias + after.bias)
