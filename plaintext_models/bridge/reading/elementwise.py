"""Operators that treat every element alike: activations, and arithmetic with constants."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.polynomial import polynomial
from torch import Tensor

from intnn.layers.nodes import Activation, Scale
from plaintext_models.bridge.reading.draft import Draft, Value
from plaintext_models.bridge.reading.linear import summed
from plaintext_models.bridge.reading.unsupported import UnsupportedError

LARGEST_POWER = 16
_GATES = {"sigmoid": "silu", "hardsigmoid": "hardswish"}  # x times one of these is an activation of its own

Operand = Value | Tensor | float


def constant(operand: Tensor | float, value: Value, batch: int) -> Tensor:
    """A constant as it meets one row of a value.

    Raises:
        UnsupportedError: It is another one for every image of the batch.
    """
    tensor = torch.as_tensor(operand, dtype=torch.float64)
    if tensor.ndim <= len(value.shape):
        return tensor
    if tensor.ndim > len(value.shape) + 1 or tensor.shape[0] not in (1, batch) or (tensor != tensor[:1]).any():
        raise UnsupportedError("a constant that differs along the batch", "give constants the shape of one input")
    return tensor[0]


def added(draft: Draft, self: Operand, other: Operand, alpha: float, batch: int) -> Value:
    """A sum, of two values or of one and a constant; ``alpha`` times the second."""
    if isinstance(self, Value) and isinstance(other, Value):
        other = draft.scaled(other, alpha)
        return _combined(draft, self, other, polynomial.polyadd) or summed(draft, [self, other])
    value, offset = _ordered(self, other)
    bias = constant(offset, value, batch)
    return draft.scaled(value, 1.0, alpha * bias) if value is self else draft.scaled(value, alpha, bias)


def multiplied(draft: Draft, self: Operand, other: Operand, batch: int) -> Value:
    """A product with a constant; of polynomials of one value; or of a value and its gate, if both have a name."""
    if isinstance(self, Value) and isinstance(other, Value):
        if self.is_same(other):
            return draft.activation(self, "square")
        for value, gate in ((self, other), (other, self)):
            node = draft.node(gate.node)
            name = _GATES.get(node.name) if isinstance(node, Activation) else None
            if name and value.is_same(replace(gate, node=draft.sources[gate.node][0])):
                return draft.activation(value, name)
        if product := _combined(draft, self, other, polynomial.polymul):
            return product
        raise UnsupportedError(
            "a product of two values that both depend on the input",
            "leave gates and attention out, or use squares and the activations that have names",
        )
    value, factor = _ordered(self, other)
    return draft.scaled(value, constant(factor, value, batch))


def divided(draft: Draft, self: Operand, other: Operand, batch: int) -> Value:
    """A quotient by a constant; or of a value and one more than its magnitude, which is a softsign."""
    if isinstance(self, Value) and isinstance(other, Value) and _is_one_more(draft, other, self):
        return draft.activation(self, "softsign")
    if isinstance(other, Value):
        raise UnsupportedError(
            "a division by what depends on the input", "normalise by constants, as batch normalisation does"
        )
    return multiplied(draft, self, 1.0 / torch.as_tensor(other, dtype=torch.float64), batch)


def _is_one_more(draft: Draft, value: Value, of: Value) -> bool:
    """Whether a value is 1 + |x| for another one."""
    match draft.node(value.node):
        case Scale(weight=weight, bias=bias) if weight.tolist() == bias.tolist() == [1.0]:
            inner = replace(value, node=draft.sources[value.node][0])
            if draft.node(inner.node) == Activation("leaky_relu", (-1.0,)):
                return of.is_same(replace(inner, node=draft.sources[inner.node][0]))
    return False


def power(draft: Draft, self: Value, exponent: Any) -> Value:
    """A power with a whole exponent."""
    if not isinstance(self, Value) or isinstance(exponent, Value):
        raise UnsupportedError("an exponential", "use a polynomial or one of the activations that have names")
    degree = float(exponent)
    if degree == 2:
        return draft.activation(self, "square")
    if degree == 1:
        return self
    if not degree.is_integer() or not 2 < degree <= LARGEST_POWER:
        raise UnsupportedError(f"the power {degree:g}", f"use whole exponents from 1 to {LARGEST_POWER}")
    return draft.activation(self, "polynomial", *[0.0] * int(degree), 1.0)


def clamped(draft: Draft, self: Value, low: float | None, high: float | None) -> Value:
    """Values within limits, either of which may be missing."""
    if low is not None and high is not None:
        return draft.activation(self, "hardtanh", float(min(low, high)), float(high))  # torch: the upper one wins
    if low is not None:
        above = draft.activation(draft.scaled(self, 1.0, -float(low)), "relu")
        return draft.scaled(above, 1.0, float(low))
    if high is not None:
        below = draft.activation(draft.scaled(self, -1.0, float(high)), "relu")
        return draft.scaled(below, -1.0, float(high))
    return self


def extreme(draft: Draft, self: Operand, other: Operand, batch: int, sign: float) -> Value:
    """The larger of a value and a constant, or with a sign of -1 the smaller."""
    if isinstance(self, Value) and isinstance(other, Value):
        raise UnsupportedError(
            "the larger or smaller of two values that depend on the input", "pool, or use an activation"
        )
    value, limit = _ordered(self, other)
    bound = constant(limit, value, batch)
    beyond = draft.activation(draft.scaled(value, sign, -sign * bound), "relu")
    return draft.scaled(beyond, sign, bound)


def _combined(draft: Draft, left: Value, right: Value, combine: Callable[[Any, Any], Any]) -> Value | None:
    """The sum or product of two polynomials of one value, as one polynomial of it; none if they are no such."""
    if not torch.equal(left.places, right.places):
        return None
    ours, theirs = _polynomials(draft, left.node), _polynomials(draft, right.node)
    shared = ours.keys() & theirs.keys()
    if not shared:
        return None
    nearest = max(shared)
    coefficients = np.trim_zeros(combine(ours[nearest], theirs[nearest]), "b")
    base = replace(left, node=nearest)
    if len(coefficients) <= 2:
        constant_part, factor = (*coefficients, 0.0, 0.0)[:2]
        return draft.scaled(base, float(factor), float(constant_part))
    if coefficients.tolist() == [0, 0, 1]:
        return draft.activation(base, "square")
    if len(coefficients) > LARGEST_POWER + 1:
        return None
    return draft.activation(base, "polynomial", *map(float, coefficients))


def _polynomials(draft: Draft, number: int) -> dict[int, Any]:
    """The nodes that a node is a polynomial of, with its ascending coefficients: itself, and those behind it."""
    found, coefficients = {number: np.array([0.0, 1.0])}, polynomial.Polynomial([0.0, 1.0])
    while len(coefficients) <= LARGEST_POWER + 1:
        match draft.node(number):
            case Activation(name="square"):
                inner = [0.0, 0.0, 1.0]
            case Activation(name="polynomial", coefficients=inner):
                pass
            case Scale(weight=weight, bias=bias) if len(weight) == 1:
                inner = [bias[0], weight[0]]
            case _:
                break
        coefficients = coefficients(polynomial.Polynomial(inner))
        (number,) = draft.sources[number]
        found[number] = coefficients.coef
    return found


def _ordered(left: Operand, right: Operand) -> tuple[Value, Tensor | float]:
    """The value of two operands, then the constant."""
    if isinstance(left, Value):
        return left, right  # type: ignore[return-value]
    return right, left  # type: ignore[return-value]


def gelu(draft: Draft, self: Value, approximate: str) -> Value:
    """GELU, exact or by its tangent."""
    return draft.activation(self, "gelu_tanh" if approximate == "tanh" else "gelu")


def elu(draft: Draft, self: Value, alpha: float, scale: float, input_scale: float) -> Value:
    """ELU, with the factors that CELU and SELU have around and within it."""
    if input_scale <= 0:
        raise UnsupportedError(f"an ELU whose argument is scaled by {input_scale:g}", "use a positive alpha")
    if input_scale == 1:
        return draft.scaled(draft.activation(self, "elu", float(alpha)), float(scale))
    inner = draft.activation(draft.scaled(self, float(input_scale)), "elu", float(alpha * input_scale))
    return draft.scaled(inner, float(scale / input_scale))


def celu(draft: Draft, self: Value, alpha: float) -> Value:
    """CELU, an ELU of another scale."""
    return elu(draft, self, float(alpha), 1.0, 1.0 / float(alpha) if alpha > 0 else 0.0)


def selu(draft: Draft, self: Value) -> Value:
    """SELU, an ELU with two constants (Klambauer et al., arXiv:1706.02515)."""
    return elu(draft, self, 1.6732632423543772848170429916717, 1.0507009873554804934193349852946, 1.0)


def softplus(draft: Draft, self: Value, beta: float, threshold: float) -> Value:
    """Softplus; what torch makes a line beyond its threshold is one to 2e-9 there."""
    if threshold < 20 or beta <= 0:
        raise UnsupportedError(
            f"a softplus of beta {beta:g} and threshold {threshold:g}", "leave the threshold at 20 or above"
        )
    inner = draft.activation(draft.scaled(self, float(beta)), "softplus")
    return draft.scaled(inner, 1.0 / float(beta))


def log_sigmoid(draft: Draft, self: Value) -> Value:
    """The logarithm of a sigmoid, a softplus turned twice."""
    return draft.scaled(draft.activation(draft.scaled(self, -1.0), "softplus"), -1.0)


def prelu(draft: Draft, self: Value, weight: Tensor) -> Value:
    """A leaky ReLU with one slope, or one for each channel: slope x + (1 - slope) relu(x)."""
    if weight.numel() == 1:
        return draft.activation(self, "leaky_relu", float(weight))
    slopes = weight.reshape(-1, *[1] * (len(self.shape) - 1))
    return summed(draft, [draft.scaled(self, slopes), draft.scaled(draft.activation(self, "relu"), 1.0 - slopes)])
