"""What crosses between owner and trainer: blocks of encrypted samples, and the encrypted head.

Both name the plan, the whitening and the evaluation keys that they belong to. Sizes, levels and scales follow from the
plan; a message states none of them, and is read only if it has exactly the plan's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from he.formats.compact import Form
from he.formats.messages import Kind, MessageError, open_message, require_fields, require_match, seal_message
from he.training.plan import HeadPlan
from intnn.values.arrays import integer
from intnn.values.value_object import ValueObject

_MOST_LETTERS = 200
_MOST_BLOCKS = 1 << 32


@dataclass(frozen=True)
class Origin(ValueObject):
    """What everything of one training run has in common.

    Attributes:
        plan: The plan's digest.
        whitening: The digest of the owners' whitening.
        keys: The name of the evaluation keys.
    """

    plan: str
    whitening: str
    keys: str

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, str) or len(value) != 64:
                raise MessageError(f"`{name}` must be a digest of 64 hexadecimal digits, got {value!r:.80}")

    def require(self, other: Origin) -> None:
        """Refuse what belongs to another run.

        Raises:
            MessageError: A digest differs; the message says which.
        """
        require_match(vars(other), "plan", self.plan, "plan; owners and trainer must agree on one")
        require_match(vars(other), "whitening", self.whitening, "whitening; all owners must use the published one")
        require_match(vars(other), "keys", self.keys, "pair of keys; encrypt again under the keys of this run")


@dataclass(frozen=True, eq=False)
class Block(ValueObject):
    """Some of an owner's samples, encrypted.

    Attributes:
        origin: What run it belongs to.
        owner: The owner's name, of 1 to 200 printable letters: a claim; use a transport that authenticates owners.
        number: Which of the owner's blocks it is, from 0 on.
        samples: The number of its samples, at least 1.
        ciphertexts: The features' ciphertexts, and behind them the targets', in the forms of `forms`.

    Raises:
        MessageError: A name, a number or a length is wrong.
    """

    origin: Origin
    owner: str
    number: int
    samples: int
    ciphertexts: tuple[bytes | memoryview, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.owner, str) or not 0 < len(self.owner) <= _MOST_LETTERS or not self.owner.isprintable():
            raise MessageError(f"`owner` must be 1 to {_MOST_LETTERS} printable letters, got {self.owner!r:.80}")
        for name, low, high in (("number", 0, _MOST_BLOCKS), ("samples", 1, 1 << 16)):
            try:
                integer(getattr(self, name), name, low, high)
            except (TypeError, ValueError) as error:
                raise MessageError(f"the header of the message is wrong: {error}") from error

    @staticmethod
    def forms(plan: HeadPlan) -> list[Form]:
        """Return the forms of a block's ciphertexts."""
        parameters, (samples, targets) = plan.parameters, plan.scale_bits
        form = Form.fresh(parameters)
        assert form.scale == 2.0**samples
        own = Form(form.primes, form.degree, form.ntt, 2.0**targets, form.seeded)
        return [form] * plan.features + [own] * plan.pairs

    def to_bytes(self) -> bytes:
        """Return the block as a message."""
        fields = {**vars(self.origin), "owner": self.owner, "number": self.number, "samples": self.samples}
        return seal_message(Kind.TRAINING_BLOCK, fields, [bytes(part) for part in self.ciphertexts])

    @staticmethod
    def from_bytes(data: bytes, plan: HeadPlan) -> Block:
        """Read a block of a plan; its ciphertexts lie in the message and are looked at when they are used.

        Raises:
            MessageError: The message is damaged, of another plan, or has other parts than the plan's.
            TypeError: ``data`` is no bytes.
        """
        forms = Block.forms(plan)
        fields, parts = open_message(Kind.TRAINING_BLOCK, data, sum(form.bytes for form in forms))
        origin = _origin(fields, plan, parts, forms, "owner", "number", "samples")
        block = Block(origin, fields["owner"], fields["number"], fields["samples"], tuple(parts))
        if block.samples > plan.block_samples:
            raise MessageError(f"a block must have at most {plan.block_samples} samples, got {block.samples}")
        return block


@dataclass(frozen=True, eq=False)
class EncryptedHead(ValueObject):
    """A trained head that nobody but the owners of the key can read.

    Attributes:
        origin: What run it belongs to.
        ciphertexts: For every feature the ciphertexts of its weights, two classes each; every slot holds the same pair.
    """

    origin: Origin
    ciphertexts: tuple[bytes | memoryview, ...]

    @staticmethod
    def form(plan: HeadPlan) -> Form:
        """Return the form of a head's ciphertexts, which have one prime left."""
        return Form.result(plan.parameters, 1, plan.scales[-1].head)

    def to_bytes(self) -> bytes:
        """Return the head as a message."""
        return seal_message(Kind.ENCRYPTED_HEAD, vars(self.origin), [bytes(part) for part in self.ciphertexts])

    @staticmethod
    def from_bytes(data: bytes, plan: HeadPlan) -> EncryptedHead:
        """Read an encrypted head of a plan.

        Raises:
            MessageError: The message is damaged, of another plan, or has other parts than the plan's.
            TypeError: ``data`` is no bytes.
        """
        forms = [EncryptedHead.form(plan)] * (plan.features * plan.pairs)
        fields, parts = open_message(Kind.ENCRYPTED_HEAD, data, sum(form.bytes for form in forms))
        return EncryptedHead(_origin(fields, plan, parts, forms), tuple(parts))


def _origin(
    fields: dict[str, Any], plan: HeadPlan, parts: Sequence[memoryview], forms: Sequence[Form], *more: str
) -> Origin:
    """Return what run a message belongs to, if its fields and the lengths of its parts are those of the plan."""
    require_fields(fields, "plan", "whitening", "keys", *more)
    origin = Origin(fields["plan"], fields["whitening"], fields["keys"])
    require_match(vars(origin), "plan", plan.digest, "plan; owners and trainer must agree on one")
    lengths, due = [len(part) for part in parts], [form.bytes for form in forms]
    if lengths != due:
        raise MessageError(
            f"the message must hold {len(due)} ciphertexts of {sum(due)} bytes together, got {len(lengths)} of "
            f"{sum(lengths)}"
        )
    return origin
