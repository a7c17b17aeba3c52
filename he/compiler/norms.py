"""The norms of a network's linear layers, which alone of its weights decide about parameters.

What a client is told must not depend on weights. So parameters are chosen for the worst network of the same
architecture whose layers have the same norms, and these are rounded up to powers of two first.

A square has a freedom: (c x)^2 = c^2 x^2. So before a square all units of a layer are scaled to reach equally far,
which the next layer undoes; before another polynomial, whose coefficients all units share, by one factor
(`he.compiler.activations`). The network stays the same function, and nothing is lost by bounding all units of a layer
alike. How far they reach is chosen such that all layers amplify alike: no scale is much longer than the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from he.compiler.latency import power_of_two
from he.compiler.linear import LinearMap
from he.compiler.ranges import Form, Guard, Samples, activated, form_of
from he.compiler.stages import Stage
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


def normalised(
    stages: Sequence[Stage], low: float, high: float, samples: Samples | None = None
) -> tuple[list[Stage], list[Norms], list[Guard]]:
    """Return a network that computes the same with units that reach equally far, and the norms of its linear layers.

    Args:
        stages: the result of `he.compiler.stages.to_stages`.
        low: the least value of an input.
        high: the greatest.
        samples: what samples show of the ranges; None if they are to be those of the worst input.

    Returns:
        The stages; the norms of their linear maps, in order; and the guards of layers whose range is calibrated.
    """
    layers = layered(stages)
    maps: list[LinearMap] = []
    norms: list[Norms] = []
    forms: list[Form] = []
    before = Form.of_inputs(layers[0][0].inputs, low, high)
    for number, (linear, activations) in enumerate(layers):
        linear, ends = before.applied(linear)
        hidden = number + 1 < len(layers)
        seen = samples.seen[number] if samples and hidden else None
        before = form_of(activations, ends, seen, samples.margin if samples else 1.0, hidden)
        linear = replace(
            linear,
            weights=linear.weights * before.factors[linear.rows],
            bias=(linear.bias + before.shift) * before.factors,
        )
        maps.append(linear)
        norms.append(norms_of(linear, float(np.abs(before.ends).max()), before.length))
        forms.append(before)
    reaches = _reaches([f.free for f in forms], [f.power for f in forms], [norm.magnitude for norm in norms])
    powers = [0.0, *(form.power * reach for form, reach in zip(forms, reaches, strict=True))]
    result: list[Stage] = []
    guards: list[Guard] = []
    for number, (linear, form, reach) in enumerate(zip(maps, forms, reaches, strict=True)):
        amplified = 2.0 ** (reach - powers[number])
        known = norms[number]
        norms[number] = replace(
            known,
            magnitude=known.magnitude * 2.0**reach,
            row=known.row * amplified,
            spectral=known.spectral * amplified,
            loose=known.loose * amplified,
            length=known.length * 2.0**reach,
            largest=known.largest * amplified,
            column=known.column * amplified,
        )
        linear = replace(linear, weights=linear.weights * amplified, bias=linear.bias * 2.0**reach)
        result += [linear, *form.amplified(2.0**reach)]
        if form.guard:
            guards.append(form.guard.scaled(number, 2.0 ** (form.power * reach)))
    return result, norms, guards


def reach(stages: Sequence[Stage], norms: Sequence[Norms]) -> float:
    """Return a bound on the absolute value of a logit, by the norms of the last linear map and what follows it."""
    ends = np.array([[-norms[-1].magnitude], [norms[-1].magnitude]])
    for activation in layered(stages)[-1][1]:
        ends = activated(activation, ends)
    return float(np.abs(ends).max())


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


def norms_of(linear: LinearMap, magnitude: float, length: float = math.inf) -> Norms:
    """Return the norms of a linear map whose outputs reach up to `magnitude`, and have a Euclidean norm of `length`.

    Squares of norms, which are energies, are rounded up to powers of two.
    """
    energies = np.bincount(linear.rows, linear.weights**2, minlength=linear.outputs)
    return Norms(
        magnitude=_rounded_up(magnitude**2),
        row=_rounded_up(float(energies.max())),
        spectral=_rounded_up(_spectral_energy(linear)),
        terms=int(np.diff(linear.starts).max()),
        loose=_rounded_up(_loose_energy(linear)),
        length=_rounded_up(length**2),
        outputs=linear.outputs,
        largest=_rounded_up(float(np.square(linear.weights).max(initial=0.0))),
        column=_rounded_up(float(np.bincount(linear.columns, linear.weights**2, minlength=linear.inputs).max())),
        parts=1 + max(1.0, power_of_two(linear.outputs) / power_of_two(linear.inputs)),
    )


def _loose_energy(linear: LinearMap) -> float:
    """Return the square of a bound on what a packed layer makes of errors that differ from copy to copy of its input.

    Any n neighbouring outputs read their inputs from two copies: the strictly lower triangle of n columns from the
    second, the rest from the first. A longer output reads several copies, which each get a part of it. Wherever the
    weights are placed, sums of their absolute values in a row or a column get no larger, and so does Schur's bound on
    the norm of all parts together; by Cauchy's inequality, c parts count as the root of c times as much.
    """
    width, out_width = power_of_two(linear.inputs), power_of_two(linear.outputs)
    n, spectral, parts = min(width, out_width), math.sqrt(_spectral_energy(linear)), max(1.0, out_width / width)
    any_weights = 2 * (math.log(n) / math.pi + 1 + 1 / n) * math.sqrt(parts) * spectral
    any_weights = min(any_weights, math.sqrt(1 + parts) * _schur(linear))
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


def _spectral_energy(linear: LinearMap) -> float:
    """Return the square of the spectral norm, or a bound on it if the map is large.

    A matrix's norm is at most Schur's bound, and at most its Frobenius norm.
    """
    bound = min(_schur(linear) ** 2, float(np.sum(linear.weights**2)))
    if min(linear.inputs, linear.outputs) > _LARGEST_GRAM or linear.inputs * linear.outputs > _LARGEST_GRAM**2:
        return bound
    weight = linear.weight
    gram = weight @ weight.T if linear.outputs <= linear.inputs else weight.T @ weight
    return min(bound, float(np.linalg.eigvalsh(gram)[-1]))


def _schur(linear: LinearMap) -> float:
    """Return the geometric mean of a map's largest sums of absolute values in a row and in a column (Schur)."""
    sizes = np.abs(linear.weights)
    rows = np.bincount(linear.rows, sizes, minlength=linear.outputs)
    columns = np.bincount(linear.columns, sizes, minlength=linear.inputs)
    return math.sqrt(float(rows.max() * columns.max()))


def _rounded_up(energy: float) -> float:
    """Return the root of the least power of two that is not below an energy, but for roundings; 0 for 0."""
    return 2.0 ** (math.ceil(math.log2(energy) - _SLACK) / 2) if 0 < energy < math.inf else energy
