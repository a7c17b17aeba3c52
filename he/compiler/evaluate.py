"""The evaluation of polynomials on ciphertexts in few products, at the least depth.

Powers are computed where the polynomial has a coefficient for them: an even one, or one that is even but for a linear
term as most fits of ReLU, GELU and SiLU are, takes half of them. Where it is cheaper, a polynomial of degree d is cut
into q(x) x^g + r(x) with g a power of two above d / 2, and both again, until what is left has few powers (Paterson and
Stockmeyer, *SIAM J. Comput.* 2(1), 1973). Either way x^d is at depth log2 d, rounded up.

A monic polynomial ends in its highest term as it is, to whose scale the others are brought, so that its coefficients
take no product (`he.compiler.outline.is_led`).

The place of x^n may be taken by Dickson's polynomial D_n(x, a), which is monic, too. On [-r, r] with a = (r / 2)^2 it
is Chebyshev's, up to a factor. A polynomial of high degree that is moderate there has small coefficients for these and
large ones, of either sign, for powers, whose errors count for more. As D_(m + n) = D_m D_n - a^n D_(m - n), both take
about as many products, and for a = 0 they are the same. Source: Lidl, Mullen and Turnwald, *Dickson Polynomials*,
Longman 1993, chapter 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from he.compiler.activations import coefficients
from he.compiler.stages import Stage
from he.program.recorder import Recorder
from intnn import Activation

POLYNOMIALS = frozenset({"square", "polynomial"})

_BLOCKS = (1 << 30, 2, 4, 8, 16)  # the degrees below which a part is a sum of powers; the first cuts nothing up


def activate_polynomial(recorder: Recorder, value: int, stage: Stage, reach: float = 0.0) -> int:
    """Record a polynomial, in the way that takes the fewest products of ciphertexts.

    Args:
        recorder: what records it.
        value: the argument.
        stage: the polynomial.
        reach: how far from 0 the argument may be, for a sum of Chebyshev polynomials; by default it is one of powers.
    """
    return _activated(_Evaluation(recorder, value, reach * reach / 4), stage)


def activate_with_power(recorder: Recorder, value: int, stage: Stage, power: int) -> tuple[int, int]:
    """Record a polynomial, and a power of its argument by the powers that it takes anyway."""
    evaluation = _Evaluation(recorder, value, 0.0)
    return _activated(evaluation, stage), evaluation.power(power)


def _activated(evaluation: _Evaluation, stage: Stage) -> int:
    assert isinstance(stage, Activation)
    if stage.name == "square":
        return evaluation.power(2)
    found = _of_dickson(coefficients(stage), evaluation.a)
    return evaluation.of(found, min(_BLOCKS, key=lambda block: _products(found, block, evaluation.a)))


def _of_dickson(found: Sequence[float], a: float) -> list[float]:
    """Return a polynomial's constant, and its coefficients of D_1(x, a), D_2(x, a), ...

    In x^n, D_(n - 2i) is contained (n over i) a^i times; where n is 2i, the constant 1 is.
    """
    degrees = range(len(found))
    factors = {(n, j): math.comb(n, (n - j) // 2) * a ** ((n - j) // 2) for n in degrees for j in range(n, -1, -2)}
    return [math.fsum(found[n] * factors[n, j] for n in degrees[j::2]) for j in degrees]


def _products(found: Sequence[float], block: int, a: float) -> int:
    """Return how many products an evaluation takes."""
    recorder = Recorder()
    _Evaluation(recorder, recorder.input(0), a).of(found, block)
    return recorder.program(1, [0]).counts["Multiply"]


class _Evaluation:
    """Records sums of Dickson polynomials of one value, D_n(x, a), which they share."""

    def __init__(self, recorder: Recorder, value: int, a: float) -> None:
        self._recorder, self._powers, self.a = recorder, {1: value}, a

    def of(self, found: Sequence[float], block: int) -> int:
        """Record the sum with these coefficients, cut into parts of degrees below `block`."""
        constant, terms = found[0], self._terms(found, block)
        return self._recorder.scalar_dot([value for _, value in terms], [scalar for scalar, _ in terms], constant)

    def _terms(self, found: Sequence[float], block: int) -> list[tuple[float, int]]:
        """Record what the sum consists of, but for its constant, the highest last: factors, and values."""
        degree = max((j for j, c in enumerate(found) if c), default=0)
        if degree < block:
            return [(c, self.power(j)) for j, c in enumerate(found) if j and c]
        giant = 1 << (degree.bit_length() - 1)
        if degree == giant:
            return [*self._terms(found[:giant], block), (found[giant], self.power(giant))]
        rest = list(found[:giant])
        for n in range(1, degree - giant + 1):
            rest[giant - n] -= found[giant + n] * self.a**n
        quotient = self.of(found[giant : degree + 1], block)
        product = self._recorder.multiply(self.power(giant), quotient)
        return [*self._terms(rest, block), (1.0, self._recorder.relinearise(product))]

    def power(self, exponent: int) -> int:
        """Record D_n(x, a) for an exponent n, of those below it that there are; for a = 0 this is a power."""
        if exponent not in self._powers:
            most = 1 << ((exponent - 1).bit_length() - 1)  # the largest power of two below
            n = exponent - most
            product = self._recorder.relinearise(self._recorder.multiply(self.power(most), self.power(n)))
            if self.a and n == most:
                product = self._recorder.scalar_dot([product], [1.0], -2 * self.a**n)
            elif self.a:
                product = self._recorder.scalar_dot([self.power(most - n), product], [-(self.a**n), 1.0], 0.0)
            self._powers[exponent] = product
        return self._powers[exponent]
