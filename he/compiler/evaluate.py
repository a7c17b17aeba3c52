"""The evaluation of polynomials on ciphertexts in few products, at the least depth.

Powers are computed where the polynomial has a coefficient for them: an even one, or one that is even but for a linear
term as most fits of ReLU, GELU and SiLU are, takes half of them. Where it is cheaper, a polynomial of degree d is cut
into q(x) x^g + r(x) with g a power of two above d / 2, and both again, until what is left has few powers (Paterson and
Stockmeyer, *SIAM J. Comput.* 2(1), 1973). Either way x^d is at depth log2 d, rounded up.

A monic polynomial ends in its highest term as it is, to whose scale the others are brought, so that its coefficients
take no product (`he.compiler.outline.is_led`).
"""

from __future__ import annotations

from collections.abc import Sequence

from he.compiler.activations import coefficients
from he.compiler.stages import Stage
from he.program.recorder import Recorder
from intnn import Activation

POLYNOMIALS = frozenset({"square", "polynomial"})

_BLOCKS = (1 << 30, 2, 4, 8, 16)  # the degrees below which a part is a sum of powers; the first cuts nothing up


def activate_polynomial(recorder: Recorder, value: int, stage: Stage) -> int:
    """Record a polynomial, in the way that takes the fewest products of ciphertexts."""
    return activate_with_power(recorder, value, stage, 1)[0]


def activate_with_power(recorder: Recorder, value: int, stage: Stage, power: int) -> tuple[int, int]:
    """Record a polynomial, and a power of its argument by the powers that it takes anyway."""
    assert isinstance(stage, Activation)
    evaluation = _Evaluation(recorder, value)
    if stage.name == "square":
        return evaluation.power(2), evaluation.power(power)
    found = coefficients(stage)
    result = evaluation.of(found, min(_BLOCKS, key=lambda block: _products(found, block)))
    return result, evaluation.power(power)


def _products(found: Sequence[float], block: int) -> int:
    """Return how many products an evaluation takes."""
    recorder = Recorder()
    _Evaluation(recorder, recorder.input(0)).of(found, block)
    return recorder.program(1, [0]).counts["Multiply"]


class _Evaluation:
    """Records polynomials of one value, whose powers they share."""

    def __init__(self, recorder: Recorder, value: int) -> None:
        self._recorder, self._powers = recorder, {1: value}

    def of(self, found: Sequence[float], block: int) -> int:
        """Record the polynomial with these coefficients, cut into parts of degrees below `block`."""
        constant, terms = found[0], self._terms(found, block)
        return self._recorder.scalar_dot([value for _, value in terms], [scalar for scalar, _ in terms], constant)

    def _terms(self, found: Sequence[float], block: int) -> list[tuple[float, int]]:
        """Record what the polynomial is a sum of, but for its constant, the highest last: factors, and values."""
        degree = max((j for j, c in enumerate(found) if c), default=0)
        if degree < block:
            return [(c, self.power(j)) for j, c in enumerate(found) if j and c]
        giant = 1 << (degree.bit_length() - 1)
        if degree == giant:
            return [*self._terms(found[:giant], block), (found[giant], self.power(giant))]
        quotient = self.of(found[giant : degree + 1], block)
        product = self._recorder.multiply(self.power(giant), quotient)
        return [*self._terms(found[:giant], block), (1.0, self._recorder.relinearise(product))]

    def power(self, exponent: int) -> int:
        """Record a power, of those below it that there are."""
        if exponent not in self._powers:
            most = 1 << ((exponent - 1).bit_length() - 1)  # the largest power of two below
            product = self._recorder.multiply(self.power(most), self.power(exponent - most))
            self._powers[exponent] = self._recorder.relinearise(product)
        return self._powers[exponent]
