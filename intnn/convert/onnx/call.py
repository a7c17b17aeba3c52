"""One node of a file as its reader sees it: operands, attributes, and how it is refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from intnn.convert.errors import ConversionError
from intnn.convert.onnx.builder import Builder
from intnn.convert.onnx.values import Constant, Feature, Pointwise, Value
from intnn.values.arrays import Array, FloatArray


@dataclass(frozen=True, eq=False)
class Call:
    """A node of a file.

    Attributes:
        operator: Its type.
        operands: What it reads, in order; None where an optional operand is left out.
        attributes: Its attributes as Python values.
        opset: The version of its domain.
        builder: Where nodes are made.
        place: How messages call it.
    """

    operator: str
    operands: tuple[Value | None, ...]
    attributes: Mapping[str, Any]
    opset: int
    builder: Builder
    place: str

    def refused(self, problem: str, remedy: str) -> ConversionError:
        """The error that says what is wrong with the node, and what to do."""
        return ConversionError(self.place, problem, remedy)

    def operand(self, number: int) -> Value:
        """An operand that must be there."""
        value = self.operands[number] if number < len(self.operands) else None
        if value is None:
            raise self.refused(
                f"must have operand {number}, got {len(self.operands)} of them", "export the model again"
            )
        return value

    def has(self, number: int) -> bool:
        """Whether an optional operand is given."""
        return number < len(self.operands) and self.operands[number] is not None

    def constant(self, number: int) -> Array:
        """An operand that must be known."""
        value = self.operand(number)
        if not isinstance(value, Constant):
            raise self.refused(
                f"must have a constant as operand {number}, got a value that depends on the input",
                "only one operand of a product may depend on it",
            )
        if value.of_shape and value.array.size and not value.array.flat[0]:  # a side alone has no axis
            raise self.refused("must not depend on the size of the batch", "export the model with fixed sides")
        return value.array

    def floats(self, number: int) -> FloatArray:
        """A known operand as float64."""
        values = self.constant(number)
        if values.dtype.kind != "f":
            raise self.refused(f"must have floats as operand {number}, got {values.dtype}", "dequantise it first")
        return values.astype(np.float64)

    def integers(self, number: int) -> list[int]:
        """A known operand as a list of integers: axes, sides."""
        values = self.constant(number)
        if values.dtype.kind not in "iu" or values.ndim > 1:
            raise self.refused(f"must have a list of integers as operand {number}", "export the model again")
        return [int(value) for value in values.ravel()]

    def scalar(self, number: int) -> float:
        """A known operand of one element."""
        values = self.constant(number)
        if values.size != 1:
            raise self.refused(f"must have one number as operand {number}, got shape {values.shape}", "export it again")
        return float(values.ravel()[0])

    def moved(self, number: int) -> Feature:
        """An operand that is only moved: floats or quantised, a node's output."""
        value = self.operand(number)
        if isinstance(value, Constant):
            raise self.refused(f"must have a value of the network as operand {number}, got a constant", "fold it first")
        return self.builder.feature(value)

    def floating(self, number: int) -> Feature | Pointwise:
        """An operand with which the node calculates: not quantised."""
        value = self.operand(number)
        if isinstance(value, Constant):
            return self.moved(number)  # which refuses it
        if isinstance(value, Feature) and value.steps is not None:
            raise self.refused("must calculate with floats, got quantised integers", "put a DequantizeLinear before it")
        return value.made or value if isinstance(value, Pointwise) else value

    def feature(self, number: int) -> Feature:
        """An operand with which the node calculates, as a node's output."""
        return self.builder.feature(self.floating(number))

    def image(self, number: int, moved: bool = False) -> Feature:
        """An operand of shape (channels, height, width), or (channels, length) as an image of height 1, as stored."""
        value = self.moved(number) if moved else self.feature(number)
        if value.order is not None:
            raise self.refused("must read channels first, got an input with transposed axes", self.transposed)
        if len(value.shape) not in (2, 3):
            raise self.refused(
                f"must have an input (batch, channels, height, width) or (batch, channels, length), got {value.shape} "
                "without the batch axis",
                "use layers for one or two spatial axes",
            )
        channels, *sides = value.shape
        return self.builder.in_shape(value, (channels, *sides) if len(sides) == 2 else (channels, 1, *sides))

    transposed = "export the model with channels first, and without transpositions before other layers than dense ones"

    def attribute(self, name: str, default: Any) -> Any:
        """An attribute, or its default."""
        return self.attributes.get(name, default)

    def require(self, name: str, default: Any, remedy: str) -> None:
        """Refuse an attribute that is not at its default."""
        value = self.attribute(name, default)
        if value != default:
            raise self.refused(f"must have {name}={default}, got {value}", remedy)

    def axes(self, given: Any, rank: int) -> list[int]:
        """Axes as numbers from 0, of a rank that counts the batch axis."""
        numbers = [int(axis) for axis in (given if isinstance(given, list | tuple) else [given])]
        wrong = [axis for axis in numbers if not -rank <= axis < rank]
        if wrong:
            raise self.refused(f"must have axes within {rank} of them, got {wrong[0]}", "export the model again")
        return [axis % rank for axis in numbers]


def spatial(values: Any, count: int, default: int) -> list[int]:
    """A list of numbers for two spatial axes, made of those for one or two; 1-d windows have a height of one."""
    numbers = [int(value) for value in values] if values else [default] * count
    if len(numbers) != count:
        raise ValueError(f"must have {count} numbers for {count} axes, got {numbers}")
    return numbers if count == 2 else [1, *numbers]
