"""The one call: from a model of any library to a circuit, with the path chosen by what it costs and keeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from he.circuit.circuit import Circuit
from he.circuit.residues import ResidueCircuit
from he.compiler.compile import compile_approximate, compile_exact
from he.compiler.residues import compile_residues
from he.compiler.search import PackingName
from he.model.compiled import Compiled
from he.model.inputs import Inputs, floats_of
from he.ring.params import ParameterError, Security
from intnn import Graph, IntClassifier, IntNetwork, IntPolynomial, LutActivation
from intnn.approximation.approximate import FEWEST_SAMPLES, fit_approximation
from intnn.convert.model import graph_of
from intnn.estimator.base import not_fitted
from intnn.quantisation.measure import Measure
from intnn.quantisation.tune import Tuning, tune
from intnn.values.arrays import FloatArray, real

TOLERANCE = 0.005  # the agreement that a cheaper path may give away

Progress = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A network, its circuit, and what it is worth."""

    name: str
    network: Graph | IntNetwork
    circuit: Circuit | ResidueCircuit
    agreement: float
    fitting_seconds: float
    compiling_seconds: float
    tuning: Tuning | None = None

    @property
    def units(self) -> float:
        """The cost of one evaluation."""
        return self.circuit.cost().total

    def __str__(self) -> str:
        return f"{self.name}: agreement {self.agreement:.2%}, {self.units:.1f} units"


def compile(
    model: Any,
    samples: ArrayLike,
    *,
    exact: bool | None = None,
    packing: PackingName = "latency",
    images: int | None = 1,
    max_units: float | None = None,
    security: Security = "128",
    progress: Progress | None = None,
) -> Compiled:
    """Compile a trained model for evaluation on ciphertexts, with no setting but how it is to be used.

    Two paths are tried. The *exact* one computes on integers under BFV: activations become squares or tables, inputs
    and weights are rounded, and a decrypted answer is the integer network's to the bit. The *approximate* one computes
    on floats under CKKS: activations become polynomials, and an answer comes with a bound on its error. Neither trains,
    and neither looks at labels; `plaintext_models.adaptation.adapt` fine-tunes a network before it comes here.

    Args:
        model: a torch module, the path of an ONNX file or of an exported torch program, a fitted estimator of
            scikit-learn, a `Graph`, an `IntNetwork` or a fitted `IntClassifier`.
        samples: typical inputs [n, *shape] in the model's units, as floats; some hundreds to some thousands. The
            network is fitted to them, a fifth of them measures how well; what is far from all of them has no answer.
        exact: True or False for one path alone; None for the cheaper of those within half a point of the best.
        packing: see `he.compile_exact`.
        images: see there.
        max_units: the most that one evaluation may cost, in units of one SEAL rotation (about 2 ms).
        security: see `he.Parameters`.
        progress: called with a line for every choice; by default nothing is said.

    Returns:
        The circuit, with the network that it computes, how far that agrees with the model, and the reasons.

    Raises:
        ConversionError: if the model has no equal among networks; the message names the place and a remedy.
        ParameterError: if no path fits, with the reasons of each.
        TypeError: if the model is of a type that nobody converts, or samples are no floats.
        ValueError: if samples have another shape, are too few, or hold NaN, or an option is out of range.
    """
    if max_units is not None and not real(max_units, "max_units") > 0:
        raise ValueError(f"`max_units` must be positive, got {max_units}")
    say = progress or (lambda line: None)
    options = {"packing": packing, "images": images, "security": security}
    if isinstance(model, IntClassifier):
        return _of_integers(*_trained(model), exact, max_units, options)
    if isinstance(model, IntNetwork):
        return _of_integers(model, _one_scale(model), exact, max_units, options)
    given = floats_of(samples, None)
    graph = graph_of(model, given[:1])
    x = floats_of(samples, graph.input_shape)
    if len(x) < FEWEST_SAMPLES:
        raise ValueError(f"`samples` must hold at least {FEWEST_SAMPLES} rows, got {len(x)}")
    inputs = Inputs.of(x)
    scaled, values = inputs.undone_by(graph), inputs.scaled(x)
    paths: list[Callable[[Graph, FloatArray, Inputs, float | None, dict[str, Any], Progress], _Candidate]] = []
    paths += [_exact] * (exact is not False) + [_approximate] * (exact is not True)
    found, refusals = [], []
    for path in paths:
        try:
            candidate = path(scaled, values, inputs, max_units, options, say)
        except ParameterError as refusal:
            refusals.append(str(refusal))
            say(str(refusal))
            continue
        found.append(candidate)
        say(str(candidate))
    if not found:
        raise ParameterError("; ".join(refusals))
    best = max(candidate.agreement for candidate in found)
    chosen = min((c for c in found if c.agreement >= best - TOLERANCE), key=lambda c: c.units)
    reasons = [str(candidate) for candidate in found] + refusals
    if len(paths) > 1:
        reasons.append(f"chosen: {chosen.name}, the cheapest within {TOLERANCE:.1%} of the best agreement")
    return Compiled(
        graph,
        chosen.network,
        chosen.circuit,
        inputs,
        chosen.agreement,
        tuple(reasons),
        chosen.tuning,
        chosen.fitting_seconds,
        chosen.compiling_seconds,
    )


