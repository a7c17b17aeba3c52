"""The lowering of a float network with polynomial activations to CKKS."""

from __future__ import annotations

import math
from functools import partial

from he.circuit.interface import InputSpec, is_finite
from he.compile.fit_ckks import fit_ckks
from he.compile.latency import POLYNOMIALS, activate_polynomial
from he.compile.search import Lowering
from he.compile.stages import require_no_constant, to_stages
from he.program.operations import Source
from he.ring.params import Security
from he.ring.scheme import Scheme
from intnn import Activation, Graph, LutActivation


def approximate_lowering(
    graph: Graph, input_range: tuple[float, float], max_error: float, security: Security
) -> Lowering:
    """Return a float network as CKKS computes it.

    Raises:
        ParameterError: if a stage ignores its input.
        TypeError: if a node has no encrypted evaluation.
        ValueError: if an activation is no polynomial, or an argument is out of range.
    """
    try:
        low, high = map(float, input_range)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`input_range` must be two finite numbers in order, got {input_range!r}") from error
    if not -math.inf < low <= high < math.inf:
        raise ValueError(f"`input_range` must be two finite numbers in order, got {input_range}")
    if not (is_finite(max_error) and max_error > 0):
        raise ValueError(f"`max_error` must be a positive number, got {max_error!r}")
    stages = to_stages(graph.input_shape, graph.nodes)
    for stage in stages:
        if isinstance(stage, LutActivation) or (isinstance(stage, Activation) and stage.name not in POLYNOMIALS):
            raise ValueError(f"a CKKS network's activations must be {sorted(POLYNOMIALS)}, got {stage}")
    require_no_constant(stages, math.inf)
    return Lowering(
        scheme=Scheme.CKKS,
        stages=stages,
        encode=lambda weights: weights,
        activate=activate_polynomial,
        modulus=None,
        fit=partial(fit_ckks, input_range=(low, high), max_error=max_error, security=security),
        images=partial(InputSpec, "images", Source(), graph.input_shape, low, high, 1.0),
    )
