"""The parties that train a head by logistic regression: its owner, and its trainer."""

from __future__ import annotations

import numpy as np

from he.training.arithmetic import rows_of
from he.training.refreshed.logistic import INNER, OUTER
from he.training.refreshed.logistic_plan import LogisticPlan
from he.training.refreshed.owner import RefreshingOwner
from he.training.refreshed.trainer import EncryptedSamples, RefreshedTrainer
from intnn.values.arrays import FloatArray


class LogisticOwner(RefreshingOwner[LogisticPlan], instead="it holds a secret key: store that with `SecretKey.save`"):
    """Who encrypts samples for a head, and refreshes and may read it: see `RefreshingOwner`."""

    plans = LogisticPlan

    @property
    def head(self) -> FloatArray:
        """The head after the steps that have been refreshed, decrypted: float64 [features, classes]."""
        return self.plan.head(self.weights)

    def _targets(self, y: FloatArray) -> np.ndarray:
        """Return targets of 1 / 2 for a sample's class, and -1 / 2 for others, from those of least squares."""
        return super()._targets(y + (1 / self.plan.classes - 0.5))


class LogisticTrainer(RefreshedTrainer[LogisticPlan], instead="keep the blocks, and give them to another trainer"):
    """Trains a head on encrypted samples by logistic regression: see `RefreshedTrainer`."""

    plans = LogisticPlan

    def _descents(self, samples: EncryptedSamples, fresh: np.ndarray) -> np.ndarray:
        arithmetic, plan = self._arithmetic, self.plan
        head = arithmetic.expanded([fresh], plan.weights)
        logits = list(arithmetic.products(samples.features, rows_of(head, plan.pairs)))
        targets = [target for row in samples.targets for target in row]
        residuals = arithmetic.each(lambda pair: self._residual(*pair), list(zip(targets, logits, strict=True)))
        rows = rows_of(residuals, plan.pairs)
        (found,) = arithmetic.totals(arithmetic.products(samples.features.transposed, rows), plan.weights)
        return found

    def _residual(self, target: np.ndarray, logit: np.ndarray) -> np.ndarray:
        """Return T - s(Z) at level 2 for two classes, from encrypted targets, which are T - 1 / 2, and Z."""
        arithmetic, scales = self._arithmetic, self.plan.scales
        halves, outer = arithmetic.halves(logit), list[np.ndarray]()
        for half, sign in zip(halves, (1, -1), strict=True):  # the second one's square is negative
            square = arithmetic.combination([arithmetic.dot([half], [half])], [sign], INNER * scales.square)
            outer.append(arithmetic.combination([arithmetic.dot([square], [square])], [1], OUTER * scales.outer))
        odd = arithmetic.dot([arithmetic.lowered(half, 3) for half in halves], outer)
        own = arithmetic.rescale(arithmetic.combination([arithmetic.lowered(target, 3)], [scales.target_factor]))
        return arithmetic.combination([own, odd], [1, -1])
