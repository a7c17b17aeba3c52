"""The one call: from a model of any library to a circuit, with the path chosen by what it costs and keeps."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from he.circuit.circuit import Circuit
from he.circuit.residues import ResidueCircuit
from he.compiler.compile import compile_exact, require_options
from he.compiler.residues import compile_residues, is_of_polynomials
from he.compiler.search import PackingName
from he.model.approximate import polynomial_network
from he.model.candidate import AFFORDABLE, Candidate, require_units
from he.model.compiled import Compiled
from he.model.inputs import Inputs, floats_of, names_of, require_names
from he.model.outliers import without_outliers
from he.ring.params import ParameterError, Security
from intnn import Graph, IntClassifier, IntNetwork
from intnn.approximation.agreement import Task, decision_of
from intnn.approximation.approximate import FEWEST_SAMPLES
from intnn.approximation.replace import is_replaced
from intnn.convert.model import graph_of
from intnn.estimator.base import not_fitted
from intnn.quantisation.progress import Progress, speaking
from intnn.quantisation.tune import PER_DOUBLING, tune
from intnn.values.arrays import FloatArray, real

ATTEMPTS = 3  # at a circuit for integers, the networks cheaper each time

WEAK = 0.97  # an agreement below it is no footnote
PATIENCE = 2.0  # seconds without a word
SHOWN = 5  # rows and features that a warning names
FEW_SAMPLES = 100  # of fewer, no more than some 20 are held out, one of which is more than may be missing

_Network = TypeVar("_Network", Graph, IntNetwork)


def compile(  # noqa: A001 - what it is, and nothing else is compiled here
    model: Any,
    samples: ArrayLike,
    *,
    exact: bool | None = None,
    task: Task | None = None,
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
        samples: typical inputs [n, *shape] in the model's units, some hundreds to some thousands; integers become
            floats. The network is fitted to them, a fifth or a third measures how well; what is
            far from all of them has no answer.
        exact: True or False for one path alone; None for the one that agrees better, where twice the
            price must buy a quarter of a point.
        task: what the outputs are, where the model does not say, as modules of torch and most files do not:
            "classification" (the largest counts, or the sign of a single one) or "regression" (their values count). By
            default several outputs are classes, and a single one is a value.
        packing: see `he.compile_exact`.
        images: see there.
        max_units: the most that one evaluation may cost, in units of one SEAL rotation (some ms); None for no limit,
            where a deep network may take minutes for an answer: `he.estimate` says so.
        security: see `he.Parameters`.
        progress: called with a line for every step and every choice; by default lines go to stderr once it has taken
            two seconds.

    Returns:
        The circuit, with the network that it computes, how far that agrees with the model, and the reasons.

    Warns:
        UserWarning: if less than 97 % of the samples held out have the model's answer, or if that many say little of
            other inputs: samples are fewer than 100, or some of the model's answers are those of none of them; and if
            some of the samples lie far from all others (see `he.model.outliers`).

    Raises:
        ConversionError: if the model has no equal among networks; the message names the place and a remedy.
        ParameterError: if no path fits, with the reasons of each.
        TypeError: if the model is of a type that nobody converts, or samples are no numbers, a sparse matrix, or bytes
            (uint8), as raw images are, which must be scaled as those that the model was trained on.
        ValueError: if samples have another shape, are too few, or hold NaN; are a table with other columns than the
            model was trained on, or in another order; an option is out of range; or the model is for another task.
    """
    if not (exact is None or isinstance(exact, bool)):
        raise TypeError(f"`exact` must be True, False or None, got {exact!r}")
    require_options(images, packing, security)
    if max_units is not None and not real(max_units, "max_units") > 0:
        raise ValueError(f"`max_units` must be positive, got {max_units}")
    options = {"packing": packing, "images": images, "security": security}
    if isinstance(model, IntClassifier):
        model = _trained(model)
    if isinstance(model, IntNetwork):
        with speaking(progress, PATIENCE) as say:
            return _of_integers(meant(model, task), exact, max_units, options, names_of(samples), say)
    names = tuple(getattr(model, "feature_names_in_", ())) or names_of(samples)
    require_names(samples, names, "samples")
    given = floats_of(samples, None)
    graph = meant(_converted(model, given[:1]), task)
    x = floats_of(samples, graph.input_shape)
    if len(x) < FEWEST_SAMPLES:
        raise ValueError(f"`samples` must hold at least {FEWEST_SAMPLES} rows, got {len(x)}")
    typical = without_outliers(x) if any(map(is_replaced, graph.nodes)) else x
    inputs = replace(Inputs.of(typical, graph), names=names)
    outliers = _outliers(x != typical)
    if outliers:
        inputs = replace(inputs, saturates=True)  # samples too: what they would have to reach is not looked at
    scaled, values = inputs.undone_by(graph), inputs.scaled(x)
    paths: list[Callable[[Graph, FloatArray, Inputs, float | None, dict[str, Any], Progress], Candidate]] = []
    paths += [_exact] * (exact is not False) + [polynomial_network] * (exact is not True)
    found, refusals = [], []
    with speaking(progress, PATIENCE) as say:
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
    chosen = _best(found)
    reasons = [str(candidate) for candidate in found] + refusals
    if len(paths) > 1:
        price = f"beyond {AFFORDABLE:.0f} units twice the price must buy a quarter of a point of agreement under strain"
        reasons.append(f"chosen: {chosen.name}, for {price}")
    told = f"what is encrypted agrees with the model by {chosen.agreement:.1%} (on samples held out)"
    for doubt in (*outliers, *(f"{told} {doubt}" for doubt in _doubts(graph, x, chosen))):
        warnings.warn(doubt, stacklevel=2)
    return Compiled(
        graph=graph,
        network=chosen.network,
        circuit=chosen.circuit,
        inputs=chosen.inputs,
        agreement=chosen.agreement,
        reasons=tuple(reasons),
        tuning=chosen.tuning,
        fitting_seconds=chosen.fitting_seconds,
        compiling_seconds=chosen.compiling_seconds,
    )


