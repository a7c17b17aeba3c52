"""T43, universal approximation: how far a sum of units stays from a continuous function, and with how many.

F(x) = sum_i v_i phi(w_i x + b_i) for x in [0, 1]^m (5.3), (5.4). The theorem asks for the greatest distance, at every
point. It is looked for on a grid that nothing was fitted on, and between that grid's points it is bounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
import torch

from bench.papers.columns import Drawing, curve
from bench.papers.experiment import Experiment, Measured, Order, Run, Scale, Setting
from intnn.values.arrays import FloatArray

Units = Literal["sigmoid", "square"]

SIZES = (4, 8, 16, 32, 64, 128)
FITTED = {1: 400, 2: 40}  # points along each axis to fit on, by dimension
JUDGED = {1: 20_000, 2: 400}  # intervals along each axis of the grid that is judged; even, so that 1/2 is a point
SLOPE = {1: 20.0, 2: 8.0}  # of a unit's argument: steep enough for the finest function here
STEPS = 3000  # of a training in which all weights are learnt
KEPT = 1e-9  # of the largest singular value; smaller ones make weights large and sums imprecise
FOUND, AT_MOST = "greatest distance", "greatest distance, at most"


@dataclass(frozen=True)
class Function:
    """What is approximated, on [0, 1]^m.

    Attributes:
        dimension: m.
        values: Points [n, m] to values [n].
        curvature: A bound of the magnitude of its second derivative along every axis; where it has a kink, on each
            side of it, the kink lying on the grid that is judged. None where it is not continuous.
    """

    dimension: int
    values: Callable[[FloatArray], FloatArray]
    curvature: float | None


FUNCTIONS: Mapping[str, Function] = MappingProxyType(
    {
        "wave": Function(1, lambda x: np.sin(4 * np.pi * x[:, 0]) / 2, 8 * np.pi**2),
        "corner": Function(1, lambda x: np.abs(x[:, 0] - 0.5), 0.0),
        "waves": Function(2, lambda x: np.sin(2 * np.pi * x[:, 0]) * np.sin(2 * np.pi * x[:, 1]) / 2, 2 * np.pi**2),
        "jump": Function(1, lambda x: np.where(x[:, 0] > 0.5, 0.5, -0.5), None),
    }
)


@dataclass(frozen=True, eq=False)
class Sum:
    """A sum of units.

    Attributes:
        units: What each unit is of its argument.
        w: [units, m].
        b: [units].
        v: [units].
    """

    units: Units
    w: FloatArray
    b: FloatArray
    v: FloatArray

    def __call__(self, x: FloatArray) -> FloatArray:
        """Points [n, m] to values [n]."""
        return activations(self.units, x @ self.w.T + self.b) @ self.v

    def curvature(self) -> FloatArray:
        """A bound of the magnitude of the second derivative along every axis, [m]: a unit's is at most 1/10, or 2."""
        most = {"sigmoid": 0.1, "square": 2.0}[self.units]  # a sigmoid's is 1 / (6 sqrt 3) = 0.0962
        bound: FloatArray = most * np.abs(self.v) @ self.w**2
        return bound


def activations(units: Units, z: FloatArray) -> FloatArray:
    """What units make of their arguments, which may have any shape."""
    found: FloatArray = z * z if units == "square" else 1 / (1 + np.exp(-z))
    return found


def grid(dimension: int, intervals: int) -> FloatArray:
    """The points of [0, 1]^m that divide every axis into so many equal intervals, [(intervals + 1)^m, m]."""
    axis = np.linspace(0, 1, intervals + 1)
    return np.stack(np.meshgrid(*[axis] * dimension, indexing="ij"), -1).reshape(-1, dimension)


