"""A model's owner, clients, and a server that cannot read the model."""

from contextlib import ExitStack

import numpy as np
import pytest

from he import ModelOwner
from he.service.client import RemoteModel, RemoteOwner
from he.service.conversation import ServiceError
from he.testing import inputs
from tests.he.service.running import NETWORKS, POLICY, hidden

NETWORK = NETWORKS["exact"]
IMAGES = inputs(NETWORK, 6)


class Parties(ExitStack):
    """A server, a model's owner who sends by the token of bob, and clients that are ann."""

    def __init__(self, live, models, who="ann") -> None:
        super().__init__()
        self.live, self.key, self.who = live, (models / "hidden.owner").read_bytes(), who
        seed = (models.parent / "owner/issuing/seed").read_bytes()
        self.owner = ModelOwner(hidden(), signing_seed=seed)
        self.sends = self.sending("hidden")

    def sending(self, model):
        """What sends to a model."""
        return self.enter_context(RemoteOwner(self.live.url, model, self.live.tokens["bob"]))

    def remote(self, **keys):
        """A client, who has these keys or new ones."""
        url, token = self.live.url, self.live.tokens[self.who]
        return self.enter_context(RemoteModel(url, "hidden", token, policy=POLICY, owner=self.key, **keys))

    def client(self):
        """A new client, and the network that is issued for it."""
        model = self.remote()
        model.send_keys()
        self.owner.permit(model.client.public_key.id)
        return model, self.owner.issue(model.client.public_key).to_bytes()


def is_right(model):
    return np.array_equal(model.predict(IMAGES), NETWORK.logits(IMAGES))


def refused(model):
    """The status with which a server refuses a client that does not look at permissions."""
    model.client._require_permission = lambda: None
    with pytest.raises(ServiceError) as refusal:
        model.predict(IMAGES[:1])
    assert "not permitted" in str(refusal.value)
    return refusal.value.status
