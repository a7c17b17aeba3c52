"""What owner and trainer of an exact training run send each other: ciphertexts, of the number and forms of its plan."""

from __future__ import annotations

from collections.abc import Sequence
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
from he.training.exact.plan import ExactPlan


def sealed(kind: Kind, plan: ExactPlan, keys: str, parts: Sequence[bytes], **fields: Any) -> bytes:
    """Return a message of a run, which names its plan and its evaluation keys."""
    return seal_message(kind, {"plan": plan.digest, "keys": keys, **fields}, parts)


def opened(
    kind: Kind, plan: ExactPlan, keys: str, data: bytes, form: Form, count: int, *names: str
) -> tuple[list[memoryview], dict[str, Any]]:
    """Return the ciphertexts of a message and its other fields.

    Args:
        kind: The kind that is expected.
        plan: The plan that it must be of.
        keys: The name of the evaluation keys that it must be for.
        data: The message.
        form: The form of its ciphertexts, which are looked at when they are used.
        count: Their number.
        names: The names of the other fields.

    Raises:
        MessageError: The message is damaged, of another plan or other keys, or has other parts or fields.
        TypeError: ``data`` is no bytes.
    """
    fields, parts = open_message(kind, unchanging(kind, data, count * form.bytes), count * form.bytes)
    require_fields(fields, "plan", "keys", *names)
    require_match(fields, "plan", plan.digest, "plan; owner and trainer must agree on one")
    require_match(fields, "keys", keys, "pair of keys; encrypt again under the keys of this run")
    if [len(part) for part in parts] != [form.bytes] * count:
        raise MessageError(f"the message must hold {count} ciphertexts of {form.bytes} bytes each, got {len(parts)}")
    return parts, fields