def _converted(model: Any, example: FloatArray) -> Graph:
    """Return the float graph of a model, refused under the names that its arguments have here."""
    try:
        return graph_of(model, example)
    except (TypeError, ValueError) as refusal:
        told = str(refusal).replace("`module`", "`model`").replace("`example`", "`samples`")
        if type(refusal) not in (TypeError, ValueError) or told == str(refusal):
            raise
        raise type(refusal)(told) from refusal


def _doubts(graph: Graph, x: FloatArray, chosen: Candidate) -> Iterator[str]:
    """Yield what is to be said against what was chosen, or against how it was measured."""
    if chosen.agreement < WEAK:
        yield "only; `explain` says what was tried. More samples, the other path by `exact`, or `adapt` come closer"
    if len(x) < FEW_SAMPLES:
        yield f"but {len(x)} samples say little of other inputs: pass some hundreds"
    missing, answers = _missing(graph, x)
    if missing:
        yield (
            f"but the model gives {missing} of its {answers} answers to none of the samples, and inputs that have "
            "these may be answered wrongly: pass samples of all kinds"
        )


def _outliers(found: NDArray[np.bool_]) -> list[str]:
    """Return what is to be said of values [n, *shape] that are outliers, if there are any."""
    rows = np.flatnonzero(found.reshape(len(found), -1).any(axis=1)).tolist()
    if not rows:
        return []
    where = f" in feature(s) {_first(np.flatnonzero(found.any(axis=0)).tolist())}" if found.ndim == 2 else ""
    return [
        f"{len(rows)} of the samples, row(s) {_first(rows)}, lie far from all others{where}: what is encrypted takes "
        "no value further than the others reach, so that answers for such inputs are not the model's; clean the data "
        "that the model is trained on"
    ]


def _first(numbers: Sequence[int]) -> str:
    """A few numbers."""
    return ", ".join(str(number) for number in numbers[:SHOWN]) + ", ..." * (len(numbers) > SHOWN)


def _missing(graph: Graph, x: FloatArray) -> tuple[int, int]:
    """Return how many of a model's answers are those of none of these inputs, and how many it has; 0 for values."""
    logits = graph.logits(x)
    decision, outputs = decision_of(graph.metadata, logits.shape[1]), logits.shape[1]
    if decision == "values":
        return 0, 0
    if decision == "largest":
        return outputs - len(np.unique(logits.argmax(axis=1))), outputs
    alike = np.all(logits > 0, axis=0) | np.all(logits <= 0, axis=0)
    return int(alike.sum()), 2 * outputs


def meant(network: _Network, task: Task | None) -> _Network:
    """Return the network, which says of its outputs what they are.

    Raises:
        ValueError: if it says that they are something else.
    """
    if task is None:
        return network
    if task not in get_args(Task):
        raise ValueError(f"`task` must be one of {get_args(Task)}, got {task!r}")
    known = network.metadata.get("task", task)
    if known != task:
        of_other = {"classification": "EncryptedClassifier", "regression": "EncryptedRegressor"}[known]
        raise ValueError(f"`model` must be one for {task}, got one for {known}; use {of_other}, or `task={known!r}`")
    return replace(network, metadata={**network.metadata, "task": task})


