"""The steps that an engine over a residue number system takes, and how many of them the parts of a key switch take."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from he.ring.gadget import Gadget


@dataclass(frozen=True)
class Work:
    """A number of transforms and of slotwise products, each of a polynomial modulo one prime."""

    transforms: int = 0
    products: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(self.transforms + other.transforms, self.products + other.products)

    def __sub__(self, other: Work) -> Work:
        return Work(self.transforms - other.transforms, self.products - other.products)

    def times(self, count: int) -> Work:
        """Return the work of doing all this so many times."""
        return Work(count * self.transforms, count * self.products)


@cache
def decomposing(gadget: Gadget) -> Work:
    """Count the digits of one polynomial modulo all primes of its extended form.

    Residues are transformed back, and forward modulo every prime that is not a digit's own. A digit of several primes
    is a sum with a term for each, and one more for the multiple of its modulus; one of a single prime is only lifted.
    """
    rows = gadget.rows
    forward = sum(rows - len(group) for group in gadget.groups)
    terms = sum((rows - len(group)) * (len(group) + 1) for group in gadget.groups)
    return Work(gadget.level + forward, terms if gadget.specials > 1 else 0)


@cache
def multiplying(gadget: Gadget) -> Work:
    """Count the products of digits with both halves of a key."""
    return Work(products=2 * len(gadget.groups) * gadget.rows)


@cache
def dividing(gadget: Gadget) -> Work:
    """Count the division of two polynomials by the special primes; see `decomposing` for the remainders."""
    specials = gadget.specials
    return Work(2 * gadget.rows, 2 * gadget.level * (specials + 1) if specials > 1 else 0)
