"""The lowering of stages to operations on single features: the packing for throughput.

Every feature of every layer is a ciphertext of its own, whose slots are the images of a batch (Gilad-Bachrach et al.,
*CryptoNets*, ICML 2016). No slot ever meets another, so there are no rotations; a linear layer is a matrix product over
residues. Where all activations of a CKKS network are squares, the real and the imaginary part of a slot carry different
images. Boemer et al., *nGraph-HE2*, WAHC 2019, section 4.2, leave that to networks without activations, because the
square of either part takes a conjugation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from he.circuit.packing import InputLayout, OutputLayout, Packing
from he.compiler.evaluate import activate_with_power
from he.compiler.latency import Activate, Encode, Lowered
from he.compiler.linear import LinearMap
from he.compiler.ranges import Guard
from he.compiler.stages import Function, Stage
from he.program.operations import Matrix
from he.program.recorder import Recorder
from he.program.relinearisation import relinearised_once
from he.ring.params import ParameterError
from he.ring.scheme import Scheme
from intnn import Activation, IntPolynomial
from intnn.network.edges import INPUT
from intnn.ops import backend

ROWS = 16  # the most outputs of one `Matrix`: enough to reuse what it reads, few enough to be activated soon

GUARDS = 8  # lanes of a row that repeat others, so that a client recognises a wrong result


class FeatureLayer(NamedTuple):
    """A linear map with the activations of its units.

    Attributes:
        linear: the linear map, its weights and biases encoded.
        activations: the activations that are applied to each unit, in order.
        norm: the largest sum of a row's absolute values, rounded up to a power of two: what is declared of the weights.
        fixed: the hidden units that vary with no input, by their numbers, before their activations.
    """

    linear: LinearMap
    activations: list[Function]
    norm: float
    fixed: Mapping[int, float] = MappingProxyType({})


def feature_layers(stages: Sequence[Stage], encode: Encode, norms: Sequence[float] | None = None) -> list[FeatureLayer]:
    """Return the stages as layers; a hidden unit that no input reaches is added to the next layer's bias instead.

    One that the architecture connects with no input is left out. One whose weights are all zero is computed from a
    weight that it does not have, and then not read, so that no operation tells which weights are zero.

    Args:
        stages: the result of `he.compiler.stages.to_stages`.
        encode: converts weights and biases to the numbers that slots hold.
        norms: what is declared of the weights of every linear map; by default, what they have.

    Raises:
        ParameterError: if a logit is the same for every input.
    """
    result: list[FeatureLayer] = []
    for stage in stages:
        if isinstance(stage, LinearMap):
            linear = replace(stage, weights=encode(stage.weights), bias=encode(stage.bias))
            result.append(FeatureLayer(linear, [], declared_norm(linear) if norms is None else norms[len(result)]))
        else:
            result[-1].activations.append(stage)
    for i, (linear, activations, *_) in enumerate(result):
        constant = np.bincount(linear.rows, linear.weights != 0, minlength=linear.outputs) == 0
        if i + 1 < len(result):
            values = linear.bias[constant][None]
            for stage in activations:
                values = _activated(stage, values, encode)
            known = np.zeros(linear.outputs)
            known[constant] = values[0]
            fixed = {unit: float(linear.bias[unit]) for unit in np.flatnonzero(constant).tolist()}
            result[i] = result[i]._replace(linear=_with_decoys(linear, constant), fixed=fixed)
            for reader in range(i + 1, len(result)):
                following = result[reader].linear
                mine = _is_of(following, i, reader)
                if mine.any():
                    folded = _without(following, mine, known, constant, _connected(linear), encode)
                    result[reader] = result[reader]._replace(linear=folded)
        elif constant.any():
            raise ParameterError(f"logit {int(np.argmax(constant))} is the same for every input: leave it out")
    return result


def _activated(stage: Function, values: np.ndarray, encode: Encode) -> np.ndarray:
    """Return an activation's values in the clear; integer polynomials are too large for anything but Python's."""
    if isinstance(stage, IntPolynomial):
        return encode(stage.apply(values.astype(object)))
    return stage.apply(values, backend("numpy"))


def _is_of(linear: LinearMap, layer: int, number: int) -> np.ndarray:
    """Return which inputs of the `number`-th map are units of a layer: bool [inputs]."""
    reads = linear.reads or (number - 1,)
    return np.repeat([read == layer for read in reads], linear.sizes or (linear.inputs,))


def _without(
    linear: LinearMap, mine: np.ndarray, known: np.ndarray, constant: np.ndarray, kept: np.ndarray, encode: Encode
) -> LinearMap:
    """Return a map whose bias has what constant units of a layer add to it.

    Args:
        linear: the map.
        mine: which of its inputs are units of the layer.
        known: the values of the layer's constant units, and 0 for the others.
        constant: which units are constant.
        kept: which units are computed, although they may be constant.
        encode: converts biases to the numbers that slots hold.
    """
    values, is_constant, is_read = np.zeros(linear.inputs), np.zeros(linear.inputs, bool), np.ones(linear.inputs, bool)
    values[mine], is_constant[mine], is_read[mine] = known, constant, kept
    bias = encode(linear.bias + linear.times(values))
    read = linear.where(is_read[linear.columns])
    return replace(read, weights=np.where(is_constant[read.columns], 0, read.weights), bias=bias)


def declared_norm(linear: LinearMap) -> float:
    """Return `FeatureLayer.norm`, of all weights: also of those to units that vary with no input and are not read."""
    sums = np.bincount(linear.rows, np.abs(linear.weights), minlength=linear.outputs)
    return float(2.0 ** np.ceil(np.log2(max(1.0, sums.max()))))


def _connected(linear: LinearMap) -> np.ndarray:
    """Return which outputs the architecture connects with an input: bool [outputs]."""
    return np.diff(linear.starts) > 0


def _with_decoys(linear: LinearMap, constant: np.ndarray) -> LinearMap:
    """Return the map with another first weight and no bias for every constant output that is connected."""
    weights, decoys = linear.weights.copy(), constant & _connected(linear)
    weights[linear.starts[:-1][decoys]] = np.abs(weights).max(initial=0)
    return replace(linear, weights=weights, bias=np.where(decoys, 0, linear.bias))


def feature_packing(scheme: Scheme, N: int, network: Sequence[FeatureLayer]) -> Packing:
    """Return the packing whose slots are all lanes; if all activations are squares, both parts of CKKS slots are."""
    if scheme.exact:
        return Packing(2, N // 2, N // 2, split_rows=True, guards=GUARDS)
    activations = [activation for layer in network for activation in layer.activations]
    both = all(isinstance(activation, Activation) and activation.name == "square" for activation in activations)
    return Packing(2 if both else 1, N // 2, N // 2, split_rows=both, guards=GUARDS)


def lower_features(
    scheme: Scheme,
    network: Sequence[FeatureLayer],
    packing: Packing,
    activate: Activate,
    guards: Sequence[Guard] = (),
) -> Lowered:
    """Record the layers; each block of units is activated before the next is computed, so that few values wait.

    Args:
        scheme: BFV or CKKS.
        network: the result of `feature_layers`.
        packing: the result of `feature_packing`.
        activate: records an activation of one unit.
        guards: the guards of layers, in order.

    Returns:
        The program, which has not been placed, and its layouts.
    """
    recorder = Recorder()
    firsts = [layer.linear for i, layer in enumerate(network) if (layer.linear.reads or (i - 1,)) == (INPUT,)]
    first, last = firsts[0], network[-1].linear
    read = np.unique(np.concatenate([linear.columns for linear in firsts]))
    known = {INPUT: {feature: recorder.input(i) for i, feature in enumerate(read.tolist())}}
    if packing.split_rows and not scheme.exact:
        activate = _square_parts
    sums, guarded = [], {guard.layer: guard for guard in guards}
    for number, layer in enumerate(network):
        linear, begin = layer.linear, 0
        values: dict[int, int] = {}
        for source, size in zip(linear.reads or (number - 1,), linear.sizes or (linear.inputs,), strict=True):
            values |= {begin + unit: value for unit, value in known[source].items()}
            begin += size
        guard = guarded.get(number)
        known[number], powers = _apply(recorder, values, layer, activate, guard)
        if guard:
            summed = [power for unit, power in powers.items() if unit not in layer.fixed]
            rest = sum(value**guard.power for value in layer.fixed.values())
            sums.append(recorder.scalar_dot(summed, [1.0] * len(summed), rest))
    outputs = [known[len(network) - 1][unit] for unit in range(last.outputs)]
    layout = InputLayout.of(packing, first.inputs, read[None, :])
    program = relinearised_once(recorder.program(1, [*outputs, *sums], len(sums)))
    return Lowered(program, layout, OutputLayout(packing, 1, last.outputs))


def _apply(
    recorder: Recorder, values: dict[int, int], layer: FeatureLayer, activate: Activate, guard: Guard | None
) -> tuple[dict[int, int], dict[int, int]]:
    """Record the units of a layer that are connected, block by block, each with its activations.

    Returns:
        The units behind their activations, and what a guard sums of them.
    """
    linear = layer.linear
    result: dict[int, int] = {}
    powers: dict[int, int] = {}
    for units, inputs in _blocks(linear):
        known = [values[i] for i in inputs.tolist()]
        weights = np.stack([linear.weights[linear.row(unit)] for unit in units])
        block = recorder.matrix(known, Matrix((0,) * len(known), weights, linear.bias[units], norm=layer.norm))
        for unit, value in zip(units, block, strict=True):
            result[unit] = value
            for stage in layer.activations:
                if guard is None or getattr(stage, "name", None) == "square":  # which is what its guard sums
                    result[unit] = powers[unit] = activate(recorder, result[unit], stage)
                else:
                    result[unit], powers[unit] = activate_with_power(recorder, result[unit], stage, guard.power)
    return result, powers


def _blocks(linear: LinearMap) -> Iterator[tuple[list[int], np.ndarray]]:
    """Yield blocks of units that read the same inputs, with these inputs; units without inputs are left out."""
    alike: dict[bytes, list[int]] = {}
    for unit in np.flatnonzero(_connected(linear)).tolist():
        alike.setdefault(linear.columns[linear.row(unit)].tobytes(), []).append(unit)
    for units in alike.values():
        inputs = linear.columns[linear.row(units[0])]
        for start in range(0, len(units), ROWS):
            yield units[start : start + ROWS], inputs


def _square_parts(recorder: Recorder, unit: int, _: Stage) -> int:
    return recorder.relinearise(recorder.square_parts(unit, recorder.conjugate(unit)))
