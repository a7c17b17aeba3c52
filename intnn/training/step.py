"""One step of stochastic gradient descent in integers: forward, loss, backward, update.

This is the algorithm. It runs on one of the two modules of operations, `intnn.training.ops.reference` or `numpy_`.
`intnn.training.cpu` and `intnn.training.cuda` are faster and give the same bits.
"""

import math
from copy import deepcopy
from dataclasses import dataclass
from types import ModuleType
from typing import NamedTuple

import numpy as np

from intnn.training import generator
from intnn.training.examples import offset_of
from intnn.training.limits import BIAS_LIMIT, ERROR_LIMIT, VELOCITY_LIMIT
from intnn.training.plan import Block, Plan
from intnn.training.tables import DOMAIN, EXP_EXPONENT, SLOPE_EXPONENT, TableActivation, exponential
from intnn.values.arrays import Array, IntArray
from intnn.values.domain import IntDomain


class Rate(NamedTuple):
    """The length of one step: mantissa / 2**shift per unit of a batch's summed gradient."""

    mantissa: int  # 0, or in [64, 127]
    shift: int


@dataclass(frozen=True)
class Descent:
    """The rule of descent, which stays the same from step to step.

    Attributes:
        momentum_shift: Velocities keep 1 - 2**-momentum_shift of themselves; in [0, 15], 0 for plain descent.
        decay_shift: Weights lose 2**-decay_shift of themselves every step; in [1, 30], or 0 for none.
    """

    momentum_shift: int = 3
    decay_shift: int = 0


@dataclass(eq=False)
class Variables:
    """The variables of one block.

    Attributes:
        weights: int32 [outputs, kh kw c], multiples of 2**-master_exponent.
        bias: int32 [outputs], multiples of 2**-bias_exponent.
        weight_velocity: The velocities of the weights, in the same form.
        bias_velocity: The velocities of the bias, in the same form.
    """

    weights: Array
    bias: Array
    weight_velocity: Array
    bias_velocity: Array


