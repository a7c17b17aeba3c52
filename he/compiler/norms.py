"""The norms of a network's linear layers, which alone of its weights decide about parameters.

What a client is told must not depend on weights. So parameters are chosen for the worst network of the same
architecture whose layers have the same norms, and these are rounded up to powers of two first.

A square has a freedom: (c x)^2 = c^2 x^2. So before a square all units of a layer are scaled to reach equally far,
which the next layer undoes. The network stays the same function, and nothing is lost by bounding all units of a layer
alike. How far they reach is chosen such that all layers amplify alike: no scale is much longer than the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from he.compiler.latency import power_of_two
from he.compiler.linear import LinearMap
from he.compiler.stages import Stage, layered
from he.readers.noise_ckks import Norms
from intnn import Activation
from intnn.network.edges import INPUT

_LARGEST_GRAM = 1 << 11  # the most rows or columns of a matrix whose singular values are computed
_SLACK = 1e-6  # bits by which a norm may exceed a power of two, for roundings


def normalised(stages: Sequence[Stage], low: float, high: float) -> tuple[list[Stage], list[Norms]]:
    """Return a network that computes the same with units that reach equally far, and the norms of its linear layers.

    Args:
        stages: the result of `he.compiler.stages.to_stages`.
        low: the least value of an input.
        high: the greatest.

    Returns:
        The stages; and the norms of their linear maps, in order.
    """
    layers = polynomials_of(stages)
    free = [_is_free(activations) for _, activations in layers[:-1]] + [False]
    powers = [2.0 ** len(activations) for _, activations in layers]  # of a factor, behind squares
    maps: list[LinearMap] = []
    norms: list[Norms] = []
    # Of every layer, and of the input: how far its units reach behind activations, and the factor of each.
    known_ends = {INPUT: np.broadcast_to([[low], [high]], (2, layers[0][0].inputs))}
    known_factors = {INPUT: np.ones(layers[0][0].inputs)}
    for number, ((linear, activations), scales, power) in enumerate(zip(layers, free, powers, strict=True)):
        read = np.concatenate([known_factors[layer] for layer in linear.reads])
        linear = replace(linear, weights=linear.weights / read[linear.columns])
        ends = image(linear, np.concatenate([known_ends[layer] for layer in linear.reads], axis=1))
        factors = np.ones(linear.outputs)
        if scales:
            reach = np.abs(ends).max(axis=0)
            factors = np.divide(1.0, reach, out=factors, where=reach > 0)
            linear, ends = _scaled(linear, factors), ends * factors
        maps.append(linear)
        norms.append(norms_of(linear, float(np.abs(ends).max())))
        for activation in activations:
            ends = activated(activation, ends)
        known_ends[number], known_factors[number] = ends, factors**power if scales else factors
    is_chain = all(linear.reads == (number - 1,) for number, (linear, _) in enumerate(layers))
    magnitudes = [norm.magnitude for norm in norms]
    # With branches, layers are left to reach as far as one: the factor of a layer is that of each of its readers.
    reaches = _reaches(free, powers, magnitudes) if is_chain else [0.0] * len(layers)
    before = [0.0, *(power * reach for power, reach in zip(powers, reaches, strict=True))]
    result: list[Stage] = []
    for number, (linear, reach) in enumerate(zip(maps, reaches, strict=True)):
        amplified = 2.0 ** (reach - before[number])
        known = norms[number]
        norms[number] = replace(
            known,
            magnitude=known.magnitude * 2.0**reach,
            row=known.row * amplified,
            spectral=known.spectral * amplified,
            loose=known.loose * amplified,
        )
        linear = replace(linear, weights=linear.weights * amplified, bias=linear.bias * 2.0**reach)
        result += [linear, *layers[number][1]]
    return result, norms


def reach(stages: Sequence[Stage], norms: Sequence[Norms]) -> float:
    """Return a bound on the absolute value of a logit, by the norms of the last linear map and what follows it."""
    ends = np.array([[-norms[-1].magnitude], [norms[-1].magnitude]])
    for activation in polynomials_of(stages)[-1][1]:
        ends = activated(activation, ends)
    return float(np.abs(ends).max())


def polynomials_of(stages: Sequence[Stage]) -> list[tuple[LinearMap, list[Activation]]]:
    """Return the stages as linear maps, each with the polynomials that follow it."""
    layers = [(linear, [f for f in functions if isinstance(f, Activation)]) for linear, functions in layered(stages)]
    assert sum(1 + len(functions) for _, functions in layers) == len(stages)  # they have no other functions
    return layers


def _is_free(activations: Sequence[Activation]) -> bool:
    return all(activation.name == "square" for activation in activations)


def _scaled(linear: LinearMap, factors: np.ndarray) -> LinearMap:
    """Return the map with its outputs multiplied by factors."""
    return replace(linear, weights=linear.weights * factors[linear.rows], bias=linear.bias * factors)


def _reaches(free: Sequence[bool], powers: Sequence[float], magnitudes: Sequence[float]) -> list[float]:
    """Return log2 of how far the units of each layer are to reach, which is 0 for those that are not free to choose.

    In a run of free layers, and the one after it, every layer is to amplify by the same g bits, or by none. A factor of
    r bits becomes one of p r bits behind the squares, so the free layers reach as far as c g bits, with c = p c + 1 of
    the layer before, and the last of the run as far as it does.
    """
    result: list[float] = []
    run: list[float] = []  # the c of all layers since the last one that was not free
    before = 0.0
    for is_free, power, magnitude in zip(free, powers, magnitudes, strict=True):
        run.append(before + 1)
        before = power * run[-1]
        if not is_free:
            gain = math.log2(magnitude) / run[-1] if 1 < magnitude < math.inf else 0.0
            result += [float(round(c * gain)) for c in run[:-1]] + [0.0]
            run, before = [], 0.0
    return result


def norms_of(linear: LinearMap, magnitude: float) -> Norms:
    """Return the norms of a linear map whose outputs reach up to `magnitude`.

    Squares of norms, which are energies, are rounded up to powers of two.
    """
    energies = np.bincount(linear.rows, linear.weights**2, minlength=linear.outputs)
    return Norms(
        magnitude=_rounded_up(magnitude**2),
        row=_rounded_up(float(energies.max())),
        spectral=_rounded_up(_spectral_energy(linear)),
        terms=int(np.diff(linear.starts).max()),
        loose=_rounded_up(_loose_energy(linear)),
    )


def _loose_energy(linear: LinearMap) -> float:
    """Return the square of a bound on what a packed layer makes of errors that differ from copy to copy of its input.

    Any n neighbouring outputs read their inputs from two copies: the strictly lower triangle of n columns from the
    second, the rest from the first. A longer output reads several copies, which each get a part of it.
    """
    if len(linear.reads) > 1:  # a matrix of several beside each other is as long as all of them at most, in energy
        width = max(linear.sizes)  # the shorter ones are read as if they were as wide
        return sum(_loose_energy(replace(linear.part(i), inputs=width)) for i in range(len(linear.reads)))
    width, out_width = power_of_two(linear.inputs), power_of_two(linear.outputs)
    n, spectral = min(width, out_width), math.sqrt(_spectral_energy(linear))
    any_weights = 2 * (math.log(n) / math.pi + 1 + 1 / n) * math.sqrt(max(1.0, out_width / width)) * spectral
    if out_width > width or width * n * n > _LARGEST_GRAM**2:
        return any_weights**2
    weight = np.zeros((out_width, width))
    weight[linear.rows, linear.columns] = linear.weights
    first, place = np.arange(width)[:, None, None], np.arange(n)
    triangles = np.tril(weight[(first + place[:, None]) % n, (first + place) % width], -1)  # for every first output
    power = triangles @ triangles.transpose(0, 2, 1)
    power = power @ power  # the sum of its squares is that of the eighth powers of all singular values
    norm = float(np.sum(power**2, axis=(1, 2)).max()) ** (1 / 8)
    return min(any_weights, spectral + 2 * norm) ** 2


def image(linear: LinearMap, ends: np.ndarray) -> np.ndarray:
    """Return intervals [2, outputs] that hold a linear map's values on intervals [2, inputs]."""
    terms = np.sort(ends[:, linear.columns] * linear.weights, axis=0)
    return np.stack([np.bincount(linear.rows, end, minlength=linear.outputs) for end in terms]) + linear.bias