def _trained(classifier: IntClassifier) -> IntNetwork:
    """The network of a classifier, with what its outputs mean, and the scaling that it was trained with."""
    if not hasattr(classifier, "network_"):
        raise not_fitted(classifier)
    network, scaling = classifier.network_, classifier.scaling_
    scaled = {} if scaling is None else {"scaling": {"least": scaling.least.tolist(), "step": scaling.step.tolist()}}
    metadata = {
        **network.metadata,
        **scaled,
        "task": "classification",
        "link": "softmax",
        "classes": classifier.classes_.tolist(),
        "output_scale": 1 / classifier.logit_unit_,
    }
    return replace(network, input_scale=1.0, metadata=metadata)


def _with_one_scale(network: IntNetwork, inputs: Inputs) -> tuple[IntNetwork, Inputs]:
    """Leave it to the client to scale every feature on its own, where an integer network does that."""
    scaling, domain = network.metadata.get("scaling"), network.input_domain
    if scaling is None:
        return network, inputs
    if not isinstance(scaling, Mapping):
        network.require_one_scale()  # which says what to do
    least, step = (np.atleast_1d(np.asarray(scaling[name], np.float64)) for name in ("least", "step"))
    factor = inputs.factor / step
    offset = inputs.offset + least / inputs.factor - domain.lo / factor
    metadata = {name: value for name, value in network.metadata.items() if name != "scaling"}
    low, high = float(domain.lo), float(domain.hi)
    inputs = replace(inputs, offset=offset, factor=factor, low=low, high=high, saturates=True)
    return replace(network, input_scale=1.0, metadata=metadata), inputs


def _of_integers(
    network: IntNetwork,
    exact: bool | None,
    max_units: float | None,
    options: dict[str, Any],
    names: tuple[str, ...],
    say: Progress,
) -> Compiled:
    """Compile an integer network as it is."""
    if exact is False:
        raise ValueError("`exact` must not be False for an IntNetwork, which computes on integers")
    low, high = (end / network.input_scale for end in (network.input_domain.lo, network.input_domain.hi))
    given = network
    inputs = Inputs(network.input_shape, np.zeros(1), np.ones(1), low, high, True, names)
    network, inputs = _with_one_scale(network, inputs)
    say("compiling the integer network as it is")
    begin = time.monotonic()
    circuit = exact_circuit(network, options)
    seconds = time.monotonic() - begin
    require_units(circuit, max_units)
    reasons = ("exact: the integer network as it is",)
    return Compiled(given, network, circuit, inputs, 1.0, reasons, compiling_seconds=seconds)


def exact_circuit(network: IntNetwork, options: dict[str, Any]) -> Circuit | ResidueCircuit:
    """Return the circuit of an integer network: modulo several primes where its values grow and nothing else helps."""
    return compile_residues(network, **options) if is_of_polynomials(network) else compile_exact(network, **options)


def _exact(
    graph: Graph, x: FloatArray, inputs: Inputs, max_units: float | None, options: dict[str, Any], say: Progress
) -> Candidate:
    begin = time.monotonic()
    try:
        tuning = tune(graph, x, budget=max_units, progress=say)
    except ValueError as refusal:
        told = str(refusal).replace("`budget`", "`max_units`")  # under the name that it has here
        raise ParameterError(f"exact: {told}") from refusal
    fitted, refusals = time.monotonic(), []
    cheaper = [trial for trial in reversed(tuning.trials) if trial.units < tuning.chosen.units]
    for trial in (tuning.chosen, *cheaper[: ATTEMPTS - 1]):  # the price by which one was chosen is an estimate
        name = f"exact, {trial.form}, {trial.sizes}"
        network, inputs_of_it = _with_one_scale(trial.network, inputs)
        say(f"compiling {name}")
        try:
            circuit = exact_circuit(network, options)
            require_units(circuit, max_units)
        except ParameterError as refusal:
            refusals.append(f"{name}: {refusal}")
            say(refusals[-1])
            continue
        seconds = fitted - begin, time.monotonic() - fitted
        return Candidate(name, network, circuit, inputs_of_it, trial.agreement, trial.under_strain, *seconds, tuning)
    raise ParameterError("; ".join(refusals))


def _best(found: Sequence[Candidate]) -> Candidate:
    """Return what agrees best under strain; beyond what is affordable twice the price must buy a quarter of a point."""
    return max(found, key=lambda c: (c.under_strain - PER_DOUBLING * math.log2(max(c.units, AFFORDABLE)), -c.units))
