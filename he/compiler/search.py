"""The search for the smallest ring in which a network finds a packing and parameters."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Literal, NamedTuple

import numpy as np

from he.circuit.circuit import Circuit
from he.circuit.commitment import SALT_BYTES, commitment, require_salt
from he.circuit.guards import RangeGuard
from he.circuit.inputs import InputSpec
from he.circuit.interface import Interface
from he.circuit.key_levels import KeyLevels
from he.circuit.packing import InputLayout
from he.compiler.fit import Fit
from he.compiler.gadgets import Chosen, expected_units, worthwhile
from he.compiler.latency import Activate, Encode, Lowered, Schedule, choose_packing, lower, sketches
from he.compiler.ranges import ACCEPTED, Guard
from he.compiler.schedules import KEY_BYTES, Turned, cheapest, gadgets_of
from he.compiler.stages import Stage
from he.compiler.throughput import FeatureLayer, feature_layers, feature_packing, lower_features
from he.program.fold import Fold, fold
from he.program.placed import output_levels
from he.program.program import Program
from he.readers.clear import constant_outputs
from he.readers.cost import cost
from he.readers.flooding import price_bits
from he.ring.params import ParameterError, Security
from he.ring.scheme import Scheme
from intnn import Graph, IntNetwork

#: Ring degrees that the compiler tries, cheapest first. Smaller ones hold no useful depth at 128 bits.
#: In the next larger one, key switching takes longer than anything that fits there is worth.
SECURE_RING_DEGREES = (4096, 8192, 16384, 32768)
ALL_RING_DEGREES = (1024, 2048, *SECURE_RING_DEGREES)

PackingName = Literal["latency", "throughput"]


@dataclass(frozen=True, eq=False)
class Lowering:
    """A network as a scheme computes it, before its ring is known.

    Attributes:
        network: the network.
        scheme: the scheme.
        stages: the result of `he.compiler.stages.to_stages`.
        encode: converts weights and biases to the numbers that slots hold.
        activate: records an activation.
        modulus: t for BFV; None for CKKS.
        fit: finds parameters for a program at a ring degree.
        rough: finds some without a look at plaintexts, by which schedules are priced; None for `fit`.
        images: makes the network's input specification from its layout.
        advice: what to do if no parameters are found.
        reasons: one line for every choice made so far, for `Circuit.reasons`.
        hidden_bits: the bits of statistical distance within which answers tell logits alone, by `circuit_privacy` or by
            `threshold`; None if neither is asked for.
        owners: how many parties hold the secret key: two where a threshold is asked for.
        norms: what is declared of the weights of every linear map that is packed for throughput; None for what they
            have.
        guards: the guards of layers whose ranges are calibrated.
        options: for each of its tables, or for all of its polynomials, in how many ways they may be evaluated.
        choose: returns the lowering with others of these ways, by their numbers; it has the first of each.
        encrypts: whether the model's owner encrypts weights and biases.
        encrypts_tables: whether it encrypts the coefficients of activations, too.
    """

    network: IntNetwork | Graph
    scheme: Scheme
    stages: Sequence[Stage]
    encode: Encode
    activate: Activate
    modulus: int | None
    fit: Callable[[Fold, int], Fit]
    images: Callable[[InputLayout], InputSpec]
    advice: str
    reasons: tuple[str, ...] = ()
    hidden_bits: int | None = None
    owners: int = 1
    norms: Sequence[float] | None = None
    rough: Callable[[Fold, int], Fit] | None = None
    guards: Sequence[Guard] = ()
    options: tuple[int, ...] = ()
    choose: Callable[[Sequence[int]], Lowering] | None = None
    encrypts: bool = False
    encrypts_tables: bool = False


class Found(NamedTuple):
    """A circuit, and the schedules of its linear layers; none if it is packed for throughput."""

    circuit: Circuit
    schedules: tuple[Schedule, ...]


def search(
    lowering: Lowering, images: int | None, packing: PackingName, security: Security, salt: bytes | None
) -> Circuit:
    """Return the circuit that `find` finds."""
    return find(lowering, images, packing, security, salt).circuit


def find(lowering: Lowering, images: int | None, packing: PackingName, security: Security, salt: bytes | None) -> Found:
    """Return the circuit at the smallest ring that has room for it.

    Args:
        lowering: the network.
        images: the least number of images; None for as many as fit.
        packing: `"latency"` or `"throughput"`.
        security: see `he.ring.params.Parameters`; `"insecure"` also allows smaller rings.
        salt: 32 secret bytes for the commitment to the network and the rounding of CKKS weights; None for random ones.

    Raises:
        ParameterError: if no ring has room, with the reason for each; or if packing for throughput finds a logit that
            is the same for every input.
    """
    salt = secrets.token_bytes(SALT_BYTES) if salt is None else require_salt(salt)
    lowering = _with_cheapest_options(lowering, images, packing, security)
    write = _for_latency(lowering, images) if packing == "latency" else _for_throughput(lowering, images)
    refusals: list[str] = []
    for N in _rings(security):
        try:
            lowered, fit = write(N)
        except ParameterError as refusal:
            refusals.append(f"N={N} refused: {refusal}")
            continue
        if packing == "throughput":
            require_no_constant_output(fit.program, lowering.modulus)
        reasons = *lowering.reasons, *refusals, *_privacy(lowering, fit)
        chosen = worthwhile(fit, max_key_bytes=KEY_BYTES[-1])
        interface = _interface(lowering, lowered, fit, salt, chosen)
        circuit = Circuit(interface, fit.program, chosen.bound if chosen else fit.bound, reasons, salt)
        return Found(circuit, lowered.schedules)
    refused = "; ".join(["the network fits no parameter set", *lowering.reasons, *refusals])
    raise ParameterError(f"{refused}. To have it fit, {lowering.advice}")


def rough_prices(
    lowering: Lowering, images: int | None, packing: PackingName, security: Security
) -> Callable[[Callable[[Fold, int], Fit]], tuple[Fit, float]]:
    """Return what prices a network's operations, by the first schedules and whatever its weights.

    It takes a function like `Lowering.fit`, which may be for another plaintext modulus than the lowering's. It returns
    what that finds in the smallest ring that has room, and the units; or it raises the last ring's ParameterError.
    """

    @cache
    def recorded(N: int) -> tuple[Turned, Fold]:
        chosen = choose_packing(lowering.scheme, N, images, lowering.stages)
        record = partial(lower, lowering.stages, chosen, lowering.encode, lowering.activate)
        lowered = record(
            guards=lowering.guards, sketched=True, encrypts=lowering.encrypts, encrypts_tables=lowering.encrypts_tables
        )
        return Turned.of(lowered, chosen.row_length), fold(lowered.program)

    @cache
    def features() -> Fold:
        network = _features(lowering)
        smallest = feature_packing(lowering.scheme, ALL_RING_DEGREES[0], network)
        return fold(lower_features(lowering.scheme, network, smallest, lowering.activate, lowering.guards).program)

    def priced(fit: Callable[[Fold, int], Fit]) -> tuple[Fit, float]:
        refused = None
        for N in _rings(security):
            try:
                if packing == "throughput":
                    found = fit(features(), N)
                    return found, expected_units(cost(found.program, found.parameters), found.parameters)
                turned, folded = recorded(N)
                found = fit(folded, N)
                return found, turned.limited_units(found, gadgets=gadgets_of(found))
            except ParameterError as refusal:
                refused = refusal
        assert refused
        raise refused

    return priced


def _with_cheapest_options(
    lowering: Lowering, images: int | None, packing: PackingName, security: Security
) -> Lowering:
    """Return the lowering with those of its options that cost the least, chosen one after the other."""
    chosen = [0] * len(lowering.options)

    def units(number: int, option: int) -> float:
        assert lowering.choose
        other = lowering.choose([*chosen[:number], option, *chosen[number + 1 :]])
        try:
            return rough_prices(other, images, packing, security)(other.rough or other.fit)[1]
        except ParameterError:
            return math.inf

    for number, count in enumerate(lowering.options):
        if count > 1:
            chosen[number] = min(range(count), key=partial(units, number))
    return lowering.choose(chosen) if lowering.choose and any(chosen) else lowering


def _rings(security: Security) -> Sequence[int]:
    return ALL_RING_DEGREES if security == "insecure" else SECURE_RING_DEGREES


def _privacy(lowering: Lowering, fit: Fit) -> list[str]:
    bits = lowering.hidden_bits
    if bits is None:
        return []
    price = price_bits(fit.parameters, len(fit.program.outputs), bits)
    what = "circuit privacy: an answer" if lowering.owners == 1 else "threshold: an answer that is opened"
    return [f"{what} tells logits alone, up to 2^-{bits}; it takes {price:.0f} bits of the modulus"]


def require_no_constant_output(program: Program, modulus: int | None) -> None:
    """Refuse a program, packed for throughput, of which a logit ignores its input.

    Raises:
        ParameterError: if there is one; the message names it.
    """
    constant = constant_outputs(program, modulus)
    if constant.any():
        raise ParameterError(
            f"logit {int(np.argmax(constant))} is the same for every input: its terms cancel, or its weights round to "
            "zero beside the others'; leave it out"
        )


def _for_latency(lowering: Lowering, images: int | None) -> Callable[[int], tuple[Lowered, Fit]]:
    def write(N: int) -> tuple[Lowered, Fit]:
        packing = choose_packing(lowering.scheme, N, images, lowering.stages)
        record = partial(
            lower, lowering.stages, packing, lowering.encode, lowering.activate,
            guards=lowering.guards, encrypts=lowering.encrypts, encrypts_tables=lowering.encrypts_tables,
        )  # fmt: skip
        parts = sketches(lowering.stages, packing, lowering.encode, lowering.encrypts)
        rough = lowering.rough or lowering.fit
        return cheapest(
            lowering.stages,
            record,
            parts,
            fit=lambda program: lowering.fit(fold(program), N),
            rough=lambda program: rough(fold(program), N),
        )

    return write


def _for_throughput(lowering: Lowering, images: int | None) -> Callable[[int], tuple[Lowered, Fit]]:
    network = _features(lowering)

    def write(N: int) -> tuple[Lowered, Fit]:
        packing = feature_packing(lowering.scheme, N, network)
        if packing.images < (images or 1):
            raise ParameterError(f"there are slots for {packing.images} images, fewer than {images}")
        places = replace(first.input, packing=packing), replace(first.output, packing=packing)
        lowered = first._replace(input=places[0], output=places[1])
        return lowered, lowering.fit(folded, N)

    # The program is the same in every ring, whose slots it does not name.
    smallest = feature_packing(lowering.scheme, ALL_RING_DEGREES[0], network)
    first = lower_features(lowering.scheme, network, smallest, lowering.activate, lowering.guards)
    folded = fold(first.program)
    return write


def _features(lowering: Lowering) -> list[FeatureLayer]:
    """Return the network's layers for throughput.

    Raises:
        ParameterError: if branches meet that this packing cannot bring to one scale.
    """
    network = feature_layers(lowering.stages, lowering.encode, lowering.norms)
    if not lowering.scheme.exact and any(len(layer.linear.reads) > 1 for layer in network):
        raise ParameterError(
            'branches of a float network meet at scales of their own, which `packing="throughput"` has not: use '
            '"latency", or quantise the network and compile it with compile_exact'
        )
    return network


def _interface(lowering: Lowering, lowered: Lowered, fit: Fit, salt: bytes, chosen: Chosen | None) -> Interface:
    (level,) = output_levels(fit.program, fit.parameters)
    usual = Interface(
        parameters=fit.parameters,
        inputs=(lowering.images(lowered.input),),
        output=lowered.output,
        rotation_steps=tuple(sorted(fit.program.rotation_steps)),
        swaps_rows=fit.program.swaps_rows,
        multiplies=fit.program.multiplies,
        rerandomises=lowering.hidden_bits is not None and lowering.owners == 1,
        tolerance=fit.tolerance,
        output_scale=fit.output_scale,
        output_level=level,
        commitment=commitment(lowering.network, salt),
        encrypted=lowering.encrypts,
        threshold=(lowering.hidden_bits or 0) if lowering.owners == 2 else 0,
        guards=tuple(
            RangeGuard(ACCEPTED * guard.limit, scale)
            for guard, scale in zip(lowering.guards, fit.guard_scales, strict=True)
        ),
    )
    if chosen is None:
        return usual
    levels = KeyLevels.of(fit.program, chosen.gadgets, fit.parameters, usual.key_elements)
    return replace(usual, key_levels=levels)
