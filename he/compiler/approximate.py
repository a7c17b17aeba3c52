"""The lowering of a float network with polynomial activations to CKKS."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, cast, get_args

import numpy as np
from numpy.typing import ArrayLike

from he.circuit.inputs import InputError, InputSpec, is_finite
from he.circuit.interface import USUAL_ERROR
from he.compiler.activations import degree
from he.compiler.arrange import arranged_from
from he.compiler.evaluate import POLYNOMIALS, activate_polynomial
from he.compiler.fit import Fit
from he.compiler.fit_ckks import fit_ckks
from he.compiler.norms import MOST_AMPLIFIED, logit_bound, normalised, polynomials_of
from he.compiler.ranges import MARGIN, Guard, Ranges
from he.compiler.repeat import repeated, repeats, told_of
from he.compiler.samples import Calibration
from he.compiler.search import Lowering, PackingName
from he.compiler.stages import Stage, require_no_constant, to_stages
from he.program.fold import Fold
from he.program.operations import Source
from he.program.recorder import Recorder
from he.readers.flooding import hidden_error, normal_error
from he.readers.layer_norms import Norms
from he.ring.params import ParameterError, Security
from he.ring.scheme import Scheme
from intnn import Activation, Graph, LutActivation
from intnn.values.arrays import array, real, reals

DEFAULT_ERROR = 0.2  # the largest error of a logit, where nothing else is asked for
LEAST_STEPS = 64  # by default, what a logit may reach is at least so many times its error
LEAST_CHEBYSHEV = 6  # the least degree from which Chebyshev polynomials are tried in the place of powers


def approximate_lowering(
    graph: Graph,
    input_range: tuple[float, float],
    max_error: float | None,
    security: Security,
    hidden_bits: int | None = None,
    packing: PackingName = "latency",
    calibration: Calibration | None = None,
    most_amplified: float = MOST_AMPLIFIED[0],
    encrypts: bool = False,
    owners: int = 1,
) -> Lowering:
    """Return a float network as CKKS computes it; the model's owner encrypts weights and biases, if that is wanted.

    `hidden_bits` are those of `circuit_privacy` or, where the key has two `owners`, of `threshold`
    (`he.compiler.compile.compile_approximate`).

    Raises:
        ArithmeticError: if a value may be beyond what a float holds.
        ParameterError: if a stage ignores its input.
        TypeError: if a node has no encrypted evaluation.
        ValueError: if an activation is no polynomial, or an argument is out of range.
    """
    low, high = _range(input_range)
    if max_error is not None:
        max_error = _positive(max_error)
    stages = to_stages(graph.input_shape, graph.nodes, graph.sources)
    for stage in stages:
        if isinstance(stage, LutActivation) or (isinstance(stage, Activation) and stage.name not in POLYNOMIALS):
            raise ValueError(
                f"a CKKS network's activations must be {' or '.join(sorted(POLYNOMIALS))}, got {stage}; "
                "`intnn.approximate(graph, samples)` replaces others by polynomials"
            )
    require_no_constant(stages, math.inf)
    if packing == "latency":
        stages, _ = arranged_from(stages)
    asked = max_error, security, hidden_bits, owners
    write = partial(_lowered, graph, (low, high), *asked, calibration, most_amplified, encrypts)
    lowering = write(stages)
    # Samples show the units of a layer as it is; and where operands are in the clear, little is gained.
    times = repeats(stages) if encrypts and calibration is None else [1]
    if len(times) == 1:
        return lowering

    def repeating(chosen: Sequence[int]) -> Lowering:
        """Return the lowering whose first layer's units come the last number of times, and its form by the others."""
        *form, often = chosen
        other = write(repeated(stages, times[often])) if often else lowering
        other = replace(other, reasons=(*other.reasons, *told_of(times[often])))
        return other.choose(form) if other.choose else other

    return replace(lowering, options=(*lowering.options, len(times)), choose=repeating)


