"""The lowering of an integer network to BFV: values within Z_t, tables as polynomials, weights modulo t."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Literal

import numpy as np

from he.circuit.inputs import InputSpec
from he.compiler.arrange import Places, arranged
from he.compiler.fit_bfv import fit_bfv
from he.compiler.linear import LinearMap, power_of_two
from he.compiler.polynomial import TablePolynomial, table_polynomials
from he.compiler.powers import evaluate
from he.compiler.repeat import repeated, repeats, told_of
from he.compiler.search import Lowering, PackingName
from he.compiler.stages import Stage, require_no_constant, to_stages
from he.compiler.throughput import declared_norm
from he.program.operations import Source
from he.program.recorder import Recorder
from he.ring.arithmetic import centred
from he.ring.params import PLAIN_MODULUS, ParameterError, Security
from he.ring.plain_moduli import largest_modulus, least_modulus, require_modulus
from he.ring.scheme import Scheme
from intnn import IntNetwork, IntPolynomial, LutActivation, Requantise, tabulate

Tables = Literal["hidden", "told", "encrypted"]

MAX_POINTS = PLAIN_MODULUS  # of a table; parameters are found for far fewer


def exact_lowering(
    network: IntNetwork,
    security: Security,
    tables: Tables = "hidden",
    hidden_bits: int | None = None,
    packing: PackingName = "latency",
    plain_modulus: int | None = None,
    *,
    largest: int | None = None,
    places: Places | None = None,
    encrypts: bool = False,
    owners: int = 1,
) -> Lowering:
    """Return an integer network as BFV computes it; its rescalings become tables first.

    Args:
        network: the network.
        security: see `he.ring.params.Parameters`.
        tables: see `he.compiler.compile.compile_exact`.
        hidden_bits: the bits of `circuit_privacy` or of `threshold`, see there.
        packing: see there.
        plain_modulus: see there.
        largest: the largest of several plaintext moduli, of which `plain_modulus` is one; logits may wrap around
            each of them. None if there is one.
        places: those of the units, as they were found modulo another of several moduli; None to find them.
        encrypts: whether the model's owner encrypts weights and biases.
        owners: how many parties hold the secret key.

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
    t, reason = _modulus(network, plain_modulus, largest is not None, encrypts or hidden_bits is not None)
    stages = to_stages(network.input_shape, network.layers, network.sources, t)
    require_no_constant(stages, t)
    if packing == "latency":
        stages = arranged(stages, places=places)
    activations = [stage for stage in stages if isinstance(stage, LutActivation)]
    by_table = {stage.lut: stage for stage in activations}  # layers may share a table
    # The domain of a tabulated rescaling is what the weights let reach it, and so told as a power of two only.
    options = {lut: polynomials_of(stage, tables, rounded=rescales, t=t) for lut, stage in by_table.items()}
    domain = network.input_domain
    # What `IntClassifier` has scaled feature by feature is no multiple of anything.
    scale = None if network.metadata.get("scaling") else float(network.input_scale)
    fit = partial(fit_bfv, t=t, security=security, hidden_bits=hidden_bits, owners=owners)

    def encode(numbers: np.ndarray) -> np.ndarray:
        return centred(numbers if numbers.dtype == object else numbers.astype(np.int64), t)

    times = repeats(stages) if encrypts else [1]

    def choose(numbers: Sequence[int]) -> Lowering:
        """Return the lowering with these of the trees of every table, and with the first layer's units so often."""
        *of_trees, often = numbers
        chosen = {lut: trees[number] for (lut, trees), number in zip(options.items(), of_trees, strict=True)}
        evaluated = {id(stage): chosen[stage.lut] for stage in activations}

        def activate(recorder: Recorder, value: int, stage: Stage) -> int:
            if isinstance(stage, IntPolynomial):
                return evaluate(recorder, value, stage.coefficients)
            return evaluated[id(stage)].evaluate(recorder, value)

        return Lowering(
            network=given,
            scheme=Scheme.BFV,
            stages=repeated(stages, times[often]),
            encode=encode,
            activate=activate,
            modulus=t,
            fit=fit,
            rough=partial(fit, checked=False),
            images=partial(InputSpec, "images", Source(), network.input_shape, domain.lo, domain.hi, scale),
            advice="quantise it to fewer bits or smaller tables, or make its layers narrower or fewer",
            reasons=(
                *reason,
                *(_describe(chosen[stage.lut], stage.lut.domain.size) for stage in activations),
                *told_of(times[often]),
            ),
            hidden_bits=hidden_bits,
            owners=owners,
            norms=_residue_norms(network, largest) if largest and packing == "throughput" else None,
            options=(*(len(trees) for trees in options.values()), len(times)),
            choose=choose,
            encrypts=encrypts,
            encrypts_tables=tables == "encrypted",
        )

    return choose([0] * (len(options) + 1))


