"""What the names of a file stand for: constants, values of the network, and functions of these."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from intnn.layers.nodes import Activation, Shape
from intnn.values.arrays import Array, FloatArray, IntArray

INPUT = -1  # the number of the graph's input among its nodes


class Steps(NamedTuple):
    """How a tensor is quantised: real = scale (integer - zero)."""

    scale: float
    zero: int


@dataclass(frozen=True, eq=False)
class Constant:
    """An array that is known.

    Attributes:
        array: Its values.
        of_shape: Whether they are sides of a shape with a batch axis, in which a 0 stands for the batch.
    """

    array: Array
    of_shape: bool = False


@dataclass(frozen=True, eq=False)
class Feature:
    """The output of a node.

    Attributes:
        node: The number of the node, or `INPUT`.
        shape: Its shape as the file sees it, without the batch axis.
        order: Where a transposition has yet to be carried out: element i is element ``order[i]`` of the node's output,
            both counted in C order.
        never_negative: Whether no value is below zero, as far as that is known.
        steps: How the file quantises it, or None for floats. The node gives real values in any case.
    """

    node: int
    shape: Shape
    order: IntArray | None = None
    never_negative: bool = False
    steps: Steps | None = None

    def reshaped(self, shape: Shape) -> "Feature":
        """The same values in the same order."""
        return replace(self, shape=shape)


Form = Activation | tuple[float, float] | Literal["sum", "difference"] | None


class Pointwise:
    """A function of each element of one value, not yet made a node, since it may be a part of a known one.

    Attributes:
        function: What is computed of the arguments' elements.
        arguments: Features, or functions of the same feature.
        form: What it is alone: an activation, (factor, offset), a sum, a difference; None for what no node computes.
        place: How messages call it.
        parts: Whatever it is made of, each once, from the outermost to the feature; not itself.
        made: Its node, once it has one.
    """

    def __init__(
        self,
        function: Callable[..., FloatArray],
        arguments: "tuple[Pointwise | Feature, ...]",
        form: Form,
        place: str,
    ) -> None:
        self.function, self.arguments, self.form, self.place = function, arguments, form, place
        inner = [part for a in arguments if isinstance(a, Pointwise) for part in a.parts]
        unique = {id(part): part for part in (*arguments, *inner)}
        self.parts: tuple[Pointwise | Feature, ...] = tuple(unique.values())
        self.made: Feature | None = None

    @property
    def is_complete(self) -> bool:
        """Whether nodes can compute it as it stands: all of it has a form."""
        return self.form is not None and all(not isinstance(p, Pointwise) or p.form is not None for p in self.parts)

    @property
    def base(self) -> Feature:
        """The value of whose elements it is a function."""
        argument = self.arguments[0]
        return argument.base if isinstance(argument, Pointwise) else argument

    def values(self, of: "Pointwise | Feature", grid: FloatArray) -> FloatArray | None:
        """Its values where a part of it has the values of a grid; None where it is made of more than that part."""
        known: dict[int, FloatArray | None] = {id(of): grid}

        def evaluate(value: "Pointwise | Feature") -> FloatArray | None:
            if id(value) not in known:
                inner = [evaluate(a) for a in value.arguments] if isinstance(value, Pointwise) else [None]
                is_known = not any(part is None for part in inner)
                known[id(value)] = value.function(*inner) if is_known and isinstance(value, Pointwise) else None
            return known[id(value)]

        with np.errstate(all="ignore"):  # what overflows on the grid equals nothing
            return evaluate(self)


Value = Constant | Feature | Pointwise
