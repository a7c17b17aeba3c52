"""What functional keys tell: the span of their vectors, and the share of the data that is known with it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Self

import numpy as np

from he.functional.errors import BudgetError
from he.kernels.passes import span as kernels
from intnn.values.arrays import Array, IntArray
from intnn.values.value_object import Unstorable

_LEAST_PRIME = 1 << (kernels.BITS - 1)


def secret_prime() -> int:
    """Draw one of the primes of 61 bits, each with the same chance, from the system's generator."""
    while True:
        candidate = _LEAST_PRIME + secrets.randbelow(_LEAST_PRIME) | 1
        if kernels.is_prime(candidate):
            return candidate


@dataclass(frozen=True, eq=False, repr=False)
class Span(Unstorable, instead="the authority's journal holds what it was made of"):
    """The span of vectors of keys, modulo a secret prime.

    Whoever holds keys for some vectors knows the inner products with all of their combinations, so what counts is the
    dimension of the span, however keys were asked for: at once or one by one, split, scaled, recombined, or by several
    trainers who share them.

    The dimension over the rationals is what tells, and it is never less than modulo p: vectors that are independent
    over the rationals depend on each other modulo p only if p divides all minors of their matrix. One such minor is not
    zero, and at most (L sqrt(n))^n by Hadamard's inequality, for vectors of n elements up to L: below 2^(23 n), which
    less than 23 n / 60 primes of 61 bits can divide. There are more than 2^54 of them. A trainer who does not know p
    sees nothing that depends on it before such an accident, so that the chance of one is below 2^-39 for every span,
    also where several have one prime, and whatever it asks, and below 2^-46 for vectors of 784 elements up to 127. With
    a prime that is known it would choose vectors whose minors are multiples of it, and have directions for free. In
    floating point, no threshold tells vectors that nearly depend on each other from those that do.

    Most requests add nothing, once training has gone on for a while. A combination of all vectors of a request with
    secret weights, uniform below 2^60, says so at the price of one vector: it lies in the span whenever all of them
    do, and else with a chance of 2^-60 at most. Where it does not, it becomes a vector of the basis, and the next one
    is drawn.

    Attributes:
        length: The number n of elements of a vector.
        prime: The prime p, of 61 bits.
        rank: The dimension of the span.
    """

    length: int
    prime: int
    rank: int
    _rest: Array  # see he.kernels.passes.span
    _order: IntArray

    @classmethod
    def empty(cls, length: int, prime: int) -> Self:
        """The span of no vectors."""
        return cls(length, prime, 0, np.empty((0, length), np.uint64), np.arange(length))

    @classmethod
    def whole(cls, length: int, prime: int) -> Self:
        """The span of all vectors; nothing is left of a vector beside its pivots, so that its basis is no memory."""
        return cls(length, prime, length, np.empty((0, length), np.uint64), np.arange(length))

    def basis(self) -> Array:
        """A basis, of which `extended` makes the span again: residues modulo the prime, uint64 [rank, length]."""
        if self.rank == self.length:
            return np.eye(self.length, dtype=np.uint64)
        rows = np.zeros((self.rank, self.length), np.uint64)
        rows[:, self._order[self.rank :]] = self._rest[:, self.rank :]
        rows[np.arange(self.rank), self._order[: self.rank]] = 1
        return rows

    def extended(self, vectors: Array) -> Self:
        """The span with what `grown` has added to it: residues modulo the prime, uint64 [vectors, length]."""
        if self.rank == self.length:
            return self
        rest, order, rank = self._spare(len(vectors)), self._order.copy(), self.rank
        for vector in np.array(vectors):  # theirs may be read-only, which is another type to the kernel
            rank = kernels.absorb(rest, order, rank, vector, kernels.modulus(self.prime))
        return type(self)(self.length, self.prime, rank, rest[:rank], order)

    def grown(self, y: IntArray, most: int) -> tuple[Self, Array]:
        """The span with more vectors in it.

        Args:
            y: The vectors, int64 [vectors, length]: at most 65,536, of elements below 2^15 in magnitude.
            most: The largest dimension that is allowed.

        Returns:
            The span, which is this one if all vectors lie in it already, and what was added to its basis: residues
            modulo the prime, uint64 [rank added, length].

        Raises:
            BudgetError: The span would have a larger dimension.
        """
        if self.rank == self.length:
            return self, _nothing(self.length)
        y, modulus, sums = np.ascontiguousarray(y), kernels.modulus(self.prime), np.empty((2, self.length), np.int64)
        combination, left = np.empty((2, self.length), np.uint64)
        kernels.combine(y, _weights(1, len(y))[0], modulus, sums, combination)
        if not kernels.reduce(self._rest, self._order, self.rank, combination, modulus, left):
            return self, _nothing(self.length)
        tries = min(len(y), most - self.rank) + 1  # one more than may be added, to see that there is no more
        rest, order = self._spare(tries), self._order.copy()
        added = np.empty((tries, self.length), np.uint64)
        rank = kernels.grow(rest, order, self.rank, y, _weights(tries, len(y)), modulus, sums, added)
        if rank > most:
            raise BudgetError(
                f"the keys would reveal more than {most} directions of the data, {self.rank} of which are known "
                "already; ask for fewer keys, or for combinations of those that were issued"
            )
        return type(self)(self.length, self.prime, rank, rest[:rank], order), added[: rank - self.rank]

    def _spare(self, rows: int) -> Array:
        """A copy of the basis with so many rows to spare, and one for the kernel to work in."""
        rest = np.empty((self.rank + rows + 1, self.length), np.uint64)
        rest[: self.rank] = self._rest
        return rest


@cache
def _nothing(length: int) -> Array:
    return np.empty((0, length), np.uint64)


def _weights(combinations: int, vectors: int) -> Array:
    """Secret weights uint64 [combinations, vectors], uniform below 2^60."""
    words = np.frombuffer(secrets.token_bytes(8 * combinations * vectors), np.uint64)
    return (words & np.uint64(_LEAST_PRIME - 1)).reshape(combinations, vectors)


def known_share(forward: int, length: int, gradient: int = 0, batch: int = 1) -> Fraction:
    """The share of a batch of samples that is known by linear algebra alone.

    A batch is a matrix X of B samples with n elements. Keys of a forward instance, of rank h, tell X y for y in a space
    H of dimension h; those of a gradient instance, whose vectors have an element for each sample, tell z X for z in a
    space G of dimension g. Both are linear functionals of X's B n elements: those in (all z) x H, of which there are
    B h, and those in G x (all y), g n. G x H, of dimension g h, is in both. So B h + g n - g h of B n independent
    numbers are known: the share 1 - (1 - h / n)(1 - g / B). It is what is known of arbitrary samples; whoever knows
    more of them, such as that images have a dark border or few lit pixels, can do with less.

    Args:
        forward: The rank h of the keys for the samples.
        length: The number n of elements of a sample.
        gradient: The rank g of the keys for the batch's columns.
        batch: The number B of samples in the batch.

    Returns:
        The share, in [0, 1].
    """
    return 1 - (1 - Fraction(forward, length)) * (1 - Fraction(gradient, batch))
