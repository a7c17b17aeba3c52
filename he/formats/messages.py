"""The envelope of all messages: a JSON header, binary parts, and a digest that finds damage.

A message holds, in this order: magic (6 bytes), kind (1 byte), length of the header (4 bytes, big-endian), header,
parts, and SHA-256 over all before it. The header lists the lengths of the parts. The digest finds accidents but
authenticates nobody: use a transport that does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from enum import Enum
from typing import Any

from he.formats.limits import require_at_most

_MAGIC = b"HEINF1"
MAX_HEADER_BYTES = 1 << 25  # twice the interface of a convolution of 11 x 11 over colour images of 96 x 96
_DIGEST_BYTES = 32


class Kind(Enum):
    """The kind of a message."""

    INTERFACE = b"I"
    EVALUATION_KEYS = b"K"
    REQUEST = b"Q"
    RESPONSE = b"A"


class MessageError(ValueError):
    """Bytes are no intact message of the expected kind, or for another circuit or key; or a message is too large."""


def seal_message(kind: Kind, fields: dict[str, Any], parts: Sequence[bytes] = ()) -> bytes:
    """Return one message as bytes.

    Raises:
        MessageError: if the header would be longer than `open_message` reads.
    """
    header = json.dumps({**fields, "parts": [len(part) for part in parts]}, sort_keys=True).encode()
    _require_header(kind, len(header))
    body = b"".join([_MAGIC, kind.value, len(header).to_bytes(4, "big"), header, *parts])
    return body + hashlib.sha256(body).digest()


def open_message(kind: Kind, data: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """Return the header's fields and the parts of a message.

    Raises:
        MessageError: if the bytes are truncated, damaged, foreign, or of another kind.
        TypeError: if `data` is no bytes.
    """
    expected = _named(kind)
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"a message with {expected} must be bytes, got {type(data).__name__}")
    data = bytes(data)
    start = len(_MAGIC) + 1
    if data[: len(_MAGIC)] != _MAGIC:
        raise MessageError(f"expected a message with {expected}, got bytes that are no message of this toolkit")
    if len(data) < start + 4 + _DIGEST_BYTES or hashlib.sha256(data[:-_DIGEST_BYTES]).digest() != data[-_DIGEST_BYTES:]:
        raise MessageError(
            f"the message with {expected} is truncated or damaged: its digest does not match; send it again"
        )
    if data[len(_MAGIC) : start] != kind.value:
        raise MessageError(f"expected a message with {expected}, got one of another kind")
    length = int.from_bytes(data[start : start + 4], "big")
    body = data[start + 4 : -_DIGEST_BYTES]
    _require_header(kind, length)
    if length > len(body):
        raise MessageError(f"the header of the message with {expected} is longer than the message")
    try:
        fields = json.loads(body[:length])
        lengths = fields.pop("parts")
        sound = all(type(n) is int and n >= 0 for n in lengths) and sum(lengths) == len(body) - length
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise MessageError(f"the header of the message with {expected} is malformed: {error}") from error
    if not sound:
        raise MessageError(f"the message with {expected} must hold the parts that its header lists")
    parts, position = [], length
    for n in lengths:
        parts.append(body[position : position + n])
        position += n
    return fields, parts


def require_fields(fields: dict[str, Any], *names: str) -> None:
    """Refuse a message whose header has other fields than these.

    Raises:
        MessageError: if one is missing, or there is another.
    """
    if fields.keys() != set(names):
        raise MessageError(f"the header must have the fields {', '.join(sorted(names))}, got {sorted(fields)}")


def message_digest(message: bytes) -> str:
    """Return the digest at the end of a message, which names it, in hexadecimal digits; it is not checked.

    Raises:
        TypeError: if the message is no bytes.
    """
    if not isinstance(message, bytes | bytearray | memoryview):
        raise TypeError(f"a message must be bytes, got {type(message).__name__}")
    return bytes(message[-_DIGEST_BYTES:]).hex()


def require_match(fields: dict[str, Any], name: str, expected: str, what: str) -> None:
    """Refuse a message whose header names another circuit or key.

    Args:
        fields: the header's fields.
        name: the field to compare.
        expected: its expected value.
        what: the end of the error message, which says what else the message was made for.

    Raises:
        MessageError: if the field has another value.
    """
    if fields.get(name) != expected:
        raise MessageError(f"the message was made for another {what}")


def _require_header(kind: Kind, length: int) -> None:
    what, remedy = f"the header of a message with {_named(kind)}", "compile a network with a smaller first layer"
    require_at_most(MAX_HEADER_BYTES, length, what, MessageError, remedy)


def _named(kind: Kind) -> str:
    return kind.name.lower().replace("_", " ")
