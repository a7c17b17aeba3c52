"""The trade-off between agreement and cost, measured: which integer network to take for a float one."""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from intnn.approximation.approximate import approximate
from intnn.approximation.measure import Measure
from intnn.approximation.points import joined
from intnn.layers.nodes import Activation, Conv2d, Dense, Join, MaxPool2d, Node
from intnn.network.edges import flow
from intnn.network.graph import Graph
from intnn.network.network import IntNetwork
from intnn.quantisation.config import QuantConfig
from intnn.quantisation.price import estimated_units
from intnn.quantisation.progress import Progress, speaking
from intnn.quantisation.squares import integer_squares
from intnn.quantisation.tables import integer_tables
from intnn.values.arrays import FloatArray, batched, instance, real, reals
from intnn.values.value_object import ValueObject

Price = Callable[[IntNetwork], float]
Make = Callable[[FloatArray], IntNetwork]
Attempt = Callable[[str, str, Make], float | None]

FORMS = ("squares", "tables")
FIRST_BITS = ((1, 3), (1, 4), (2, 3), (2, 4), (2, 5), (3, 5), (4, 6), (6, 8), (8, 10), (12, 14), (16, 18))
POINTS = (57, 121, 241, 431)  # of tables; beyond 248, a ring twice as large makes them more than twice as dear
TABLE_BITS = ((1, 4), (2, 4), (4, 5), (6, 6))  # of inputs and of a table's values
PER_DOUBLING = 0.0025  # the agreement that twice the price must buy
ROUGHLY = 1.1  # times the price is the same price
CHEAP = 4.0  # units below which nothing need be saved
SETTLED = 0.002  # more bits than bring a network so near to its float form are not tried
HELD_OUT = 3  # one sample in so many measures, and has no part in what is made
FEWEST = 10  # samples
FEW_BITS = 6  # of inputs; where one scale for all features needs more, each gets its own as well
MOST = 2000  # points by which networks are rounded
MOST_TABLES = 2  # activations that may be tables; more cost thousands of units
PATIENCE = 2.0  # seconds without a word


@dataclass(frozen=True, eq=False)
class Trial(ValueObject):
    """One integer network, and what it is worth.

    Attributes:
        form: "squares" or "tables".
        sizes: What it was made with, for people.
        agreement: How far it agrees with the float network on the samples held out, by `Tuning.measure`, at most 1.
        under_strain: The same if it differed more, by which networks are chosen; see
            `intnn.approximation.agreement.agreement_under_strain`.
        units: Its price.
        network: The network.
    """

    form: str
    sizes: str
    agreement: float
    under_strain: float
    units: float
    network: IntNetwork

    @property
    def output_bits(self) -> int:
        """The bits of a signed integer that holds every output for every input, which the price depends on."""
        return self.network.intervals[-1].magnitude.bit_length() + 1