def activated(activation: Activation, ends: np.ndarray) -> np.ndarray:
    """Return intervals [2, units] that hold a polynomial's values on intervals [2, units]."""
    coefficients = (0.0, 0.0, 1.0) if activation.name == "square" else activation.coefficients
    total = np.full_like(ends, coefficients[0])
    for exponent, coefficient in enumerate(coefficients[1:], 1):
        power = np.sort(ends**exponent, axis=0)
        if exponent % 2 == 0:
            power[0] = np.where((ends[0] < 0) & (ends[1] > 0), 0.0, power[0])
        total += np.sort(coefficient * power, axis=0)
    return total


def _spectral_energy(linear: LinearMap) -> float:
    """Return the square of the spectral norm, or a bound on it if the map is large.

    A matrix's norm is at most the geometric mean of its largest sums of absolute values in a row and in a column
    (Schur), and at most its Frobenius norm.
    """
    sizes = np.abs(linear.weights)
    rows = np.bincount(linear.rows, sizes, minlength=linear.outputs)
    columns = np.bincount(linear.columns, sizes, minlength=linear.inputs)
    bound = min(float(rows.max() * columns.max()), float(np.sum(sizes**2)))
    if min(linear.inputs, linear.outputs) > _LARGEST_GRAM or linear.inputs * linear.outputs > _LARGEST_GRAM**2:
        return bound
    weight = linear.weight
    gram = weight @ weight.T if linear.outputs <= linear.inputs else weight.T @ weight
    return min(bound, float(np.linalg.eigvalsh(gram)[-1]))


def _rounded_up(energy: float) -> float:
    """Return the root of the least power of two that is not below an energy, but for roundings; 0 for 0."""
    return 2.0 ** (math.ceil(math.log2(energy) - _SLACK) / 2) if energy > 0 else 0.0
