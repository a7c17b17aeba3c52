"""One step of a network of squares on ciphertexts; see `he.training.network` and, for levels, `network_plan`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from he.training.arithmetic import Arithmetic, Matrix, Rows
from he.training.network_plan import SECOND, NetworkPlan, NetworkScales
from he.training.refreshed_trainer import EncryptedSamples


@dataclass(frozen=True, eq=False)
class EncryptedWeights:
    """The weights of a network, each in all slots.

    Attributes:
        first: V, [features, hidden], at the top level.
        second: W, [hidden + 1, classes], at `SECOND`.
    """

    first: Rows
    second: Rows

    @staticmethod
    def expanded(arithmetic: Arithmetic, fresh: np.ndarray, plan: NetworkPlan) -> EncryptedWeights:
        """Expand the ciphertext of fresh weights."""
        found, hidden = arithmetic.expanded([fresh], plan.weights), plan.descent.hidden
        first, second = found[: plan.features * hidden], found[plan.features * hidden :]
        return EncryptedWeights(
            _rows(first, hidden), _rows([arithmetic.lowered(weight, SECOND) for weight in second], plan.classes)
        )


def packed_descents(
    arithmetic: Arithmetic, samples: EncryptedSamples, weights: EncryptedWeights, scales: NetworkScales
) -> np.ndarray:
    """Compute the gradients of all samples together, negated: whither weights move.

    Returns:
        The totals over samples, packed as weights are, uint64 [2, 1, N]: dV at the scale `first_gradient`, dW at
        `second_gradient`.
    """
    features, (count, hidden) = samples.features, (len(weights.first), len(weights.first[0]))

    def products(left: Matrix, right: Rows) -> Rows:
        return _rows(list(arithmetic.products(left, right)), len(right[0]))

    def packed(rows: Rows) -> Matrix:
        return arithmetic.matrix([lambda x=x: x for row in rows for x in row], len(rows[0]))  # type: ignore[misc]

    def times(left: Rows, right: Rows) -> Rows:
        pairs = [pair for rows in zip(left, right, strict=True) for pair in zip(*rows, strict=True)]
        return _rows(arithmetic.each(lambda pair: arithmetic.product(*pair), pairs), hidden)

    def lowered(rows: Rows, level: int) -> Rows:
        return [[arithmetic.lowered(value, level) for value in row] for row in rows]

    def residual(target: np.ndarray, logit: np.ndarray) -> np.ndarray:
        own = arithmetic.combination([arithmetic.lowered(target, SECOND)], [scales.target_factor])
        return arithmetic.combination([arithmetic.rescale(own), logit], [1, -1])

    units = products(features, weights.first)
    squares = Matrix.beside([packed(times(units, units)), features.columns(count - 1, count)])
    pairs = zip(samples.targets, products(squares, weights.second), strict=True)
    residuals = [[residual(*pair) for pair in zip(*rows, strict=True)] for rows in pairs]
    by_class = list(zip(*lowered(weights.second[:-1], 4), strict=True))
    inner = times(lowered(units, 3), products(packed(residuals), by_class))
    of_first = arithmetic.products(features.transposed, inner)
    of_second = arithmetic.products(squares.transposed, lowered(residuals, 2))
    weights_count = count * hidden + (hidden + 1) * len(by_class)
    (found,) = arithmetic.totals(chain(of_first, of_second), weights_count)
    return found


def _rows(values: Sequence[np.ndarray], width: int) -> Rows:
    return [values[at : at + width] for at in range(0, len(values), width)]
