"""Tables as polynomials over Z_t, and their evaluation with few products.

Every function on D points of a prime field Z_t is a polynomial of degree below D. `table_polynomials` interpolates it
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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

import numpy as np

from he.compiler import modular

#: A tree of more products than so many times the fewest is never worth its lower depth.
MOST_PRODUCTS = 2

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


def table_polynomials(
    points: Sequence[int], values: Sequence[int], modulus: int, size: int | None = None, told: bool = False
) -> list[TablePolynomial]:
    """Return a table's polynomial with trees for its evaluation; the table maps each point to its value.

    A product costs about as much as the modulus has primes, and their number grows with the depth. So trees are ordered
    by products times depth; but what they cost depends on the network around them, and on the ring that they need.

    Args:
        points: distinct integers modulo t.
        values: as many integers; they are taken modulo t.
        modulus: the prime t.
        size: the number of points that the trees are made for, if they are to serve larger tables; at most t.
        told: whether the trees may depend on the table: on its symmetry, and on the degree of its polynomial. By
            default they are the same for all tables of one size.

    Returns:
        Polynomials that equal the table on every point; elsewhere their values are unspecified. None of the trees has
        both more products and more depth than another, or far more products than the one with the fewest.

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
        return _worthwhile(_candidates(table, modulus, "none", 0, size))
    candidates = _candidates(table, modulus, "none", 0)
    mirrored = {x: table.get(-x % modulus) for x in table}
    if all(mirrored[x] == y for x, y in table.items()):
        candidates += _candidates({x * x % modulus: y for x, y in table.items()}, modulus, "even", 0)
    offset = table.get(0)
    if offset is not None and all(
        y is not None and (y + table[x] - 2 * offset) % modulus == 0 for x, y in mirrored.items()
    ):
        half = {x * x % modulus: (y - offset) * pow(x, -1, modulus) % modulus for x, y in table.items() if x}
        if half:
            candidates += _candidates(half, modulus, "odd", offset)
    return _worthwhile(candidates)


def _worthwhile(candidates: Sequence[TablePolynomial]) -> list[TablePolynomial]:
    """Return those of the candidates that may be the cheapest, the likely ones first."""
    ordered = sorted(candidates, key=lambda candidate: (candidate.products * candidate.depth, candidate.depth))
    most = MOST_PRODUCTS * min(candidate.products for candidate in ordered)
    found: list[TablePolynomial] = []
    for candidate in ordered:
        beaten = any(other.products <= candidate.products and other.depth <= candidate.depth for other in found)
        if candidate.products <= most and not beaten:
            found.append(candidate)
    return found


def _candidates(
    table: Mapping[int, int], t: int, symmetry: Symmetry, constant: int, size: int | None = None
) -> list[TablePolynomial]:
    """Return the polynomial with every tree that fits the table, or any table of so many points."""
    points, values = np.array([*table]), np.array([*table.values()])
    zero = modular.vanishing(points, t)
    through = modular.interpolate(points, values, zero, t)
    degree = max(1, int(np.max(np.flatnonzero(through), initial=0)) if size is None else size - 1)
    coefficients = np.zeros(degree + 1, np.int64)
    coefficients[: len(through)] = through[: degree + 1]
    found = [TablePolynomial(t, symmetry, constant, degree, _leaf(coefficients, t))]
    for k, m in _shapes(size or len(points)):
        # Monic of degree d = k(2^m - 1): add x^(d - D) * prod(x - point), which is 0 wherever the table is defined.
        padding = k * (2**m - 1) - len(points)
        monic = np.concatenate([np.zeros(padding, np.int64), zero])
        monic[: len(through)] = (monic[: len(through)] + through) % t
        found.append(TablePolynomial(t, symmetry, constant, k, _cut(monic, k, m, t)))
    return found


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


def _shapes(points: int) -> list[tuple[int, int]]:
    """Return numbers of baby steps k and tree heights m, from 2, for any table of so many points; none beats another.

    Without these a polynomial of degree d takes d - 1 products.
    """
    shapes = [(-(-points // (2**m - 1)), m) for m in range(2, 14)]
    costs = [(_products(*shape), _depth(*shape)) for shape in shapes]
    fewest = min(products for products, _ in costs)
    return [
        shape
        for i, (shape, (products, depth)) in enumerate(zip(shapes, costs, strict=True))
        if products <= MOST_PRODUCTS * fewest
        and not any(p <= products and d <= depth and (p, d, j) < (products, depth, i) for j, (p, d) in enumerate(costs))
    ]


def _products(k: int, m: int) -> int:
    return (k - 1) + (m - 1) + (2 ** (m - 1) - 1)


def _depth(k: int, m: int) -> int:
    return (k - 1).bit_length() + (m if m > 1 else 0)


def _square(algebra: RingAlgebra[V], x: V) -> V:
    return algebra.relinearise(algebra.multiply(x, x))


def _powers(algebra: RingAlgebra[V], x: V, highest: int) -> list[V]:
    """Return x, x^2, ..., x^highest, each at the least depth."""
    powers = [x]
    for exponent in range(2, highest + 1):
        half = exponent // 2
        powers.append(algebra.relinearise(algebra.multiply(powers[exponent - half - 1], powers[half - 1])))
    return powers
