"""The steps that an engine over a residue number system takes, and how many of them the parts of a key switch take."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from functools import cache

from he.ring.gadget import Gadget

WORD_BYTES = 8  # of a residue
CACHED_BYTES = 1 << 23  # of digits and keys at a level, with one special prime: where they are more, memory is read


@dataclass(frozen=True)
class Work:
    """A number of steps, each of a polynomial modulo one prime.

    Attributes:
        transforms: number-theoretic transforms.
        products: slotwise products.
        streamed: slotwise products with what comes from memory: digits and keys, where they are more than a cache
            holds, and encrypted operands.
    """

    transforms: int = 0
    products: int = 0
    streamed: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(self.transforms + other.transforms, self.products + other.products, self.streamed + other.streamed)

    def times(self, count: int) -> Work:
        """Return the work of doing all this so many times."""
        return Work(count * self.transforms, count * self.products, count * self.streamed)


@dataclass(frozen=True)
class Switches:
    """What is done at one level that takes more or fewer steps by the gadget.

    Attributes:
        decomposed: polynomials that are cut into digits.
        multiplied: products of a polynomial's digits, as they are made, with a key.
        shared: products of digits that are kept, because several rotations share them, with a key.
        divided: pairs of polynomials that are divided by the special primes.
        extended: slotwise products of polynomials that are not divided yet.
    """

    decomposed: int = 0
    multiplied: int = 0
    shared: int = 0
    divided: int = 0
    extended: int = 0

    def __add__(self, other: Switches) -> Switches:
        return Switches(
            self.decomposed + other.decomposed,
            self.multiplied + other.multiplied,
            self.shared + other.shared,
            self.divided + other.divided,
            self.extended + other.extended,
        )

    def times(self, count: int) -> Switches:
        """Return what it is to do all this so many times."""
        return Switches(*(count * number for number in astuple(self)))

    def work(self, gadget: Gadget) -> Work:
        """Return the steps that it takes with the gadget of its level."""
        return (
            decomposing(gadget).times(self.decomposed)
            + multiplying(gadget).times(self.multiplied)
            + multiplying(gadget, shared=True).times(self.shared)
            + dividing(gadget).times(self.divided)
            + Work(products=self.extended * gadget.rows)
        )


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
def multiplying(gadget: Gadget, shared: bool = False) -> Work:
    """Count the products of digits with both halves of a key; digits that rotations share are read again by each."""
    count, level = 2 * len(gadget.groups) * gadget.rows, gadget.level
    streamed = shared and WORD_BYTES * gadget.degree * 2 * level * (level + 1) > CACHED_BYTES
    return Work(streamed=count) if streamed else Work(products=count)


@cache
def dividing(gadget: Gadget) -> Work:
    """Count the division of two polynomials by the special primes; see `decomposing` for the remainders."""
    specials = gadget.specials
    return Work(2 * gadget.rows, 2 * gadget.level * (specials + 1) if specials > 1 else 0)
