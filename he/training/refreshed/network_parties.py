"""The parties that train a network: its owner, and its trainer."""

from __future__ import annotations

import numpy as np

from he.training.refreshed.network import SquareNetwork
from he.training.refreshed.network_plan import NetworkPlan
from he.training.refreshed.network_step import EncryptedWeights, packed_descents
from he.training.refreshed.owner import RefreshingOwner
from he.training.refreshed.trainer import EncryptedSamples, RefreshedTrainer


class NetworkOwner(RefreshingOwner[NetworkPlan], instead="it holds a secret key: store that with `SecretKey.save`"):
    """Who encrypts samples for a network, and refreshes and may read its weights: see `RefreshingOwner`."""

    plans = NetworkPlan

    @property
    def network(self) -> SquareNetwork:
        """The network after the steps that have been refreshed, decrypted."""
        return self.plan.network(self.weights)


class NetworkTrainer(RefreshedTrainer[NetworkPlan], instead="keep the blocks, and give them to another trainer"):
    """Trains a network on encrypted samples: see `RefreshedTrainer`."""

    plans = NetworkPlan

    def _descents(self, samples: EncryptedSamples, fresh: np.ndarray) -> np.ndarray:
        weights = EncryptedWeights.expanded(self._arithmetic, fresh, self.plan)
        return packed_descents(self._arithmetic, samples, weights, self.plan)
