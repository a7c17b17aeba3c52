"""One step of a network of squares on ciphertexts: gradients as totals over samples; see `he.training.network`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from he.training.arithmetic import Arithmetic, Matrix, Rows
from he.training.network_plan import SECOND, NetworkScales


@dataclass(frozen=True, eq=False)
class EncryptedSamples:
    """All samples, block by block, in slots; slots without a sample hold zeros.

    Attributes:
        features: A row for every block, one ciphertext for every feature, the column of ones last, at the top level.
        targets: A row for every block, one ciphertext for every class, at the top level.
    """

    features: Matrix
    targets: Rows


@dataclass(frozen=True, eq=False)
class EncryptedWeights:
    """The weights of a network, each in all slots.

    Attributes:
        first: V, [features, hidden], at the top level.
        second: W but for its last row, [hidden, classes], at `SECOND`.
        bias: The last row, [1, classes], at `SECOND`.
    """

    first: Rows
    second: Rows
    bias: Rows


@dataclass(frozen=True, eq=False)
class EncryptedGradients:
    """The gradients, times the number of samples, packed (`he.ring.slots.packed_places`), at level 1.

    Attributes:
        first: dV, [features, hidden], at the scale `NetworkScales.first_gradient`.
        second: dW but for its last row, [hidden, classes], at `second_gradient`.
        bias: The last row, [classes], at `bias_gradient`.
    """

    first: list[np.ndarray]
    second: list[np.ndarray]
    bias: list[np.ndarray]


def encrypted_gradients(
    arithmetic: Arithmetic, samples: EncryptedSamples, weights: EncryptedWeights, scales: NetworkScales
) -> EncryptedGradients:
    """Compute the gradients of all samples together."""
    features = samples.features
    hidden, classes = len(weights.second), len(weights.bias[0])
    ones = features.columns(features.addresses.shape[1] - 1, features.addresses.shape[1])

    def products(left: Matrix, right: Rows) -> Rows:
        found = list(arithmetic.products(left, right))
        width = len(right[0])
        return [found[at : at + width] for at in range(0, len(found), width)]

    def packed(rows: Rows) -> Matrix:
        return arithmetic.matrix([lambda x=x: x for row in rows for x in row], len(rows[0]))  # type: ignore[misc]

    def times(left: Rows, right: Rows) -> Rows:
        pairs = [pair for rows in zip(left, right, strict=True) for pair in zip(*rows, strict=True)]
        found = arithmetic.each(lambda pair: arithmetic.product(*pair), pairs)
        return [found[at : at + hidden] for at in range(0, len(found), hidden)]

    def residual(target: np.ndarray, logit: np.ndarray, bias: np.ndarray) -> np.ndarray:
        own = arithmetic.combination([arithmetic.lowered(target, SECOND)], [scales.target_factor])
        return arithmetic.combination([logit, bias, arithmetic.rescale(own)], [1, 1, -1])

    units = products(features, weights.first)
    squares = packed(times(units, units))
    logits = zip(samples.targets, products(squares, weights.second), products(ones, weights.bias), strict=True)
    residuals = [[residual(*one) for one in zip(*rows, strict=True)] for rows in logits]
    level = residuals[0][0].shape[1]
    by_class = [[arithmetic.lowered(row[c], level) for row in weights.second] for c in range(classes)]
    errors = products(packed(residuals), by_class)
    low_units = [[arithmetic.lowered(unit, level - 1) for unit in row] for row in units]
    inner = times(low_units, errors)
    low = [[arithmetic.lowered(value, level - 2) for value in row] for row in residuals]
    return EncryptedGradients(
        arithmetic.totals(arithmetic.products(features.transposed, inner), features.addresses.shape[1] * hidden),
        arithmetic.totals(arithmetic.products(squares.transposed, low), hidden * classes),
        arithmetic.totals(arithmetic.products(ones.transposed, low), classes),
    )
