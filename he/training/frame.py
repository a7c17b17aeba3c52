"""What all plans of a training run have in common, whatever is trained."""

from __future__ import annotations

from typing import Protocol, TypeVar

from he.formats.compact import Form
from he.ring.params import Parameters


class Keyed(Protocol):
    """A plan, as evaluation keys need to know it."""

    @property
    def parameters(self) -> Parameters:
        """The encryption parameters; their scale is that of fresh samples."""

    @property
    def key_elements(self) -> tuple[int, ...]:
        """The Galois elements of all evaluation keys: relinearisation's, then `he.ring.slots.trace_elements`."""

    @property
    def digest(self) -> str:
        """SHA-256 of the plan in hexadecimal digits."""


class Frame(Keyed, Protocol):
    """A plan, as samples, messages and operations need to know it."""

    @property
    def samples(self) -> int:
        """The number of all owners' samples together."""

    @property
    def features(self) -> int:
        """The number of features with the column of ones."""

    @property
    def classes(self) -> int:
        """The number of classes."""

    @property
    def pairs(self) -> int:
        """The ciphertexts that the targets of some samples take: two classes each."""

    @property
    def block_samples(self) -> int:
        """The most samples of a block, which is the number of slots."""

    @property
    def block_forms(self) -> list[Form]:
        """The forms of a block's ciphertexts: the features', and behind them the targets'."""


PlanOf = TypeVar("PlanOf", bound=Frame)
