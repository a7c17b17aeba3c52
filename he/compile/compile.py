"""From a network to a circuit: checks, stages, operations, parameters, and the reasons for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import numpy as np

from he.circuit.circuit import Circuit
from he.circuit.interface import Interface
from he.compile.fit import Fit
from he.compile.fit_bfv import fit_bfv
from he.compile.fit_ckks import fit_ckks
from he.compile.latency import POLYNOMIALS, Activate, Encode, Lowered, activate_polynomial, choose_packing, lower
from he.compile.polynomial import TablePolynomial, plan_table
from he.compile.schedules import cheapest
from he.compile.stages import LinearMap, Stage, stages
from he.compile.throughput import feature_packing, layers, lower_features
from he.program.operations import Multiply, SquareParts
from he.program.program import Program
from he.program.recorder import Recorder
from he.readers.clear import constant_outputs
from he.ring.params import PLAIN_MODULUS, ParameterError, Scheme, Security
from intnn import Activation, Graph, IntNetwork, LutActivation, Requantise, Shape, tabulate

#: Ring degrees that the compiler tries, cheapest first. Smaller ones hold no useful depth at 128 bits.
RING_DEGREES = (4096, 8192, 16384, 32768)

PackingName = Literal["latency", "throughput"]

#: At insecure parameters, for tests, rings may be as small as they like.
INSECURE_RING_DEGREES = (1024, 2048, *RING_DEGREES)


def compile_exact(
    network: IntNetwork, *, images: int | None = 1, packing: PackingName = "latency", security: Security = "128"
) -> Circuit:
    """Compile an integer network for BFV; the decrypted logits equal `network.logits` bit for bit.

    Args:
        network: every value before a table and every logit must lie within (-t/2, t/2), t = 65537. Rescalings become
            tables (`intnn.quantisation.tabulate`), so that what `IntClassifier` trained is compiled as it is.
        images: how many images one evaluation serves at least, rounded up to what the slots hold evenly; None for as
            many as fit the slots of the smallest ring, with a request of at most 256 ciphertexts.
        packing: `"latency"` packs the features of few images together; `"throughput"` gives every feature a ciphertext
            of its own, for as many images as there are slots, thousands, at the least time for each.
        security: `"128"`, or `"insecure"` for tests.

    Raises:
        ParameterError: if no supported parameter set fits, with the numbers of every set that was tried.
        ValueError: if `images` is not positive, or `packing` is neither.
    """
    _require_options(images, packing, security)
    if any(isinstance(layer, Requantise) for layer in network.layers):
        try:
            network = tabulate(network)
        except ValueError as refusal:
            raise ParameterError(str(refusal)) from refusal
    plan = _exact_stages(network)
    tables = {id(s): table_polynomial(s) for s in plan if isinstance(s, LutActivation)}

    def activate(recorder: Recorder, value: int, stage: Stage) -> int:
        return tables[id(stage)].evaluate(recorder, value)

    def encode(weights: np.ndarray) -> np.ndarray:
        return _centred(weights.astype(np.int64))

    write = _writer("bfv", plan, images, packing, encode, activate)
    reasons = [_describe(tables[id(s)], s.lut.domain.size) for s in plan if isinstance(s, LutActivation)]
    refusals: list[str] = []
    for N in RING_DEGREES if security == "128" else INSECURE_RING_DEGREES:
        try:
            lowered, fit = write(N, partial(fit_bfv, N=N, security=security))
        except ParameterError as refusal:
            refusals.append(str(refusal))
            continue
        reasons += [f"not {refusal}" for refusal in refusals]
        domain = network.input_domain
        interface = _interface(fit, lowered, network.input_shape, (domain.lo, domain.hi), tolerance=0.0)
        return Circuit(interface, fit.program, fit.bound, tuple(reasons))
    raise ParameterError("the network fits no parameter set: " + "; ".join(refusals))


def compile_approximate(
    graph: Graph,
    *,
    images: int | None = 1,
    input_range: tuple[float, float] = (0.0, 1.0),
    max_error: float = 0.2,
    packing: PackingName = "latency",
    security: Security = "128",
) -> Circuit:
    """Compile a float network with polynomial activations for CKKS.

    Args:
        graph: activations must be `square` or `polynomial`.
        images: as for `compile_exact`.
        input_range: values that an input may take; the client refuses others.
        max_error: largest error of a logit, as bounded for the worst input, that the parameters may cause.
        packing: as for `compile_exact`; where all activations are squares, both parts of the complex slots are used.
        security: `"128"`, or `"insecure"` for tests.

    Raises:
        ParameterError: if no supported parameter set fits, with the numbers of every set that was tried.
        ValueError: if an activation is no polynomial, or an argument is out of range.
    """
    _require_options(images, packing, security)
    low, high = map(float, input_range)
    if not -math.inf < low <= high < math.inf:
        raise ValueError(f"`input_range` must be two finite numbers in order, got {input_range}")
    if not max_error > 0:
        raise ValueError(f"`max_error` must be positive, got {max_error}")
    plan = stages(graph.input_shape, graph.nodes)
    for stage in plan:
        if isinstance(stage, LutActivation) or (isinstance(stage, Activation) and stage.name not in POLYNOMIALS):
            raise ValueError(f"a CKKS network's activations must be {sorted(POLYNOMIALS)}, got {stage}")
    _require_no_constant(plan, math.inf)

    write = _writer("ckks", plan, images, packing, lambda weights: weights, activate_polynomial)
    refusals: list[str] = []
    for N in RING_DEGREES if security == "128" else INSECURE_RING_DEGREES:
        try:
            lowered, fit = write(
                N, partial(fit_ckks, N=N, input_range=(low, high), max_error=max_error, security=security)
            )
        except ParameterError as refusal:
            refusals.append(str(refusal))
            continue
        reasons = [f"not {refusal}" for refusal in refusals]
        interface = _interface(fit, lowered, graph.input_shape, (low, high), tolerance=2 * fit.bound)
        return Circuit(interface, fit.program, fit.bound, tuple(reasons))
    raise ParameterError("the network fits no parameter set: " + "; ".join(refusals))


def _writer(
    scheme: Scheme,
    plan: Sequence[Stage],
    images: int | None,
    packing: PackingName,
    encode: Encode,
    activate: Activate,
) -> Callable[[int, Callable[[Program], Fit]], tuple[Lowered, Fit]]:
    """From a ring degree, and what finds parameters for a program, to a program with parameters."""

    def latency(N: int, fit: Callable[[Program], Fit]) -> tuple[Lowered, Fit]:
        chosen = choose_packing(scheme, N, images, plan)
        return cheapest(plan, partial(lower, plan, chosen, encode, activate), fit)

    def throughput(N: int, fit: Callable[[Program], Fit]) -> tuple[Lowered, Fit]:
        chosen = feature_packing(scheme, N, network)
        if chosen.images < (images or 1):
            raise ParameterError(f"N={N}: there are slots for {chosen.images} images, fewer than {images}")
        lowered = lower_features(network, chosen, encode, activate)
        return lowered, fit(lowered.program)

    if packing == "latency":
        return latency
    network = layers(plan, encode)
    smallest = feature_packing(scheme, INSECURE_RING_DEGREES[0], network)
    program = lower_features(network, smallest, encode, activate).program
    constant = constant_outputs(program, PLAIN_MODULUS if scheme == "bfv" else None)
    if constant.any():
        raise ParameterError(f"logit {int(np.argmax(constant))} is the same for every input: leave it out")
    return throughput


def table_polynomial(activation: LutActivation) -> TablePolynomial:
    """The plan that evaluates a table over Z_t, t = 65537."""
    domain = activation.lut.domain
    return plan_table(range(domain.lo, domain.hi + 1), activation.lut.table.tolist(), PLAIN_MODULUS)


def _exact_stages(network: IntNetwork) -> list[Stage]:
    """The network's stages, if every value that Z_t must represent stays within (-t/2, t/2).

    Sums inside a stage may wrap around t; what enters a table and what is decrypted may not.
    """
    bound, inputs = PLAIN_MODULUS // 2, network.input_domain
    if inputs.magnitude > bound:
        raise ParameterError(f"the input domain must lie within +-{bound} to fit Z_{PLAIN_MODULUS}, got {inputs}")
    if network.accumulator_bound >= 2**53:
        raise ParameterError(
            f"every sum must stay below 2**53, for layers are fused in float64; got {network.accumulator_bound}"
        )
    tables = {i: node.lut for i, node in enumerate(network.layers) if isinstance(node, LutActivation)}
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
    plan = stages(network.input_shape, network.layers)
    _require_no_constant(plan, PLAIN_MODULUS)
    return plan


def _require_no_constant(plan: Sequence[Stage], modulus: float) -> None:
    """A stage that ignores its input would leave a ciphertext that is plain to see: there is nothing to encrypt."""
    for i, stage in enumerate(plan):
        zero = isinstance(stage, LinearMap) and not np.fmod(stage.weight, modulus).any()
        table = isinstance(stage, LutActivation) and len(set(stage.lut.table.tolist())) == 1
        polynomial = isinstance(stage, Activation) and stage.name == "polynomial" and not any(stage.coefficients[1:])
        if zero or table or polynomial:
            raise ParameterError(f"stage {i} gives the same output for every input: evaluate it in the clear")


def _centred(values: np.ndarray) -> np.ndarray:
    half = PLAIN_MODULUS // 2
    return (values + half) % PLAIN_MODULUS - half


def _describe(table: TablePolynomial, points: int) -> str:
    return (
        f"a table of {points} points is evaluated with {table.products} ciphertext products at depth {table.depth} "
        f"(symmetry: {table.symmetry})"
    )


def _interface(
    fit: Fit, lowered: Lowered, input_shape: Shape, input_range: tuple[float, float], tolerance: float
) -> Interface:
    return Interface(
        parameters=fit.parameters,
        input_shape=input_shape,
        input_low=input_range[0],
        input_high=input_range[1],
        input=lowered.input,
        output=lowered.output,
        rotation_steps=tuple(sorted(fit.program.rotation_steps)),
        swaps_rows=fit.program.swaps_rows,
        multiplies=any(isinstance(op, Multiply | SquareParts) for op in fit.program.operations),
        tolerance=tolerance,
        output_scale=fit.output_scale,
    )


def _require_options(images: int | None, packing: PackingName, security: Security) -> None:
    if packing not in ("latency", "throughput"):
        raise ValueError(f'`packing` must be "latency" or "throughput", got {packing!r}')
    if security not in ("128", "insecure"):
        raise ParameterError(f'`security` must be "128" or "insecure", got {security!r}')
    if images is not None and images < 1:
        raise ValueError(f"`images` must be at least 1, or None, got {images}")