def drawn(function: Function, units: Units, count: int, rng: np.random.Generator) -> Sum:
    """Units at random places and of random directions, with the v that fits best in the mean square.

    Args:
        function: What is approximated.
        units: The kind of the units.
        count: How many.
        rng: Draws w and b.
    """
    m = function.dimension
    w = rng.normal(size=(count, m))
    w *= SLOPE[m] / np.linalg.norm(w, axis=1, keepdims=True)
    b = -(w * rng.uniform(-0.1, 1.1, (count, m))).sum(1)  # the middle of every unit is in the cube or just outside it
    x = grid(m, FITTED[m] - 1)
    v = np.linalg.lstsq(activations(units, x @ w.T + b), function.values(x), rcond=KEPT)[0]
    return Sum(units, w, b, v.astype(np.float64))


def learnt(start: Sum, function: Function) -> Sum:
    """The same sum after all of its weights have followed the gradient of the mean square (Adam, a falling rate)."""
    x = grid(function.dimension, FITTED[function.dimension] - 1)
    points, values = torch.from_numpy(x), torch.from_numpy(function.values(x))
    w, b = (torch.from_numpy(one.copy()).requires_grad_() for one in (start.w, start.b))
    v = torch.zeros(len(b), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([w, b, v], 0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for _ in range(STEPS):
        z = points @ w.mT + b
        loss = (((z * z if start.units == "square" else torch.sigmoid(z)) @ v - values) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return Sum(start.units, *(one.detach().numpy() for one in (w, b, v)))


def distances(function: Function, sum_: Sum) -> tuple[float, float | None]:
    """The greatest distance between a function and a sum: on the grid, and a bound of it on all of [0, 1]^m.

    Between the points of a grid with the interval h, a function differs from the multilinear one through them by at
    most h^2 / 8 times the sum of its greatest second derivatives along the axes, and that one is largest at a point.
    The bound leaves out roundings of float64, and is None of what is not continuous.
    """
    intervals = JUDGED[function.dimension]
    x = grid(function.dimension, intervals)
    found = float(np.abs(sum_(x) - function.values(x)).max())
    if function.curvature is None:
        return found, None
    bent = float((sum_.curvature() + function.curvature).sum())
    return found, found + bent / (8 * intervals**2)


@dataclass(frozen=True)
class Approximated:
    """A function by sums of several sizes.

    Attributes:
        function: A key of `FUNCTIONS`.
        units: The kind of the units.
        descends: Whether all weights are learnt by gradient descent, and not v alone by least squares.
        dataset: A data set that is not looked at.
    """

    function: str
    units: Units = "sigmoid"
    descends: bool = False
    dataset: str = "digits"

    def measure(self, run: Run) -> Measured:
        """The logarithms of the greatest distances, which span decades."""
        function, figures = FUNCTIONS[self.function], dict[str, float]()
        for count in SIZES:
            run.report(f"{count} units")
            sum_ = drawn(function, self.units, count, np.random.default_rng((run.seed, count)))
            found, most = distances(function, learnt(sum_, function) if self.descends else sum_)
            figures[f"{FOUND} {count}"] = math.log10(found)
            if most is not None:
                figures[f"{AT_MOST} {count}"] = math.log10(most)
        return Measured(figures)


def _settings(_: bool) -> tuple[Setting, ...]:
    return (
        *(Setting(name, Approximated(name)) for name in FUNCTIONS),
        Setting("wave, learnt", Approximated("wave", descends=True)),
        Setting("wave, squares", Approximated("wave", "square")),
    )


_FEW, _MANY = f"{FOUND} {SIZES[0]}", f"{AT_MOST} {SIZES[-1]}"

#: By the identifiers of `bench.tables.thesis.PUBLISHED`.
EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType(
    {
        "T43": Experiment(
            _settings,
            tuple(
                column
                for line in (FOUND, AT_MOST)
                for column in curve(Drawing(line, "curve", "units", "log10 of the distance"), line, SIZES, "log10")
            ),
            tuple(Order(name, name, _FEW, _MANY) for name in ("wave", "corner", "waves", "wave, learnt")),
            quick=Scale(5, 0),
            full=Scale(20, 0),
            hours=0.5,
        )
    }
)
