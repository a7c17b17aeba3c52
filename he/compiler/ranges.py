"""How far the units of a layer reach: for the worst input, or for what samples show, with a guard.

*Calibrated* ranges are those of samples, times a margin. What holds for them holds for an input whose layers stay
within them, and a *range guard* shows whether they did: the sum of an even power p of a layer's units, which the
session returns beside the logits. It is the power in which the layer's polynomial ends, or the next one if that is odd,
so it is at hand or takes a product, and no more depth. No term of the sum is negative: where it is at most P, the
p-norm of the units is at most M, the p-th root of P, and so is every |u_i|. A polynomial's own values would be no such
measure: that of a ReLU has its least values far outside of what samples reach, and a sum of what lies above them says
little.

*What else follows from the p-norm.* By Hoelder's inequality |sum of w_i u_i^j| is at most M^j times the norm of w that
is dual to p / j, which bounds what the next layer makes of all terms of a polynomial; and the Euclidean norm of n units
is at most n^(1/2 - 1/p) M.

*Proof that an accepted answer is within its bound.* Let u' be the values that are really computed, with all errors, as
integers of any size: a ciphertext holds them modulo its modulus, and all operations are the same there. By induction
over the layers, |u'| is at most M in every layer with a guard, and at most what intervals say in the others. In a layer
whose predecessors keep their ranges, intervals say how far u' may reach, and so how large the guard's sum may be: W.
There is room for W in the guard's modulus, so that what the client decrypts is the sum itself, but for the errors of
powers, of lowering them and of adding them up, which are at most P / 8 where |u'| is at most M, and grow with |u'|
slower than the sum does. The client accepts up to 3 P / 4, so the sum is below P. Errors of a product are bounded by
its factors' computed values, so the logits' bound needs no more than that.

So no answer is accepted that is wrong, whatever the input in its range: the guard of the first layer that leaves its
range is too large, is not wrapped around, and is looked at before those of later layers, which may be. All lanes are
looked at, for the coefficients of a polynomial, which may wrap around, are shared by them.

*Why samples are accepted*: their sums are at most 3 P / (4 margin^2), and errors add at most P / 8. Where p is large, a
sum so much larger takes units hardly any further, and P is at least such that one of them may go `margin` times as far
as any did.

*How far a polynomial is from what it stands for*: it means nothing where it was not fitted, and grows with the power
that is summed. So P is no larger than that takes, and every layer has a guard that some input in its range takes
further than it would accept, whatever errors would be without. Only layers that stay within have none, and those of two
polynomials in a row. For a square, p is 2, and what many units may do together a single one may: few
inputs are refused, and it is a square's own growth that bounds what they are told.

*What guards tell.* A client learns how many there are, of which layers they may guess; their limits, which are three
quarters of powers of two; and for every image the sums, which are functions of its own, like logits, and tell of
weights as these do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Literal

import numpy as np

from he.compiler import activations as polynomials
from he.compiler.linear import LinearMap
from he.compiler.samples import Seen
from intnn import Activation

Ranges = Literal["proved", "calibrated"]

MARGIN = 1.25  # by default, and at least: how many times as far as on samples a layer may reach
ACCEPTED = 3 / 4  # of the sum that proves a layer to be in its range: the client accepts no more
ERROR = 1 / 8  # of it that a guard may be off by
_LEAST_REACH = 1 / 16  # of what the unit with the largest values reaches on samples every unit is taken to reach
_LARGEST_COEFFICIENT = 2.0**12  # of a monic polynomial; beyond, the leading coefficient is next to nothing


@dataclass(frozen=True)
class Guard:
    """The guard of one layer.

    Attributes:
        layer: the number of the linear map whose outputs, to some power, are summed.
        power: p, that power, even.
        limit: P, the sum that proves that the layer is in its range, a power of two.
        largest: W, the largest sum of a layer whose predecessors are in their ranges, rounded up to a power of two.
        units: the number of units.
    """

    layer: int
    power: int
    limit: float
    largest: float
    units: int

    @property
    def norm(self) -> float:
        """M, the bound on the p-norm of the units."""
        return float(self.limit ** (1 / self.power))

    def scaled(self, layer: int, factor: float) -> Guard:
        """Return the guard of this layer if its units are multiplied by a power of two."""
        factor **= self.power
        return replace(self, layer=layer, limit=self.limit * factor, largest=self.largest * factor)


@dataclass(frozen=True, eq=False)
class Form:
    """How the units of a layer are scaled, and what their activations are then.

    Attributes:
        activations: the activations of the scaled units.
        ends: [2, units], the intervals of the scaled units.
        shift: what is added to each unit before it is scaled.
        factors: [units], by which they are multiplied.
        gains: [units], by which what the activations give must be multiplied to be what it was; `loss` is then added.
        loss: see `gains`.
        power: the power of a factor of the units that the activations make of it.
        free: whether units may be multiplied by another factor.
        guard: the layer's guard, if it has one.
    """

    activations: tuple[Activation, ...]
    ends: np.ndarray
    shift: float
    factors: np.ndarray
    gains: np.ndarray
    loss: float = 0.0
    power: float = 1.0
    free: bool = False
    guard: Guard | None = None

    @staticmethod
    def of_inputs(features: int, low: float, high: float) -> Form:
        """Return the form of a network's inputs."""
        ends = np.broadcast_to([[low], [high]], (2, features))
        return Form((), ends, 0.0, np.ones(features), np.ones(features))

    @property
    def length(self) -> float:
        """A bound on the Euclidean norm of the units."""
        length = float(np.linalg.norm(np.abs(self.ends).max(axis=0)))
        if self.guard:
            length = min(length, self.guard.units ** (1 / 2 - 1 / self.guard.power) * self.guard.norm)
        return length

    @property
    def ends_behind(self) -> np.ndarray:
        """The intervals [2, units] of what the activations make of the units."""
        ends = self.ends
        for activation in self.activations:
            ends = activated(activation, ends)
        return ends

    def amplified(self, factor: float) -> list[Activation]:
        """Return the activations of units that are multiplied by a factor once more."""
        result = []
        for activation in self.activations:
            result.append(polynomials.amplified(activation, factor) if self.free else activation)
            factor **= polynomials.degree(activation)
        return result


