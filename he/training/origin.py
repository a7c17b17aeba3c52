"""What all messages of a training run have in common: they name their run, and lengths follow from its plan.

A message states no size, level or scale: it is read only if it has exactly the plan's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from he.formats.compact import Form
from he.formats.messages import (
    Kind,
    MessageError,
    open_message,
    require_fields,
    require_match,
    seal_message,
    unchanging,
)
from he.training.frame import Frame
from intnn.values.arrays import integer
from intnn.values.value_object import ValueObject

Ciphertexts = tuple[bytes | memoryview, ...]
_DIGEST = re.compile("[0-9a-f]{64}")


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
            require_digest(value, name)

    def require(self, other: Origin) -> None:
        """Refuse what belongs to another run.

        Raises:
            MessageError: A digest differs; the message says which.
        """
        require_match(vars(other), "plan", self.plan, "plan; owners and trainer must agree on one")
        require_match(vars(other), "whitening", self.whitening, "whitening; all owners must use the published one")
        require_match(vars(other), "keys", self.keys, "pair of keys; encrypt again under the keys of this run")


def sealed(kind: Kind, origin: Origin, ciphertexts: Ciphertexts, **fields: Any) -> bytes:
    """Return a message of a run.

    Raises:
        MessageError: `opened` would refuse it.
    """
    return seal_message(kind, {**vars(origin), **fields}, [bytes(part) for part in ciphertexts])


def opened(
    kind: Kind, data: bytes, plan: Frame, forms: Sequence[Form], *names: str, threads: int = 1
) -> tuple[Origin, dict[str, Any], Ciphertexts]:
    """Return what run a message belongs to, its other fields, and its ciphertexts, which lie in it and are not copied.

    A message that others may write to is copied first. Who takes its digest too makes it `unchanging` before that.

    Args:
        kind: The kind that is expected.
        data: The message.
        plan: The plan that it must be of.
        forms: The forms of its ciphertexts, which are looked at when they are used.
        names: The names of its other fields.
        threads: The threads that may check its digest.

    Raises:
        MessageError: The message is damaged, of another plan, or has other fields or lengths.
        TypeError: ``data`` is no bytes.
    """
    due = [form.bytes for form in forms]
    fields, parts = open_message(kind, unchanging(kind, data, sum(due)), sum(due), threads)
    require_fields(fields, "plan", "whitening", "keys", *names)
    origin = Origin(*(fields.pop(name) for name in ("plan", "whitening", "keys")))
    require_match(vars(origin), "plan", plan.digest, "plan; owners and trainer must agree on one")
    if [len(part) for part in parts] != due:
        raise MessageError(
            f"the message must hold {len(due)} ciphertexts of {sum(due)} bytes together, got {len(parts)} of "
            f"{sum(map(len, parts))}"
        )
    return origin, fields, tuple(parts)


def require_digest(value: Any, name: str) -> None:
    """Refuse what is no digest in hexadecimal digits.

    Raises:
        MessageError: It is none.
    """
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise MessageError(f"`{name}` must be a digest of 64 hexadecimal digits, got {value!r:.80}")


def require_number(value: Any, name: str, low: int, high: int) -> None:
    """Refuse what is no integer from ``low`` to ``high``.

    Raises:
        MessageError: It is none.
    """
    try:
        integer(value, name, low, high)
    except (TypeError, ValueError) as error:
        raise MessageError(f"the header of the message is wrong: {error}") from error
