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

from he.compiler.activations import coefficients
from he.compiler.linear import LinearMap, power_of_two
from he.compiler.ranges import Form, Guard, activated, form_of, read_by
from he.compiler.samples import Samples
from he.compiler.stages import Stage, layered
from he.readers.layer_norms import Norms
from intnn import Activation
from intnn.network.edges import INPUT

_LARGEST_GRAM = 1 << 11  # the most rows or columns of a matrix whose singular values are computed
_LARGEST_MATRIX = 1 << 24  # and its most elements
#: Bits by which an error of a layer's units may grow behind it, so that no scale is too long: at first, and where a
#: network does not fit then.
MOST_AMPLIFIED = (26.0, 18.0)
_ALIKE = 2.0  # bits by which it may grow less if it is the same in all copies
_MOST_RAISED = 32.0  # bits; what would have to reach further fits no scales
_SLACK = 1e-6  # bits by which a norm may exceed a power of two, for roundings


def normalised(
    stages: Sequence[Stage],
    low: float,
    high: float,
    samples: Samples | None = None,
    most_amplified: float = MOST_AMPLIFIED[0],
) -> tuple[list[Stage], list[Norms], list[Guard]]:
    """Return a network that computes the same with units that reach equally far, and the norms of its linear layers.

    Args:
        stages: the result of `he.compiler.stages.to_stages`.
        low: the least value of an input.
        high: the greatest.
        samples: what samples show of the ranges; None if they are to be those of the worst input.
        most_amplified: bits by which errors of a layer's units may grow behind it; see `_raised`.

    Returns:
        The stages; the norms of their linear maps, in order; and the guards of layers whose range is calibrated.
    """
    layers = polynomials_of(stages)
    maps: list[LinearMap] = []
    norms: list[Norms] = []
    forms: dict[int, Form] = {INPUT: Form.of_inputs(layers[0][0].inputs, low, high)}
    for number, (linear, activations) in enumerate(layers):
        linear, ends = read_by(linear, [forms[layer] for layer in linear.reads])
        # Periods are a layer's, divided by powers of two: what repeats after the least repeats after all of them.
        periods = [reader.period for reader, _ in layers if number in reader.reads and reader.period]
        form = form_of(
            activations,
            ends,
            samples.of_layer(number) if samples else None,
            hidden=number + 1 < len(layers),
            period=min(periods, default=0),
        )
        linear = replace(
            linear,
            weights=linear.weights * form.factors[linear.rows],
            bias=(linear.bias + form.shift) * form.factors,
        )
        maps.append(linear)
        norms.append(norms_of(linear, float(np.abs(form.ends).max()), form.length))
        forms[number] = form
    known = [forms[number] for number in range(len(layers))]
    is_chain = all(linear.reads == (number - 1,) for number, (linear, _) in enumerate(layers))
    # With branches, layers are left to reach as far as one: the factor of a layer is that of each of its readers.
    reaches = [0.0] * len(layers)
    if is_chain:
        reaches = _reaches([f.free for f in known], [f.power for f in known], [norm.magnitude for norm in norms])
        reaches = _raised(known, reaches, norms, most_amplified)
    before = [0.0, *(form.power * reach for form, reach in zip(known, reaches, strict=True))]
    result: list[Stage] = []
    guards: list[Guard] = []
    for number, (linear, form, reach) in enumerate(zip(maps, known, reaches, strict=True)):
        gain, amplified = 2.0**reach, 2.0 ** (reach - before[number])
        norms[number] = _amplified(norms[number], gain, amplified)
        linear = replace(linear, weights=linear.weights * amplified, bias=linear.bias * gain)
        result += [linear, *form.amplified(gain)]
        if form.guard:
            guards.append(form.guard.scaled(number, gain))
    return result, norms, guards


def logit_bound(stages: Sequence[Stage], norms: Sequence[Norms]) -> float:
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


def _amplified(norms: Norms, gain: float, amplified: float) -> Norms:
    """Return the norms of a layer whose outputs are multiplied by `gain`, and its weights by `amplified`."""
    return replace(
        norms,
        magnitude=norms.magnitude * gain,
        length=norms.length * gain,
        **{name: getattr(norms, name) * amplified for name in ("row", "spectral", "loose", "largest", "column")},
    )


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