def read_by(linear: LinearMap, forms: Sequence[Form]) -> tuple[LinearMap, np.ndarray]:
    """Return a linear map as it reads the units of layers in their forms, and intervals [2, outputs] of its outputs."""
    gains = np.concatenate([form.gains for form in forms])
    lost = linear.times(np.concatenate([np.full_like(form.gains, form.loss) for form in forms]))
    linear = replace(linear, weights=linear.weights * gains[linear.columns], bias=linear.bias + lost)
    ends = np.tile(linear.bias, (2, 1))
    for number, form in enumerate(forms):
        part = linear.part(number)
        found = image(part, form.ends_behind)
        ends += _clipped(found, *_by_norm(part, form.activations[0], form.guard)) if form.guard else found
    return linear, ends


def _by_norm(linear: LinearMap, activation: Activation, guard: Guard) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the largest outputs of a linear map without bias on a polynomial of units with a guard."""
    constant, *others = polynomials.coefficients(activation)
    middle = constant * linear.times(np.ones(linear.inputs))
    low, high = middle.copy(), middle.copy()
    for exponent, coefficient in enumerate(others, 1):
        weights = coefficient * linear.weights
        if exponent % 2:  # of odd powers, either sign
            below = above = _row_norms(linear, np.abs(weights), guard.power / exponent)
        else:
            below, above = (_row_norms(linear, np.maximum(s * weights, 0.0), guard.power / exponent) for s in (-1, 1))
        low -= below * guard.norm**exponent
        high += above * guard.norm**exponent
    return low, high


def _row_norms(linear: LinearMap, sizes: np.ndarray, exponent: float) -> np.ndarray:
    """Return the norms of a map's rows that are dual to one with this exponent, of at least 1, for weights >= 0."""
    largest = np.zeros(linear.outputs)
    np.maximum.at(largest, linear.rows, sizes)
    if exponent == 1:
        return largest
    dual = exponent / (exponent - 1)
    shares = sizes / np.where(largest > 0, largest, 1.0)[linear.rows]  # whose powers are floats
    return largest * np.bincount(linear.rows, shares**dual, minlength=linear.outputs) ** (1 / dual)


