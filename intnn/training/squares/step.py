"""One step of a network of squares on arrays: gradients by BLAS, exactly, and the update, in which alone is rounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from intnn.training import generator
from intnn.training.limits import VELOCITY_LIMIT
from intnn.training.ops.numpy_ import rescale, saturate
from intnn.training.squares.plan import FRACTION, SquarePlan
from intnn.values.arrays import Array, FloatArray, IntArray, frozen, instance, integer, integers
from intnn.values.value_object import ValueObject

NAMES = ("first", "second", "first_velocity", "second_velocity")  # of the arrays of a state
_EXACT_BITS = 53  # of integers that float64 holds, and so its sums of products
_SHARE = 8  # weights at the start are within this part of their limits


@dataclass(frozen=True, eq=False)
class SquareState(ValueObject):
    """The variables of a network of squares between two steps.

    Attributes:
        first: The master weights of V, int64 [features, hidden], multiples of 2**-16 of a weight.
        second: Those of W, int64 [hidden + 1, classes].
        first_velocity: The velocities of V in the same unit, int64 [features, hidden].
        second_velocity: Those of W, int64 [hidden + 1, classes].

    Raises:
        TypeError: An array holds no integers.
        ValueError: The shapes do not fit each other.
    """

    first: IntArray
    second: IntArray
    first_velocity: IntArray
    second_velocity: IntArray

    def __post_init__(self) -> None:
        for name in NAMES:
            object.__setattr__(self, name, frozen(integers(getattr(self, name), name)))
        shapes = self.first.shape, self.second.shape
        if [len(s) for s in shapes] != [2, 2] or shapes[1][0] != shapes[0][1] + 1:
            raise ValueError(f"`first` and `second` must have shapes [d, h] and [h + 1, classes], got {shapes}")
        if (self.first_velocity.shape, self.second_velocity.shape) != shapes:
            raise ValueError(f"velocities must have the shapes of their weights, {shapes}")

    @staticmethod
    def initial(plan: SquarePlan) -> SquareState:
        """Draw the variables to start from: the same bits everywhere.

        Weights are uniform within an eighth of their limits, but the last row of V, by which hidden units are near 1,
        where a square is mostly linear, and the last row of W, which is 0. Velocities are 0.
        """
        instance(plan, SquarePlan, "plan")
        first = _drawn(plan, 0, (plan.features, plan.hidden), plan.first_limit)
        second = _drawn(plan, 1, (plan.hidden + 1, plan.classes), plan.second_limit)
        first[-1] = min((plan.unit << FRACTION) // plan.input_limit, plan.first_limit << FRACTION)
        second[-1] = 0
        return SquareState(first, second, np.zeros_like(first), np.zeros_like(second))

    @property
    def weights(self) -> tuple[IntArray, IntArray]:
        """V and W as steps use them: the nearest integers to the master weights, halves up."""
        return rescale(self.first, FRACTION), rescale(self.second, FRACTION)


@dataclass(frozen=True, eq=False)
class SquareGradients:
    """What a step computes, exactly.

    Attributes:
        first: G_V, Python integers [features, hidden].
        second: G_W, Python integers [hidden + 1, classes].
    """

    first: Array
    second: Array


def gradients(plan: SquarePlan, x: IntArray, labels: IntArray, weights: tuple[IntArray, IntArray]) -> SquareGradients:
    """Compute the gradients of inputs that `checked_inputs` let pass, int64 [n, features] and [n], at weights V, W."""
    first, second = weights
    units = _product(x, first).astype(np.int64)
    squares = np.concatenate([units**2, np.full((len(x), 1), plan.bias)], axis=1)
    residuals = _product(squares, second).astype(np.int64) - targets(plan, labels)
    inner = units * _product(residuals, second[:-1].T).astype(np.int64)
    return SquareGradients(_product(x.T, inner), _product(squares.T, residuals))


def updated(plan: SquarePlan, state: SquareState, found: SquareGradients) -> SquareState:
    """Return the variables behind a step.

    A velocity v becomes v - floor(v / 2**momentum_shift) + s, where s is the integer nearest to the gradient times its
    rate, halves up; and a master weight becomes itself less v. Both s and v are saturated at 2**29, and master weights
    at their limits.
    """
    parts = (
        (state.first, state.first_velocity, found.first, plan.first_limit),
        (state.second, state.second_velocity, found.second, plan.second_limit),
    )
    made = []
    for (master, velocity, gradient, limit), rate in zip(parts, plan.rates, strict=True):
        by_rate = saturate(rescale(gradient * rate.mantissa, rate.shift), -VELOCITY_LIMIT, VELOCITY_LIMIT)
        kept = velocity - (velocity >> plan.momentum_shift) if plan.momentum_shift else np.zeros_like(velocity)
        v = saturate(kept + by_rate.astype(np.int64), -VELOCITY_LIMIT, VELOCITY_LIMIT)
        made.append((saturate(master - v, -(limit << FRACTION), limit << FRACTION), v))
    (first, first_velocity), (second, second_velocity) = made
    return SquareState(first, second, first_velocity, second_velocity)


def fit(
    plan: SquarePlan,
    x: ArrayLike,
    labels: ArrayLike,
    steps: int,
    progress: Callable[[int, SquareState], None] | None = None,
) -> SquareState:
    """Train for so many steps, from the weights that the plan's seed names.

    Args:
        plan: The plan.
        x: The inputs, int64 [samples, features].
        labels: The classes, int64 [samples].
        steps: Their number, at least 0.
        progress: A function that is called after every step with the steps made and the variables.

    Raises:
        TypeError: An argument has another type.
        ValueError: A shape is wrong, or a number is out of its range.
    """
    inputs, classes = checked_inputs(plan, x, labels)
    state = SquareState.initial(plan)
    for step in range(1, integer(steps, "steps", 0) + 1):
        state = updated(plan, state, gradients(plan, inputs, classes, state.weights))
        if progress is not None:
            progress(step, state)
    return state


def checked_inputs(plan: SquarePlan, x: ArrayLike, labels: ArrayLike) -> tuple[IntArray, IntArray]:
    """Return samples and labels, if they are what the plan's bounds are proved for.

    Raises:
        TypeError: They are no integers.
        ValueError: A shape is wrong, an input is beyond its limit, the last one is another, or a label is no class.
    """
    inputs, classes = integers(x, "x"), integers(labels, "labels")
    if inputs.shape != (plan.samples, plan.features) or classes.shape != (plan.samples,):
        raise ValueError(
            f"`x` and `labels` must have shapes {[plan.samples, plan.features]} and {[plan.samples]}, got "
            f"{list(inputs.shape)} and {list(classes.shape)}"
        )
    limit = plan.input_limit
    if not (-limit <= inputs.min() and inputs.max() <= limit and (inputs[:, -1] == limit).all()):
        raise ValueError(f"`x` must be within +-{limit}, with {limit} in the last column; saturate it")
    if classes.min() < 0 or classes.max() >= plan.classes:
        raise ValueError(f"`labels` must be from 0 to {plan.classes - 1}")
    return inputs, classes


def require_state(plan: SquarePlan, state: SquareState) -> None:
    """Refuse variables for which the plan's bounds are not proved.

    Raises:
        ValueError: They have other shapes than the plan's, or one is beyond its limit.
    """
    shapes = (plan.features, plan.hidden), (plan.hidden + 1, plan.classes)
    limits = plan.first_limit << FRACTION, plan.second_limit << FRACTION, VELOCITY_LIMIT, VELOCITY_LIMIT
    if (state.first.shape, state.second.shape) != shapes:
        raise ValueError(f"`state` must have weights of shapes {shapes}, got {state.first.shape}, {state.second.shape}")
    for name, limit in zip(NAMES, limits, strict=True):
        values = getattr(state, name)
        if values.min() < -limit or values.max() > limit:
            raise ValueError(f"`state` must have `{name}` within +-{limit}; train it by this plan")


def logits(plan: SquarePlan, x: IntArray, weights: tuple[IntArray, IntArray]) -> IntArray:
    """Compute the logits, int64 [n, classes], of inputs [n, features] within the plan's limit."""
    first, second = weights
    squares = (x @ first) ** 2
    return squares @ second[:-1] + plan.bias * second[-1]


