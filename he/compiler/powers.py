"""Polynomials with known coefficients, as sums of few products of powers.

The powers up to x^k are computed, and x^2k, x^4k, ... by squaring; the polynomial is cut at one of these again and
again (Paterson and Stockmeyer, *On the number of nonscalar multiplications*, SIAM J. Comput. 1973), which takes few
products at the least depth that a polynomial of its degree has. One without odd powers is a polynomial in x^2; one
without even powers, but for a constant, is x times one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Protocol, TypeVar

from he.compiler.polynomial import RingAlgebra

V = TypeVar("V")


class Form(Protocol):
    """A way to evaluate one polynomial by the operations of an algebra."""

    def __call__(self, algebra: RingAlgebra[V], x: V) -> V:
        """Return the polynomial's value at x, relinearised."""


def evaluate(algebra: RingAlgebra[V], x: V, coefficients: Sequence[float]) -> V:
    """Return c[0] + c[1] x + c[2] x^2 + ..., relinearised, at the least depth and then by the fewest products.

    Args:
        algebra: what adds and multiplies.
        x: a value of it.
        coefficients: at least two, ascending; the last is not zero. Which operations are done follows from which of
            them are zero or one, and from nothing else.
    """
    return min(_forms(coefficients), key=_price)(algebra, x)


def _forms(coefficients: Sequence[float]) -> Iterator[Form]:
    degree = len(coefficients) - 1
    for bits in range(degree.bit_length()):
        yield partial(_by_powers, coefficients=coefficients, step=1 << bits)
    if degree > 1 and not any(coefficients[1::2]):
        yield partial(_even, coefficients=coefficients)
    if degree > 2 and not any(coefficients[2::2]):
        yield partial(_odd, coefficients=coefficients)


def _even(algebra: RingAlgebra[V], x: V, coefficients: Sequence[float]) -> V:
    return evaluate(algebra, _product(algebra, x, x), coefficients[::2])


def _odd(algebra: RingAlgebra[V], x: V, coefficients: Sequence[float]) -> V:
    result = _product(algebra, x, evaluate(algebra, _product(algebra, x, x), coefficients[1::2]))
    return algebra.scalar_dot([result], [1], coefficients[0]) if coefficients[0] else result


def _by_powers(algebra: RingAlgebra[V], x: V, coefficients: Sequence[float], step: int) -> V:
    """Return the value by powers of x up to `step`, a power of two, and by what squaring makes of the last of them."""
    powers = {1: x}

    def power(exponent: int) -> V:
        if exponent not in powers:
            half = 1 << ((exponent - 1).bit_length() - 1)  # the largest power of two below it: the least depth
            powers[exponent] = _product(algebra, power(half), power(exponent - half))
        return powers[exponent]

    def total(terms: Sequence[float]) -> V:
        """Return the value of a polynomial that is not constant."""
        while not terms[-1]:
            terms = terms[:-1]
        degree = len(terms) - 1
        if degree > step:
            cut = step << ((degree - 1) // step).bit_length() - 1
            high = _product(algebra, total(terms[cut:]), power(cut))
            if any(terms[1:cut]):
                return algebra.add([high, total(terms[:cut])])
            return algebra.scalar_dot([high], [1], terms[0]) if terms[0] else high
        factors = {exponent: factor for exponent, factor in enumerate(terms) if exponent and factor}
        if terms[0] == 0 and factors == {degree: 1}:
            return power(degree)
        return algebra.scalar_dot([power(exponent) for exponent in factors], list(factors.values()), terms[0])

    return total(coefficients)


def _price(form: Form) -> tuple[int, int]:
    """Return the depth and the number of products of a form."""
    counted = _Counter()
    return form(counted, 0), counted.products


class _Counter:
    """An algebra whose values are depths, and which counts products."""

    products = 0

    def multiply(self, a: int, b: int) -> int:
        self.products += 1
        return max(a, b) + 1

    def relinearise(self, a: int) -> int:
        return a

    def add(self, values: Sequence[int]) -> int:
        return max(values)

    def scalar_dot(self, values: Sequence[int], scalars: Sequence[float], constant: float) -> int:  # noqa: ARG002
        return max(values)


def _product(algebra: RingAlgebra[V], a: V, b: V) -> V:
    return algebra.relinearise(algebra.multiply(a, b))
