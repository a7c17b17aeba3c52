"""The approximate path of the one call: polynomials in the place of activations, and circuits for CKKS."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np

from he.circuit.circuit import Circuit
from he.compiler.approximate import DEFAULT_ERROR, LEAST_STEPS
from he.compiler.compile import compile_approximate
from he.compiler.ranges import Ranges
from he.model.candidate import AFFORDABLE, Candidate, require_units
from he.model.inputs import Inputs
from he.ring.params import ParameterError
from intnn import Graph
from intnn.approximation.agreement import decision_of
from intnn.approximation.approximate import Approximation, Fits
from intnn.approximation.replace import is_replaced
from intnn.quantisation.progress import Progress
from intnn.quantisation.tune import CHEAP
from intnn.values.arrays import FloatArray

DEGREES = (12, 8, 6, 4, 3, 2)  # in the place of a single activation, tried in turn
# The agreement under strain that lower degrees in the place of several may give away, tried in turn; a hundredth of it
# has been a quarter of a point of agreement on other inputs.
TOLERANCES = (0.003, 0.01)
CALIBRATED_WORTH = 0.75  # of a circuit's cost with proved ranges that calibrated ones must leave at most
SAME = 1e-9  # of the largest output: what an output varies by that says the same of all samples


def polynomial_network(
    graph: Graph, x: FloatArray, inputs: Inputs, max_units: float | None, options: dict[str, Any], say: Progress
) -> Candidate:
    """Return the cheapest network of polynomials that agrees about as well as the best one that has a circuit.

    Prices that are affordable are alike. So the first that is ends the search, which begins with the highest degrees;
    for a single activation with the lowest that is near to perfect, if there is one.

    Args:
        graph: the float network, which takes scaled inputs.
        x: samples [n, *shape], scaled.
        inputs: the scaling.
        max_units: the most that an evaluation may cost; None for no limit.
        options: what `compile_approximate` is told of the use.
        say: called with a line for every step, circuit and refusal.

    Raises:
        ParameterError: if no network has a circuit, with the reason for each.
    """
    refusals: list[str] = []
    found: list[Candidate] = []
    tried: set[str] = set()
    say(f"fitting polynomials to {len(x)} samples")
    fits = Fits(graph, x)
    searches = [partial(fits.of, None, tolerance) for tolerance in TOLERANCES]
    if sum(map(is_replaced, graph.nodes)) == 1:
        low = fits.of(None, TOLERANCES[0])
        is_enough = low.under_strain >= 1.0 - TOLERANCES[0]
        searches = [partial(fits.of, d) for d in DEGREES[:-1] if not is_enough or d <= low.layers[0].degree]
    for search in (*searches, partial(fits.of, DEGREES[-1])):
        begin = time.monotonic()
        approximation, fitted = search(), time.monotonic()
        degrees = ", ".join(str(layer.degree) for layer in approximation.layers) or "none"
        name = f"approximate, polynomials of degrees {degrees}"
        if name in tried:
            continue
        tried.add(name)
        say(f"compiling {name}")
        try:
            circuit = _circuit_in_range(approximation, fits, x, inputs, max_units, options)
        except ParameterError as refusal:
            refusals.append(f"{name}: {refusal}")
            say(refusals[-1])
            continue
        seconds = fitted - begin, time.monotonic() - fitted
        worth = approximation.agreement, approximation.under_strain
        found.append(Candidate(name, approximation.graph, circuit, inputs, *worth, *seconds))
        say(str(found[-1]))
        if found[-1].units <= AFFORDABLE:
            break
    if not found:
        raise ParameterError("; ".join(refusals))
    near = max(candidate.under_strain for candidate in found) - TOLERANCES[-1]
    return min(
        (candidate for candidate in found if candidate.under_strain >= near),
        key=lambda c: (max(c.units, AFFORDABLE), -c.under_strain),
    )


def _circuit_in_range(
    approximation: Approximation,
    fits: Fits,
    x: FloatArray,
    inputs: Inputs,
    max_units: float | None,
    options: dict[str, Any],
) -> Circuit:
    """Compile for calibrated ranges; where the network's polynomials are its own, for proved ones if that costs little.

    A polynomial that stands for an activation means nothing beyond what it was fitted for, which inputs in their range
    may leave. So its guard accepts what lies within the margin of the fit, whatever could be proved without.
    """
    errors, points = _error_allowed(approximation.graph, x), np.clip(fits.points, *inputs.range)
    ways: list[Ranges] = ["calibrated"] if approximation.layers else ["proved", "calibrated"]
    found: list[Circuit] = []
    refusals: list[ParameterError] = []
    for kind in ways:
        try:
            circuit = compile_approximate(
                approximation.graph,
                points if kind == "calibrated" else None,
                ranges=kind,
                margin=fits.margin,
                input_range=inputs.range,
                max_error=errors,
                **options,
            )
            require_units(circuit, max_units)
        except ParameterError as refusal:
            refusals.append(refusal)
            continue
        found.append(circuit)
        if circuit.cost().total <= CHEAP:
            break
    if not found:
        raise refusals[-1]
    first, last = found[0], found[-1]
    return last if last.cost().total <= CALIBRATED_WORTH * first.cost().total else first


def _error_allowed(graph: Graph, x: FloatArray) -> float | None:
    """Return the error that decides about no answer; None for what `compile_approximate` takes by itself.

    What counts is what usually lies between the largest logit and the next, between one and zero, or between values.
    Errors are far below their bounds: up to 1 is allowed for classes if that is a sixteenth of it; and no error's bound
    is to be more than all of it, as it would be of logits that are large and nearly constant.
    """
    logits = graph.logits(x)
    decision = decision_of(graph.metadata, logits.shape[1])
    if decision == "largest":
        first = np.sort(logits, axis=1)[:, -2:]
        usual = float(np.median(first[:, -1] - first[:, 0]))
        if usual / 16 > DEFAULT_ERROR:
            return min(usual / 16, 1.0)
    else:
        each = np.median(np.abs(logits), axis=0) if decision == "signs" else np.std(logits, axis=0)
        usual = float(min(each[each > SAME * np.abs(logits).max()], default=0.0))
    taken = min(DEFAULT_ERROR, float(np.abs(logits).max()) / LEAST_STEPS)
    return usual if 0 < usual < taken else None
