"""One step of a network of squares on ciphertexts: gradients as totals over samples; see `he.training.network`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from he.engines.rns.value import Value
from he.training.arithmetic import Arithmetic
from he.training.network_plan import SECOND, NetworkScales

Matrix = Sequence[Sequence[Value]]  # row by row


@dataclass(frozen=True, eq=False)
class EncryptedSamples:
    """Some samples, in slots; slots without a sample hold zeros.

    Attributes:
        features: One ciphertext for every feature, the column of ones last, at the top level.
        targets: One for every class, at the top level.
    """

    features: Sequence[Value]
    targets: Sequence[Value]


@dataclass(frozen=True, eq=False)
class EncryptedWeights:
    """The weights of a network, each in all slots.

    Attributes:
        first: V, [features, hidden], at the top level.
        second: W but for its last row, [hidden, classes], at `SECOND`.
        bias: The last row, [classes], at `SECOND`.
    """

    first: Matrix
    second: Matrix
    bias: Sequence[Value]


@dataclass(frozen=True, eq=False)
class EncryptedGradients:
    """The gradients, times the number of samples, each in all slots, at level 1.

    Attributes:
        first: dV, [features, hidden], at the scale `NetworkScales.first_gradient`.
        second: dW but for its last row, [hidden, classes], at `second_gradient`.
        bias: The last row, [classes], at `bias_gradient`.
    """

    first: Matrix
    second: Matrix
    bias: Sequence[Value]


@dataclass(frozen=True, eq=False)
class _Pass:
    """What gradients need of a block: U^2 at level 5, R and U * R W'^T at level 2."""

    squares: Sequence[Value]
    residuals: Sequence[Value]
    inner: Sequence[Value]


def encrypted_gradients(
    arithmetic: Arithmetic, blocks: Sequence[EncryptedSamples], weights: EncryptedWeights, scales: NetworkScales
) -> EncryptedGradients:
    """Compute the gradients of all blocks' samples together."""
    passes = arithmetic.each(lambda block: _passed(arithmetic, block, weights, scales), blocks)

    def totals(factors: Sequence[Value], columns: Matrix) -> list[Value]:
        sums = arithmetic.products(factors, columns)
        return [arithmetic.total(arithmetic.rescale(value)) for value in sums]

    inner, residuals = [done.inner for done in passes], [done.residuals for done in passes]
    features, hidden = range(len(weights.first)), range(len(weights.second))
    return EncryptedGradients(
        arithmetic.each(lambda j: totals([block.features[j] for block in blocks], inner), features),
        arithmetic.each(lambda k: totals([done.squares[k] for done in passes], residuals), hidden),
        totals([block.features[-1] for block in blocks], residuals),
    )


def _passed(arithmetic: Arithmetic, block: EncryptedSamples, weights: EncryptedWeights, scales: NetworkScales) -> _Pass:
    """Go forward and back through the network with one block."""

    def rescaled(factors: Sequence[Value], rows: Matrix) -> list[Value]:
        return [arithmetic.rescale(value) for value in arithmetic.products(factors, rows)]

    units = rescaled(block.features, weights.first)
    squares = [rescaled([unit], [[unit]])[0] for unit in units]
    logits = arithmetic.products([*squares, block.features[-1]], [*weights.second, weights.bias])
    residuals = [
        arithmetic.combination([logit, arithmetic.lowered(target, SECOND)], [1, -scales.target_factor])
        for logit, target in zip(logits, block.targets, strict=True)
    ]
    level = residuals[0].level
    by_class = [[arithmetic.lowered(row[c], level) for row in weights.second] for c in range(len(residuals))]
    errors = rescaled(residuals, by_class)
    inner = [rescaled([unit], [[error]])[0] for unit, error in zip(units, errors, strict=True)]
    low = [arithmetic.lowered(value, inner[0].level) for value in residuals]
    return _Pass(squares, low, inner)
