"""Tables as polynomials over Z_t, and their evaluation with few products.

Every function on D points of a prime field Z_t is a polynomial of degree below D. `table_polynomial` interpolates it
and cuts it into a Paterson-Stockmeyer tree: with the powers x, ..., x^k ("baby steps") and x^2k, x^4k, ... ("giant
steps"), a *monic* polynomial of degree k(2^m - 1) needs only 2^(m-1) - 1 further products (Paterson and Stockmeyer,
*SIAM J. Comput.* 2(1), 1973, section 2). A table is defined only on its own points, so the polynomial may be chosen
monic: adding a monic multiple of the polynomial that vanishes on all D points changes no table entry.

Tables of as many points get the same tree, whatever they hold: the products, and the bound on the noise, tell nothing
else about them. Where a table may be told, one with f(-x) = f(x) is a polynomial in x^2; one with f(-x) + f(x) constant
is x times a polynomial in x^2, plus a constant; and a polynomial of low degree is evaluated as one. Either of the first
two halves the degree for one or two more products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

import numpy as np

from he.compiler import modular

V = TypeVar("V")


class RingAlgebra(Protocol[V]):
    """The operations that the evaluation of a polynomial needs; `he.program.recorder.Recorder` provides them."""

    def multiply(self, a: V, b: V) -> V:
        """Return the product, not relinearised."""

    def relinearise(self, a: V) -> V:
        """Return a sum of products in a ciphertext of two polynomials."""

    def add(self, values: Sequence[V]) -> V:
        """Return the sum of at least one value."""

    def scalar_dot(self, values: Sequence[V], scalars: Sequence[float], constant: float) -> V:
        """Return the sum of scalar multiples, plus a constant; these are plain numbers that all slots share."""


@dataclass(frozen=True)
class Leaf:
    """A polynomial of degree at most k: a scalar combination of the baby steps.

    Attributes:
        coefficients: in ascending order. Those that depend on the table are residues from 2 to t + 1, so that 1 is
            always the leading coefficient of a monic polynomial, whatever the table.
    """

    coefficients: tuple[int, ...]


@dataclass(frozen=True)
class Branch:
    """The polynomial (x^(k 2^giant) + cofactor(x)) * quotient(x) + remainder(x).

    Quotient and remainder are monic, and the cofactor has degree below k.
    """

    giant: int
    cofactor: Leaf
    quotient: Leaf | Branch
    remainder: Leaf | Branch


Symmetry = Literal["none", "even", "odd"]


@dataclass(frozen=True)
class TablePolynomial:
    """A table's polynomial as a tree for its evaluation.

    Attributes:
        modulus: the prime t.
        symmetry: `"none"` for p(x) = tree(x), `"even"` for p(x) = tree(x^2), `"odd"` for p(x) = x * tree(x^2) +
            constant.
        constant: the value of an odd polynomial at 0; 0 for the others.
        baby_steps: the number k of powers x, ..., x^k.
        tree: the polynomial as a tree.
    """

    modulus: int
    symmetry: Symmetry
    constant: int
    baby_steps: int
    tree: Leaf | Branch

    @property
    def is_constant(self) -> bool:
        """Whether the polynomial does not depend on x at all."""
        if self.symmetry == "odd" or isinstance(self.tree, Branch):
            return False
        return not any(c % self.modulus for c in self.tree.coefficients[1:])

    @property
    def giant_steps(self) -> int:
        """The number of giant powers x^2k, x^4k, ... that the tree uses."""
        return self.tree.giant if isinstance(self.tree, Branch) else 0

    @property
    def products(self) -> int:
        """The number of products of ciphertexts that one evaluation takes."""
        return _products(self.baby_steps, self.giant_steps + 1) + {"none": 0, "even": 1, "odd": 2}[self.symmetry]

    @property
    def depth(self) -> int:
        """The number of products on the longest path."""
        return _depth(self.baby_steps, self.giant_steps + 1) + {"none": 0, "even": 1, "odd": 2}[self.symmetry]

    def evaluate(self, algebra: RingAlgebra[V], x: V) -> V:
        """Return the polynomial's value at `x`, computed by the operations of `algebra`; it is relinearised."""
        argument = x if self.symmetry == "none" else _square(algebra, x)
        babies = _powers(algebra, argument, self.baby_steps)
        giants = [babies[-1]]
        for _ in range(self.giant_steps):
            giants.append(_square(algebra, giants[-1]))

        def combine(node: Leaf, otherwise: V | None = None) -> V:
            """Return the leaf's polynomial in the baby steps, plus `otherwise`, which a constant leaf must have."""
            constant, *scalars = node.coefficients
            if otherwise is None:
                return algebra.scalar_dot(babies[: len(scalars)], scalars, constant)
            # Apart, for a giant step is often at a lower level; with the constant, for all of the scalars may be 0.
            total = [algebra.scalar_dot([otherwise], [1], constant)]
            return algebra.add([*total, algebra.scalar_dot(babies[: len(scalars)], scalars, 0)] if scalars else total)

        def summands(node: Leaf | Branch) -> list[V]:
            """Return terms whose sum is the node; one relinearisation serves the sum of all their products."""
            if isinstance(node, Leaf):
                return [combine(node)]
            factor = combine(node.cofactor, giants[node.giant])
            return [algebra.multiply(factor, total(node.quotient)), *summands(node.remainder)]

        def total(node: Leaf | Branch) -> V:
            terms = summands(node)
            return terms[0] if isinstance(node, Leaf) else algebra.relinearise(algebra.add(terms))

        result = total(self.tree)
        if self.symmetry == "odd":
            product = algebra.relinearise(algebra.multiply(x, result))
            result = algebra.scalar_dot([product], [1], self.constant)
        return result


