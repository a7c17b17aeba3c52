"""The parties that train a network: its owner, and its trainer."""

from __future__ import annotations

import numpy as np

from he.parties.evaluation_keys import EvaluationKeys
from he.parties.keys import SecretKey
from he.training.refreshed.network import SquareNetwork
from he.training.refreshed.network_plan import NetworkPlan
from he.training.refreshed.network_step import EncryptedWeights, packed_descents
from he.training.refreshed.owner import RefreshingOwner
from he.training.refreshed.trainer import EncryptedSamples, RefreshedTrainer
from he.training.whitening import Whitening
from intnn.values.arrays import instance


class NetworkOwner(RefreshingOwner, instead="it holds a secret key: store that with `SecretKey.save`"):
    """Who encrypts samples for a network, and refreshes and may read its weights: see `RefreshingOwner`.

    Args:
        name: As in `SampleOwner`.
        plan: The plan of the network.
        whitening: As in `SampleOwner`.
        secret_key: As in `SampleOwner`.
        evaluation_keys: As in `SampleOwner`.
    """

    plan: NetworkPlan

    def __init__(
        self,
        name: str,
        plan: NetworkPlan,
        whitening: Whitening,
        secret_key: SecretKey | None = None,
        evaluation_keys: EvaluationKeys | None = None,
    ) -> None:
        super().__init__(name, instance(plan, NetworkPlan, "plan"), whitening, secret_key, evaluation_keys)

    @property
    def network(self) -> SquareNetwork:
        """The network after the steps that have been refreshed, decrypted."""
        return self.plan.network(self.weights)


class NetworkTrainer(RefreshedTrainer, instead="keep the blocks, and give them to another trainer"):
    """Trains a network on encrypted samples: see `RefreshedTrainer`.

    Args:
        plan: The plan of the network.
        evaluation_keys: As in `SampleTrainer`.
        threads: As in `SampleTrainer`.
    """

    plan: NetworkPlan

    def __init__(self, plan: NetworkPlan, evaluation_keys: EvaluationKeys | bytes, threads: int | None = None) -> None:
        super().__init__(instance(plan, NetworkPlan, "plan"), evaluation_keys, threads)

    def _descents(self, samples: EncryptedSamples, fresh: np.ndarray) -> np.ndarray:
        weights = EncryptedWeights.expanded(self._arithmetic, fresh, self.plan)
        return packed_descents(self._arithmetic, samples, weights, self.plan)