def targets(plan: SquarePlan, labels: IntArray) -> IntArray:
    """Return the targets Y, int64 [n, classes]."""
    own = labels[:, None] == np.arange(plan.classes)
    return np.where(own, plan.target * (plan.classes - 1), -plan.target)


def _product(a: IntArray, b: IntArray) -> Array:
    """Return the matrix product of integers, exactly: Python integers [m, n].

    Both factors are cut into limbs that are so small that float64 and its BLAS add their products up exactly.
    """
    bits = (_EXACT_BITS - len(b).bit_length()) // 2
    right, total = list(_limbs(b, bits)), np.zeros((len(a), b.shape[1]), object)
    for i, x in enumerate(_limbs(a, bits)):
        for j, y in enumerate(right):
            total += (x @ y).astype(np.int64).astype(object) << bits * (i + j)
    return total


def _limbs(values: IntArray, bits: int) -> Iterator[FloatArray]:
    """Yield the limbs of integers, the lowest first: from -2**(bits - 1) to 2**(bits - 1) - 1."""
    half = 1 << (bits - 1)
    while values.any():
        low = ((values + half) & (2 * half - 1)) - half
        yield low.astype(np.float64)
        values = (values - low) >> bits


def _drawn(plan: SquarePlan, layer: int, shape: tuple[int, int], limit: int) -> IntArray:
    bound = (limit << FRACTION) // _SHARE
    drawn = generator.draws(generator.key(plan.seed, generator.WEIGHTS, layer), shape[0] * shape[1])
    return ((drawn * (2 * bound + 1)) >> 32).reshape(shape) - bound