def initialise(plan: Plan, seed: int) -> list[Variables]:
    """The variables to start from: uniform weights of He's variance, or half of it for the logits; all else zero."""
    result = []
    for i, block in enumerate(plan.blocks):
        # The bound of a uniform variable with variance gain / fan_in is sqrt(3 gain / fan_in).
        gain = 1 if block.activation is None else 2
        bound = math.isqrt((3 * gain << 2 * block.master_exponent) // block.fan_in)
        bound = min(bound, block.weight_limit << block.fraction)
        drawn = generator.draws(generator.key(seed, generator.WEIGHTS, i), block.outputs * block.fan_in)
        weights = ((drawn * (2 * bound + 1)) >> 32) - bound  # at most 2**32 * 2**31
        weights = weights.reshape(block.outputs, block.fan_in).astype(np.int32)
        bias = np.zeros(block.outputs, np.int32)
        result.append(Variables(weights, bias, np.zeros_like(weights), bias.copy()))
    return result


def working_weights(block: Block, variables: Variables, ops: ModuleType) -> tuple[IntArray, IntArray]:
    """The bytes [outputs, fan_in] and the biases [outputs] that the products use."""
    weights = ops.rescale(_wide(variables.weights), block.fraction)
    return weights, ops.rescale(_wide(variables.bias), block.bias_shift)


class Begun(NamedTuple):
    """A step up to the errors of the first block; every other block has been updated."""

    logits: IntArray  # int64 [batch, classes], before the update
    errors: IntArray  # int64 [positions, outputs], bytes: the errors of the first block's sums
    exponent: int  # errors are multiples of 2**-exponent


def step(
    plan: Plan,
    state: list[Variables],
    x: Array,
    labels: Array,
    rate: Rate,
    descent: Descent,
    rounding: tuple[int, int],
    ops: ModuleType,
) -> IntArray:
    """Train on one batch, in place.

    Args:
        plan: The network.
        state: The variables of every block; they are changed.
        x: The inputs, int64 [batch, height, width, channels].
        labels: The classes, int64 [batch].
        rate: The learning rate divided by the batch size.
        descent: The momentum and decay.
        rounding: The seed and the number of the step, which name the streams of random roundings.
        ops: The module of operations, `reference` or `numpy_`.

    Returns:
        The logits before the update, int64 [batch, classes].
    """
    first = plan.blocks[0]
    weights, _ = working_weights(first, state[0], ops)
    seen = ops.patches(x, first.window, first.stride, first.padding).reshape(-1, first.fan_in)
    begun = begin(plan, state, ops.products(seen, weights), labels, rate, descent, rounding, ops)
    finish(plan, state, begun, ops.products(begun.errors.T, seen.T), len(labels), rate, descent, ops)
    return begun.logits


def begin(
    plan: Plan,
    state: list[Variables],
    sums: IntArray,
    labels: Array,
    rate: Rate,
    descent: Descent,
    rounding: tuple[int, int],
    ops: ModuleType,
) -> Begun:
    """All of a `step` that needs no inputs, from the first block's products to its errors.

    Every block but the first is updated. The arguments are those of `step`, but for ``sums``, which stand for the
    inputs: their inner products with the first block's weights, without the biases, int64 [positions, outputs].
    """
    working = [working_weights(block, variables, ops) for block, variables in zip(plan.blocks, state, strict=True)]
    seen, slopes = [], []
    for i, (block, (_, bias)) in enumerate(zip(plan.blocks, working, strict=True)):
        sums = (sums + bias).reshape(len(labels), block.rows, block.cols, block.outputs)
        if block.activation is not None:
            x, slope = activate(block, block.activation, sums, ops)
            slopes.append(slope)
            following = plan.blocks[i + 1]
            seen.append(ops.patches(x, following.window, following.stride, following.padding))
            sums = ops.products(seen[-1].reshape(-1, following.fan_in), working[i + 1][0])

    logits = sums.reshape(len(labels), -1)
    d = ops.softmax_errors(ops.rescale(logits, plan.blocks[-1].shift), labels, exponential())
    d = d.reshape(sums.shape)
    exponent = EXP_EXPONENT
    for i in reversed(range(len(plan.blocks))):
        block, (weights, _) = plan.blocks[i], working[i]
        errors, shift = ops.quantise_errors(d, generator.key(rounding[0], generator.ROUNDING, rounding[1], i))
        exponent -= shift
        if block.activation is not None:
            exponent += block.pool_shift
            errors = ops.spread(errors, block.rows, block.cols, block.pool)
            errors = ops.saturate(ops.rescale(errors * slopes[i], SLOPE_EXPONENT), -ERROR_LIMIT, ERROR_LIMIT)
        flat = errors.reshape(-1, block.outputs)
        if i:
            gradient = ops.products(flat.T, seen[i - 1].reshape(-1, block.fan_in).T), ops.column_sums(flat)
            shape = (len(labels), block.height, block.width, block.channels)
            d = ops.products(flat, weights.T).reshape(seen[i - 1].shape)
            d = ops.fold(d, shape, block.window, block.stride, block.padding)
            update(block, state[i], gradient, exponent, len(labels), rate, descent, ops)
            exponent += block.weight_exponent
    return Begun(logits, flat, exponent)


def finish(
    plan: Plan,
    state: list[Variables],
    begun: Begun,
    gradient: IntArray,
    batch: int,
    rate: Rate,
    descent: Descent,
    ops: ModuleType,
) -> None:
    """What is left of a `step` behind `begin`: update the first block.

    The gradient is the inner products of the errors and the inputs over all positions, int64 [outputs, fan_in], and
    ``batch`` the number of examples; the other arguments are those of `step`.
    """
    sums = ops.column_sums(begun.errors)
    update(plan.blocks[0], state[0], (gradient, sums), begun.exponent, batch, rate, descent, ops)


class ArrayStep:
    """`step` with the interface of `CompiledStep`: the batch is given as bytes.

    Args:
        plan: The network.
        state: The variables to start from; they are copied.
        batch: The examples of a step.
        descent: The momentum and decay.
        ops: The module of operations, `reference` or `numpy_`.
    """

    def __init__(self, plan: Plan, state: list[Variables], batch: int, descent: Descent, ops: ModuleType):
        self._plan, self._state, self._descent, self._ops = plan, deepcopy(state), descent, ops
        first = plan.blocks[0]
        self._offset = offset_of(first.inputs)
        self.inputs = np.zeros((batch, first.height, first.width, first.channels), np.uint8)
        """uint8 [batch, height, width, channels]: where the next batch goes, signed inputs plus 128."""

    def step(self, labels: Array, rate: Rate, rounding: tuple[int, int]) -> IntArray:
        """Train on the batch in ``inputs``; the arguments and the result are those of the function `step`."""
        x = _wide(self.inputs) - self._offset
        return step(self._plan, self._state, x, labels, rate, self._descent, rounding, self._ops)

    def state(self) -> list[Variables]:
        """The variables as they are now, copied."""
        return deepcopy(self._state)


class ArrayHalves:
    """`begin` and `finish` with the interface of `CompiledHalves`; the arguments are those of `ArrayStep`."""

    def __init__(self, plan: Plan, state: list[Variables], batch: int, descent: Descent, ops: ModuleType):
        self._plan, self._state, self._batch = plan, deepcopy(state), batch
        self._descent, self._ops = descent, ops

    @property
    def weights(self) -> IntArray:
        """The first block's weights, int64 [outputs, fan_in]."""
        return working_weights(self._plan.blocks[0], self._state[0], self._ops)[0]

    def begin(
        self, sums: IntArray, labels: IntArray, rate: Rate, rounding: tuple[int, int], largest: int
    ) -> Begun | None:
        """The function `begin`; None, and nothing changes, where a sum is larger or a label is no class."""
        possible = IntDomain(-largest, largest).contains_array(sums)
        if not possible or not IntDomain(0, self._plan.classes - 1).contains_array(labels):
            return None
        self._rate = rate
        return begin(self._plan, self._state, sums, labels, rate, self._descent, rounding, self._ops)

    def finish(self, begun: Begun, gradient: IntArray, magnitude: int) -> bool:
        """The function `finish`, behind `begin`; False where no inputs up to a magnitude have such a gradient."""
        largest = magnitude * int(abs(begun.errors).sum(axis=0).max())
        if not IntDomain(-largest, largest).contains_array(gradient):
            return False
        finish(self._plan, self._state, begun, gradient, self._batch, self._rate, self._descent, self._ops)
        return True

    def state(self) -> list[Variables]:
        """The variables as they are now, copied."""
        return deepcopy(self._state)


def activate(block: Block, tables: TableActivation, sums: IntArray, ops: ModuleType) -> tuple[IntArray, IntArray]:
    """The next block's input from the sums [batch, rows, cols, outputs], and the slopes at the pre-activations."""
    z = ops.saturate(ops.rescale(sums, block.shift), DOMAIN.lo, DOMAIN.hi)
    y = ops.lookup(z, tables.values.table, DOMAIN.lo)
    if block.pool > 1:
        y = ops.rescale(ops.sum_pool(y, block.pool), block.pool_shift)
    return y, ops.lookup(z, tables.slopes.table, DOMAIN.lo)


def update(
    block: Block,
    variables: Variables,
    gradient: tuple[IntArray, IntArray],
    exponent: int,
    batch: int,
    rate: Rate,
    descent: Descent,
    ops: ModuleType,
) -> None:
    """Change velocities v and master values w in place, saturated.

    v becomes v - v / 2**momentum_shift + rate gradient, and then w becomes w - w / 2**decay_shift - v.
    """
    dropped = block.gradient_shifts(batch)
    shifts = gradient_scales(block, exponent, rate.shift)
    weight_limit = block.weight_limit << block.fraction
    for value, velocity, g, drop, shift, limit, decay in (
        (variables.weights, variables.weight_velocity, gradient[0], dropped[0], shifts[0], weight_limit,
         descent.decay_shift),
        (variables.bias, variables.bias_velocity, gradient[1], dropped[1], shifts[1], BIAS_LIMIT, 0),
    ):  # fmt: skip
        v = _wide(velocity)
        kept = v - (v >> descent.momentum_shift) if descent.momentum_shift else np.zeros_like(v)
        v = kept + ops.gradient_step(g, drop, rate.mantissa, shift - drop)
        v = ops.saturate(v, -VELOCITY_LIMIT, VELOCITY_LIMIT)
        w = _wide(value)
        w = ops.saturate(w - (w >> decay if decay else np.zeros_like(w)) - v, -limit, limit)
        velocity[...] = v
        value[...] = w


def gradient_scales(block: Block, exponent: int, rate_shift: int) -> tuple[int, int]:
    """The shifts of gradient times mantissa down to the units of the weights' and of the biases' velocities."""
    return (
        exponent + block.input_exponent + rate_shift - block.master_exponent,
        exponent + rate_shift - block.bias_exponent,
    )


def _wide(array: Array) -> IntArray:
    return array.astype(np.int64)
