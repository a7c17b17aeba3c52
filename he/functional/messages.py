"""What messages of functional encryption have in common: they name their instance, and lengths follow from it.

A type's bytes are two short methods:

    def to_bytes(self):
        return seal(Kind.FUNCTIONAL_KEY, self.instance, {"keys": len(self.y)}, [vectors_to_bytes(self.y), ...])

    def from_bytes(data):
        instance, fields, parts = opened(Kind.FUNCTIONAL_KEY, data, names=("keys",))
        keys = number(fields, "keys", MOST_KEYS)
        require_lengths(parts, vectors_bytes(instance, keys), ...)
        return Key(instance, vectors_from_bytes(instance, parts[0]), ...)

Whoever parses checks lengths before anything is made of the parts.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np

from he.formats.messages import Kind, MessageError, open_message, require_fields, seal_message
from he.functional.errors import MismatchError
from he.functional.instance import Instance
from intnn.values.arrays import IntArray, frozen, integer
from intnn.values.arrays import instance as of_type
from intnn.values.domain import IntDomain

#: The most vectors that one key, or one request for a key, may have.
MOST_KEYS = 1 << 16
_MOST_LETTERS = 200
_WORD = np.dtype("<i2")  # of an element of a key's vector: `Instance.key_limit` is below 2^15


def seal(kind: Kind, instance: Instance, fields: dict[str, Any], parts: Sequence[bytes] = ()) -> bytes:
    """A message that belongs to an instance.

    Args:
        kind: Its kind.
        instance: The instance; it stands in the header as a whole.
        fields: What else stands in the header, by names other than "instance" and "parts".
        parts: The binary parts, none of them empty.

    Raises:
        MessageError: `opened` would refuse it.
    """
    return seal_message(kind, {**fields, "instance": _described(instance)}, parts)


def opened(
    kind: Kind,
    data: bytes,
    instance: Instance | None = None,
    most: int | None = None,
    names: Sequence[str] | None = (),
    optional: Sequence[str] = (),
) -> tuple[Instance, dict[str, Any], list[memoryview]]:
    """The instance, the other fields of the header, and the parts of a message, which lie in it: they are no copies.

    Args:
        kind: The kind that is expected.
        data: The message.
        instance: The instance that is expected; None if any will do.
        most: The largest number of bytes that the parts may have together, where the receiver knows it beforehand.
        names: The names of the other fields; None if the caller looks at them himself.
        optional: The names of those that may be missing.

    Raises:
        MessageError: The message is damaged, foreign, too long, of another kind, or its header is not as it must be.
        MismatchError: It belongs to another instance.
        TypeError: ``data`` is no bytes.
    """
    fields, parts = open_message(kind, data, most)
    expected = fields if names is None else (*names, *(name for name in optional if name in fields))
    require_fields(fields, "instance", *expected)
    found = _instance(fields.pop("instance"))
    if instance is not None and found != instance:
        raise MismatchError(
            f"the message must belong to instance {instance.id}, got one of {_difference(found, instance)}"
        )
    return found, fields, parts


def number(fields: dict[str, Any], name: str, most: int, least: int = 1) -> int:
    """An integer in the header.

    Raises:
        MessageError: It is no integer, or out of its range.
    """
    try:
        return integer(fields[name], name, least, most)
    except (TypeError, ValueError) as error:
        raise MessageError(f"the header of the message is wrong: {error}") from error


def require_lengths(parts: Sequence[memoryview], *lengths: int) -> None:
    """Refuse parts of other lengths, in bytes, than follow from the instance; call it before anything is made of them.

    Raises:
        MessageError: There are more or fewer parts, or one has another length.
    """
    found = tuple(map(len, parts))
    if found != lengths:
        raise MessageError(f"the parts of the message must have {_listed(lengths)} bytes, got {_listed(found)}")


def require_name(value: str, name: str) -> str:
    """Return a name of 1 to 200 printable letters, if it is the one way to write it.

    Two names that look alike would be two data sets, with a budget each: accents are to be part of their letters
    (Unicode's normal form C), as not every system types them, and spaces are not to stand at the ends.

    Raises:
        TypeError: It is no string.
        ValueError: It is empty, too long, written in another way, or holds what cannot be printed.
    """
    if not 0 < len(of_type(value, str, name)) <= _MOST_LETTERS or not value.isprintable():
        raise ValueError(f"`{name}` must be a name of 1 to {_MOST_LETTERS} printable letters, got {value!r:.250}")
    if value != unicodedata.normalize("NFC", value.strip()):
        raise ValueError(
            f"`{name}` must be in Unicode's normal form C and have no spaces at its ends, got {value!a:.250}"
        )
    return value


def vectors_bytes(instance: Instance, keys: int) -> int:
    """The length of `vectors_to_bytes`."""
    return _WORD.itemsize * keys * instance.length


def vectors_to_bytes(y: IntArray) -> bytes:
    """The vectors of keys, int64 [keys, length] as `Instance.require_keys` returns them, as words of 16 bits."""
    return y.astype(_WORD).tobytes()


def vectors_from_bytes(instance: Instance, part: memoryview) -> IntArray:
    """The vectors of keys, int64 [keys, length], read-only, from a part whose length is that of some vectors.

    Raises:
        MessageError: An element is beyond the instance's limit.
    """
    words = np.frombuffer(part, _WORD).astype(np.int64)
    try:
        return frozen(instance.require_keys(words.reshape(-1, instance.length)))
    except ValueError as error:
        raise MessageError(f"the vectors in the message are wrong: {error}") from error


def _described(instance: Instance) -> dict[str, Any]:
    return {
        "scheme": instance.scheme,
        "length": instance.length,
        "inputs": [instance.inputs.lo, instance.inputs.hi],
        "key_limit": instance.key_limit,
        "id": instance.id,
    }


def _instance(described: Any) -> Instance:
    try:
        if described.keys() != {"scheme", "length", "inputs", "key_limit", "id"}:
            raise ValueError(f"it must have the five fields of an instance, got {sorted(described)}")
        lo, hi = described["inputs"]
        return Instance(**{**described, "inputs": IntDomain(lo, hi)})
    except (AttributeError, TypeError, ValueError) as error:
        raise MessageError(f"the message names no instance: {error}") from error


def _difference(found: Instance, expected: Instance) -> str:
    return found.id if found.id != expected.id else "the same id and another shape"


def _listed(lengths: Sequence[int]) -> str:
    return ", ".join(map(str, lengths[:8])) + (", ..." if len(lengths) > 8 else "") or "no"
