"""Logits of encrypted samples by an encrypted head, which nobody decrypts in between."""

from __future__ import annotations

from functools import partial

from he.engines.engine import thread_count
from he.formats.messages import Kind, message_digest, unchanging
from he.parties.evaluation_keys import EvaluationKeys
from he.training.arithmetic import Arithmetic, read, read_keys, written
from he.training.encrypted_head import Answer, EncryptedHead, Query
from he.training.origin import Origin
from he.training.plan import HeadPlan
from intnn.values.arrays import instance
from intnn.values.value_object import Unstorable


class Predictor(Unstorable, instead="keep the encrypted head and the keys, and make another"):
    """Who holds an encrypted head, and answers queries with it. It holds no secret, and learns sizes and nothing else.

    Args:
        plan: The plan, which leaves a level for answers.
        evaluation_keys: Those of the run, or their bytes.
        head: The head as a message.
        threads: The threads to work on; by default one for each available processor.

    Raises:
        TypeError: An argument has another type.
        ValueError: ``threads`` is out of range.
        ParameterError: The plan leaves no level for answers.
        MessageError: Keys or head are damaged, or of another run.
        SealDataError: A ciphertext of them is none.
    """

    def __init__(
        self, plan: HeadPlan, evaluation_keys: EvaluationKeys | bytes, head: bytes, threads: int | None = None
    ) -> None:
        self.plan, self._form = instance(plan, HeadPlan, "plan"), Answer.form(plan)
        keys, given = read_keys(evaluation_keys, plan), EncryptedHead.from_bytes(head, plan)
        self._origin = Origin(plan.digest, given.origin.whitening, keys.id)
        self._origin.require(given.origin)
        self._arithmetic = Arithmetic(plan, keys, thread_count(threads))
        packed = [read(part, EncryptedHead.form(plan)) for part in given.ciphertexts]
        with self._arithmetic:
            weights = self._arithmetic.expanded(packed, plan.weights)
        self._head = [weights[at : at + plan.pairs] for at in range(0, len(weights), plan.pairs)]

    def answer(self, query: bytes) -> bytes:
        """Answer a query, both as messages.

        Raises:
            MessageError: The query is damaged, or of another run.
            SealDataError: A ciphertext of it is none.
            TypeError: It is no bytes.
        """
        forms = Query.forms(self.plan)
        query = unchanging(Kind.HEAD_QUERY, query, sum(form.bytes for form in forms))
        asked = Query.from_bytes(query, self.plan)
        self._origin.require(asked.origin)
        reads = [partial(read, *pair) for pair in zip(asked.ciphertexts, forms, strict=True)]
        with self._arithmetic:
            samples = self._arithmetic.matrix(reads, len(reads))
            parts = [written(logits, self._form) for logits in self._arithmetic.products(samples, self._head)]
        return Answer(self._origin, message_digest(query), tuple(parts)).to_bytes()
