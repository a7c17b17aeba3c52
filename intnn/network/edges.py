"""Which node reads which: nodes in an order in which each reads only earlier ones."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np

from intnn.layers.nodes import Join, Node, Shape
from intnn.values.arrays import integer

Sources = tuple[tuple[int, ...], ...]  # for every node, the numbers of the nodes that it reads

INPUT = -1  # the number of a network's input
MAX_ELEMENTS = 1 << 24  # elements of one input or of one layer's output

T = TypeVar("T")


def chain(count: int) -> Sources:
    """The sources of nodes that each read the one before."""
    return tuple((number - 1,) for number in range(count))


def checked_sources(inputs: Any, nodes: Sequence[Node | Join]) -> Sources:
    """The sources of nodes; ``()`` stands for a chain.

    Args:
        inputs: For every node the numbers of the nodes that it reads, in order; -1 is the network's input.
        nodes: The nodes.

    Raises:
        TypeError: The sources are no sequences of integers.
        ValueError: There is not one entry for each node, a node reads itself or a later one, a layer reads several
            values or a join fewer than two, or a node but the last is read by none.
    """
    if not np.iterable(inputs):
        raise TypeError(f"`inputs` must be a sequence of tuples of node numbers, got {inputs!r}")
    sources = tuple(inputs)
    if not sources:
        sources = chain(len(nodes))
    if len(sources) != len(nodes):
        raise ValueError(f"`inputs` must have an entry for each of {len(nodes)} nodes, got {len(sources)}")
    if not all(np.iterable(read) for read in sources):
        raise TypeError(f"`inputs` must be a sequence of tuples of node numbers, got {inputs!r}")
    sources = tuple(
        tuple(integer(number, f"inputs[{i}]", INPUT, i - 1) for number in read) for i, read in enumerate(sources)
    )
    for i, (node, read) in enumerate(zip(nodes, sources, strict=True)):
        if isinstance(node, Join):
            if len(read) < 2:
                raise ValueError(f"`inputs[{i}]` must name two values or more for {node}, got {read}")
        elif len(read) != 1:
            raise ValueError(f"`inputs[{i}]` must name one value for {node}, got {read}")
    known = {number for read in sources for number in read}
    unread = [number for number in range(len(nodes) - 1) if number not in known]
    if unread:
        raise ValueError(f"`nodes[{unread[0]}]` must be read by a later node; leave it out, or make it the last")
    return sources


def chain_of(nodes: Sequence[Node | Join], sources: Sources, name: str) -> tuple[Node, ...]:
    """The nodes, if each reads the one before.

    Raises:
        TypeError: They have branches.
    """
    if not is_chain(sources):
        raise TypeError(f"`{name}` must be a chain, in which each reads the one before, got one with branches")
    return tuple(node for node in nodes if not isinstance(node, Join))  # a chain has none


def is_chain(sources: Sources) -> bool:
    """Whether every node reads the one before."""
    return sources == chain(len(sources))


def shapes_of(input_shape: Shape, nodes: Iterable[Node | Join], sources: Sources, name: str) -> tuple[Shape, ...]:
    """The output shape of every node.

    Raises:
        ValueError: A node does not fit what it reads; the message names it.
    """

    def output(i: int, node: Node | Join, shapes: list[Shape]) -> Shape:
        try:
            shape = node.joined_shape(shapes) if isinstance(node, Join) else node.output_shape(shapes[0])
            return checked_shape(shape, "output shape")
        except ValueError as error:
            raise ValueError(f"`{name}[{i}]`: {error}") from None

    result = flow(input_shape, nodes, sources, output)
    if not result:
        raise ValueError(f"`{name}` must hold at least one node")
    return tuple(result)


def flow(
    entering: T, nodes: Iterable[Node | Join], sources: Sources, step: Callable[[int, Node | Join, list[T]], T]
) -> list[T]:
    """What a step makes of every node.

    Args:
        entering: What the network's input is.
        nodes: The nodes.
        sources: The nodes that each of them reads.
        step: Returns what a node is, of its number, itself, and what it reads.
    """
    known: dict[int, T] = {INPUT: entering}
    for i, (node, read) in enumerate(zip(nodes, sources, strict=True)):
        known[i] = step(i, node, [known[number] for number in read])
    return [known[i] for i in range(len(known) - 1)]


def last_of(
    entering: T, nodes: Sequence[Node | Join], sources: Sources, step: Callable[[int, Node | Join, list[T]], T]
) -> T:
    """What a step makes of the last node; a value is let go where no later node reads it. See `flow`."""
    last_read = {number: i for i, read in enumerate(sources) for number in read}
    known: dict[int, T] = {INPUT: entering}
    for i, (node, read) in enumerate(zip(nodes, sources, strict=True)):
        values = [known[number] for number in read]
        for number in set(read):
            if last_read[number] == i:
                del known[number]
        known[i] = step(i, node, values)
    return known[len(nodes) - 1]


def checked_shape(shape: Any, name: str) -> Shape:
    """A shape as a tuple of positive ints, of at most `MAX_ELEMENTS` elements."""
    if not np.iterable(shape):
        raise TypeError(f"`{name}` must be a tuple of sides such as (64,) or (1, 8, 8), got {shape!r}")
    checked = tuple(integer(side, name, 1, MAX_ELEMENTS) for side in shape)
    if not checked or math.prod(checked) > MAX_ELEMENTS:
        raise ValueError(f"`{name}` must have between 1 and {MAX_ELEMENTS} elements, got {shape}")
    return checked


def written_sources(inputs: Sources) -> dict[str, list[list[int]]]:
    """The field of a document for sources; chains have none."""
    return {"inputs": [list(read) for read in inputs]} if inputs else {}
