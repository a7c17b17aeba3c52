"""The envelope of all messages: a JSON header, binary parts, and a digest that finds damage.

A message holds, in this order: magic (6 bytes), kind (1 byte), length of the header (4 bytes, big-endian), header,
parts, and the digest of all before it (`he.formats.digest`). The header lists the lengths of the parts, as pairs of how
many neighbours have one length, and that length. The digest finds accidents but authenticates nobody: use a transport
that does.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import Enum
from itertools import groupby
from typing import Any

from he.formats.digest import DIGEST_BYTES, hasher
from he.formats.header import parsed
from he.formats.limits import require_at_most, require_bytes

_MAGIC = b"HEINF3"
_VERSIONS = [_MAGIC[:-1] + b"%d" % number for number in range(1, 10)]
MAX_HEADER_BYTES = 1 << 16
MAX_PARTS = 1 << 16
_START = len(_MAGIC) + 1 + 4


class Kind(Enum):
    """The kind of a message."""

    INTERFACE = b"I"
    EVALUATION_KEYS = b"K"
    REQUEST = b"Q"
    RESPONSE = b"A"
    FUNCTIONAL_MASTER = b"M"
    FUNCTIONAL_PUBLIC = b"P"
    FUNCTIONAL_CIPHERTEXT = b"C"
    FUNCTIONAL_KEY = b"F"
    FUNCTIONAL_BLOCK = b"B"
    KEY_REQUEST = b"R"
    JOURNAL = b"J"
    INSTRUCTION = b"D"
    TRAINING_BLOCK = b"T"
    ENCRYPTED_HEAD = b"H"
    HEAD_QUERY = b"S"
    HEAD_ANSWER = b"L"
    FRESH_WEIGHTS = b"W"
    WORN_WEIGHTS = b"V"
    EXACT_SAMPLES = b"x"
    EXACT_WEIGHTS = b"w"
    EXACT_GRADIENTS = b"g"
    OFFER = b"O"
    CLIENT = b"N"
    PUBLIC_KEY = b"U"
    ENCRYPTED_NETWORK = b"E"
    PERMISSION = b"Y"
    REVOCATION = b"Z"
    JOINT_INVITATION = b"j"
    JOINT_COMMITMENT = b"c"
    JOINT_FIRST = b"f"
    JOINT_SHARES = b"m"
    JOINT_SECOND = b"s"
    VOUCHER = b"v"
    PARTIAL_DECRYPTION = b"p"


#: What can be done about a message of another version that cannot just be made again.
_REMEDIES = {
    Kind.CLIENT: "answers to its open requests are for that version to decrypt, or they are lost: then begin with a "
    "new key, and encrypt the images again",
    Kind.REVOCATION: "have the model's owner sign it again",
    Kind.PERMISSION: "have the model's owner issue the network again",
    Kind.ENCRYPTED_NETWORK: "have the model's owner issue it again",
    Kind.FUNCTIONAL_MASTER: "go on with that version, or open a new instance and encrypt its data again",
    Kind.JOURNAL: "go on with that version, or open new instances in a new file and encrypt their data again; a new "
    "file has forgotten what was issued, so that budgets begin anew",
}
_WRITER = json.JSONEncoder(sort_keys=True)


class MessageError(ValueError):
    """Bytes are no intact message of the expected kind, or for another circuit or key; or a message is too large."""


class VersionError(MessageError):
    """A message was made by another version of this toolkit; nothing more of it was looked at."""


def seal_message(kind: Kind, fields: dict[str, Any], parts: Sequence[bytes] = ()) -> bytes:
    """Return one message as bytes.

    Raises:
        MessageError: if `open_message` would refuse it: the header would be longer, or the parts more, than it reads, a
            number is beyond 64 bits or not finite, or a part is empty.
    """
    runs = [[len(list(run)), length] for length, run in groupby(map(len, parts))]
    header = _WRITER.encode({**fields, "parts": runs}).encode()
    _require_header(kind, len(header))
    _parsed(kind, header)
    if not _sound(runs, sum(map(len, parts))):
        raise MessageError(f"a message with {_named(kind)} must have at most {MAX_PARTS} parts, and none of no bytes")
    hashed = hasher()
    pieces = [_MAGIC, kind.value, len(header).to_bytes(4, "big"), header, *parts]
    for piece in pieces:
        hashed.update(piece)
    return b"".join([*pieces, hashed.digest()])


def open_message(
    kind: Kind, data: bytes, most: int | None = None, threads: int = 1
) -> tuple[dict[str, Any], list[memoryview]]:
    """Return the header's fields and the parts of a message. The parts lie in the message: they are no copies.

    Args:
        kind: the kind that is expected.
        data: the message.
        most: the largest number of bytes that the parts may have together, which the receiver knows from the circuit;
            a longer message is refused before anything else is looked at. None if there is no such number.
        threads: the number of threads that may check the digest, at least 1; a short message takes one.

    Raises:
        MessageError: if the bytes are too many, truncated, damaged, foreign, of another version, or of another kind.
        TypeError: if `data` is no bytes, or `threads` no integer.
        ValueError: if `threads` is less than 1.
    """
    expected = _named(kind)
    view = _view(kind, data) if most is None else require_size(kind, data, most)
    hashed = hasher(len(view), threads).update(view[:-DIGEST_BYTES])
    if len(view) < _START + DIGEST_BYTES or hashed.digest() != view[-DIGEST_BYTES:]:
        raise MessageError(
            f"the message with {expected} is truncated or damaged: its digest does not match; send it again"
        )
    return _contents(kind, view)


def unverified_parts(kind: Kind, data: bytes) -> list[memoryview]:
    """Return the parts that `open_message` will return if it accepts a message, which nobody has verified yet.

    They lie in the message, and may be anything, of any number and lengths; there are none where `open_message` refuses
    the message for more than its digest. Whoever reads them ahead throws away what it has made of them if it does.

    Raises:
        TypeError: if `data` is no bytes.
    """
    try:
        return _contents(kind, _view(kind, data))[1]
    except MessageError:
        return []


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
    return require_bytes(message, "a message")[-DIGEST_BYTES:].hex()


def require_size(kind: Kind, data: bytes, most: int) -> memoryview:
    """Return a view of a message, unless it is longer than any whose parts have at most so many bytes together.

    Raises:
        MessageError: if it is longer, foreign, of another version, or of another kind.
        TypeError: if `data` is no bytes.
    """
    view = _view(kind, data)
    what, remedy = f"a message with {_named(kind)}", "it is for another circuit, or holds what nobody asked for"
    require_at_most(largest_message(most), len(view), what, MessageError, remedy)
    return view


def unchanging(kind: Kind, data: bytes, most: int | None = None) -> bytes:
    """Return a message that nobody can change: itself, or a copy of what others may write to.

    Whoever reads a message twice, its parts and its name for example, would otherwise read what has not been checked.

    Raises:
        MessageError: if it is longer, foreign, of another version, or of another kind.
        TypeError: if `data` is no bytes.
    """
    view = _view(kind, data) if most is None else require_size(kind, data, most)
    return data if isinstance(data, bytes) else bytes(view)


def largest_message(parts: int) -> int:
    """Return the largest number of bytes that a message may have whose parts have so many together."""
    return _START + MAX_HEADER_BYTES + parts + DIGEST_BYTES


def _contents(kind: Kind, view: memoryview) -> tuple[dict[str, Any], list[memoryview]]:
    """Return the header's fields and the parts of a message, whatever its digest is."""
    length = int.from_bytes(view[_START - 4 : _START], "big")
    body = view[_START:-DIGEST_BYTES]
    _require_header(kind, length)
    if length > len(body):
        raise MessageError(f"the header of the message with {_named(kind)} is longer than the message")
    fields = _parsed(kind, body[:length])
    runs = fields.pop("parts", None)
    if not _sound(runs, len(body) - length):
        raise MessageError(f"the message with {_named(kind)} must hold the parts that its header lists")
    parts, position = [], length
    for count, size in runs:
        parts += [body[at : at + size] for at in range(position, position + count * size, size)]
        position += count * size
    return fields, parts


