"""Finite subsets of the integers, and the worst-case range of every element of an array."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from intnn.values.arrays import Array, IntArray, any_integers, frozen, integer, integers
from intnn.values.value_object import ValueObject


@dataclass(frozen=True)
class IntDomain(ValueObject):
    """The integers from ``lo`` to ``hi``, both inclusive; with a ``modulus`` t, the whole ring Z_t in centred form.

    Attributes:
        lo: Smallest element; fits int64.
        hi: Largest element; fits int64, at least ``lo``.
        modulus: None for an interval. A ring has t = ``hi - lo + 1`` elements, and ``lo`` is ``-(t // 2)``.

    Raises:
        TypeError: A bound is not an integer.
        ValueError: The bounds are out of order, or not the centred form of the modulus.
    """

    lo: int
    hi: int
    modulus: int | None = None

    def __post_init__(self) -> None:
        lo, hi = integer(self.lo, "lo"), integer(self.hi, "hi")
        if lo > hi:
            raise ValueError(f"`lo` must be at most `hi`, got {lo} > {hi}")
        if self.modulus is not None:
            modulus = integer(self.modulus, "modulus", low=2)
            if (lo, hi) != (-(modulus // 2), (modulus - 1) // 2):
                raise ValueError(f"`lo`, `hi` must be the centred form of Z_{modulus}, got [{lo}, {hi}]")
            object.__setattr__(self, "modulus", modulus)
        object.__setattr__(self, "lo", lo)
        object.__setattr__(self, "hi", hi)

    @classmethod
    def interval(cls, lo: int, hi: int) -> "IntDomain":
        """The integers from ``lo`` to ``hi``, both inclusive."""
        return cls(lo, hi)

    @classmethod
    def ring(cls, modulus: int) -> "IntDomain":
        """Z_t by its centred representatives: -(t // 2) .. (t - 1) // 2."""
        modulus = integer(modulus, "modulus", low=2)
        return cls(-(modulus // 2), (modulus - 1) // 2, modulus)

    @classmethod
    def symmetric(cls, points: int) -> "IntDomain":
        """The interval of ``points`` integers around zero; an even count has one more below than above."""
        points = integer(points, "points", low=1)
        return cls(-(points // 2), (points - 1) // 2)

    def __str__(self) -> str:
        span = f"[{self.lo}, {self.hi}]"
        return span if self.modulus is None else f"Z_{self.modulus} as {span}"

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.hi - self.lo + 1

    @property
    def magnitude(self) -> int:
        """The largest absolute value of an element."""
        return max(abs(self.lo), abs(self.hi))

    def __contains__(self, value: object) -> bool:
        is_integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        return is_integer and self.lo <= value <= self.hi  # type: ignore[operator]

    def issuperset(self, other: "IntDomain") -> bool:
        """Whether every element of ``other`` is one of this domain."""
        return self.lo <= other.lo and other.hi <= self.hi

    def contains_array(self, x: ArrayLike) -> bool:
        """Whether every element of the integer array ``x`` lies in the domain."""
        array = integers(x, "x")
        return not array.size or bool(self.lo <= array.min() <= array.max() <= self.hi)

    def require(self, x: ArrayLike, name: str) -> IntArray:
        """Return ``x`` as int64 if every element lies in the domain.

        Raises:
            TypeError: ``x`` does not hold integers.
            ValueError: An element is outside; the message gives the first one and its index.
        """
        array = integers(x, name)
        if array.size and not self.lo <= array.min() <= array.max() <= self.hi:
            outside = (array < self.lo) | (array > self.hi)
            where = np.unravel_index(int(np.argmax(outside)), array.shape)
            index = f" at index {tuple(map(int, where))}" if where else ""
            raise ValueError(f"`{name}` must lie in {self}, got {array[where]}{index}")
        return array

    def reduce(self, x: ArrayLike) -> IntArray:
        """Wrap integers into the ring's centred form.

        Raises:
            ValueError: The domain is an interval, which has no arithmetic to wrap by.
        """
        if self.modulus is None:
            raise ValueError(f"`reduce` needs a ring, got the interval {self}; use `saturate`")
        residue = np.mod(integers(x, "x"), np.int64(self.modulus))  # in [0, t)
        return np.asarray(np.where(residue > self.hi, residue - self.modulus, residue), np.int64)

    def saturate(self, x: ArrayLike) -> IntArray:
        """Replace integers outside the domain by its nearest element."""
        return np.asarray(np.clip(integers(x, "x"), self.lo, self.hi), np.int64)

    def values(self) -> IntArray:
        """All elements in ascending order, [size]."""
        return np.arange(self.size, dtype=np.int64) + self.lo


@dataclass(frozen=True, eq=False)
class Interval(ValueObject):
    """The worst-case range of every element of an array: lo <= x <= hi.

    Attributes:
        lo: The least values, an int64 array, read-only; or an object array of Python ints, which have no limit.
        hi: The largest values, an array of the same shape and kind, read-only; each is at least ``lo``.

    Raises:
        ValueError: Shapes differ, the arrays are empty, or an element has lo > hi.
    """

    lo: Array
    hi: Array

    def __post_init__(self) -> None:
        lo, hi = any_integers(self.lo, "lo"), any_integers(self.hi, "hi")
        if lo.shape != hi.shape or not lo.size:
            raise ValueError(f"`lo` and `hi` must have one non-empty shape, got {lo.shape} and {hi.shape}")
        if (lo > hi).any():
            raise ValueError("`lo` must be at most `hi` in every element")
        object.__setattr__(self, "lo", frozen(lo))
        object.__setattr__(self, "hi", frozen(hi))

    @classmethod
    def full(cls, domain: IntDomain, shape: tuple[int, ...]) -> "Interval":
        """Every element ranges over the whole of ``domain``."""
        return cls(np.full(shape, domain.lo, np.int64), np.full(shape, domain.hi, np.int64))

    @property
    def hull(self) -> IntDomain:
        """The smallest interval that contains every element's range, if its ends fit int64."""
        return IntDomain(int(self.lo.min()), int(self.hi.max()))

    @property
    def magnitude(self) -> int:
        """The largest absolute value of an element, of any size."""
        return max(abs(int(self.lo.min())), abs(int(self.hi.max())))

    def contains(self, x: Any) -> bool:
        """Whether every element of ``x`` [..., *shape] lies in its range."""
        return bool(((self.lo <= x) & (x <= self.hi)).all())
