"""Blocks: an owner's encrypted samples, as they travel."""

from __future__ import annotations

from dataclasses import dataclass

from he.formats.messages import Kind, MessageError
from he.training.frame import Frame
from he.training.origin import Ciphertexts, Origin, opened, require_number, sealed
from he.training.plan import MOST_SAMPLES
from intnn.values.value_object import ValueObject

_MOST_LETTERS = 200
_MOST_BLOCKS = 1 << 32


@dataclass(frozen=True, eq=False)
class Block(ValueObject):
    """Some of an owner's samples, encrypted.

    Attributes:
        origin: What run it belongs to.
        owner: The owner's name, of 1 to 200 printable letters: a claim; use a transport that authenticates owners.
        number: Which of the owner's blocks it is, from 0 on.
        samples: The number of its samples, at least 1.
        ciphertexts: The features' ciphertexts, and behind them the targets', in the plan's `block_forms`.

    Raises:
        MessageError: A name, a number or a length is wrong.
    """

    origin: Origin
    owner: str
    number: int
    samples: int
    ciphertexts: Ciphertexts

    def __post_init__(self) -> None:
        if not isinstance(self.owner, str) or not 0 < len(self.owner) <= _MOST_LETTERS or not self.owner.isprintable():
            raise MessageError(f"`owner` must be 1 to {_MOST_LETTERS} printable letters, got {self.owner!r:.80}")
        require_number(self.number, "number", 0, _MOST_BLOCKS)
        require_number(self.samples, "samples", 1, MOST_SAMPLES)

    def to_bytes(self) -> bytes:
        """Return the block as a message."""
        fields = {"owner": self.owner, "number": self.number, "samples": self.samples}
        return sealed(Kind.TRAINING_BLOCK, self.origin, self.ciphertexts, **fields)

    @staticmethod
    def from_bytes(data: bytes, plan: Frame, threads: int = 1) -> Block:
        """Read a block of a plan; its ciphertexts lie in the message and are looked at when they are used.

        Args:
            data: The message.
            plan: The plan.
            threads: The threads that may check its digest.

        Raises:
            MessageError: The message is damaged, of another plan, or has other parts than the plan's.
            TypeError: ``data`` is no bytes.
        """
        forms, names = plan.block_forms, ("owner", "number", "samples")
        origin, fields, ciphertexts = opened(Kind.TRAINING_BLOCK, data, plan, forms, *names, threads=threads)
        block = Block(origin, fields["owner"], fields["number"], fields["samples"], ciphertexts)
        if block.samples > plan.block_samples:
            raise MessageError(f"a block must have at most {plan.block_samples} samples, got {block.samples}")
        return block
