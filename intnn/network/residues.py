"""The evaluation of networks beyond int64: modulo several primes, and as they are where values are small."""

from collections.abc import Sequence
from typing import cast

import numpy as np

from intnn.layers.intervals import LIMIT
from intnn.layers.nodes import Conv2d, Dense, IntPolynomial, Join, LutActivation, Node, Requantise, Scale, SumPool2d
from intnn.network.edges import Sources, flow, last_of
from intnn.ops import Operations, numpy_
from intnn.ops.residues import EXACT, Modulo, combined, enough_primes
from intnn.values.arrays import Array


class Residues:
    """A plan of evaluation: which layers are evaluated as they are, and by which primes the others.

    Attributes:
        primes: The primes; their product is above twice the largest output.
    """

    def __init__(
        self, layers: Sequence[Node | Join], sources: Sources, bounds: Sequence[int], output_bound: int
    ) -> None:
        """Plan for layers whose sums of absolute terms are bounded, and whose outputs are at most ``output_bound``."""
        self._layers, self._sources, self._bounds = layers, sources, bounds
        has_tables = any(isinstance(layer, LutActivation | Requantise) for layer in layers)
        limit = LIMIT if has_tables else EXACT  # tables read int64; matrix products are slow there, and avoid it
        self._is_small = flow(True, layers, sources, lambda i, _, small: all(small) and bounds[i] < limit)
        self.primes = enough_primes(output_bound, [_terms(layer) for layer in layers])

    @property
    def is_possible(self) -> bool:
        """Whether every table and rescaling reads small values: neither is an operation on residues."""
        tables = (i for i, layer in enumerate(self._layers) if isinstance(layer, LutActivation | Requantise))
        return all(self._is_small[i] for i in tables)

    def outputs(self, batch: Array) -> Array:
        """Evaluate integers [batch, *input_shape] -> Python integers [batch, *output_shape], of dtype object."""

        def small(i: int, layer: Node | Join, values: list[Array | None]) -> Array | None:
            if not self._is_small[i]:
                return None
            dtype = numpy_.arithmetic(self._bounds[i])
            read = [value.astype(dtype, copy=False) for value in values if value is not None]
            return layer.join(read) if isinstance(layer, Join) else layer.apply(read[0], numpy_)

        entering: Array | None = batch
        known = flow(entering, self._layers, self._sources, small)

        def modulo(prime: int) -> Array:
            ring = Modulo(prime)

            def step(i: int, layer: Node | Join, values: list[Array]) -> Array:
                value = known[i]
                return ring.residues(value) if value is not None else _applied(layer, values, ring)

            return last_of(ring.residues(batch), self._layers, self._sources, step)

        return combined([modulo(prime) for prime in self.primes], self.primes)


def _applied(layer: Node | Join, values: list[Array], ring: Modulo) -> Array:
    """What a layer makes of residues."""
    match layer:
        case Join():
            return ring.residues(layer.join(values))
        case Scale():
            return ring.residues(Scale.scaled(values[0], ring.residues(layer.weight), ring.residues(layer.bias)))
        case IntPolynomial():
            *lower, leading = (float(c % ring.prime) for c in layer.coefficients)
            total = ring.residues(np.full_like(values[0], leading))
            for coefficient in reversed(lower):
                total = ring.residues(total * values[0] + coefficient)
            return total
        case _:
            return layer.apply(values[0], cast(Operations, ring))  # what has tables has been evaluated


def _terms(layer: Node | Join) -> int:
    """How many products a sum of the layer has."""
    match layer:
        case Dense() | Conv2d():
            return layer.weight[0].size
        case SumPool2d():
            return layer.area
        case _:
            return 2
