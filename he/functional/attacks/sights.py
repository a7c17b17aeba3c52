"""What a trainer sees of training by functional keys for every update, written down as it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from he.functional.attacks.seen import Seen
from he.functional.protocols.products import Products
from intnn.values.arrays import IntArray
from intnn.values.domain import IntDomain
from intnn.values.value_object import ValueObject


@dataclass(frozen=True, eq=False)
class Sight(ValueObject):
    """One update.

    Attributes:
        forward: The weights of the first layer, [units, features], as keys, and the batch's sums [batch, units].
        gradient: The errors of the first layer, [units, batch], as keys, and the gradient [features, units].
        batch: The number of the batch, by which several updates of it belong together; None if there is one update of
            every batch.
    """

    forward: Seen
    gradient: Seen
    batch: int | None = None


class Watch:
    """Passes everything on between a trainer and its inner products, and keeps what passes.

    Args:
        forward: The products with samples.
        gradient: The products with the features of a batch, for every batch.
        inputs: The integers that an element of a sample may be.
        updates: How many updates are kept, the first ones; None for all.
    """

    def __init__(
        self,
        forward: Products,
        gradient: Callable[[int], Products],
        inputs: IntDomain,
        updates: int | None = None,
    ) -> None:
        self._gradient, self._inputs, self._updates = gradient, inputs, updates
        self._sums: list[tuple[int, Seen]] = []
        self._gradients: list[tuple[int, Seen]] = []
        self.forward: Products = _Watched(forward, inputs, self._sums, updates)

    def gradient(self, batch: int) -> Products:
        """The products with the features of a batch, watched as long as updates are kept."""
        inner = self._gradient(batch)
        if len(self._gradients) == self._updates:
            return inner
        return _Watched(inner, self._inputs, self._gradients, self._updates, batch)

    @property
    def sights(self) -> list[Sight]:
        """The updates so far, each of a forward pass and of the gradient that followed it."""
        return [
            Sight(sums, gradient, batch)
            for (_, sums), (batch, gradient) in zip(self._sums, self._gradients, strict=False)
        ]


class _Watched:
    def __init__(
        self, inner: Products, inputs: IntDomain, seen: list[tuple[int, Seen]], most: int | None, batch: int = 0
    ) -> None:
        self._inner, self._inputs, self._seen, self._most, self._batch = inner, inputs, seen, most, batch

    def products(self, y: IntArray, start: int, stop: int) -> IntArray:
        result = self._inner.products(y, start, stop)
        if self._most is None or len(self._seen) < self._most:
            self._seen.append((self._batch, Seen(np.array(y), np.array(result), self._inputs)))
        return result
