"""The entrance: a float network in, one of linear layers and polynomials out, with what that costs in agreement."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from intnn.approximation.fit import Fitted
from intnn.approximation.margin import measured_margin
from intnn.approximation.measure import Measure
from intnn.approximation.points import ENOUGH, joined
from intnn.approximation.replace import is_replaced, replace_activations
from intnn.layers.nodes import MaxPool2d
from intnn.network.fold import fold_scales
from intnn.network.graph import BATCH, Graph
from intnn.values.arrays import FloatArray, batched, frozen, instance, integer, real, reals
from intnn.values.value_object import ValueObject

DEGREES = (2, 3, 4, 6, 8)  # that a search tries, cheapest first
TOLERANCE = 0.003  # agreement that a search gives away for a lower degree
LARGEST_DEGREE = 32
FEWEST_SAMPLES = 5
LARGEST_SAMPLES = 6250  # that are looked at, and
SEARCHED_VALUES, LARGEST_VALUES = 1 << 23, 1 << 25  # values of one layer on all of them, in a search and in the end
HELD_OUT = 5  # one sample in so many measures the agreement
SLACK = 1e-9  # of a range: folded weights round otherwise


@dataclass(frozen=True, eq=False)
class Layer(ValueObject):
    """A polynomial in the place of an activation.

    Attributes:
        node: The number of the polynomial in the graph.
        degree: Its degree.
        low: The smallest argument that it was fitted for, [channels], at least -1.
        high: The largest one, [channels], at most 1.
        error: The root of its mean squared error on the samples, as a part of the root of the mean square of the
            activation's values there.
    """

    node: int
    degree: int
    low: FloatArray
    high: FloatArray
    error: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", frozen(self.low))
        object.__setattr__(self, "high", frozen(self.high))


@dataclass(frozen=True, eq=False)
class Approximation(ValueObject):
    """What `fit_approximation` finds.

    Attributes:
        graph: The network of linear layers and polynomials.
        layers: Its polynomials that stand for something else, in the order of its nodes.
        agreement: With the given network, on the samples that were held out: the share of equal classes, or R squared
            for values (see `intnn.approximation.agreement`).
        under_strain: The same on these and on points like them if it differed more, by which degrees are chosen; see
            `intnn.approximation.agreement.agreement_under_strain` and `intnn.approximation.points`.
    """

    graph: Graph
    layers: tuple[Layer, ...]
    agreement: float
    under_strain: float

    def escapes(self, x: ArrayLike) -> NDArray[np.bool_]:
        """Which inputs take a polynomial out of the range that it was fitted for, bool [batch].

        Outside its range a polynomial has little to do with the activation that it stands for, and its value may be
        of any size. An input that escapes has no answer; one that does not escape has been approximated as the samples
        were.

        Raises:
            TypeError: ``x`` does not hold floats.
            ValueError: The shape is wrong, the batch empty, or a value NaN or infinite.
        """
        x = batched(reals(x, "x"), self.graph.input_shape, "x")
        return np.concatenate([self._escapes(x[i : i + BATCH]) for i in range(0, len(x), BATCH)])

    def _escapes(self, x: FloatArray) -> NDArray[np.bool_]:
        escaped = np.zeros(len(x), bool)
        with np.errstate(over="ignore", invalid="ignore"):  # which what has escaped may do further on
            values = self.graph.values(x)
            for layer in self.layers:
                (source,) = self.graph.sources[layer.node]
                argument = (values[source] if source >= 0 else x).reshape(len(x), len(layer.low), -1)
                inside = (argument >= layer.low[:, None] - SLACK) & (argument <= layer.high[:, None] + SLACK)
                escaped |= ~inside.all(axis=(1, 2))
        return escaped


def approximate(
    graph: Graph,
    samples: ArrayLike,
    degree: int | Sequence[int] | None = 2,
    margin: float | None = None,
    tolerance: float = TOLERANCE,
) -> Graph:
    """The graph of `fit_approximation`, which has the same arguments and says more."""
    return fit_approximation(graph, samples, degree, margin, tolerance).graph


def fit_approximation(
    graph: Graph,
    samples: ArrayLike,
    degree: int | Sequence[int] | None = 2,
    margin: float | None = None,
    tolerance: float = TOLERANCE,
) -> Approximation:
    """Replace every activation of a network by a polynomial, without training and without labels.

    From the input to the output, each activation gets a polynomial that is fitted to what the replaced network gives it
    on the samples, and each linear layer behind one is solved anew by ridge regression, so that it gives what it gave
    before; a last dense layer that gives the logits of classes is solved for their probabilities. Maximum pooling
    becomes average pooling, scaled per channel to come closest. At degree 2 every channel has a square a (u + v)**2 + c
    of its own, whose parameters are folded into the layers around it; a higher degree gives a layer one polynomial. All
    arguments lie in [-1, 1] for inputs like the samples.

    The result holds for inputs like the samples, and for no others: see `Approximation.escapes`.

    Args:
        graph: The float network. It stays as it is.
        samples: Typical inputs, floats [n, *graph.input_shape], at least 5; hundreds are better, and at most 6250 are
            looked at, fewer of a network with large layers. A fifth is held out and measures the agreement; what is
            returned is then fitted to all, where layers are large to more of them than a search looks at, unless
            that spoils the agreement, as one sample can that is far from all others.
        degree: The degree of all polynomials, from 2 to 32, or one for every activation that is no polynomial yet, in
            the order of the nodes. None searches for the lowest of 2, 3, 4, 6 and 8 for each of them.
        margin: By how much the ranges are wider than what was seen on the samples, at least 1. By default some of the
            samples show it of the others, see `intnn.approximation.margin`.
        tolerance: For a search, how far the agreement may be from perfect; or, where no degree comes as close, from
            that of the best one.

    Returns:
        The network with its polynomials and its agreement. A network that has no other activations and no maximum
        pooling is returned as it is.

    Raises:
        TypeError: ``graph`` is no `Graph`, ``samples`` does not hold floats, or a number is of another kind.
        ValueError: The shape of the samples is wrong, there are too few or a value is NaN or infinite; there is not one
            degree for each activation; or a number is out of range.
    """
    return Fits(graph, samples, margin).of(degree, tolerance)


class Fits:
    """The approximations of a network on the same samples; what several searches ask for is fitted once.

    Args:
        graph: See `fit_approximation`, also for what is raised.
        samples: See there.
        margin: See there.

    Attributes:
        margin: By how much the ranges are wider than what was seen.
    """

    def __init__(self, graph: Graph, samples: ArrayLike, margin: float | None = None) -> None:
        instance(graph, Graph, "graph")
        x = batched(reals(samples, "samples"), graph.input_shape, "samples")
        if len(x) < FEWEST_SAMPLES:
            raise ValueError(f"`samples` must hold at least {FEWEST_SAMPLES} rows, got {len(x)}")
        if margin is not None and not 1.0 <= (margin := real(margin, "margin")) < math.inf:
            raise ValueError(f"`margin` must be finite and at least 1, got {margin}")
        self._all = x[np.random.default_rng(0).permutation(len(x))[: _most(graph, LARGEST_VALUES)]]
        held = len(self._all) // HELD_OUT
        self._graph, self.margin = graph, measured_margin(graph, self._all) if margin is None else margin
        self._held, rest = self._all[:held], self._all[held:]
        self._seen = rest[: _most(graph, SEARCHED_VALUES)]
        self._searched: dict[tuple[int, ...], Approximation] = {}
        self._final: dict[tuple[int, ...], Approximation] = {}

    def of(self, degree: int | Sequence[int] | None = 2, tolerance: float = TOLERANCE) -> Approximation:
        """The approximation of a degree, or the one that a search finds; see `fit_approximation`."""
        tolerance = real(tolerance, "tolerance")
        if not 0.0 <= tolerance < math.inf:
            raise ValueError(f"`tolerance` must be finite and at least 0, got {tolerance}")
        count = sum(map(is_replaced, self._graph.nodes))
        degrees = None if degree is None else _degrees(degree, count)
        if not count and not any(isinstance(node, MaxPool2d) for node in self._graph.nodes):
            return Approximation(self._graph, (), 1.0, 1.0)
        found = _searched(self._fit, count, tolerance) if degrees is None else self._fit(degrees)
        key = tuple(layer.degree for layer in found.layers)
        if key not in self._final:
            graph, layers = self._made(self._all, key, LARGEST_VALUES)
            agreement = self._measure.better(graph, found.agreement)
            self._final[key] = (
                found if agreement is None else replace(found, graph=graph, layers=layers, agreement=agreement)
            )
        return self._final[key]

    @cached_property
    def points(self) -> FloatArray:
        """What ranges were seen on in the end: samples, joined by others like them where they are few."""
        return self._points(self._all, LARGEST_VALUES)

    @cached_property
    def _measure(self) -> Measure:
        return Measure.of(self._graph, self._held)

    def _fit(self, degrees: Sequence[int]) -> Approximation:
        """The approximation of these degrees on the samples that do not measure it."""
        key = tuple(degrees)
        if key not in self._searched:
            graph, layers = self._made(self._seen, key, SEARCHED_VALUES)
            measure = self._measure
            self._searched[key] = Approximation(graph, layers, measure(graph), measure.under_strain(graph))
        return self._searched[key]

    def _made(self, samples: FloatArray, degrees: Sequence[int], values: int) -> tuple[Graph, tuple[Layer, ...]]:
        graph, fits = replace_activations(self._graph, self._points(samples, values), degrees, self.margin)
        graph = fold_scales(graph)
        return graph, _layers(graph, fits)

    def _points(self, samples: FloatArray, values: int) -> FloatArray:
        return joined(samples, min(ENOUGH, _most(self._graph, values)))


def _most(graph: Graph, values: int) -> int:
    """How many samples are looked at if the largest layer may have so many values on all of them."""
    largest = max(math.prod(shape) for shape in (graph.input_shape, *graph.shapes))
    return max(min(LARGEST_SAMPLES, values // largest), FEWEST_SAMPLES)


def _degrees(degree: int | Sequence[int], count: int) -> list[int]:
    """One degree for each of ``count`` activations."""
    if not np.iterable(degree):
        return [integer(degree, "degree", 2, LARGEST_DEGREE)] * count
    degrees = [integer(d, "degree", 2, LARGEST_DEGREE) for d in degree]
    if len(degrees) != count:
        raise ValueError(f"`degree` must have one entry for each of the {count} activations, got {len(degrees)}")
    return degrees


def _searched(fit: Callable[[Sequence[int]], Approximation], count: int, tolerance: float) -> Approximation:
    """The lowest degree for all that comes close enough, then a lower one for each layer that allows it."""
    fits: list[Approximation] = []
    for degree in DEGREES[: None if count else 1]:
        fits.append(fit([degree] * count))
        if fits[-1].under_strain >= 1.0 - tolerance:
            break
    goal = min(1.0, max(found.under_strain for found in fits)) - tolerance
    best = next(found for found in fits if found.under_strain >= goal)
    degrees = [layer.degree for layer in best.layers]
    for i, degree in enumerate(degrees):
        low, high = 0, DEGREES.index(degree)  # by bisection: what a degree is enough for, higher ones are
        while low < high:
            middle = (low + high) // 2
            found = fit([*degrees[:i], DEGREES[middle], *degrees[i + 1 :]])
            if found.under_strain >= goal:
                best, high = found, middle
            else:
                low = middle + 1
        degrees[i] = DEGREES[high]
    return best


def _layers(graph: Graph, fits: Sequence[Fitted]) -> tuple[Layer, ...]:
    """The polynomials where they stand in the graph; folding keeps their order, and the nodes themselves."""
    numbers = [i for i, node in enumerate(graph.nodes) if any(node is fit.polynomial for fit in fits)]
    return tuple(
        Layer(number, fit.degree, fit.low, fit.high, fit.error) for number, fit in zip(numbers, fits, strict=True)
    )