def _residue_norms(network: IntNetwork, t: int) -> list[float]:
    """Return norms that the linear maps have modulo any prime up to t: circuits of several primes declare the same."""
    stages = to_stages(network.input_shape, network.layers, network.sources)
    maps = [stage for stage in stages if isinstance(stage, LinearMap)]
    return [min(declared_norm(linear), float(t * power_of_two(int(np.diff(linear.starts).max())))) for linear in maps]


def polynomials_of(
    activation: LutActivation, tables: Tables = "hidden", rounded: bool = False, t: int = PLAIN_MODULUS
) -> list[TablePolynomial]:
    """Return the polynomial over Z_t that evaluates a table, with the trees to choose from.

    Args:
        activation: the table.
        tables: see `he.compiler.compile.compile_exact`.
        rounded: whether the table is to be evaluated as one of the next power of two of points.
        t: the plaintext modulus.
    """
    domain = activation.lut.domain
    size = 1 << (domain.size - 1).bit_length() if rounded else domain.size
    points, values = range(domain.lo, domain.hi + 1), activation.lut.table.tolist()
    return table_polynomials(points, values, t, min(size, t), told=tables == "told")


def _modulus(network: IntNetwork, named: int | None, wraps: bool, hides: bool) -> tuple[int, tuple[str, ...]]:
    """Return the plaintext modulus for a network, and why it is that one if it is not the usual.

    Where its weights are hidden from anybody, several moduli are no remedy: `hides`.

    Raises:
        ParameterError: if a value does not fit the one that is named, or any.
    """
    what, reach = max(_reaches(network, wraps), key=lambda found: found[1])
    t = least_modulus(reach) if named is None else require_modulus(named)
    if t is None or t // 2 < reach:
        largest = t is None or t >= largest_modulus()
        raise ParameterError(
            f"{what}, but Z_{t or largest_modulus()} holds only +-{(t or largest_modulus()) // 2}; "
            + ("" if largest else "leave `plain_modulus` out, ")
            + "quantise the network to fewer bits, or "
            + (
                "compile its float network with compile_approximate: weights are hidden modulo one prime alone"
                if hides
                else "compute it modulo several primes with compile_residues, if its activations are polynomials"
            )
        )
    if wraps or (t == PLAIN_MODULUS and named is None):
        return t, ()
    why = "as was asked for" if named is not None else f"for {what}"
    return t, (f"plaintext modulus t = {t}, of {t.bit_length()} bits, {why}",)


def _reaches(network: IntNetwork, wraps: bool) -> Iterator[tuple[str, int]]:
    """Yield what Z_t must represent, in words, and how far from 0 it reaches; other values may wrap around t."""
    yield f"the input domain is {network.input_domain}", network.input_domain.magnitude
    last = len(network.layers) - 1
    for i, node in enumerate(network.layers):
        if isinstance(node, LutActivation):
            if node.lut.domain.size > MAX_POINTS:
                raise ParameterError(f"layer {i}: a table must have at most {MAX_POINTS:,} points, got {node.lut}")
            values = node.lut.table
            yield f"the table of layer {i} reaches [{values.min()}, {values.max()}]", int(np.abs(values).max())
            yield f"the domain of the table of layer {i} is {node.lut.domain}", node.lut.domain.magnitude
        if i == last and not wraps:
            low, high = network.intervals[i].lo.min(), network.intervals[i].hi.max()
            yield f"logits reach [{low}, {high}]", network.intervals[i].magnitude


def _describe(table: TablePolynomial, points: int) -> str:
    return (
        f"table of {points} points: {table.products} ciphertext products at depth {table.depth}, "
        + {"none": "like any of its size", "even": "an even function", "odd": "an odd function but for a constant"}[
            table.symmetry
        ]
    )
