"""Weights on their way between an owner and a trainer: all of them in one ciphertext, and bound to their place.

A trainer's weights are *worn* after a step: no level is left of them. The owner decrypts them, and encrypts them
*fresh*. So a run is one chain of messages, in turns: each names the run, the steps that have been made, and the one
before it. Whoever gets another than the next one refuses it.
"""

from __future__ import annotations

from dataclasses import dataclass

from he.formats.compact import Form
from he.formats.messages import Kind, MessageError, require_match
from he.training.origin import Origin, opened, require_digest, require_number, sealed
from he.training.refreshed.network import MOST_STEPS
from he.training.refreshed.plan import RefreshedPlan
from intnn.values.value_object import ValueObject

START = "0" * 64  # what a chain's first message names as the one before


@dataclass(frozen=True, eq=False)
class PackedWeights(ValueObject):
    """All weights in one ciphertext: a message of either side.

    Attributes:
        kind: `FRESH_WEIGHTS`, from an owner, or `WORN_WEIGHTS`, from a trainer.
        origin: What run they belong to.
        step: The number of steps that have been made.
        before: The digest in which the message before ends, `START` for the first one.
        ciphertext: The weights, pairs at the coefficients of `he.ring.slots.packed_places`.

    Raises:
        MessageError: The number or the digest is none.
    """

    kind: Kind
    origin: Origin
    step: int
    before: str
    ciphertext: bytes | memoryview

    def __post_init__(self) -> None:
        require_number(self.step, "step", 0, MOST_STEPS)
        require_digest(self.before, "before")

    @staticmethod
    def form(kind: Kind, plan: RefreshedPlan) -> Form:
        """Return the form of the ciphertext in a message of this kind."""
        return {Kind.FRESH_WEIGHTS: plan.fresh_form, Kind.WORN_WEIGHTS: plan.worn_form}[kind]

    def to_bytes(self) -> bytes:
        """Return the weights as a message."""
        return sealed(self.kind, self.origin, (self.ciphertext,), step=self.step, before=self.before)

    @staticmethod
    def from_bytes(kind: Kind, data: bytes, plan: RefreshedPlan) -> PackedWeights:
        """Read a message of this kind; its ciphertext lies in it, and is looked at when it is used.

        Raises:
            MessageError: The message is damaged, of another plan or kind, or has other parts than the plan's.
            TypeError: ``data`` is no bytes.
        """
        forms = [PackedWeights.form(kind, plan)]
        origin, fields, (ciphertext,) = opened(kind, data, plan, forms, "step", "before")
        return PackedWeights(kind, origin, fields["step"], fields["before"], ciphertext)

    def require_next(self, origin: Origin, step: int, before: str) -> None:
        """Refuse weights that are not the next message of a chain.

        Raises:
            MessageError: They are of another run, after another number of steps, or follow another message.
        """
        origin.require(self.origin)
        if self.step != step:
            raise MessageError(f"the next weights must be those after {step} steps, got those after {self.step}")
        require_match({"before": self.before}, "before", before, "message than the last one of this run; send the next")
