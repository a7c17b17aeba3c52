"""One step of a network of squares on ciphertexts; see `network` in this room and, for levels, `network_plan`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from he.training.arithmetic import Arithmetic, Matrix, Rows, rows_of
from he.training.refreshed.network_plan import SECOND, NetworkPlan
from he.training.refreshed.trainer import EncryptedSamples


@dataclass(frozen=True, eq=False)
class EncryptedWeights:
    """The weights of a network, each pair in all slots.

    Attributes:
        first: V, [taps, hidden / 2], two units each, at the top level.
        second: W, [units + 1, pairs], two classes each, at `SECOND`.
    """

    first: Rows
    second: Rows

    @staticmethod
    def expanded(arithmetic: Arithmetic, fresh: np.ndarray, plan: NetworkPlan) -> EncryptedWeights:
        """Expand the ciphertext of fresh weights."""
        found, half = arithmetic.expanded([fresh], plan.weights), plan.descent.hidden // 2
        of_first = plan.indices.shape[1] * half
        first, second = found[:of_first], found[of_first:]
        return EncryptedWeights(
            rows_of(first, half), rows_of([arithmetic.lowered(weight, SECOND) for weight in second], plan.pairs)
        )


def packed_descents(
    arithmetic: Arithmetic, samples: EncryptedSamples, weights: EncryptedWeights, plan: NetworkPlan
) -> np.ndarray:
    """Compute the gradients of all samples together, negated: whither weights move.

    Returns:
        The totals over samples, packed as weights are, uint64 [2, 1, N]: dV at the scale `first_gradient`, dW at
        `second_gradient`.
    """
    features, scales, half = samples.features, plan.scales, plan.descent.hidden // 2

    def packed(rows: Rows) -> Matrix:
        return arithmetic.matrix([lambda x=x: x for row in rows for x in row], len(rows[0]))  # type: ignore[misc]

    def products(left: Matrix, right: Rows) -> Rows:
        return rows_of(list(arithmetic.products(left, right)), len(right[0]))

    def each(work: Callable[..., np.ndarray], *rows: Rows) -> Rows:
        """Return what a function makes of the ciphertexts in the same places."""
        places = list(zip(*map(chain.from_iterable, rows), strict=True))
        return rows_of(arithmetic.each(lambda place: work(*place), places), len(rows[0][0]))

    def lowered(rows: Rows, level: int) -> Rows:
        return each(lambda value: arithmetic.lowered(value, level), rows)

    def halves(row: Sequence[np.ndarray]) -> list[np.ndarray]:
        return list(chain.from_iterable(arithmetic.each(arithmetic.halves, row)))

    def square(unit: np.ndarray) -> np.ndarray:
        return arithmetic.dot([unit], [unit])

    def negated(value: np.ndarray) -> np.ndarray:
        return arithmetic.combination([value], [-1])

    def residual(target: np.ndarray, logit: np.ndarray) -> np.ndarray:
        own = arithmetic.combination([arithmetic.lowered(target, SECOND)], [scales.target_factor])
        return arithmetic.combination([arithmetic.rescale(own), logit], [1, -1])

    def real(value: np.ndarray) -> np.ndarray:
        return arithmetic.halves(value)[0]

    by_place = [products(features.taken(taps), weights.first) for taps in plan.indices]
    units = [halves([pair for row in rows for pair in row]) for rows in zip(*by_place, strict=True)]
    positive = [[x if k % 2 == 0 else negated(x) for k, x in enumerate(row)] for row in each(square, units)]
    squares = Matrix.beside([packed(positive), features.taken(np.array([plan.features - 1]))])
    residuals = each(residual, samples.targets, products(squares, weights.second))
    by_pair = list(zip(*lowered(weights.second[:-1], 4), strict=True))
    errors = each(real, products(packed(each(arithmetic.conjugated, residuals)), by_pair))
    low = lowered(units, 3)
    inner = [
        [arithmetic.dot(unit[k : k + 2], error[k : k + 2]) for k in range(0, len(unit), 2)]
        for unit, error in zip(low, errors, strict=True)
    ]
    of_first = arithmetic.products(
        features.unfolded(plan.indices), [row for rows in inner for row in rows_of(rows, half)]
    )
    of_second = arithmetic.products(squares.transposed, lowered(residuals, 2))
    (found,) = arithmetic.totals(chain(of_first, of_second), plan.weights)
    return found
