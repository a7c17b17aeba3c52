"""Integer weights under a worst-case bound: accumulator-aware quantisation of one layer.

For inputs in [xlo, xhi], xlo <= 0 <= xhi, and a neuron whose positive and negative weights sum to P and -N, the
accumulator ends between b - (P |xlo| + N xhi) and b + (P xhi + N |xlo|). Keeping both ends in the target bounds the sum
for every input, hostile ones included. This is the bound of A2Q (Colbert, Pappalardo and Petri-Koenig, "A2Q:
Accumulator-Aware Quantization with Guaranteed Overflow Avoidance", ICCV 2023) by signs rather than by the L1 norm, so
that unsigned inputs allow twice the weight. Weights beyond it are projected, not rescaled, as "A2Q+: Improving
Accumulator-Aware Weight Quantization" (Colbert et al., ICML 2024) does for its initial values.
"""

from dataclasses import dataclass, replace

import numpy as np

from intnn.values.arrays import FloatArray, IntArray
from intnn.values.domain import IntDomain
from intnn.values.rounding import round_half_up, round_toward_zero

TINY = 1e-30  # magnitudes below count as zero, so that no scale and no squared error overflows
HUGE = 1e30  # magnitudes above are refused
CANDIDATES = 8  # scales tried per layer
STRETCH = 32.0  # the largest of these scales, relative to the one at which no weight is projected


@dataclass(frozen=True)
class Budget:
    """What a layer's accumulators may do.

    Attributes:
        inputs: The integers that an input can be.
        target: The integers that an output may be; zero is one of them.
        weight_limit: The largest magnitude of a weight.
        parts: For every weight of a row the number of its part, from 0; weights of several parts are never in one sum
            (see `intnn.quantisation.apart`). Empty where all weights are.
    """

    inputs: IntDomain
    target: IntDomain
    weight_limit: int
    parts: tuple[int, ...] = ()

    def costs(self, sign: FloatArray) -> tuple[FloatArray, FloatArray]:
        """What a weight's unit of magnitude adds to the worst sums, upward and downward, by the weight's sign."""
        high, low = float(max(self.inputs.hi, 0)), float(max(-self.inputs.lo, 0))
        return np.where(sign > 0, high, low), np.where(sign > 0, low, high)

    def divided(self, rows: FloatArray) -> FloatArray:
        """Each row of weights [out, n] as the rows of its parts, [out * parts, n], which are zero in other parts."""
        if not self.parts:
            return rows
        parts = np.arange(max(self.parts) + 1)[:, None] == np.array(self.parts)
        return (rows[:, None, :] * parts).reshape(-1, rows.shape[1])


def round_layer(weight: FloatArray, bias: FloatArray, scale: float, budget: Budget) -> tuple[IntArray, IntArray, float]:
    """Round a layer to integers whose worst case stays inside ``budget.target``.

    Of several scales, between the one at which nothing is projected and `STRETCH` times as fine, the one with the
    smallest squared error wins.

    Args:
        weight: The float weights, [out, ...].
        bias: The float biases, [out].
        scale: The integer units per float unit of the layer's input.
        budget: The bound to keep.

    Returns:
        The integer weights, the integer biases, and the integer units per float unit of a weight. An output has
        ``scale`` times as many units.

    Raises:
        ValueError: A parameter is larger than 1e30 in magnitude.
    """
    rows = weight.reshape(len(weight), -1)
    peak, bias_peak = float(np.abs(rows).max()), float(np.abs(bias).max())
    if max(peak, bias_peak) > HUGE:
        raise ValueError(f"`weight` and `bias` must be at most {HUGE} in magnitude, got {max(peak, bias_peak)}")
    finest = budget.weight_limit / max(peak, TINY)
    relaxed = min(float(relaxed_scales(rows, bias * scale, budget).min()), finest)
    reach = budget.inputs.magnitude / scale / 2  # a typical input, in float units, weighs the errors of the weights

    def attempt(weight_scale: float) -> tuple[float, IntArray, IntArray, float]:
        integers, offset = round_within(rows * weight_scale, bias * scale * weight_scale, budget)
        weight_error = reach * (integers / weight_scale - rows)
        bias_error = offset / (scale * weight_scale) - bias
        return float(np.square(weight_error).sum() + np.square(bias_error).sum()), integers, offset, weight_scale

    scales = np.geomspace(relaxed, min(STRETCH * relaxed, finest), CANDIDATES) if relaxed < finest else [finest]
    _, integers, offset, chosen = min(map(attempt, map(float, scales)), key=lambda result: result[0])
    return integers.reshape(weight.shape), offset, chosen