def table_polynomial(
    points: Sequence[int], values: Sequence[int], modulus: int, size: int | None = None, told: bool = False
) -> TablePolynomial:
    """Return a table's polynomial with a tree for its evaluation; the table maps each point to its value.

    Args:
        points: distinct integers modulo t.
        values: as many integers; they are taken modulo t.
        modulus: the prime t.
        size: the number of points that the tree is made for, if it is to serve larger tables; at most t.
        told: whether the tree may depend on the table: on its symmetry, and on the degree of its polynomial. By default
            it is the same for all tables of one size.

    Returns:
        A polynomial that equals the table on every point; elsewhere its value is unspecified. Of all trees that may be
        chosen it has the cheapest.

    Raises:
        ValueError: if there are no points, they repeat modulo t, the lengths differ, or `size` is less or beyond t.
    """
    if not points or len(points) != len(values):
        raise ValueError(
            f"`points` and `values` must be equally many and at least one, got {len(points)}, {len(values)}"
        )
    table = {x % modulus: y % modulus for x, y in zip(points, values, strict=True)}
    if len(table) != len(points):
        raise ValueError(f"`points` must be distinct modulo {modulus}, got {len(table)} distinct ones of {len(points)}")
    size = len(points) if size is None else size
    if not len(points) <= size <= modulus:
        raise ValueError(f"`size` must be from {len(points)}, the number of points, to {modulus}, got {size}")
    if not told:
        return _candidate(list(table), list(table.values()), modulus, "none", 0, size)
    candidates = [_candidate(list(table), list(table.values()), modulus, "none", 0)]
    mirrored = {x: table.get(-x % modulus) for x in table}
    if all(mirrored[x] == y for x, y in table.items()):
        half = {x * x % modulus: y for x, y in table.items()}
        candidates.append(_candidate(list(half), list(half.values()), modulus, "even", 0))
    offset = table.get(0)
    if offset is not None and all(
        y is not None and (y + table[x] - 2 * offset) % modulus == 0 for x, y in mirrored.items()
    ):
        half = {x * x % modulus: (y - offset) * pow(x, -1, modulus) % modulus for x, y in table.items() if x}
        if half:
            candidates.append(_candidate(list(half), list(half.values()), modulus, "odd", offset))
    return min(candidates, key=lambda candidate: _cost(candidate.products, candidate.depth))


def _candidate(
    points: list[int], values: list[int], t: int, symmetry: Symmetry, constant: int, size: int | None = None
) -> TablePolynomial:
    """Return the polynomial for a tree that fits the table, or any table of so many points."""
    zero = modular.vanishing(np.array(points), t)
    through = modular.interpolate(np.array(points), np.array(values), zero, t)
    degree = max(1, int(np.max(np.flatnonzero(through), initial=0)) if size is None else size - 1)
    k, m = _shape(size or len(points), degree)
    if m == 1:
        coefficients = np.zeros(degree + 1, np.int64)
        coefficients[: len(through)] = through[: degree + 1]
        return TablePolynomial(t, symmetry, constant, k, _leaf(coefficients, t))
    # Monic of degree d = k(2^m - 1): add x^(d - D) * prod(x - point), which is 0 wherever the table is defined.
    padding = k * (2**m - 1) - len(points)
    monic = np.concatenate([np.zeros(padding, np.int64), zero])
    monic[: len(through)] = (monic[: len(through)] + through) % t
    return TablePolynomial(t, symmetry, constant, k, _cut(monic, k, m, t))


def _cut(p: np.ndarray, k: int, m: int, t: int) -> Leaf | Branch:
    """Return the tree of a monic p of degree k(2^m - 1), by Paterson and Stockmeyer's recursion."""
    if m == 1:
        return _leaf(p[:-1], t, 1)
    split = k * 2 ** (m - 1)
    quotient, remainder = p[split:], p[:split].copy()
    # p = x^split * q + r; then r - x^(deg q) = cofactor * q + s makes p = (x^split + cofactor) * q + (s + x^(deg q)).
    degree = len(quotient) - 1
    remainder[degree] = (remainder[degree] - 1) % t
    cofactor, s = modular.divide(remainder, quotient, t)
    return Branch(m - 1, _leaf(cofactor, t), _cut(quotient, k, m - 1, t), _cut(np.append(s, 1), k, m - 1, t))


def _leaf(coefficients: np.ndarray, t: int, *leading: int) -> Leaf:
    return Leaf((*((coefficients - 2) % t + 2).tolist(), *leading))


def _shape(points: int, degree: int) -> tuple[int, int]:
    """Return the baby steps k and the tree height m that evaluate a table of these points and degree most cheaply."""
    monic = ((-(-points // (2**m - 1)), m) for m in range(2, 14))
    return min([(degree, 1), *monic], key=lambda shape: _cost(_products(*shape), _depth(*shape)))


def _products(k: int, m: int) -> int:
    return (k - 1) + (m - 1) + (2 ** (m - 1) - 1)


def _depth(k: int, m: int) -> int:
    return (k - 1).bit_length() + (m if m > 1 else 0)


def _cost(products: int, depth: int) -> tuple[int, int]:
    # A product costs about as much as the modulus has primes, and their number grows with the depth.
    return products * depth, depth


def _square(algebra: RingAlgebra[V], x: V) -> V:
    return algebra.relinearise(algebra.multiply(x, x))


def _powers(algebra: RingAlgebra[V], x: V, highest: int) -> list[V]:
    """Return x, x^2, ..., x^highest, each at the least depth."""
    powers = [x]
    for exponent in range(2, highest + 1):
        half = exponent // 2
        powers.append(algebra.relinearise(algebra.multiply(powers[exponent - half - 1], powers[half - 1])))
    return powers