def _trained(classifier: IntClassifier) -> tuple[IntNetwork, Inputs]:
    """The network of a classifier, with what its outputs mean, and the scaling that it was trained with."""
    if not hasattr(classifier, "network_"):
        raise not_fitted(classifier)
    network, scaling = classifier.network_, classifier.scaling_
    metadata = {
        **{name: value for name, value in network.metadata.items() if name != "scaling"},
        "task": "classification",
        "link": "softmax",
        "classes": classifier.classes_.tolist(),
        "output_scale": 1 / classifier.logit_unit_,
    }
    network = replace(network, input_scale=1.0, metadata=metadata)
    if scaling is None:
        return network, _one_scale(network)
    domain, factor = network.input_domain, 1 / np.atleast_1d(scaling.step)
    offset = np.atleast_1d(scaling.least) - domain.lo / factor
    return network, Inputs(network.input_shape, offset, factor, float(domain.lo), float(domain.hi), saturates=True)


def _one_scale(network: IntNetwork) -> Inputs:
    """The inputs of a network that rounds all of them alike."""
    network.require_one_scale()
    ends = network.input_domain.lo / network.input_scale, network.input_domain.hi / network.input_scale
    return Inputs(network.input_shape, np.zeros(1), np.ones(1), *ends, saturates=True)


def _of_integers(
    network: IntNetwork, inputs: Inputs, exact: bool | None, max_units: float | None, options: dict[str, Any]
) -> Compiled:
    """Compile an integer network as it is."""
    if exact is False:
        raise ValueError("`exact` must not be False for an IntNetwork, which computes on integers")
    begin = time.monotonic()
    circuit = exact_circuit(network, options)
    seconds = time.monotonic() - begin
    _require_units(circuit, max_units)
    reasons = ("exact: the integer network as it is",)
    return Compiled(network, network, circuit, inputs, 1.0, reasons, compiling_seconds=seconds)


def exact_circuit(network: IntNetwork, options: dict[str, Any]) -> Circuit | ResidueCircuit:
    """Return the circuit of an integer network: modulo several primes where its values grow and nothing else helps."""
    has_tables = any(isinstance(layer, LutActivation) for layer in network.layers)
    has_polynomials = any(isinstance(layer, IntPolynomial) for layer in network.layers)
    if has_polynomials and not has_tables:
        return compile_residues(network, **options)
    return compile_exact(network, **options)


def _exact(
    graph: Graph, x: FloatArray, _: Inputs, max_units: float | None, options: dict[str, Any], say: Progress
) -> _Candidate:
    begin = time.monotonic()
    try:
        tuning = tune(graph, x, budget=max_units, progress=say)
    except ValueError as refusal:
        raise ParameterError(f"exact: {refusal}") from refusal
    trial, fitted = tuning.chosen, time.monotonic()
    circuit = exact_circuit(trial.network, options)
    _require_units(circuit, max_units)
    seconds = fitted - begin, time.monotonic() - fitted
    return _Candidate(f"exact, {trial.form}, {trial.sizes}", trial.network, circuit, trial.agreement, *seconds, tuning)


def _approximate(
    graph: Graph, x: FloatArray, inputs: Inputs, max_units: float | None, options: dict[str, Any], say: Progress
) -> _Candidate:
    refusals = []
    for degree in (None, 2):  # the degrees that the agreement asks for, or the lowest
        begin = time.monotonic()
        approximation, fitted = fit_approximation(graph, x, degree, tolerance=TOLERANCE), time.monotonic()
        degrees = ", ".join(str(layer.degree) for layer in approximation.layers) or "none"
        try:
            circuit = compile_approximate(
                approximation.graph, input_range=inputs.range, samples=x, ranges="calibrated", **options
            )
            _require_units(circuit, max_units)
        except ParameterError as refusal:
            refusals.append(f"approximate, polynomials of degrees {degrees}: {refusal}")
            say(refusals[-1])
            continue
        name = f"approximate, polynomials of degrees {degrees}"
        seconds = fitted - begin, time.monotonic() - fitted
        measure, agreement = Measure.of(graph, x), approximation.agreement
        if measure.name == "same sign":  # where an approximation looks at the values
            agreement = measure(approximation.graph)
        return _Candidate(name, approximation.graph, circuit, agreement, *seconds)
    raise ParameterError("; ".join(refusals))


def _require_units(circuit: Circuit | ResidueCircuit, most: float | None) -> None:
    units = circuit.cost().total
    if most is not None and units > most:
        raise ParameterError(f"it costs {units:.1f} units, more than the {most:.1f} that `max_units` allows")