def _lowered(
    graph: Graph,
    input_range: tuple[float, float],
    max_error: float | None,
    security: Security,
    hidden_bits: int | None,
    owners: int,
    calibration: Calibration | None,
    most_amplified: float,
    encrypts: bool,
    stages: Sequence[Stage],
) -> Lowering:
    """Return a network, whose units have their places, as CKKS computes it.

    Raises:
        ArithmeticError: if a value may be beyond what a float holds.
    """
    low, high = input_range
    with np.errstate(over="raise", invalid="raise", divide="raise"):  # no scales hold such values
        seen = calibration.seen if calibration else None
        # Slots without an input hold zero.
        stages, norms, guards = normalised(stages, min(low, 0.0), max(high, 0.0), seen, most_amplified)
        logit = logit_bound(stages, norms)
    magnitude = max(abs(low), abs(high))
    fit: Callable[..., Fit] = partial(
        fit_ckks, norms=norms, magnitude=magnitude, largest_logit=logit, security=security, guards=guards, owners=owners
    )
    if hidden_bits is not None:
        fit = partial(_fit_private, fit, hidden_bits, owners)
    reasons: tuple[str, ...] = ()
    if max_error is None:
        max_error, finer = DEFAULT_ERROR, logit / LEAST_STEPS
        if 0 < finer < max_error:
            fit, max_error = partial(_fit_finer, fit), finer
            reasons = (f"error: at most {finer:.2g} is asked for, a {LEAST_STEPS}th of what a logit may reach",)
    if max_error > USUAL_ERROR:
        reasons = (
            f"error: up to {max_error:g} is allowed, and accepted by clients with that `Policy.max_error` alone",
        )
    reaches = _reaches(stages, norms, {guard.layer for guard in guards})
    lowering = Lowering(
        network=graph,
        scheme=Scheme.CKKS,
        stages=stages,
        encode=lambda weights: weights,
        activate=activate_polynomial,
        modulus=None,
        fit=partial(fit, max_error=max_error),
        rough=partial(fit, max_error=max_error, checked=False),
        images=partial(InputSpec, "images", Source(), graph.input_shape, low, high, 1.0),
        reasons=(*reasons, *_told(calibration, guards)),
        advice="pass a larger `max_error`, or make the network shallower, or its values smaller"
        + (f", or ask for fewer bits of `{'circuit_privacy' if owners == 1 else 'threshold'}`" if hidden_bits else ""),
        hidden_bits=hidden_bits,
        owners=owners,
        guards=guards,
        encrypts=encrypts,
    )

    def in_form(chosen: Sequence[int]) -> Lowering:
        """Return the lowering with powers, 0, or with Chebyshev polynomials, 1, in all polynomials of a high degree."""
        if not any(chosen):
            return lowering

        def activate(recorder: Recorder, value: int, stage: Stage) -> int:
            return activate_polynomial(recorder, value, stage, reaches.get(cast(Activation, stage), 0.0))

        told = [f"activation: of degree {degree(stage)}, a sum of Chebyshev polynomials" for stage in reaches]
        return replace(lowering, activate=activate, reasons=(*lowering.reasons, *told))

    return replace(lowering, options=(2,), choose=in_form) if reaches else lowering


def _reaches(stages: Sequence[Stage], norms: Sequence[Norms], guarded: Set[int]) -> dict[Activation, float]:
    """Return polynomials of a high degree, with how far from 0 their arguments may be.

    Layers with a guard, which is a sum of powers, are left out.
    """
    found: dict[Activation, float] = {}
    for number, ((_, activations), norm) in enumerate(zip(polynomials_of(stages), norms, strict=True)):
        if number in guarded or not (activations and math.isfinite(norm.magnitude)):
            continue
        if degree(activations[0]) >= LEAST_CHEBYSHEV:
            found[activations[0]] = max(norm.magnitude, found.get(activations[0], 0.0))
    return found


def _fit_finer(fit: Callable[..., Fit], folded: Fold, N: int, *, max_error: float, checked: bool = True) -> Fit:
    """Fit a program to the default error if that leaves less than `max_error` all the same, for it may cost less."""

    def within(bound: float | None) -> float | None:
        return bound if bound is not None and bound <= max_error else None

    def finer(found: Fit | None) -> Fit | None:
        if found is None or within(found.bound) is None:
            return None
        return replace(
            found,
            tolerance=2 * max_error,
            bound_with=lambda gadgets: within(found.bound_with(gadgets)),
            again=lambda program: finer(found.again(program)),
        )

    with suppress(ParameterError):
        if found := finer(fit(folded, N, max_error=DEFAULT_ERROR, checked=checked)):
            return found
    return fit(folded, N, max_error=max_error, checked=checked)