def _raised(
    forms: Sequence[Form], reaches: Sequence[float], norms: Sequence[Norms], most_amplified: float
) -> list[float]:
    """Return reaches such that no error of a layer's units is amplified by more than so many bits.

    The error of a scale counts in proportion to how far the units reach. So where many layers follow, units that reach
    further need no longer scale; the weights that make up for it need one instead.
    """
    widest = max((norm.outputs for norm in norms[:-1]), default=1)
    result = list(reaches)
    for number in range(len(forms) - 1):
        # Of a layer that fills a row, every error is the same in all copies, behind it too.
        alike = norms[number].outputs == widest == power_of_two(widest)
        behind = sum(_amplified_by(forms[k], norms[k], norms[k + 1], alike) for k in range(number, len(forms) - 1))
        raised = float(math.ceil(behind - most_amplified + (_ALIKE if alike else 0.0)))
        if forms[number].free and raised <= _MOST_RAISED:
            result[number] = max(result[number], raised)
    return result


def _amplified_by(form: Form, here: Norms, following: Norms, alike: bool) -> float:
    """Return the bits by which an error of a layer's units is amplified on its way to the next layer's.

    Args:
        form: the layer's form.
        here: its norms.
        following: those of the next.
        alike: whether the error is the same in all copies.
    """
    slope, norm = 1.0, following.spectral if alike else following.loose
    for activation in form.activations:
        powers = np.power(here.magnitude, np.arange(len(coefficients(activation)) - 1))
        slope *= float(np.sum(np.abs(np.polynomial.polynomial.polyder(coefficients(activation))) * powers))
    factor = slope * norm
    if [activation.name for activation in form.activations] == ["square"]:
        factor = min(factor, 2 * math.sqrt(1.0 if alike else following.parts) * here.length * following.column)
    return math.log2(factor) if 0 < factor < math.inf else 0.0


def norms_of(linear: LinearMap, magnitude: float, length: float = math.inf) -> Norms:
    """Return the norms of a linear map whose outputs reach up to `magnitude`, and have a Euclidean norm of `length`.

    Squares of norms, which are energies, are rounded up to powers of two.
    """
    linear = linear.of_sums
    squares, spectral = linear.weights**2, _spectral_energy(linear)
    return Norms(
        magnitude=_rounded_up(magnitude * magnitude),
        row=_rounded_up(float(np.bincount(linear.rows, squares, minlength=linear.outputs).max())),
        spectral=_rounded_up(spectral),
        terms=int(np.diff(linear.starts).max()),
        loose=_rounded_up(_loose_energy(linear, spectral)),
        length=_rounded_up(length * length),
        outputs=linear.outputs,
        largest=_rounded_up(float(squares.max(initial=0.0))),
        column=_rounded_up(float(np.bincount(linear.columns, squares, minlength=linear.inputs).max())),
        parts=1 + max(1.0, power_of_two(linear.outputs) / power_of_two(linear.inputs)),
        width=power_of_two(max(linear.sizes, default=linear.inputs)),
    )


def _loose_energy(linear: LinearMap, energy: float) -> float:
    """Return the square of a bound on what a packed layer makes of errors that differ from copy to copy of its input.

    Any n neighbouring outputs read their inputs from two copies: the strictly lower triangle of n columns from the
    second, the rest from the first. A longer output reads several copies, which each get a part of it. Wherever the
    weights are placed, sums of their absolute values in a row or a column get no larger, and so does Schur's bound on
    the norm of all parts together; by Cauchy's inequality, c parts count as the root of c times as much.

    Args:
        linear: the map.
        energy: the square of its spectral norm.
    """
    if len(linear.reads) > 1:  # a matrix of several beside each other is as long as all of them at most, in energy
        width = max(linear.sizes)  # the shorter ones are read as if they were as wide
        parts = [replace(linear.part(i), inputs=width) for i in range(len(linear.reads))]
        return sum(_loose_energy(part, _spectral_energy(part)) for part in parts)
    width, out_width = power_of_two(linear.inputs), power_of_two(linear.outputs)
    n, spectral, longer = min(width, out_width), math.sqrt(energy), max(1.0, out_width / width)
    any_weights = 2 * (math.log(n) / math.pi + 1 + 1 / n) * math.sqrt(longer) * spectral
    any_weights = min(any_weights, math.sqrt(1 + longer) * _schur(linear))
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
    if not len(linear.weights):  # all that it reads of a branch may be padding
        return 0.0
    bound = min(_schur(linear) ** 2, float(np.sum(linear.weights**2)))
    used, read = (np.unique(places, return_inverse=True) for places in (linear.rows, linear.columns))
    height, width = len(used[0]), len(read[0])  # without places where nothing is
    if min(height, width) > _LARGEST_GRAM or height * width > _LARGEST_MATRIX:
        return bound
    weight = np.zeros((height, width))
    weight[used[1], read[1]] = linear.weights
    gram = weight @ weight.T if height <= width else weight.T @ weight
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
