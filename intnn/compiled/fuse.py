"""Layers fused into groups that one pass over the data evaluates: what is summed, and what becomes of the sums."""

from dataclasses import dataclass
from typing import TypeVar

from intnn.layers.nodes import Conv2d, Dense, Flatten, LutActivation, Node, Requantise, Shape, SumPool2d
from intnn.values.domain import IntDomain, Interval

T = TypeVar("T", bound=Node)

INT32 = IntDomain(-(1 << 31), (1 << 31) - 1)


class UnsupportedError(ValueError):
    """The network has a part that the compiled kernels do not evaluate."""


@dataclass(frozen=True, eq=False)
class FusedLayer:
    """The layers of one pass: a linear one, and those that may follow it, in this order.

    Attributes:
        linear: The layer whose sums are formed.
        pool: The pooling of those sums, if any.
        requantise: The rescaling of every sum, if any.
        activation: The table for every value, if any.
        sums: The range of every sum, after pooling, in the shape before any flattening.
        output: The range of every output.
        flattens: Whether the output is seen as a vector from here on.
        is_last: Whether the output is the network's.
    """

    linear: Dense | Conv2d
    pool: SumPool2d | None
    requantise: Requantise | None
    activation: LutActivation | None
    sums: Interval
    output: Interval
    flattens: bool
    is_last: bool

    @property
    def shape(self) -> Shape:
        """The shape of the output, before any flattening."""
        return self.sums.lo.shape

    @property
    def gives_sums(self) -> bool:
        """Whether int32 sums are the network's outputs; between layers there are only bytes."""
        return self.is_last and self.requantise is None and self.activation is None

    @property
    def gives_signed_bytes(self) -> bool:
        """Whether the network's outputs are signed bytes, in two's complement."""
        hull = self.output.hull
        return self.is_last and not self.gives_sums and hull.lo < 0 and IntDomain(-128, 127).issuperset(hull)

    @property
    def padding(self) -> int:
        """How many zeros the linear layer wants around its input."""
        return self.linear.borders[0] if isinstance(self.linear, Conv2d) else 0


def fuse(layers: tuple[Node, ...], intervals: tuple[Interval, ...]) -> tuple[bool, list[FusedLayer]]:
    """Fuse a network's layers.

    Returns:
        Whether the input is flattened first, and at least one fused layer.

    Raises:
        UnsupportedError: The layers come in another order, or sums do not fit int32.
    """
    chain = _Chain(list(zip(layers, intervals, strict=True)))
    is_flat = chain.skip_flattenings()
    fused = []
    while chain.rest:
        linear = chain.take(Dense) or chain.take(Conv2d)
        if linear is None:
            raise UnsupportedError(f"{chain.rest[0][0]} must follow a linear layer that it is fused with")
        sums = chain.interval
        pool = chain.take(SumPool2d)
        if pool is not None:
            sums = chain.interval
        requantise = chain.take(Requantise)
        activation = chain.take(LutActivation)
        flattens = chain.skip_flattenings()
        if not INT32.issuperset(sums.hull):
            raise UnsupportedError(f"sums of {linear} must fit int32, got {sums.hull}")
        if not (isinstance(linear, Dense) or linear.is_plain) or not (pool is None or pool.is_plain):
            raise UnsupportedError(f"{linear} and {pool} must have one step both ways, and neither groups nor dilation")
        if requantise is not None and len(requantise.multiplier) not in (1, len(linear.weight)):
            raise UnsupportedError(f"{requantise} must have a multiplier for each channel of {linear}")
        fused.append(FusedLayer(linear, pool, requantise, activation, sums, chain.interval, flattens, not chain.rest))
    if not fused:
        raise UnsupportedError("a network without a linear layer has nothing to be fused")
    return is_flat, fused


class _Chain:
    """Layers that are taken from the front; flattenings move nothing and are only remembered."""

    def __init__(self, rest: list[tuple[Node, Interval]]):
        self.rest = rest
        self.interval = rest[0][1]  # the range of the layer taken last, in its own shape
        self.is_flat = False

    def take(self, kind: type[T]) -> T | None:
        """The next layer, if it is of this kind."""
        ahead = next((i for i, (layer, _) in enumerate(self.rest) if not isinstance(layer, Flatten)), None)
        if ahead is None:
            return None
        layer, interval = self.rest[ahead]
        if not isinstance(layer, kind):
            return None
        self.is_flat = self.is_flat or ahead > 0
        self.interval = interval
        del self.rest[: ahead + 1]
        return layer

    def skip_flattenings(self) -> bool:
        """Whether there were any since this was asked last."""
        while self.rest and isinstance(self.rest[0][0], Flatten):
            self.is_flat = True
            del self.rest[0]
        was_flat, self.is_flat = self.is_flat, False
        return was_flat