def _fit_private(
    fit: Callable[..., Fit], bits: int, owners: int, folded: Fold, N: int, *, max_error: float, checked: bool = True
) -> Fit:
    """Fit a program whose answers are flooded with most of `max_error`, and whose own error is hidden by that."""
    hidden = hidden_error(N, len(folded.program.outputs), bits, max_error, owners)

    def private(found: Fit | None) -> Fit | None:
        if found is None:
            return None
        return replace(
            found,
            bound=max_error,
            tolerance=2 * max_error,
            bound_with=lambda gadgets: None if found.bound_with(gadgets) is None else max_error,
            again=lambda program: private(found.again(program)),
        )

    result = private(fit(folded, N, max_error=hidden, flood=normal_error(max_error), checked=checked))
    assert result is not None
    return result


def _told(calibration: Calibration | None, guards: Sequence[Guard]) -> list[str]:
    """Return what is to be said of ranges that are calibrated."""
    if calibration is None:
        return []
    by = f"ranges: calibrated on {len(calibration.samples)} samples, with a margin of {calibration.margin:g}"
    if not guards:
        return [f"{by}; no layer gains by a guard, so the bound holds for every input in its range"]
    layers = ", ".join(str(guard.layer + 1) for guard in guards)
    return [f"{by}; the bound holds for images that the guards of layers {layers} accept, and others are refused"]


def calibration_of(
    graph: Graph,
    samples: ArrayLike | None,
    ranges: Ranges,
    margin: float,
    input_range: tuple[float, float],
    packing: PackingName,
) -> Calibration | None:
    """Return by what ranges are calibrated, if they are to be.

    Raises:
        InputError: if samples do not lie in the input's range, or have another shape.
        TypeError: if `samples` are no floats, or `margin` no number.
        ValueError: if samples and `ranges` do not go together, or `margin` is out of range.
    """
    if not (isinstance(ranges, str) and ranges in get_args(Ranges)):
        raise ValueError(f'`ranges` must be "proved" or "calibrated", got {ranges!r}')
    if not MARGIN <= real(margin, "margin") < math.inf:
        raise ValueError(f"`margin` must be finite and at least {MARGIN}, got {margin}")
    if (samples is None) != (ranges == "proved"):
        raise ValueError('`samples` must be given where `ranges` are "calibrated", and only there')
    if samples is None:
        return None
    (low, high), inputs = _range(input_range), reals(array(samples, "samples"), "samples")
    if inputs.shape[1:] != graph.input_shape or inputs.ndim != len(graph.input_shape) + 1 or not len(inputs):
        raise InputError(
            f"`samples` must have shape [samples, {', '.join(map(str, graph.input_shape))}], got {inputs.shape}"
        )
    if inputs.min() < low or inputs.max() > high:
        raise InputError(f"`samples` must lie in [{low}, {high}], got [{inputs.min():g}, {inputs.max():g}]")
    return Calibration(graph, inputs, float(margin), arranged=packing == "latency")


def _range(input_range: Any) -> tuple[float, float]:
    try:
        if isinstance(input_range, str | bytes | Set | Mapping):
            raise TypeError("it has no order, or holds no numbers")
        low, high = (real(end, "input_range") for end in input_range)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`input_range` must be two finite numbers in order, got {input_range!r}") from error
    if not (is_finite(low) and is_finite(high) and low <= high):
        raise ValueError(f"`input_range` must be two finite numbers in order, got {input_range}")
    return low, high


def _positive(max_error: Any) -> float:
    try:
        number = real(max_error, "max_error")
    except TypeError as error:
        raise TypeError(f"`max_error` must be a positive number, got {max_error!r}") from error
    if not (is_finite(number) and number > 0):
        raise ValueError(f"`max_error` must be a positive number, got {max_error!r}")
    return number
