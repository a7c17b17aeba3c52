"""What a trainer sees, and what an attack makes of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from he.functional.instance import MAX_LENGTH
from intnn.values.arrays import Array, IntArray, array, frozen, integers
from intnn.values.domain import IntDomain
from intnn.values.value_object import ValueObject

BYTES = IntDomain(-128, 255)
KEYS = IntDomain(-32767, 32767)


@dataclass(frozen=True, eq=False)
class Seen(ValueObject):
    """Vectors of functional keys, and the inner products of hidden samples with all of them.

    Attributes:
        keys: The vectors y, int64 [keys, length], within +-32767.
        products: The inner products <x, y>, int64 [samples, keys].
        inputs: The integers that an element of a sample x may be, inside [-128, 255].

    Raises:
        TypeError: An array holds no integers.
        ValueError: Shapes do not fit each other, there is nothing, or a value is out of its range.
    """

    keys: IntArray
    products: IntArray
    inputs: IntDomain

    def __post_init__(self) -> None:
        keys, products = KEYS.require(self.keys, "keys"), integers(self.products, "products")
        if keys.ndim != 2 or not keys.size or keys.shape[1] > MAX_LENGTH:
            raise ValueError(f"`keys` must have shape [n, length] with n at least 1, got {list(keys.shape)}")
        if products.ndim != 2 or products.shape[1] != len(keys) or not len(products):
            raise ValueError(f"`products` must have shape [samples, {len(keys)}], got {list(products.shape)}")
        if not BYTES.issuperset(self.inputs):
            raise ValueError(f"`inputs` must lie in {BYTES}, got {self.inputs}")
        object.__setattr__(self, "keys", frozen(keys))
        object.__setattr__(self, "products", frozen(products))

    def agrees(self, images: IntArray) -> Array:
        """Whether images, int64 [samples, length] of the domain, give every product that was seen, bool [samples].

        The products are integers: float64 holds every sum, at most 2**16 * 2**8 * 2**15.
        """
        products = images.astype(np.float64) @ self.keys.T.astype(np.float64)
        return np.asarray((products == self.products).all(axis=1))


@dataclass(frozen=True, eq=False)
class Rebuilt(ValueObject):
    """Images that an attack has made of what was seen.

    Attributes:
        images: int64 [samples, length], within the domain of the inputs.
        confirmed: Whether the attacker takes an image for right, bool [samples]; each attack says what that is worth.

    Raises:
        TypeError: The images are no integers.
        ValueError: There is not one bool for every image.
    """

    images: IntArray
    confirmed: Array

    def __post_init__(self) -> None:
        images, confirmed = integers(self.images, "images"), array(self.confirmed, "confirmed")
        if images.ndim != 2 or confirmed.shape != (len(images),) or confirmed.dtype != bool:
            raise ValueError("`images` must have shape [samples, length], and `confirmed` a bool for each of them")
        object.__setattr__(self, "images", frozen(images))
        object.__setattr__(self, "confirmed", frozen(confirmed))


def nearest(seen: Seen, estimates: Array) -> Rebuilt:
    """Estimates, float64 [samples, length], rounded into the domain; confirmed where they agree with every product."""
    images = np.clip(np.rint(estimates), seen.inputs.lo, seen.inputs.hi).astype(np.int64)
    return Rebuilt(images, seen.agrees(images))
