"""Logits of encrypted samples by an encrypted head, which nobody decrypts in between."""

from __future__ import annotations

from he.engines.engine import thread_count
from he.engines.rns.value import Value
from he.formats import compact
from he.formats.messages import message_digest
from he.parties.keys import EvaluationKeys
from he.training.arithmetic import Arithmetic, read_keys, written
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
        keys, given, form = (
            read_keys(evaluation_keys, plan),
            EncryptedHead.from_bytes(head, plan),
            EncryptedHead.form(plan),
        )
        self._origin = Origin(plan.digest, given.origin.whitening, keys.id)
        self._origin.require(given.origin)
        self._arithmetic = Arithmetic(plan, keys, thread_count(threads))
        read = self._arithmetic.each(lambda part: Value(compact.read(part, form).residues), given.ciphertexts)
        self._head = [read[at : at + plan.pairs] for at in range(0, len(read), plan.pairs)]

    def answer(self, query: bytes) -> bytes:
        """Answer a query, both as messages.

        Raises:
            MessageError: The query is damaged, or of another run.
            SealDataError: A ciphertext of it is none.
            TypeError: It is no bytes.
        """
        asked = Query.from_bytes(query, self.plan)
        self._origin.require(asked.origin)
        pairs = list(zip(asked.ciphertexts, Query.forms(self.plan), strict=True))
        samples = self._arithmetic.each(lambda pair: Value(compact.read(*pair).residues), pairs)
        logits = [self._arithmetic.rescale(value) for value in self._arithmetic.products(samples, self._head)]
        parts = (written(value, self._form) for value in logits)
        return Answer(self._origin, message_digest(query), tuple(parts)).to_bytes()