def _view(kind: Kind, data: bytes) -> memoryview:
    view = require_bytes(data, f"a message with {_named(kind)}")
    magic = bytes(view[: len(_MAGIC)])
    if magic != _MAGIC and magic in _VERSIONS:
        age, usual = ("an older", "make it again") if magic < _MAGIC else ("a newer", "use that, or make it again")
        raise VersionError(
            f"the message with {_named(kind)} was made by {age} version of this toolkit; {_REMEDIES.get(kind, usual)}"
        )
    if magic != _MAGIC:
        raise MessageError(f"expected a message with {_named(kind)}, got bytes that are no message of this toolkit")
    if view[len(_MAGIC) : len(_MAGIC) + 1] != kind.value:
        raise MessageError(f"expected a message with {_named(kind)}, got one of another kind")
    return view


def _sound(runs: Any, size: int) -> bool:
    """Return whether these are pairs of numbers and lengths of parts that have so many bytes together."""
    if not isinstance(runs, list) or not all(isinstance(run, list) and len(run) == 2 for run in runs):
        return False
    if not all(type(number) is int and number > 0 for run in runs for number in run):
        return False
    return sum(count for count, _ in runs) <= MAX_PARTS and sum(count * length for count, length in runs) == size


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


def _parsed(kind: Kind, header: bytes | memoryview) -> dict[str, Any]:
    try:
        return parsed(header)
    except ValueError as error:
        raise MessageError(f"the header of the message with {_named(kind)} is malformed: {error}") from error


def _require_header(kind: Kind, length: int) -> None:
    what, remedy = f"the header of a message with {_named(kind)}", "it names more than any circuit needs"
    require_at_most(MAX_HEADER_BYTES, length, what, MessageError, remedy)


def _named(kind: Kind) -> str:
    return kind.name.lower().replace("_", " ")
