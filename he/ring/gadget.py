"""Gadgets of key switching: the digits into which a polynomial is cut, and the primes that are special for them.

A polynomial at a level is cut into digits: its residues modulo the product of each group of neighbouring data primes,
as many primes to a group as are special. With one special prime every data prime has a digit of its own; with more,
digits are fewer and keys shorter, and each digit is longer (hybrid key switching; K. Han and D. Ki, "Better
Bootstrapping for Approximate Homomorphic Encryption", CT-RSA 2020, section 3).

Special are the last primes of a chain: the one that never carries data, and data primes before it that a ciphertext has
dropped when it reaches the level. So they cost no modulus: all that a key is encrypted with is a part of the
parameters' own, whose security is its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

from he.ring.params import ParameterError, Parameters
from intnn.values.value_object import ValueObject


@dataclass(frozen=True)
class Gadget(ValueObject):
    """How polynomials at one level are cut into digits.

    A key for a gadget switches polynomials at every lower level too: digits and primes above are left out (`at`).

    Attributes:
        degree: N, the ring's degree.
        chain: all primes of the parameters, the one that never carries data last.
        level: the number of data primes of the polynomials, at least 1.
        specials: the number of special primes, at least 1; with those of the level, no more than the chain has.

    Raises:
        ParameterError: if a number is out of its range.
    """

    degree: int
    chain: tuple[int, ...]
    level: int
    specials: int = 1

    def __post_init__(self) -> None:
        most = len(self.chain)
        for name in ("level", "specials"):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value < most:
                raise ParameterError(f"`{name}` must be an integer from 1 to {most - 1}, got {value!r}")
        if self.level + self.specials > most:
            raise ParameterError(
                f"`specials` must be primes above the level, at most {most - self.level} at level {self.level}, got "
                f"{self.specials}; switch keys at a lower level, or with fewer special primes"
            )

    @staticmethod
    def of(parameters: Parameters, level: int, specials: int = 1) -> Gadget:
        """Return the gadget of a level with the primes of some parameters.

        Raises:
            ParameterError: if a number is out of its range.
        """
        return Gadget(parameters.poly_modulus_degree, parameters.primes, level, specials)

    def at(self, level: int) -> Gadget:
        """Return the gadget of a level no higher than this, which has the same special primes.

        Raises:
            ParameterError: if the level is out of range.
        """
        if type(level) is not int or not 1 <= level <= self.level:
            raise ParameterError(f"`level` must be an integer from 1 to {self.level}, got {level!r}")
        return replace(self, level=level)

    @cached_property
    def groups(self) -> tuple[range, ...]:
        """The indices of the data primes of every digit; the last digit may have fewer than the others."""
        starts = range(0, self.level, self.specials)
        return tuple(range(start, min(start + self.specials, self.level)) for start in starts)

    @cached_property
    def indices(self) -> tuple[int, ...]:
        """The place in the chain of every prime of an extended polynomial: those of the level, then special ones."""
        most = len(self.chain)
        return (*range(self.level), *range(most - self.specials, most))

    @cached_property
    def primes(self) -> tuple[int, ...]:
        """The primes of an extended polynomial, in the order of `indices`."""
        return tuple(self.chain[i] for i in self.indices)

    @property
    def rows(self) -> int:
        """The number of primes of an extended polynomial."""
        return self.level + self.specials

    @property
    def special_primes(self) -> tuple[int, ...]:
        """The primes that extended polynomials have beside those of the level."""
        return self.primes[self.level :]

    @cached_property
    def factor(self) -> int:
        """The product of the special primes, by which extended polynomials are multiplied."""
        return prod(self.special_primes)

    @cached_property
    def moduli(self) -> tuple[int, ...]:
        """The modulus of every digit: the product of its primes."""
        return tuple(prod(self.primes[i] for i in group) for group in self.groups)


@dataclass(frozen=True)
class Gadgets(ValueObject):
    """The gadget by which keys are switched at every level of a chain.

    Attributes:
        degree: N, the ring's degree.
        chain: all primes of the parameters, the one that never carries data last.
        specials: the number of special primes at every level, from level 1 on.

    Raises:
        ParameterError: if there are more or fewer levels than the chain's, or a number is out of its range.
    """

    degree: int
    chain: tuple[int, ...]
    specials: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "specials", tuple(self.specials))
        if len(self.specials) != len(self.chain) - 1:
            raise ParameterError(
                f"`specials` must have a number for each of {len(self.chain) - 1} levels, got {self.specials}"
            )
        _ = self._gadgets

    @staticmethod
    def of(parameters: Parameters, specials: Sequence[int] | None = None) -> Gadgets:
        """Return the gadgets with these numbers of special primes, by default one at every level.

        Raises:
            ParameterError: as the constructor.
        """
        chosen = (1,) * parameters.levels if specials is None else tuple(specials)
        return Gadgets(parameters.poly_modulus_degree, parameters.primes, chosen)

    def at(self, level: int) -> Gadget:
        """Return the gadget of a level."""
        return self._gadgets[level - 1]

    def keys(self, uses: Mapping[int, Iterable[int]]) -> list[tuple[int, Gadget]]:
        """List the keys that switch at some levels: a Galois element, and a gadget of the highest level that it serves.

        An element has a key for every number of special primes that its levels take.

        Args:
            uses: the levels at which each element is used.
        """
        found: dict[tuple[int, int], Gadget] = {}
        for element, levels in uses.items():
            for gadget in map(self.at, sorted(levels)):
                found[element, gadget.specials] = gadget
        return [(element, gadget) for (element, _), gadget in found.items()]

    @cached_property
    def _gadgets(self) -> tuple[Gadget, ...]:
        return tuple(Gadget(self.degree, self.chain, level, n) for level, n in enumerate(self.specials, 1))
