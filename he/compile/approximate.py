"""The lowering of a float network with polynomial activations to CKKS."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from he.circuit.interface import InputSpec, is_finite
from he.compile.fit import Fit
from he.compile.fit_ckks import fit_ckks
from he.compile.latency import POLYNOMIALS, activate_polynomial
from he.compile.linear import LinearMap
from he.compile.search import Lowering
from he.compile.stages import Stage, require_no_constant, to_stages
from he.program.fold import Fold
from he.program.operations import Source
from he.program.program import Program
from he.ring.params import ParameterError, Security
from he.ring.scheme import Scheme
from intnn import Activation, Graph, LutActivation
from intnn.values.arrays import real

DEFAULT_ERROR = 0.2  # the largest error of a logit, where nothing else is asked for
LEAST_STEPS = 64  # by default, the widest logit's range is at least so many times its error


def approximate_lowering(
    graph: Graph, input_range: tuple[float, float], max_error: float | None, security: Security
) -> Lowering:
    """Return a float network as CKKS computes it.

    Raises:
        ParameterError: if a stage ignores its input.
        TypeError: if a node has no encrypted evaluation.
        ValueError: if an activation is no polynomial, or an argument is out of range.
    """
    low, high = _range(input_range)
    if max_error is not None:
        max_error = _positive(max_error)
    stages = to_stages(graph.input_shape, graph.nodes)
    for stage in stages:
        if isinstance(stage, LutActivation) or (isinstance(stage, Activation) and stage.name not in POLYNOMIALS):
            raise ValueError(f"a CKKS network's activations must be {sorted(POLYNOMIALS)}, got {stage}")
    require_no_constant(stages, math.inf)
    fit = partial(fit_ckks, input_range=(low, high), security=security)
    reasons: tuple[str, ...] = ()
    if max_error is None:
        max_error = DEFAULT_ERROR
        with np.errstate(over="ignore", invalid="ignore"):  # a comparison with NaN is false
            finer = _span(stages, low, high) / LEAST_STEPS
        if 0 < finer < max_error:
            fit, max_error = partial(_fit_finer, fit), finer
            reasons = (f"error: at most {finer:.2g} is asked for, a {LEAST_STEPS}th of the widest logit's interval",)
    return Lowering(
        network=graph,
        scheme=Scheme.CKKS,
        stages=stages,
        encode=lambda weights: weights,
        activate=activate_polynomial,
        modulus=None,
        fit=partial(fit, max_error=max_error),
        images=partial(InputSpec, "images", Source(), graph.input_shape, low, high, 1.0),
        reasons=reasons,
        advice="pass a larger `max_error`, or make the network shallower, or its values smaller",
    )


def _fit_finer(fit: Callable[..., Fit], folded: Fold, N: int, *, max_error: float) -> Fit:
    """Fit a program to the default error if that leaves less than `max_error` all the same, for it may cost less."""
    with suppress(ParameterError):
        found = fit(folded, N, max_error=DEFAULT_ERROR)

        def again(program: Program) -> Fit | None:
            other = found.again(program)
            return other if other and other.bound <= max_error else None

        if found.bound <= max_error:
            return replace(found, again=again)
    return fit(folded, N, max_error=max_error)


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


def _span(stages: Sequence[Stage], low: float, high: float) -> float:
    """Return the width of the interval in which the widest logit lies."""
    ends = np.array([[low], [high]])
    for stage in stages:
        if isinstance(stage, LinearMap):
            ends = np.broadcast_to(ends, (2, stage.inputs))[:, stage.columns] * stage.weights
            ends = np.sort(ends, axis=0)
            ends = np.stack([np.bincount(stage.rows, end, minlength=stage.outputs) for end in ends]) + stage.bias
        else:
            assert isinstance(stage, Activation)
            ends = _activated(stage, ends)
    return float(np.max(ends[1] - ends[0]))


def _activated(stage: Activation, ends: np.ndarray) -> np.ndarray:
    """Return intervals [2, units] that hold a polynomial's values on intervals [2, units]."""
    coefficients = (0.0, 0.0, 1.0) if stage.name == "square" else stage.coefficients
    total = np.full_like(ends, coefficients[0])
    for exponent, coefficient in enumerate(coefficients[1:], 1):
        power = np.sort(ends**exponent, axis=0)
        if exponent % 2 == 0:
            power[0] = np.where((ends[0] < 0) & (ends[1] > 0), 0.0, power[0])
        total += np.sort(coefficient * power, axis=0)
    return total
