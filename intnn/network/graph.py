"""The float network, which the packages exchange."""

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from intnn.layers.nodes import Conv2d, Dense, LutActivation, Node, Shape
from intnn.layers.serialise import from_document, to_document
from intnn.ops import numpy_
from intnn.storage.document import Document, read, write
from intnn.values.arrays import FloatArray, IntArray, batched, integer, reals
from intnn.values.read_only import read_only
from intnn.values.value_object import ValueObject

__all__ = ["Graph", "Node", "Shape"]

BATCH = 128  # rows evaluated at a time, so that im2col stays within the caches' reach
MAX_ELEMENTS = 1 << 24  # elements of one input or of one layer's output


@dataclass(frozen=True, eq=False)
class Graph(ValueObject):
    """A chain of nodes over float64 parameters.

    Attributes:
        input_shape: The shape of one input; images are (channels, height, width).
        nodes: At least one layer of `intnn.layers.nodes`, or of a class of one's own with the same methods.
        name: A label for people.
        metadata: Anything that JSON can hold, copied and read-only; it is saved with the graph and has no meaning
            here.
        shapes: The output shape of every node (derived).

    Raises:
        TypeError: A node is no node, holds integer parameters or is a lookup table.
        ValueError: The shapes do not fit together, or ``metadata`` is not JSON.
    """

    input_shape: Shape
    nodes: tuple[Node, ...]
    name: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    shapes: tuple[Shape, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_shape", checked_shape(self.input_shape, "input_shape"))
        object.__setattr__(self, "nodes", checked_nodes(self.nodes, "nodes"))
        object.__setattr__(self, "metadata", checked_metadata(self.name, self.metadata))
        for i, node in enumerate(self.nodes):
            if isinstance(node, LutActivation):
                raise TypeError(f"`nodes[{i}]` must be a float node, got {node}; tables belong to an IntNetwork")
            if isinstance(node, (Dense, Conv2d)) and node.weight.dtype != np.float64:
                raise TypeError(f"`nodes[{i}]` must have float parameters, got {node.weight.dtype}")
        object.__setattr__(self, "shapes", chain_shapes(self.input_shape, self.nodes, "nodes"))

    @property
    def output_shape(self) -> Shape:
        """The shape of one output."""
        return self.shapes[-1]

    def forward(self, x: ArrayLike) -> FloatArray:
        """Evaluate a float batch [batch, *input_shape] -> float64 [batch, *output_shape].

        Raises:
            TypeError: ``x`` does not hold floats.
            ValueError: The shape is wrong, the batch empty, or a value NaN or infinite.
        """
        return evaluate(self.nodes, batched(reals(x, "x"), self.input_shape, "x"))

    def logits(self, x: ArrayLike) -> FloatArray:
        """The outputs of `forward`, flattened to [batch, classes]."""
        y = self.forward(x)
        return y.reshape(len(y), -1)

    def predict(self, x: ArrayLike) -> IntArray:
        """The class of the largest logit, [batch]; the lowest class of equals."""
        return self.logits(x).argmax(axis=1)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the graph's content, in hexadecimal."""
        return self._document().fingerprint

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to ``path``, as .npz or .json by its suffix; an existing file is replaced whole or not at all."""
        write(self._document(), path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Graph":
        """Read what `save` wrote.

        Raises:
            FormatError: The file is corrupt or foreign; the message names the field.
        """
        return from_document(read(path, cls.__name__), lambda nodes, content: cls(nodes=nodes, **content))

    def _document(self) -> Document:
        content = {"input_shape": list(self.input_shape), "name": self.name, "metadata": self.metadata}
        return to_document(type(self).__name__, self.nodes, **content)


def evaluate(nodes: tuple[Node, ...], x: FloatArray) -> FloatArray:
    """Evaluate a chain on float64 rows, `BATCH` at a time."""
    outputs = []
    for start in range(0, len(x), BATCH):
        y = x[start : start + BATCH]
        for node in nodes:
            y = node.apply(y, numpy_)
        outputs.append(y)
    return np.concatenate(outputs)


def chain_shapes(input_shape: Shape, nodes: Iterable[Node], name: str) -> tuple[Shape, ...]:
    """The output shapes of a chain of nodes; a ValueError or TypeError names the first node that does not fit."""
    shapes = [input_shape]
    for i, node in enumerate(nodes):
        try:
            shapes.append(checked_shape(node.output_shape(shapes[-1]), "output shape"))
        except ValueError as error:
            raise ValueError(f"`{name}[{i}]`: {error}") from None
    if len(shapes) == 1:
        raise ValueError(f"`{name}` must hold at least one node")
    return tuple(shapes[1:])


def checked_nodes(nodes: Any, name: str) -> tuple[Node, ...]:
    """A chain as a tuple of nodes; a TypeError names what is none."""
    if not np.iterable(nodes):
        raise TypeError(f"`{name}` must be a sequence of nodes, got {nodes!r}")
    checked = tuple(nodes)
    for i, node in enumerate(checked):
        if isinstance(node, type) or not isinstance(node, Node):
            raise TypeError(f"`{name}[{i}]` must be a node of intnn.layers.nodes, got {type(node).__name__}")
    return checked


def checked_shape(shape: Any, name: str) -> Shape:
    """A shape as a tuple of positive ints, of at most `MAX_ELEMENTS` elements."""
    if not np.iterable(shape):
        raise TypeError(f"`{name}` must be a tuple of sides such as (64,) or (1, 8, 8), got {shape!r}")
    checked = tuple(integer(side, name, 1, MAX_ELEMENTS) for side in shape)
    if not checked or math.prod(checked) > MAX_ELEMENTS:
        raise ValueError(f"`{name}` must have between 1 and {MAX_ELEMENTS} elements, got {shape}")
    return checked


def checked_metadata(name: Any, metadata: Any) -> Mapping[str, Any]:
    """A read-only copy of ``metadata`` exactly as it will come back from a file."""
    if not isinstance(name, str):
        raise TypeError(f"`name` must be a string, got {name!r}")
    try:
        return read_only(json.loads(json.dumps(dict(metadata), allow_nan=False)))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"`metadata` must be representable as JSON: {error}") from None
