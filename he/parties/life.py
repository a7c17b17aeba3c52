"""The life of a client's key: what has been counted under it, and how much its policy allows."""

from __future__ import annotations

import math

from he.circuit.interface import Interface
from he.parties.policy import Policy
from he.parties.publishing import PublishingError, deviation


class KeyRetiredError(RuntimeError):
    """The client has destroyed its key, as its policy says: make a new client, with a new key."""


class KeyLife:
    """What has been counted under a key.

    Args:
        policy: how long the life may be.

    Attributes:
        answers: how many answers have been decrypted.
        refusals: how many of them were no result.
        published: how many of them may be seen by others.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.answers = self.refusals = self.published = 0

    @property
    def is_over(self) -> bool:
        """Whether the key must be destroyed."""
        return self.answers >= self._policy.most_answers or self.refusals >= self._policy.most_refusals

    def retired(self) -> KeyRetiredError:
        """Return what is raised when the key of a life that is over is asked for."""
        return KeyRetiredError(
            f"the client has destroyed its key after {self.answers} answers, of which it refused "
            f"{self.refusals}: make a new client without `secret_key`, and a session with its keys"
        )

    def require_publishable(self, interface: Interface) -> None:
        """Check that one more answer of a circuit may be published.

        Raises:
            PublishingError: if it may not.
        """
        most = self._policy.most_published
        if not math.isfinite(deviation(interface, self._policy, interface.images)):
            raise PublishingError("an error as large as the interface's `tolerance` cannot be hidden by any noise")
        if not interface.parameters.scheme.exact and self.published >= most:
            raise PublishingError(
                f"at most {most} answer(s) may be published under one key by the client's policy, and have been: "
                "decrypt this one without `publish` and show it to nobody, or make a client with another key"
            )
