"""Encrypted heads, and what is asked of them: messages between an owner and who holds a head that it cannot read."""

from __future__ import annotations

from dataclasses import dataclass

from he.formats.compact import Form
from he.formats.messages import Kind, MessageError, message_digest
from he.training.origin import Ciphertexts, Origin, opened, require_number, sealed
from he.training.plan import MOST_SAMPLES, HeadPlan
from intnn.values.value_object import ValueObject


@dataclass(frozen=True, eq=False)
class EncryptedHead(ValueObject):
    """A trained head that nobody but the owners of the key can read.

    Attributes:
        origin: What run it belongs to.
        ciphertexts: The weights, feature by feature and two classes at a time, packed: N / 2 pairs to a ciphertext.
    """

    origin: Origin
    ciphertexts: Ciphertexts

    @staticmethod
    def form(plan: HeadPlan) -> Form:
        """Return the form of a head's ciphertexts."""
        return Form.result(plan.parameters, plan.head_level, plan.scales[-1].head)

    def to_bytes(self) -> bytes:
        """Return the head as a message."""
        return sealed(Kind.ENCRYPTED_HEAD, self.origin, self.ciphertexts)

    @staticmethod
    def from_bytes(data: bytes, plan: HeadPlan) -> EncryptedHead:
        """Read an encrypted head of a plan.

        Raises:
            MessageError: The message is damaged, of another plan, or has other parts than the plan's.
            TypeError: ``data`` is no bytes.
        """
        forms = [EncryptedHead.form(plan)] * plan.packed
        origin, _, ciphertexts = opened(Kind.ENCRYPTED_HEAD, data, plan, forms)
        return EncryptedHead(origin, ciphertexts)


@dataclass(frozen=True, eq=False)
class Query(ValueObject):
    """Encrypted samples that an encrypted head is to be given.

    Attributes:
        origin: What run the head belongs to.
        samples: The number of the samples, from 1 to N / 2.
        ciphertexts: One for every feature.

    Raises:
        MessageError: The number is wrong.
    """

    origin: Origin
    samples: int
    ciphertexts: Ciphertexts

    def __post_init__(self) -> None:
        require_number(self.samples, "samples", 1, MOST_SAMPLES)

    @staticmethod
    def forms(plan: HeadPlan) -> list[Form]:
        """Return the forms of a query's ciphertexts."""
        return [Form.fresh(plan.parameters)] * plan.features

    def to_bytes(self) -> bytes:
        """Return the query as a message."""
        return sealed(Kind.HEAD_QUERY, self.origin, self.ciphertexts, samples=self.samples)

    @staticmethod
    def from_bytes(data: bytes, plan: HeadPlan) -> Query:
        """Read a query of a plan.

        Raises:
            MessageError: The message is damaged, of another plan, or has other parts than the plan's.
            TypeError: ``data`` is no bytes.
        """
        origin, fields, ciphertexts = opened(Kind.HEAD_QUERY, data, plan, Query.forms(plan), "samples")
        require_number(fields["samples"], "samples", 1, plan.block_samples)
        return Query(origin, fields["samples"], ciphertexts)


@dataclass(frozen=True, eq=False)
class Answer(ValueObject):
    """The encrypted logits of a query's samples.

    Attributes:
        origin: What run the head belongs to.
        query: The digest in which the query ends, which names it.
        ciphertexts: The logits of all samples, two classes each.
    """

    origin: Origin
    query: str
    ciphertexts: Ciphertexts

    @staticmethod
    def form(plan: HeadPlan) -> Form:
        """Return the form of an answer's ciphertexts.

        Raises:
            ParameterError: The plan leaves no level for answers.
        """
        return Form.result(plan.parameters, plan.head_level - 1, plan.logit_scale)

    def to_bytes(self) -> bytes:
        """Return the answer as a message."""
        return sealed(Kind.HEAD_ANSWER, self.origin, self.ciphertexts, query=self.query)

    @staticmethod
    def from_bytes(data: bytes, plan: HeadPlan, query: bytes) -> Answer:
        """Read the answer to a query, both as messages.

        Raises:
            MessageError: The message is damaged, of another plan, answers another query, or has other parts.
            TypeError: One of them is no bytes.
        """
        forms = [Answer.form(plan)] * plan.pairs
        origin, fields, ciphertexts = opened(Kind.HEAD_ANSWER, data, plan, forms, "query")
        if fields["query"] != message_digest(query):
            raise MessageError("the answer must be to this query, got one to another; send the query again")
        return Answer(origin, fields["query"], ciphertexts)
