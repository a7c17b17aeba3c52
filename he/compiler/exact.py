"""The lowering of an integer network to BFV: values within Z_t, tables as polynomials, weights modulo t."""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np

from he.circuit.interface import InputSpec
from he.compiler.fit_bfv import fit_bfv
from he.compiler.polynomial import TablePolynomial, table_polynomial
from he.compiler.search import Lowering
from he.compiler.stages import Stage, require_no_constant, to_stages
from he.program.operations import Source
from he.program.recorder import Recorder
from he.ring.params import PLAIN_MODULUS, ParameterError, Security
from he.ring.scheme import Scheme
from intnn import IntNetwork, LutActivation, Requantise, tabulate

Tables = Literal["hidden", "told"]


def exact_lowering(
    network: IntNetwork, security: Security, tables: Tables = "hidden", circuit_privacy: int | None = None
) -> Lowering:
    """Return an integer network as BFV computes it; its rescalings become tables first.

    Args:
        network: the network.
        security: see `he.ring.params.Parameters`.
        tables: see `he.compiler.compile.compile_exact`.
        circuit_privacy: see there.

    Raises:
        ParameterError: if a value does not fit Z_t, a rescaling cannot be tabulated, or a stage ignores its input.
        TypeError: if a layer has no encrypted evaluation.
    """
    given, rescales = network, any(isinstance(layer, Requantise) for layer in network.layers)
    if rescales:
        try:
            network = tabulate(network)
        except ValueError as refusal:
            raise ParameterError(str(refusal)) from refusal
    stages = _exact_stages(network)
    activations = [stage for stage in stages if isinstance(stage, LutActivation)]
    by_table = {stage.lut: stage for stage in activations}  # layers may share a table
    # The domain of a tabulated rescaling is what the weights let reach it, and so told as a power of two only.
    polynomials = {lut: polynomial_of(stage, tables, rounded=rescales) for lut, stage in by_table.items()}
    evaluated = {id(stage): polynomials[stage.lut] for stage in activations}
    domain = network.input_domain
    # What `IntClassifier` has scaled feature by feature is no multiple of anything.
    scale = None if network.metadata.get("scaling") else float(network.input_scale)

    def activate(recorder: Recorder, value: int, stage: Stage) -> int:
        return evaluated[id(stage)].evaluate(recorder, value)

    return Lowering(
        network=given,
        scheme=Scheme.BFV,
        stages=stages,
        encode=lambda weights: _centred(weights.astype(np.int64)),
        activate=activate,
        modulus=PLAIN_MODULUS,
        fit=partial(fit_bfv, security=security, circuit_privacy=circuit_privacy),
        images=partial(InputSpec, "images", Source(), network.input_shape, domain.lo, domain.hi, scale),
        advice="quantise it to fewer bits or smaller tables, or make its layers narrower or fewer",
        reasons=tuple(_describe(polynomials[stage.lut], stage.lut.domain.size) for stage in activations),
        circuit_privacy=circuit_privacy,
    )


def polynomial_of(activation: LutActivation, tables: Tables = "hidden", rounded: bool = False) -> TablePolynomial:
    """Return the polynomial over Z_t, t = 65537, that evaluates a table.

    Args:
        activation: the table.
        tables: see `he.compiler.compile.compile_exact`.
        rounded: whether the table is to be evaluated as one of the next power of two of points.
    """
    domain = activation.lut.domain
    size = 1 << (domain.size - 1).bit_length() if rounded else domain.size
    points, values = range(domain.lo, domain.hi + 1), activation.lut.table.tolist()
    return table_polynomial(points, values, PLAIN_MODULUS, min(size, PLAIN_MODULUS), told=tables == "told")


def _exact_stages(network: IntNetwork) -> list[Stage]:
    """Return the network's stages, if every value that Z_t must represent stays within (-t/2, t/2).

    Sums inside a stage may wrap around t; values that enter a table and logits may not.

    Raises:
        ParameterError: if a value, a sum or a table is too large, or a stage ignores its input.
    """
    bound, inputs = PLAIN_MODULUS // 2, network.input_domain
    if inputs.magnitude > bound:
        raise ParameterError(f"the input domain must lie within +-{bound} to fit Z_{PLAIN_MODULUS}, got {inputs}")
    if network.accumulator_bound >= 2**53:
        raise ParameterError(
            f"every sum must stay below 2**53, for layers are fused in float64; got {network.accumulator_bound}"
        )
    tables = {i: node.lut for i, node in enumerate(network.chain) if isinstance(node, LutActivation)}
    for i, lut in tables.items():
        if lut.domain.size > PLAIN_MODULUS or np.abs(lut.table).max() > bound:
            raise ParameterError(f"layer {i}: a table must fit Z_{PLAIN_MODULUS} (values within +-{bound}), got {lut}")
    for i in [*(i - 1 for i in tables if i), len(network.layers) - 1]:
        domain = network.ranges[i]
        if domain.lo < -bound or domain.hi > bound:
            raise ParameterError(
                f"layer {i}: values reach [{domain.lo}, {domain.hi}], but Z_{PLAIN_MODULUS} holds only +-{bound}; "
                f"quantise the network to fewer bits"
            )
    stages = to_stages(network.input_shape, network.chain)
    require_no_constant(stages, PLAIN_MODULUS)
    return stages


def _centred(values: np.ndarray) -> np.ndarray:
    half = PLAIN_MODULUS // 2
    return (values + half) % PLAIN_MODULUS - half


def _describe(table: TablePolynomial, points: int) -> str:
    return (
        f"table of {points} points: {table.products} ciphertext products at depth {table.depth}, "
        + {"none": "like any of its size", "even": "an even function", "odd": "an odd function but for a constant"}[
            table.symmetry
        ]
    )
