"""What an exporter sees of a network."""

from collections.abc import Mapping
from typing import Any, Protocol

from intnn.layers.nodes import Join, Node, Shape
from intnn.values.domain import IntDomain, Interval

INPUT = -1  # the number of a network's input among its layers


class Proved(Protocol):
    """An integer network with the worst case of every value; see `intnn.IntNetwork`, which is one."""

    @property
    def input_shape(self) -> Shape:
        """The shape of one input."""

    @property
    def input_domain(self) -> IntDomain:
        """The integers that an input element may be."""

    @property
    def input_scale(self) -> float:
        """The integer units per float unit of the input."""

    @property
    def layers(self) -> tuple[Node | Join, ...]:
        """The layers."""

    @property
    def sources(self) -> tuple[tuple[int, ...], ...]:
        """For every layer, the numbers of what it reads."""

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The output shape of every layer."""

    @property
    def intervals(self) -> tuple[Interval, ...]:
        """The worst-case range of every layer's output."""

    @property
    def bounds(self) -> tuple[int, ...]:
        """For every layer, the largest sum of absolute terms."""

    @property
    def name(self) -> str:
        """A label for people."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Anything that JSON can hold."""
