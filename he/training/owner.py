"""The owner's side: samples are whitened, checked and encrypted, and the trained head is decrypted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Generic

import numpy as np
from numpy.typing import ArrayLike

from he.formats.compact import Form
from he.formats.messages import MessageError
from he.parties.cipher import PairCipher
from he.parties.evaluation_keys import EvaluationKeys
from he.parties.keys import SecretKey
from he.training.arithmetic import packed_sizes
from he.training.block import Block
from he.training.encrypted_head import Answer, EncryptedHead, Query
from he.training.frame import PlanOf
from he.training.head import checked_samples
from he.training.origin import Origin
from he.training.plan import HeadPlan
from he.training.whitening import Whitening, require_bound
from intnn.values.arrays import FloatArray, instance
from intnn.values.value_object import Unstorable


class SampleOwner(Unstorable, Generic[PlanOf], instead="it holds a secret key: store that with `SecretKey.save`"):
    """Who encrypts samples for a plan of any kind: `Owner` for heads, `NetworkOwner` for networks.

    Several owners who train together share the secret key, the evaluation keys, the plan and the whitening; each of
    them can read whatever is encrypted, and what any of them sends is hidden from the trainer alone.

    What is trained is approximate, and its error tells of the secret key: show it to nobody who does not hold the key
    (B. Li and D. Micciancio, "On the Security of Homomorphic Encryption on Approximate Numbers", EUROCRYPT 2021).

    Args:
        name: His name, of 1 to 200 printable letters, which no other owner of the run has.
        plan: The plan.
        whitening: The whitening that all owners use.
        secret_key: The key, for the plan's parameters; by default a new one.
        evaluation_keys: Those of the run, where another owner has made them; by default new ones.

    Raises:
        TypeError: An argument has another type.
        ValueError: The whitening gives another number of features, or the key for other parameters.
        MessageError: The evaluation keys were not made from this key for this plan.
    """

    plans: ClassVar[type]  # what a plan must be

    def __init__(
        self,
        name: str,
        plan: PlanOf,
        whitening: Whitening,
        secret_key: SecretKey | None = None,
        evaluation_keys: EvaluationKeys | None = None,
    ) -> None:
        self.plan: PlanOf = instance(plan, self.plans, "plan")
        self.name = name
        self._whitening = instance(whitening, Whitening, "whitening")
        kept = whitening.matrix.shape[1]
        if kept + 1 != plan.features:
            raise ValueError(
                f"`whitening` must give {plan.features - 1} features, one less than the plan's, got {kept}"
            )
        key = SecretKey.generate(plan.parameters) if secret_key is None else secret_key
        if instance(key, SecretKey, "secret_key").parameters != plan.parameters:
            raise ValueError(f"`secret_key` must be for the plan's parameters ({plan.parameters}), got {key}")
        self.secret_key = key
        if evaluation_keys is None:
            evaluation_keys = key.keys_of(plan.key_elements, plan.digest)
        self.evaluation_keys = instance(evaluation_keys, EvaluationKeys, "evaluation_keys")
        if evaluation_keys.circuit != plan.digest:
            raise MessageError("`evaluation_keys` must be for this plan, got keys for another")
        key.require_own(evaluation_keys, None)
        self._origin = Origin(plan.digest, whitening.digest, evaluation_keys.id)
        self._cipher, self._next = PairCipher(key), 0
        Block(self._origin, name, 0, 1, ())  # refuses a name that is none

    def encrypt(self, features: ArrayLike, labels: ArrayLike) -> Iterator[Block]:
        """Whiten, check and encrypt samples as blocks of at most N / 2 of them, made one by one.

        Args:
            features: float64 [n, features], not whitened, without the column of ones.
            labels: int64 [n] in [0, classes).

        Raises:
            BoundError: The bound of a head's plan is too small for these samples, which few are sooner than many:
                training could diverge. Nothing is encrypted.
            TypeError: An argument has another type.
            ValueError: A shape is wrong, a label is no class, a whitened feature is beyond 16, or there are more
                samples than the plan is for.
        """
        white, y = checked_samples(self._whitening.apply(features), labels, self.plan.classes)
        if len(y) > self.plan.samples:
            raise ValueError(f"the plan is for {self.plan.samples} samples, got {len(y)}; plan for as many")
        self._check(white)
        slots = self.plan.block_samples
        return (self._block(white[at : at + slots], y[at : at + slots]) for at in range(0, len(y), slots))

    def _check(self, white: FloatArray) -> None:
        """Refuse whitened samples on which training would fail, where that can be told."""

    def _targets(self, y: FloatArray) -> np.ndarray:
        """Return the slots of the targets' ciphertexts, two classes each, from targets [n, classes]: [pairs, N / 2]."""
        rows = self._rows(y, 2 * self.plan.pairs)
        return rows[::2] + 1j * rows[1::2]

    def _block(self, white: FloatArray, y: FloatArray) -> Block:
        forms = self.plan.block_forms
        samples = self._cipher.encrypt(self._rows(white, self.plan.features), forms[0])
        own = self._cipher.encrypt(self._targets(y), forms[-1])
        self._next += 1
        return Block(self._origin, self.name, self._next - 1, len(white), (*samples, *own))

    def _rows(self, samples: FloatArray, count: int) -> FloatArray:
        """Return samples number by number, in slots, and zeros for further numbers."""
        rows = np.zeros((count, self.plan.block_samples))
        rows[: samples.shape[1], : len(samples)] = samples.T
        return rows


