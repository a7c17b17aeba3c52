"""Nodes that read several values: sums and concatenations of branches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from intnn.layers.geometry import Shape
from intnn.values.arrays import Array
from intnn.values.value_object import ValueObject


@runtime_checkable
class Join(Protocol):
    """A node of two values or more; a chain cannot have one."""

    def joined_shape(self, shapes: Sequence[Shape]) -> Shape:
        """The shape of the output for inputs of these shapes.

        Raises:
            ValueError: Inputs of these shapes do not fit each other.
        """

    def join(self, values: Sequence[Array]) -> Array:
        """Evaluate batches [batch, *shape] of one dtype."""


@dataclass(frozen=True)
class Add(ValueObject):
    """The sum of values of one shape: where a residual connection ends."""

    def joined_shape(self, shapes: Sequence[Shape]) -> Shape:
        """The shape of all inputs."""
        if len(set(shapes)) != 1:
            raise ValueError(f"Add must have inputs of one shape, got {list(shapes)}")
        return shapes[0]

    def join(self, values: Sequence[Array]) -> Array:
        """Add the values."""
        total = values[0]
        for value in values[1:]:
            total = total + value
        return total


@dataclass(frozen=True)
class Concatenate(ValueObject):
    """The values one behind the other along the first axis: the channels of images, the features of vectors."""

    def joined_shape(self, shapes: Sequence[Shape]) -> Shape:
        """The first sides add up; the others are equal."""
        first, *_ = shapes
        if any(shape[1:] != first[1:] for shape in shapes):
            raise ValueError(f"Concatenate must have inputs that differ in their first side only, got {list(shapes)}")
        return (sum(shape[0] for shape in shapes), *first[1:])

    def join(self, values: Sequence[Array]) -> Array:
        """Concatenate the values [batch, channels, ...] along their channels."""
        return np.concatenate(values, axis=1)
