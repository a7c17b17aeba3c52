"""The parties that train a head by logistic regression: its owner, and its trainer."""

from __future__ import annotations

import numpy as np

from he.parties.keys import EvaluationKeys, SecretKey
from he.training.logistic import INNER, OUTER
from he.training.logistic_plan import LogisticPlan
from he.training.refreshed_trainer import EncryptedSamples, RefreshedTrainer
from he.training.refreshing_owner import RefreshingOwner
from he.training.whitening import Whitening
from intnn.values.arrays import FloatArray, instance


class LogisticOwner(RefreshingOwner, instead="it holds a secret key: store that with `SecretKey.save`"):
    """Who encrypts samples for a head, and refreshes and may read it: see `RefreshingOwner`.

    Args:
        name: As in `SampleOwner`.
        plan: The plan of the head.
        whitening: As in `SampleOwner`.
        secret_key: As in `SampleOwner`.
        evaluation_keys: As in `SampleOwner`.
    """

    plan: LogisticPlan

    def __init__(
        self,
        name: str,
        plan: LogisticPlan,
        whitening: Whitening,
        secret_key: SecretKey | None = None,
        evaluation_keys: EvaluationKeys | None = None,
    ) -> None:
        super().__init__(name, instance(plan, LogisticPlan, "plan"), whitening, secret_key, evaluation_keys)

    @property
    def head(self) -> FloatArray:
        """The head after the steps that have been refreshed, decrypted: float64 [features, classes]."""
        return self.weights.reshape(self.plan.features, self.plan.classes)


class LogisticTrainer(RefreshedTrainer, instead="keep the blocks, and give them to another trainer"):
    """Trains a head on encrypted samples by logistic regression: see `RefreshedTrainer`.

    Args:
        plan: The plan of the head.
        evaluation_keys: As in `SampleTrainer`.
        threads: As in `SampleTrainer`.
    """

    plan: LogisticPlan

    def __init__(self, plan: LogisticPlan, evaluation_keys: EvaluationKeys | bytes, threads: int | None = None) -> None:
        super().__init__(instance(plan, LogisticPlan, "plan"), evaluation_keys, threads)

    def _descents(self, samples: EncryptedSamples, fresh: np.ndarray) -> np.ndarray:
        arithmetic, plan = self._arithmetic, self.plan
        head, classes = arithmetic.expanded([fresh], plan.weights), plan.classes
        logits = list(
            arithmetic.products(samples.features, [head[i : i + classes] for i in range(0, len(head), classes)])
        )
        pairs = zip((target for row in samples.targets for target in row), logits, strict=True)
        residuals = arithmetic.each(lambda pair: self._residual(*pair), list(pairs))
        rows = [residuals[i : i + classes] for i in range(0, len(residuals), classes)]
        (found,) = arithmetic.totals(arithmetic.products(samples.features.transposed, rows), plan.weights)
        return found

    def _residual(self, target: np.ndarray, logit: np.ndarray) -> np.ndarray:
        """Return T - s(Z) at level 2, from encrypted targets, which are T - 1 / classes, and Z."""
        arithmetic, scales = self._arithmetic, self.plan.scales
        square = arithmetic.product(logit, logit)
        square = arithmetic.combination([square], [1], INNER * scales.square)
        outer = arithmetic.product(square, square)
        outer = arithmetic.combination([outer], [1], OUTER * scales.outer)
        odd = arithmetic.product(arithmetic.lowered(logit, 3), outer)
        own = arithmetic.rescale(arithmetic.combination([arithmetic.lowered(target, 3)], [scales.target_factor]))
        return arithmetic.combination([own, odd], [1, -1], (1 / self.plan.classes - 0.5) * scales.residual)