def form_of(
    activations: Sequence[Activation], ends: np.ndarray, seen: Seen | None, *, hidden: bool, period: int = 0
) -> Form:
    """Return the form of a layer's units.

    Args:
        activations: what follows the layer's linear map.
        ends: the intervals [2, units] of its outputs.
        seen: what samples show of its outputs; None if ranges are proved.
        hidden: whether another linear map follows, which can make up for factors.
        period: the distance of units that the next map reads as sums, which have one factor; 0 if it reads none.
    """
    units = ends.shape[1]
    ends = np.stack([-_alike(-ends[0], period), _alike(ends[1], period)])
    ones, degrees = np.ones(units), [polynomials.degree(activation) for activation in activations]
    as_it_is = Form(tuple(activations), ends, 0.0, ones, ones)
    if min(degrees, default=1) < 1:
        return as_it_is
    if not hidden:
        return _unscaled(as_it_is, seen, period)
    if len(activations) != 1:
        if any(activation.name != "square" for activation in activations):
            return as_it_is
        return _scaled(tuple(activations), ends, 0.0, _inverse(np.abs(ends).max(axis=0)), 1.0, 0.0)
    activation, gain, shift, loss = polynomials.monic(activations[0], _rounded_up(np.abs(ends).max()))
    ends = ends + shift
    far = np.abs(ends).max(axis=0)
    # What units share decides about coefficients, which decide about scales: it is told, so it is rounded.
    factors = _inverse(far if activation.name == "square" else np.full(units, _rounded_up(far.max())))
    guard = None
    if seen is not None and degrees[0] > 1:
        alike = activation.name != "square"
        if found := _guarded(degrees[0], far, Seen(seen.units + shift, seen.margin), period, alike=alike):
            factors, guard = found
    if activation.name != "square":
        activation = polynomials.amplified(activation, float(factors[0]))
        if np.abs(polynomials.coefficients(activation)).max() > _LARGEST_COEFFICIENT:
            return _unscaled(as_it_is, seen, period)
    form = _scaled((activation,), ends, shift, factors, gain, gain * loss)
    return (_with_guard(form, guard) or as_it_is) if guard else form


def _unscaled(form: Form, seen: Seen | None, period: int) -> Form:
    """Return the form of units that stay as they are, with a guard if one activation follows."""
    if seen is None or [polynomials.degree(activation) > 1 for activation in form.activations] != [True]:
        return form
    (activation,), far = form.activations, np.abs(form.ends).max(axis=0)
    found = _guarded(polynomials.degree(activation), far, seen, period, alike=True)
    if found is None:
        return form
    factors, guard = found
    limit = 2.0 ** round(math.log2(guard.limit) - guard.power * math.log2(factors[0]))
    return _with_guard(form, replace(guard, limit=limit)) or form


def _with_guard(form: Form, guard: Guard) -> Form | None:
    """Return the form of units that a guard holds in their range; None if no modulus has room for what it may be."""
    worst = float((np.abs(form.ends).max(axis=0) ** guard.power).sum())
    if not worst < 2.0**1000:
        return None
    largest = 2.0 ** math.ceil(math.log2(2 * worst))  # twice: intervals are those of true values
    return replace(form, ends=_clipped(form.ends, -guard.norm, guard.norm), guard=replace(guard, largest=largest))


