"""One network as several models of a server, and the choice among them by the number of images."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from he.circuit.family import Offer, Plan
from he.formats.messages import MessageError
from he.parties.policy import Policy
from he.service.conversation import Conversation, Talk
from intnn.values.value_object import Unstorable


class Choice(Unstorable, instead="it holds secret keys: make another one"):
    """A client of several models that are circuits of one network, of which it asks the one that costs the least.

    Args:
        models: the models' names.
        policy, tries: see `Conversation`. Circuits that the policy does not accept are never chosen.
    """

    def __init__(self, models: Iterable[str], policy: Policy | None = None, tries: int = 8) -> None:
        self._each = [Conversation(name, policy=policy, tries=tries) for name in models]
        self._policy = policy or Policy()
        self._offer: Offer | None = None

    def plan(self, images: int) -> Talk[Plan]:
        """Return how so many images are asked for; the plan's circuit is the place of a model's name among all."""
        if self._offer is None:
            interfaces, units = [], []
            for one in self._each:
                interfaces.append((yield from one.interface()))
                units.append((yield from one.units()))
            try:
                self._offer = Offer(tuple(interfaces), tuple(units))
            except ValueError as error:
                raise MessageError(f"the server's models must be the circuits of one network: {error}") from error
        return self._offer.plan(images, self._policy.among(self._offer.interfaces))

    def predict(self, images: ArrayLike) -> Talk[np.ndarray]:
        """See `Conversation.predict`."""
        values = np.asarray(images)
        plan = yield from self.plan(max(len(np.atleast_1d(values)), 1))
        return (yield from self._each[plan.circuit].predict(values))