class Owner(SampleOwner[HeadPlan], instead="it holds a secret key: store that with `SecretKey.save`"):
    """Who encrypts samples for a head, and may read it: see `SampleOwner`."""

    plans = HeadPlan

    def _check(self, white: FloatArray) -> None:
        require_bound(white, self.plan.descent.bound)

    def decrypt(self, head: bytes) -> FloatArray:
        """Decrypt a head, which is a message.

        Returns:
            float64 [features, classes], for whitened samples with a column of ones.

        Raises:
            MessageError: The message is damaged, or of another run.
            SealDataError: A ciphertext in it is none, or legible without a key.
            TypeError: It is no bytes.
        """
        plan = self.plan
        given = EncryptedHead.from_bytes(head, plan)
        self._origin.require(given.origin)
        form, sizes = EncryptedHead.form(plan), packed_sizes(plan.weights, plan.block_samples)
        parts = zip(given.ciphertexts, sizes, strict=True)
        pairs = np.concatenate([self._cipher.decrypt_packed(part, form, size) for part, size in parts])
        return pairs.reshape(plan.features, 2 * plan.pairs)[:, : plan.classes]

    def ask(self, features: ArrayLike) -> Iterator[Query]:
        """Whiten and encrypt samples that an encrypted head is to be given: N / 2 of them a query, made one by one.

        Args:
            features: float64 [n, features], not whitened, without the column of ones.

        Raises:
            TypeError: The features are no floats.
            ValueError: Their shape is wrong, or a whitened one is beyond 16.
        """
        white, slots = self._whitening.apply(features), self.plan.block_samples
        return (self._query(white[at : at + slots]) for at in range(0, len(white), slots))

    def _query(self, white: FloatArray) -> Query:
        form = Form.fresh(self.plan.parameters)
        made = self._cipher.encrypt(self._rows(white, self.plan.features), form)
        return Query(self._origin, len(white), tuple(made))

    def logits(self, query: bytes, answer: bytes) -> FloatArray:
        """Decrypt the answer to a query, both as messages.

        Returns:
            The logits of the query's samples, float64 [samples, classes].

        Raises:
            MessageError: A message is damaged, of another run, or the answer is to another query.
            SealDataError: A ciphertext in the answer is none, or legible without a key.
            ParameterError: The plan leaves no level for answers.
        """
        plan, form = self.plan, Answer.form(self.plan)
        asked, given = Query.from_bytes(query, plan), Answer.from_bytes(answer, plan, query)
        for message in (asked, given):
            self._origin.require(message.origin)
        pairs = np.concatenate([self._cipher.decrypt(part, form) for part in given.ciphertexts])
        return pairs[: plan.classes, : asked.samples].T
