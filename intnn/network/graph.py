"""The float network, which the packages exchange."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from intnn.layers.nodes import Conv2d, Dense, IntPolynomial, Join, LutActivation, Node, Requantise, Scale, Shape
from intnn.layers.serialise import from_document, to_document
from intnn.network.edges import (
    Sources,
    chain,
    chain_of,
    checked_shape,
    checked_sources,
    flow,
    is_chain,
    last_of,
    shapes_of,
    written_sources,
)
from intnn.ops import numpy_
from intnn.storage.document import Document, read, write
from intnn.values.arrays import Array, FloatArray, IntArray, batched, reals
from intnn.values.read_only import read_only
from intnn.values.value_object import ValueObject

__all__ = ["Graph", "Node", "Shape"]

BATCH = 128  # rows evaluated at a time, so that im2col stays within the caches' reach


@dataclass(frozen=True, eq=False)
class Graph(ValueObject):
    """Nodes over float64 parameters: a chain, or with branches.

    Attributes:
        input_shape: The shape of one input; images are (channels, height, width).
        nodes: At least one layer of `intnn.layers.nodes`, or of a class of one's own with the same methods.
        name: A label for people.
        metadata: Anything that JSON can hold, copied and read-only; it is saved with the graph and has no meaning
            here.
        inputs: For every node the numbers of the nodes that it reads, in order; -1 is the graph's input, and earlier
            nodes only can be read. ``()`` stands for a chain, in which each node reads the one before.
        shapes: The output shape of every node (derived).
        sources: ``inputs``, written out for a chain as well (derived).

    Raises:
        TypeError: A node is no node, holds integer parameters or belongs to integer networks.
        ValueError: The shapes do not fit together, or ``metadata`` is not JSON.
    """

    input_shape: Shape
    nodes: tuple[Node | Join, ...]
    name: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    inputs: Sources = ()
    shapes: tuple[Shape, ...] = field(init=False, repr=False)
    sources: Sources = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_shape", checked_shape(self.input_shape, "input_shape"))
        object.__setattr__(self, "nodes", checked_nodes(self.nodes, "nodes"))
        object.__setattr__(self, "metadata", checked_metadata(self.name, self.metadata))
        for i, node in enumerate(self.nodes):
            if isinstance(node, LutActivation | Requantise | IntPolynomial):
                raise TypeError(f"`nodes[{i}]` must be a float node, got {node}; it belongs to an IntNetwork")
            if isinstance(node, Dense | Conv2d | Scale) and node.weight.dtype != np.float64:
                raise TypeError(f"`nodes[{i}]` must have float parameters, got {node.weight.dtype}")
        sources = checked_sources(self.inputs, self.nodes)
        object.__setattr__(self, "sources", sources)
        object.__setattr__(self, "inputs", () if is_chain(sources) else sources)
        object.__setattr__(self, "shapes", shapes_of(self.input_shape, self.nodes, sources, "nodes"))

    @property
    def output_shape(self) -> Shape:
        """The shape of one output."""
        return self.shapes[-1]

    @property
    def is_chain(self) -> bool:
        """Whether every node reads the one before it."""
        return not self.inputs

    @property
    def chain(self) -> tuple[Node, ...]:
        """The nodes, if they are a chain; a TypeError says so if they are not."""
        return chain_of(self.nodes, self.sources, "nodes")

    def values(self, x: ArrayLike) -> list[FloatArray]:
        """Every node's output for a float batch [batch, *input_shape]; it raises what `forward` raises."""
        rows = batched(reals(x, "x"), self.input_shape, "x")
        parts = [
            flow(rows[start : start + BATCH], self.nodes, self.sources, applied) for start in range(0, len(rows), BATCH)
        ]
        return [np.concatenate(part) for part in zip(*parts, strict=True)]

    def forward(self, x: ArrayLike) -> FloatArray:
        """Evaluate a float batch [batch, *input_shape] -> float64 [batch, *output_shape].

        Raises:
            TypeError: ``x`` does not hold floats.
            ValueError: The shape is wrong, the batch empty, or a value NaN or infinite.
        """
        return evaluate(self.nodes, batched(reals(x, "x"), self.input_shape, "x"), self.sources)

    def logits(self, x: ArrayLike) -> FloatArray:
        """The outputs of `forward`, flattened to [batch, classes]."""
        y = self.forward(x)
        return y.reshape(len(y), -1)

    def predict(self, x: ArrayLike) -> IntArray:
        """The class of the largest logit, [batch]; the lowest class of equals."""
        return self.logits(x).argmax(axis=1)

    def draw(self, path: str | os.PathLike[str], samples: ArrayLike | None = None) -> None:
        """Draw the nodes, their shapes and activations into an .svg, .png or .pdf file.

        Args:
            path: The file; it appears whole or not at all.
            samples: Floats [batch, *input_shape]; if they are given, what every node reaches on them is drawn as well.

        Raises:
            ValueError: The suffix is another one, there are more than 400 nodes, or `values` refuses the samples.
            ImportError: Matplotlib is not installed.
            OSError: The file cannot be written.
        """
        from intnn.export.draw import draw_graph  # a library that not everybody has

        values = None if samples is None else [reals(samples, "samples"), *self.values(samples)]
        reaches = None if values is None else [(float(v.min()), float(v.max())) for v in values]
        draw_graph(self.input_shape, self.nodes, self.sources, self.shapes, self.name, path, reaches)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the graph's content, in hexadecimal."""
        return self._document().fingerprint

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to ``path``, as .npz or .json by its suffix; an existing file is replaced whole or not at all.

        Raises:
            ValueError: The suffix is another one.
            FormatError: The graph is larger than what `load` takes.
            OSError: The file cannot be written.
        """
        write(self._document(), path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Graph":
        """Read what `save` wrote.

        Raises:
            ValueError: The suffix is another one.
            FormatError: The file is corrupt or foreign; the message names the field.
            OSError: The file cannot be read.
        """
        return from_document(read(path, cls.__name__), lambda nodes, content: cls(nodes=nodes, **content))

    def _document(self) -> Document:
        content = {"input_shape": list(self.input_shape), "name": self.name, "metadata": self.metadata}
        content |= written_sources(self.inputs)
        return to_document(type(self).__name__, self.nodes, **content)


def evaluate(nodes: tuple[Node | Join, ...], x: FloatArray, sources: Sources | None = None) -> FloatArray:
    """Evaluate nodes on float64 rows, `BATCH` at a time; by default they are a chain."""
    sources = chain(len(nodes)) if sources is None else sources
    batches = (x[start : start + BATCH] for start in range(0, len(x), BATCH))
    return np.concatenate([last_of(batch, nodes, sources, applied) for batch in batches])


def applied(_: int, node: Node | Join, values: list[Array]) -> Array:
    """What a node makes of float64 values, as `flow` asks for it."""
    return node.join(values) if isinstance(node, Join) else node.apply(values[0], numpy_)


def checked_nodes(nodes: Any, name: str) -> tuple[Node | Join, ...]:
    """Nodes as a tuple; a TypeError names what is none."""
    if not np.iterable(nodes):
        raise TypeError(f"`{name}` must be a sequence of nodes, got {nodes!r}")
    checked = tuple(nodes)
    for i, node in enumerate(checked):
        if isinstance(node, type) or not isinstance(node, Node | Join):
            raise TypeError(f"`{name}[{i}]` must be a node of intnn.layers.nodes, got {type(node).__name__}")
    return checked


def checked_metadata(name: Any, metadata: Any) -> Mapping[str, Any]:
    """A read-only copy of ``metadata`` exactly as it will come back from a file."""
    if not isinstance(name, str):
        raise TypeError(f"`name` must be a string, got {name!r}")
    try:
        return read_only(json.loads(json.dumps(dict(metadata), allow_nan=False)))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"`metadata` must be representable as JSON: {error}") from None
