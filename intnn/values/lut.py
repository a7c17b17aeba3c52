"""Lookup tables: total functions on a finite domain, given by their values."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from intnn.values.arrays import IntArray, frozen, instance, integer, integers
from intnn.values.domain import IntDomain
from intnn.values.value_object import ValueObject

MAX_POINTS = 1 << 24  # a table of 128 MiB; far above what a circuit can evaluate


@dataclass(frozen=True, eq=False)
class Lut(ValueObject):
    """A total function from an `IntDomain` to the integers, given by its values.

    Attributes:
        domain: The integers on which the function is defined; at most 2**24 points.
        table: int64 [domain.size], read-only; ``table[i]`` is the value at ``domain.lo + i``.
        name: A label for people; two tables that differ only in it are equal.

    Raises:
        TypeError: ``table`` does not hold integers.
        ValueError: ``table`` does not have one value per point of the domain.
    """

    domain: IntDomain
    table: IntArray
    name: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"`name` must be a string, got {self.name!r}")
        _require_tabulable(self.domain)
        table = integers(self.table, "table")
        if table.shape != (self.domain.size,):
            raise ValueError(f"`table` must have shape ({self.domain.size},) for {self.domain}, got {table.shape}")
        object.__setattr__(self, "table", frozen(table))

    @classmethod
    def from_callable(
        cls, f: Callable[[int], int], domain: IntDomain, codomain: IntDomain | None = None, name: str = ""
    ) -> "Lut":
        """Tabulate any Python function.

        Args:
            f: The function; it is called once with every point of ``domain``, as a Python int, and returns an integer.
            domain: The points to tabulate.
            codomain: The domain in which every value must lie; by default any int64 will do.
            name: The table's label; the function's own name by default.

        Raises:
            ValueError: ``f`` is not total: it raises, returns no integer, or leaves ``codomain``. The message names
                the first such point.
        """
        _require_tabulable(domain)
        limits = codomain or IntDomain(np.iinfo(np.int64).min, np.iinfo(np.int64).max)
        table = np.empty(domain.size, np.int64)
        for i, point in enumerate(range(domain.lo, domain.hi + 1)):
            try:
                table[i] = integer(f(point), "value", limits.lo, limits.hi)
            except Exception as error:
                raise ValueError(f"`f` must be total on {domain}: at {point}, {error}") from error
        own_name = getattr(f, "__name__", "")
        return cls(domain, table, name or ("" if own_name == "<lambda>" else own_name))

    def __call__(self, x: ArrayLike) -> IntArray:
        """Evaluate elementwise.

        Raises:
            ValueError: An element lies outside the domain.
        """
        return self.table[self.domain.require(x, "x") - self.domain.lo]

    @property
    def range(self) -> IntDomain:
        """The smallest interval that contains every value of the table."""
        return IntDomain(int(self.table.min()), int(self.table.max()))

    def truth_table(self, max_rows: int | None = None) -> str:
        """Return the table as aligned text, one line per point.

        Args:
            max_rows: The number of points to print at most, half from either end; a line between counts the others.
        """
        size = self.domain.size
        shown = size if max_rows is None else min(size, integer(max_rows, "max_rows", low=1))
        head, tail = shown - shown // 2, shown // 2
        rows = [(str(self.domain.lo + i), str(self.table[i])) for i in (*range(head), *range(size - tail, size))]
        title = ("x", self.name or "f(x)")
        wide, high = (max(len(row[i]) for row in (*rows, title)) for i in (0, 1))
        lines = [f"{x:>{wide}}  {y:>{high}}" for x, y in (title, *rows)]
        lines.insert(1, "-" * (wide + 2 + high))
        if shown < size:
            lines.insert(2 + head, f"... {size - shown} more points ...")
        return "\n".join(lines)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Lut):
            return NotImplemented
        return self.domain == other.domain and np.array_equal(self.table, other.table)

    def __hash__(self) -> int:
        return hash((self.domain, self.table.tobytes()))

    def __repr__(self) -> str:
        return f"Lut({self.name or 'unnamed'}: {self.domain} -> {self.range})"


def _require_tabulable(domain: IntDomain) -> None:
    if instance(domain, IntDomain, "domain").size > MAX_POINTS:
        raise ValueError(f"`domain` must have at most {MAX_POINTS} points to be tabulated, got {domain.size}")
