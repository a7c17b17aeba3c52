"""The trade-off between agreement and cost, measured: which integer network to take for a float one."""

import io
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from intnn.approximation.approximate import approximate
from intnn.layers.nodes import Activation, Conv2d, Dense, Join, MaxPool2d, Node
from intnn.network.edges import flow
from intnn.network.graph import Graph
from intnn.network.network import IntNetwork
from intnn.quantisation.config import QuantConfig
from intnn.quantisation.measure import Measure, with_final_layer
from intnn.quantisation.price import estimated_units
from intnn.quantisation.squares import integer_squares
from intnn.quantisation.tables import integer_tables
from intnn.storage.document import file_path, write_atomically
from intnn.values.arrays import FloatArray, batched, instance, real, reals
from intnn.values.value_object import ValueObject

Price = Callable[[IntNetwork], float]
Progress = Callable[[str], None]
Attempt = Callable[[str, str, IntNetwork], float]

FIRST_BITS = ((1, 3), (1, 4), (2, 3), (2, 4), (2, 5), (3, 5), (4, 6), (6, 8), (8, 10), (12, 14), (16, 18))
POINTS = (57, 121, 241, 431)  # of tables; beyond, a ring twice as large makes them three times as dear
TABLE_BITS = ((1, 4), (2, 4), (4, 5), (6, 6))  # of inputs and of a table's values
TOLERANCE = 0.005  # the agreement that a cheaper network may give away
SETTLED = 0.002  # more bits than bring a network so near to its float form are not tried
HELD_OUT = 3  # one sample in so many measures, and has no part in what is made
FEWEST = 10  # samples of which some can be held out
MOST = 2000  # samples by which networks are rounded
MOST_TABLES = 2  # activations that may be tables; more cost thousands of units
PATIENCE = 2.0  # seconds without a word


@dataclass(frozen=True, eq=False)
class Trial(ValueObject):
    """One integer network, and what it is worth.

    Attributes:
        form: "squares" or "tables".
        sizes: What it was made with, for people.
        agreement: How far it agrees with the float network on the samples held out, by `Tuning.measure`, at most 1.
        units: Its price.
        network: The network.
    """

    form: str
    sizes: str
    agreement: float
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
        chosen: The cheapest of those whose agreement is within half a point of the best, under the budget.
        measure: What the agreement is: "same class", "same sign" or "R squared".
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
        """Draw agreement against units as an SVG file; it needs matplotlib.

        Raises:
            ImportError: There is no matplotlib.
            OSError: The file cannot be written.
        """
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.add_subplot()
        for form, marker in (("squares", "o"), ("tables", "s")):
            points = [(trial.units, trial.agreement) for trial in self.trials if trial.form == form]
            if points:
                axes.plot(*zip(*points, strict=True), marker, label=form)
        best, frontier = -np.inf, []
        for trial in self.trials:
            if trial.agreement > best:
                best = trial.agreement
                frontier.append((trial.units, best))
        axes.plot(*zip(*frontier, strict=True), "-", color="grey", zorder=0, label="best for the price")
        axes.plot(self.chosen.units, self.chosen.agreement, "*", markersize=16, label="chosen")
        axes.set(xscale="log", xlabel="units", ylabel=f"agreement with the float network ({self.measure})")
        axes.legend()
        axes.grid(alpha=0.3)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
        write_atomically(file_path(path), buffer.getvalue())


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
    of 57 to 431 points (see `intnn.quantisation.tables`). A third of the samples is held out and measures.

    Args:
        graph: The float network.
        samples: Typical inputs, floats [n, *graph.input_shape]: some hundreds to thousands. Labels are not needed.
        budget: The highest price that may be chosen; None for no limit.
        price: What a network costs, in any unit; by default `intnn.quantisation.price.estimated_units`.
        progress: Called with a line for every network that was tried; by default lines go to stderr once it has taken
            two seconds.

    Raises:
        TypeError: An argument is of another type.
        ValueError: Samples are missing, of another shape, NaN or infinite; the budget is not positive, or no network is
            within it; or no form serves this graph.
    """
    x = batched(reals(samples, "samples"), instance(graph, Graph, "graph").input_shape, "samples")
    if budget is not None and not real(budget, "budget") > 0:
        raise ValueError(f"`budget` must be positive, got {budget}")
    price, report = price or estimated_units, progress or _Patient()
    is_held = np.arange(len(x)) % HELD_OUT == HELD_OUT - 1
    seen, held = (x[~is_held], x[is_held]) if len(x) >= FEWEST else (x, x)
    measure = Measure.of(graph, held)
    trials: list[Trial] = []

    def attempt(form: str, sizes: str, network: IntNetwork) -> float:
        trial = Trial(form, sizes, measure(network), float(price(network)), network)
        trials.append(trial)
        report(f"{form}, {sizes}: {measure.name} {trial.agreement:.4f}, {trial.units:.1f} units")
        return trial.agreement

    _try_squares(graph, seen, measure, attempt)
    if graph.is_chain and 0 < _count(graph, Activation) <= MOST_TABLES and not _count(graph, MaxPool2d):
        _try_tables(graph, seen[:MOST], attempt)
    return _chosen(trials, budget, measure, len(held))


def _try_squares(graph: Graph, seen: FloatArray, measure: Measure, attempt: Attempt) -> None:
    """Networks of squares, with more bits until they are as near to the float network as its squares in floats."""
    squares = with_final_layer(approximate(graph, seen, degree=2), seen, graph.logits(seen))
    reachable, near = measure(squares), 0
    for input_bits, first in FIRST_BITS:
        bits = _rising(squares, first)
        network = integer_squares(squares, seen[:MOST], input_bits, bits, graph)
        sizes = f"inputs of {input_bits} bits, weights of {', '.join(map(str, bits))}"
        near += attempt("squares", sizes, network) >= reachable - SETTLED
        if near == 2:  # once may be luck
            break


def _try_tables(graph: Graph, seen: FloatArray, attempt: Attempt) -> None:
    """Networks of tables; for every size of tables with more bits until they do harm."""
    for points in POINTS:
        best = -np.inf
        for input_bits, bits in TABLE_BITS:
            config = QuantConfig(input_bits=input_bits, activation_bits=bits, table_points=points)
            sizes = f"inputs of {input_bits} bits, tables of {points} points with values of {bits} bits"
            agreement = attempt("tables", sizes, integer_tables(graph, seen, config))
            if agreement <= best:
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


def _count(graph: Graph, kind: type) -> int:
    return sum(isinstance(node, kind) for node in graph.nodes)


def _chosen(trials: list[Trial], budget: float | None, measure: Measure, held_out: int) -> Tuning:
    trials = sorted(trials, key=lambda trial: (trial.units, -trial.agreement))
    allowed = [trial for trial in trials if budget is None or trial.units <= budget]
    if not allowed:
        raise ValueError(
            f"`budget` must be at least {trials[0].units:.1f}, the price of the cheapest network, got {budget}"
        )
    best = max(trial.agreement for trial in allowed)
    chosen = next(trial for trial in allowed if trial.agreement >= best - TOLERANCE)
    return Tuning(tuple(trials), chosen, measure.name, held_out)


class _Patient:
    """Says something on stderr, but not within the first seconds."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __call__(self, line: str) -> None:
        if time.monotonic() - self._start > PATIENCE:
            print(line, file=sys.stderr)