@dataclass(frozen=True, eq=False)
class Tuning(ValueObject):
    """What was tried, and what is taken; printed, it is a table.

    Attributes:
        trials: All networks that were made, the cheapest first.
        chosen: Under the budget, the one that agrees best under strain, less a quarter of a point for every doubling of
            the price beyond 4 units. It was made anew with all samples, and its agreement is the lower one of before
            and after.
        measure: What the agreement is: "same class", "same signs" or "R squared".
        held_out: The number of samples by which it was measured.
    """

    trials: tuple[Trial, ...]
    chosen: Trial
    measure: str
    held_out: int

    def __str__(self) -> str:
        rows = [("", "form", "sizes", "output bits", self.measure, "units")]
        rows += [
            (
                ">" if trial is self.chosen else "",
                trial.form,
                trial.sizes,
                str(trial.output_bits),
                f"{100 * trial.agreement:.1f} %" if self.measure != "R squared" else f"{trial.agreement:.4f}",
                f"{trial.units:.1f}",
            )
            for trial in self.trials
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([*lines, f"(agreement with the float network on {self.held_out} samples held out)"])

    def draw(self, path: str | os.PathLike[str]) -> None:
        """Draw agreement against units into an .svg, .png or .pdf file.

        Raises:
            ValueError: The suffix is another one.
            ImportError: Matplotlib is not installed.
            OSError: The file cannot be written.
        """
        from intnn.export.trade_off import draw_trade_off  # a library that not everybody has

        points = {form: [(t.units, t.agreement) for t in self.trials if t.form == form] for form in FORMS}
        title = f"agreement with the float network ({self.measure})"
        draw_trade_off(points, (self.chosen.units, self.chosen.agreement), title, path)


def tune(
    graph: Graph,
    samples: ArrayLike,
    budget: float | None = None,
    price: Price | None = None,
    progress: Progress | None = None,
) -> Tuning:
    """Try integer networks of several forms and sizes, and choose one by measured agreement under a price.

    Two forms are tried. In networks of squares every activation is the square of a sum (see
    `intnn.approximation.approximate` and `intnn.quantisation.squares`), with few bits of inputs and weights first and
    more until they make no difference. In networks of tables, for graphs without branches, every activation is a table
    of 57 to 431 points (see `intnn.quantisation.tables`). A third of the samples is held out and measures; the network
    that is chosen is then made anew with all of them, if price and agreement stay about the same.

    Args:
        graph: The float network.
        samples: Typical inputs, floats [n, *graph.input_shape]: some hundreds to thousands. Labels are not needed.
        budget: The highest price that may be chosen; None for no limit.
        price: What a network costs, in any unit; by default `intnn.quantisation.price.estimated_units`.
        progress: Called with a line before and after every network that is tried; by default lines go to stderr once it
            has taken two seconds.

    Raises:
        TypeError: An argument is of another type.
        ValueError: Samples are fewer than 10, of another shape, NaN or infinite; the budget is not positive, or no
            network is within it; or no form serves this graph.
    """
    x = batched(reals(samples, "samples"), instance(graph, Graph, "graph").input_shape, "samples")
    if len(x) < FEWEST:
        raise ValueError(f"`samples` must hold at least {FEWEST} rows, got {len(x)}; hundreds are better")
    if budget is not None and not real(budget, "budget") > 0:
        raise ValueError(f"`budget` must be positive, got {budget}")
    with speaking(progress, PATIENCE) as report:
        return _tuned(graph, x, budget, price or estimated_units, report)


def _tuned(graph: Graph, x: FloatArray, budget: float | None, price: Price, report: Progress) -> Tuning:
    report(f"fitting squares in floats to {len(x)} samples")
    is_held = np.arange(len(x)) % HELD_OUT == HELD_OUT - 1
    seen, measure = x[~is_held], Measure.of(graph, x[is_held])
    trials: list[Trial] = []
    makers: dict[IntNetwork, Make] = {}
    refusals: list[ValueError] = []

    has_tables = graph.is_chain and 0 < _count(graph, Activation) <= MOST_TABLES and not _count(graph, MaxPool2d)
    most = len(FIRST_BITS) * len(_scalings(graph)) + len(POINTS) * len(TABLE_BITS) * has_tables

    def attempt(form: str, sizes: str, make: Make) -> float | None:
        report(f"trying {form}, {sizes}: network {len(trials) + len(refusals) + 1} of at most {most}")
        try:
            network = make(seen)
        except ValueError as refusal:  # by the graph's layers, or since integers would have too many bits
            refusals.append(refusal)
            return None
        trial = Trial(form, sizes, measure(network), measure.under_strain(network), float(price(network)), network)
        trials.append(trial)
        makers[network] = make
        report(f"{form}, {sizes}: {measure.name} {trial.agreement:.4f}, {trial.units:.1f} units")
        return trial.under_strain

    _try_squares(graph, seen, measure, attempt)
    if has_tables:
        _try_tables(graph, attempt)
    if not trials:
        raise refusals[0]
    chosen = _chosen(trials, budget)
    report(f"making {chosen.form}, {chosen.sizes} anew with all samples")
    network = makers[chosen.network](x)
    units, agreement = float(price(network)), measure.better(network, chosen.agreement)
    if agreement is not None and units <= ROUGHLY * chosen.units and (budget is None or units <= budget):
        final = replace(chosen, network=network, units=units, agreement=agreement)
        trials[trials.index(chosen)] = chosen = final
    trials.sort(key=lambda trial: (trial.units, -trial.agreement))
    return Tuning(tuple(trials), chosen, measure.name, len(measure.samples))


def _try_squares(graph: Graph, seen: FloatArray, measure: Measure, attempt: Attempt) -> None:
    """Networks of squares, with more bits until they are as near to the float network as its squares in floats."""
    known: dict[int, Graph] = {}

    def in_squares(x: FloatArray) -> Graph:
        if len(x) not in known:  # no margin: integers are proved for all inputs, and cannot leave their ranges
            known[len(x)] = approximate(graph, x, degree=2, margin=1.0)
        return known[len(x)]

    def make(x: FloatArray, input_bits: int, bits: Sequence[int], by_feature: bool) -> IntNetwork:
        return integer_squares(in_squares(x), joined(x, MOST)[:MOST], input_bits, bits, graph, by_feature)

    squares = in_squares(seen)
    reachable = measure.under_strain(squares)
    for by_feature in _scalings(graph):
        near = 0
        for input_bits, first in FIRST_BITS:
            bits = _rising(squares, first)
            each = " by feature" if by_feature else ""
            sizes = f"inputs of {input_bits} bits{each}, weights of {', '.join(map(str, bits))}"
            agreement = attempt(
                "squares", sizes, partial(make, input_bits=input_bits, bits=bits, by_feature=by_feature)
            )
            near += agreement is not None and agreement >= reachable - SETTLED
            if agreement is None or near == 2:  # once may be luck
                break
        if near == 2 and input_bits <= FEW_BITS:
            break


def _try_tables(graph: Graph, attempt: Attempt) -> None:
    """Networks of tables; for every size of tables with more bits until they do harm."""

    def make(x: FloatArray, config: QuantConfig) -> IntNetwork:
        return integer_tables(graph, joined(x, MOST)[:MOST], config)

    for points in POINTS:
        best = -np.inf
        for input_bits, bits in TABLE_BITS:
            config = QuantConfig(input_bits=input_bits, activation_bits=bits, table_points=points)
            sizes = f"inputs of {input_bits} bits, tables of {points} points with values of {bits} bits"
            agreement = attempt("tables", sizes, partial(make, config=config))
            if agreement is None or agreement <= best:
                break
            best = agreement


def _rising(graph: Graph, first: int) -> list[int]:
    """The bits of every layer's weights: one more behind every square, since what a layer adds each square doubles.

    The last layer behind squares gets another one.
    """

    def depth(_: int, node: Node | Join, before: list[int]) -> int:
        return max(before) + isinstance(node, Activation)

    depths = flow(0, graph.nodes, graph.sources, depth)
    bits = [first + depths[i] for i, node in enumerate(graph.nodes) if isinstance(node, Dense | Conv2d)]
    if bits and bits[-1] > first:
        bits[-1] += 1
    return bits


def _scalings(graph: Graph) -> tuple[bool, ...]:
    """Whether features have scales of their own: one way after the other for vectors, and none for images."""
    return (False, True) if len(graph.input_shape) == 1 else (False,)


def _count(graph: Graph, kind: type) -> int:
    return sum(isinstance(node, kind) for node in graph.nodes)


def _chosen(trials: Sequence[Trial], budget: float | None) -> Trial:
    trials = sorted(trials, key=lambda trial: (trial.units, -trial.agreement))
    allowed = [trial for trial in trials if budget is None or trial.units <= budget]
    if not allowed:
        raise ValueError(
            f"`budget` must be at least {trials[0].units:.1f}, the price of the cheapest network, got {budget}"
        )
    return max(allowed, key=lambda trial: trial.under_strain - PER_DOUBLING * math.log2(max(trial.units, CHEAP)))