def relaxed_scales(rows: FloatArray, bias: FloatArray, budget: Budget) -> FloatArray:
    """The largest scale at which each row of weights [out, n], with its bias [out], keeps to the budget as it is."""
    if budget.parts:
        scales = relaxed_scales(*_divided(rows, bias, budget))
        return scales.reshape(len(rows), -1).min(axis=1)
    up, down = budget.costs(np.sign(rows))
    magnitude = np.abs(rows)
    highest = (magnitude * up).sum(axis=1) + bias
    lowest = (magnitude * down).sum(axis=1) - bias
    room_up, room_down = max(budget.target.hi, 1), max(-budget.target.lo, 1)  # no scale is zero, whatever the room
    return np.minimum(room_up / np.maximum(highest, TINY), room_down / np.maximum(lowest, TINY))


def round_within(rows: FloatArray, bias: FloatArray, budget: Budget) -> tuple[IntArray, IntArray]:
    """Project each row of weights [out, n], with its bias [out], into the budget, then round it there."""
    if budget.parts:
        integers, offsets = round_within(*_divided(rows, bias, budget))
        return integers.reshape(len(rows), -1, rows.shape[1]).sum(axis=1), offsets.reshape(len(rows), -1)[:, 0]
    offset = round_half_up(np.clip(bias, budget.target.lo, budget.target.hi))
    spare_up = (budget.target.hi - offset)[:, None].astype(float)
    spare_down = (offset - budget.target.lo)[:, None].astype(float)
    sign = np.where(rows < 0, -1.0, 1.0)
    up, down = budget.costs(sign)

    magnitude = np.abs(rows)
    excess = np.maximum(_excess(magnitude, up, spare_up), _excess(magnitude, down, spare_down))
    magnitude = np.maximum(magnitude - excess, 0.0)

    # Rounded toward zero, the sums keep to the budget; what that leaves goes to the largest remainders above one half.
    whole = round_toward_zero(magnitude).astype(float)
    spare_up = spare_up - (whole * up).sum(axis=1, keepdims=True)
    spare_down = spare_down - (whole * down).sum(axis=1, keepdims=True)
    remainder = magnitude - whole
    order = np.argsort(-remainder, axis=1, kind="stable")
    rounded_up = np.take_along_axis(remainder, order, axis=1) >= 0.5
    for cost, spare in ((up, spare_up), (down, spare_down)):
        own = np.take_along_axis(cost, order, axis=1)
        rounded_up &= (own == 0) | (np.cumsum(own, axis=1) <= spare)
    np.put_along_axis(whole, order, np.take_along_axis(whole, order, axis=1) + rounded_up, axis=1)
    return (sign * whole).astype(np.int64), offset


def _divided(rows: FloatArray, bias: FloatArray, budget: Budget) -> tuple[FloatArray, FloatArray, Budget]:
    """Rows and biases of all parts, and the budget of one."""
    divided = budget.divided(rows)
    return divided, bias.repeat(len(divided) // len(rows)), replace(budget, parts=())


def _excess(magnitude: FloatArray, cost: FloatArray, spare: FloatArray) -> FloatArray:
    """What to take off each magnitude for the nearest row with sum(cost * magnitude) <= spare, all arrays [out, n].

    The projection takes t * cost off every magnitude, down to zero, with one t per row. For any set of elements,
    t >= (sum(cost * magnitude) - spare) / sum(cost**2), with equality for those that stay positive; sorted by
    magnitude / cost, these are the first ones.
    """
    ratio = np.divide(magnitude, cost, out=np.full_like(magnitude, -1.0), where=cost > 0)
    order = np.argsort(-ratio, axis=1)
    sorted_cost = np.take_along_axis(cost, order, axis=1)
    spent = np.cumsum(sorted_cost * np.take_along_axis(magnitude, order, axis=1), axis=1)
    weight = np.cumsum(np.square(sorted_cost), axis=1)
    t = np.divide(spent - spare, weight, out=np.zeros_like(spent), where=weight > 0).max(axis=1, keepdims=True)
    return np.maximum(t, 0.0) * cost
