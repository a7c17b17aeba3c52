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
    """

    forward: Seen
    gradient: Seen


class Watch:
    """Passes everything on between a trainer and its inner products, and keeps what passes.

    Args:
        forward: The products with samples.
        gradient: The products with the features of a batch, for every batch.
        inputs: The integers that an element of a sample may be.
    """

    def __init__(self, forward: Products, gradient: Callable[[int], Products], inputs: IntDomain) -> None:
        self._gradient, self._inputs = gradient, inputs
        self._sums: list[Seen] = []
        self._gradients: list[Seen] = []
        self.forward: Products = _Watched(forward, inputs, self._sums)

    def gradient(self, batch: int) -> Products:
        """The products with the features of a batch, watched."""
        return _Watched(self._gradient(batch), self._inputs, self._gradients)

    @property
    def sights(self) -> list[Sight]:
        """The updates so far, each of a forward pass and of the gradient that followed it."""
        return [Sight(sums, gradient) for sums, gradient in zip(self._sums, self._gradients, strict=False)]


class _Watched:
    def __init__(self, inner: Products, inputs: IntDomain, seen: list[Seen]) -> None:
        self._inner, self._inputs, self._seen = inner, inputs, seen

    def products(self, y: IntArray, start: int, stop: int) -> IntArray:
        result = self._inner.products(y, start, stop)
        self._seen.append(Seen(np.array(y), np.array(result), self._inputs))
        return result
