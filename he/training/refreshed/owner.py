"""Owners who refresh: they encrypt samples, and decrypt and encrypt the weights after every step.

What the trainer learns of what is decrypted is whether a refresh was refused, nothing else: what it gets is fresh
encryptions, whatever they hold. That alone would be a question on any function that it likes to compute, of the samples
or, with a ciphertext that it makes up, of the secret key, answered with a bit. So an owner refuses once: after that,
nothing more of the run is decrypted, and a run of T steps has T + 1 outcomes, which tell log2(T + 1) bits in all.
Another run under the same key tells as many again: the key is a new one for every owner, unless one is given. Messages
that are refused for what everybody can see, such as their lengths, names and digests, are not decrypted, and tell
nothing.

Since whatever was sent is encrypted again, an owner may encrypt what depends on the secret key. That this is safe is
assumed of evaluation keys already, which hold such encryptions.
"""

from __future__ import annotations

import numpy as np

from he.formats.messages import Kind, MessageError, message_digest, unchanging
from he.parties.evaluation_keys import EvaluationKeys
from he.parties.keys import SecretKey
from he.training.owner import SampleOwner
from he.training.refreshed.messages import START, PackedWeights
from he.training.refreshed.network import ReachError
from he.training.refreshed.plan import RefreshedPlanOf
from he.training.whitening import Whitening


class RefreshingOwner(SampleOwner[RefreshedPlanOf], instead="it holds a secret key: store that with `SecretKey.save`"):
    """Who encrypts samples, and refreshes and may read the weights: `NetworkOwner`, or `LogisticOwner`.

    Several owners encrypt samples, and one of them refreshes. It sees the weights after every step, and so what all
    samples together do to them; whatever a trainer sends it encrypts anew: that the weights are right is the trainer's
    word.

    Args:
        name: As in `SampleOwner`.
        plan: The plan.
        whitening: As in `SampleOwner`.
        secret_key: As in `SampleOwner`.
        evaluation_keys: As in `SampleOwner`.

    Attributes:
        steps: The number of steps that have been refreshed.
        weights: The weights after them, decrypted, float64 [weights, 2].
    """

    def __init__(
        self,
        name: str,
        plan: RefreshedPlanOf,
        whitening: Whitening,
        secret_key: SecretKey | None = None,
        evaluation_keys: EvaluationKeys | None = None,
    ) -> None:
        super().__init__(name, plan, whitening, secret_key, evaluation_keys)
        self.steps, self.weights = 0, plan.initial
        self._start = self._fresh(START)
        self._asked, self._sent = START, self._start  # the last messages of both sides: a digest, and all of it
        self._over = False

    def begin(self) -> bytes:
        """Return the message with which a run begins: the weights at the start, which are public, encrypted.

        A trainer that was stopped before it had the answer to its first step begins again, and asks the same.

        Raises:
            MessageError: More than one step has been made.
        """
        if self.steps > 1:
            raise MessageError(f"the run has begun, {self.steps} steps ago; make another owner for another run")
        return self._start

    def refresh(self, message: bytes) -> bytes:
        """Decrypt the weights of the next step, and encrypt them fresh, both as messages.

        The last message may come again, as from a trainer that was stopped: it gets the same answer. If a message is
        refused, nothing has changed, except that nothing is refreshed any more once weights were out of reach.

        Raises:
            ReachError: A weight is beyond the plan's reach: training has diverged, or the trainer computes something
                else. The run is over. A weight is known modulo at least four times the reach: one that has left by more
                than twice the reach within a step may look as if it had not.
            MessageError: The message is damaged, of another run or step, does not follow the owner's last one, or the
                run is over.
            SealDataError: The ciphertext in it is none, or legible without a key.
            TypeError: It is no bytes.
        """
        message = unchanging(Kind.WORN_WEIGHTS, message, self.plan.worn_form.bytes)
        given = PackedWeights.from_bytes(Kind.WORN_WEIGHTS, message, self.plan)
        digest = message_digest(message)
        if digest == self._asked:
            return self._sent
        given.require_next(self._origin, self.steps + 1, message_digest(self._sent))
        if self._over or given.step > self.plan.descent.steps:
            raise MessageError("the run is over, and nothing is decrypted any more; make another owner for another run")
        plan = self.plan
        found = self._cipher.decrypt_packed(given.ciphertext, plan.worn_form, plan.weights) / plan.worn_scales
        if not np.abs(found).max() <= plan.descent.reach:
            self._over = True
            raise ReachError(  # how far they are would tell a trainer more than a bit, if it is shown the text
                f"weights must stay within `reach`, {plan.descent.reach:g}, got larger ones after step {given.step}: "
                "the run is over; lower the rates, or plan for a larger reach"
            )
        self.steps, self.weights, self._asked = given.step, found, digest
        self._sent = self._fresh(digest)
        return self._sent

    def _fresh(self, before: str) -> bytes:
        """Encrypt the weights, as a message behind one with this digest."""
        ciphertext = self._cipher.encrypt_packed(self.weights * self.plan.fresh_scales, self.plan.fresh_form)
        return PackedWeights(Kind.FRESH_WEIGHTS, self._origin, self.steps, before, ciphertext).to_bytes()
