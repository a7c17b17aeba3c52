"""The norms of a network's linear layers, which alone of its weights decide about parameters.

What a client is told must not depend on weights. So parameters are chosen for the worst network of the same
architecture whose layers have the same norms, and these are rounded up to powers of two first.

A square has a freedom: (c x)^2 = c^2 x^2. So before a square every unit is scaled to reach up to 1, which the next
layer undoes. The network stays the same function, and nothing is lost by bounding all units of a layer alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from he.compile.linear import LinearMap
from he.compile.stages import Stage
from he.readers.noise_ckks import Norms
from intnn import Activation

_LARGEST_GRAM = 1 << 11  # the most rows or columns of a matrix whose singular values are computed
_SLACK = 1e-6  # bits by which a norm may exceed a power of two, for roundings


def layered(stages: Sequence[Stage]) -> list[tuple[LinearMap, list[Activation]]]:
    """Return the stages as linear maps, each with the activations that follow it."""
    layers: list[tuple[LinearMap, list[Activation]]] = []
    for stage in stages:
        if isinstance(stage, LinearMap):
            layers.append((stage, []))
        else:
            assert isinstance(stage, Activation)
            layers[-1][1].append(stage)
    return layers


def normalised(stages: Sequence[Stage], low: float, high: float) -> tuple[list[Stage], list[Norms]]:
    """Return a network that computes the same with units that reach up to 1, and the norms of its linear layers.

    Args:
        stages: the result of `he.compile.stages.to_stages`.
        low: the least value of an input.
        high: the greatest.

    Returns:
        The stages; and the norms of their linear maps, in order.
    """
    result: list[Stage] = []
    norms: list[Norms] = []
    layers = layered(stages)
    ends = np.broadcast_to([[low], [high]], (2, layers[0][0].inputs))
    factors = np.ones(layers[0][0].inputs)  # by which each input was multiplied
    for number, (linear, activations) in enumerate(layers):
        linear = replace(linear, weights=linear.weights / factors[linear.columns])
        ends = image(linear, ends)
        factors = np.ones(linear.outputs)
        if number + 1 < len(layers) and all(activation.name == "square" for activation in activations):
            reach = np.abs(ends).max(axis=0)
            factors = np.divide(1.0, reach, out=factors, where=reach > 0)
            linear = replace(linear, weights=linear.weights * factors[linear.rows], bias=linear.bias * factors)
            ends = ends * factors
        result += [linear, *activations]
        norms.append(norms_of(linear, float(np.abs(ends).max())))
        for activation in activations:
            ends = activated(activation, ends)
            factors = factors**2  # where one was scaled, all activations are squares
    return result, norms


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
    )


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