def _scaled(
    activations: tuple[Activation, ...], ends: np.ndarray, shift: float, factors: np.ndarray, gain: float, loss: float
) -> Form:
    power = math.prod(polynomials.degree(activation) for activation in activations)
    gains = gain / factors**power
    return Form(activations, ends * factors, shift, factors, gains, loss, float(power), True)


def _guarded(degree: int, far: np.ndarray, seen: Seen, period: int, *, alike: bool) -> tuple[np.ndarray, Guard] | None:
    """Return the factors by which units reach no further than 1 if their guard accepts them, and the guard.

    Args:
        degree: that of the polynomial.
        far: [units], how far the units reach at most.
        seen: what they are on samples.
        period: see `form_of`.
        alike: whether all units have the same factor.

    Returns:
        None if no input takes units further than their guard would accept.
    """
    reach = _alike(np.abs(seen.units).max(axis=0), period)
    reach = np.minimum(far, np.maximum(reach, _LEAST_REACH * reach.max()))
    if alike:
        reach = np.full_like(reach, _rounded_up(reach.max()))
    if not reach.max() > 0:
        return None
    factors = _inverse(reach)
    power = 2 * math.ceil(degree / 2)
    squares = np.square(seen.units * factors)
    sums = reduce(np.multiply, [squares] * (power // 2)).sum(axis=1)  # many times as fast as a power of floats
    further_together = seen.margin**2 * float(sums.max())
    allowed = max(further_together, (seen.margin * math.sqrt(squares.max())) ** power)
    limit = 2.0 ** math.ceil(math.log2(max(allowed / ACCEPTED, 2.0**-20)))
    # Half a bit of how far says little of weights, and makes the limit a power of two, for powers are even.
    further = _rounded_up(limit ** (1 / power))
    limit = 2.0 ** round(math.log2(limit) - power * math.log2(further))
    factors = factors / further
    return (factors, Guard(0, power, limit, 0.0, len(far))) if (far * factors).max() > 1 else None


def image(linear: LinearMap, ends: np.ndarray) -> np.ndarray:
    """Return intervals [2, outputs] that hold a linear map's values on intervals [2, inputs]."""
    terms = np.sort(ends[:, linear.columns] * linear.weights, axis=0)
    return np.stack([np.bincount(linear.rows, end, minlength=linear.outputs) for end in terms]) + linear.bias


def activated(activation: Activation, ends: np.ndarray) -> np.ndarray:
    """Return intervals [2, units] that hold a polynomial's values on intervals [2, units]."""
    coefficients = polynomials.coefficients(activation)
    total = np.full_like(ends, coefficients[0])
    for exponent, coefficient in enumerate(coefficients[1:], 1):
        power = np.sort(ends**exponent, axis=0)
        if exponent % 2 == 0:
            power[0] = np.where((ends[0] < 0) & (ends[1] > 0), 0.0, power[0])
        total += np.sort(coefficient * power, axis=0)
    return total


def _alike(reach: np.ndarray, period: int) -> np.ndarray:
    """Return how far units reach, [units], if those at the same place of every period reach equally far."""
    return np.tile(reach.reshape(-1, period).max(axis=0), len(reach) // period) if period else reach


def _rounded_up(reach: float) -> float:
    """Return the least root of a power of two that is not below a reach, but for roundings; 0 for 0."""
    return 2.0 ** (math.ceil(2 * math.log2(reach) - 1e-6) / 2) if reach > 0 else 0.0


def _inverse(reach: np.ndarray) -> np.ndarray:
    """Return the factors that bring what reaches so far to 1; 1 for what is always 0."""
    return np.divide(1.0, reach, out=np.ones_like(reach), where=reach > 0)


def _clipped(ends: np.ndarray, low: np.ndarray | float, high: np.ndarray | float) -> np.ndarray:
    """Return the parts of intervals [2, units] between two bounds."""
    return np.stack([np.clip(ends[0], low, high), np.clip(ends[1], low, high)])
