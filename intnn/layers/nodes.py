"""The layers of a network: linear layers, pooling, activations, and joins of several values.

A linear layer holds either float64 parameters (in a `Graph`) or int64 ones (in an `IntNetwork`), never a mixture.
Images are [channels, height, width]; shapes are given without the batch axis.
"""

from typing import Protocol, runtime_checkable

from intnn.layers.activations import Activation, IntPolynomial, LutActivation, Requantise
from intnn.layers.geometry import Shape
from intnn.layers.joins import Add, Concatenate, Join
from intnn.layers.linear import Conv2d, Dense, Flatten, Reshape, Scale
from intnn.layers.pooling import MaxPool2d, SumPool2d
from intnn.ops import Operations
from intnn.values.arrays import Array

__all__ = [
    "Activation",
    "Add",
    "Concatenate",
    "Conv2d",
    "Dense",
    "Flatten",
    "IntPolynomial",
    "Join",
    "LutActivation",
    "MaxPool2d",
    "Node",
    "Requantise",
    "Reshape",
    "Scale",
    "Shape",
    "SumPool2d",
]


@runtime_checkable
class Node(Protocol):
    """A layer: whatever states its output's shape and evaluates a batch."""

    def output_shape(self, shape: Shape) -> Shape:
        """The shape of the output for an input of ``shape``; both are without the batch axis.

        Raises:
            ValueError: An input of this shape does not fit.
        """

    def apply(self, x: Array, ops: Operations) -> Array:
        """Evaluate a batch [batch, *shape] with a backend's operations; ``x`` is not checked, and stays as it is."""
