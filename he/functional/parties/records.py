"""What the authority's journal says: that an instance was opened, that keys were issued, that an owner was enrolled."""

from __future__ import annotations

import numpy as np

from he.formats.messages import Kind, MessageError
from he.functional.instance import Instance
from he.functional.messages import number, require_lengths, require_name, seal
from he.functional.messages import opened as opened_message
from he.functional.parties.books import Books, Opening
from he.kernels.passes.span import BITS
from intnn.values.arrays import Array

_WORD = np.dtype("<u8")
_MOST = (1 << 63) - 1


def opened(opening: Opening, prime: int, master: bytes) -> bytes:
    """An instance, with its secrets: the master key, and the prime of its span if it is the first of its account."""
    return seal(Kind.JOURNAL, opening.instance, {"event": "opened", "prime": prime, **opening.fields()}, [master])


def issued(of: Instance, keys: int, added: Array) -> bytes:
    """How many keys there are for the data of an instance, and what its span has more: uint64 [rows, length]."""
    parts = [added.astype(_WORD).tobytes()] if len(added) else []
    return seal(Kind.JOURNAL, of, {"event": "issued", "keys": keys, "rows": len(added)}, parts)


def enrolled(of: Instance, owner: str) -> bytes:
    """An owner."""
    return seal(Kind.JOURNAL, of, {"event": "enrolled", "owner": owner})


def master_key(message: bytes) -> tuple[Instance, bytes]:
    """The instance that was opened, and its master key's bytes.

    Raises:
        MessageError: The message is damaged.
    """
    of, _, parts = opened_message(Kind.JOURNAL, message, names=None)
    return of, bytes(parts[0])


def enter(books: Books, message: bytes) -> Opening:
    """Enter in the books what a message says, and return the opening of the instance of which it speaks.

    Raises:
        MessageError: The message is damaged, or says what cannot be.
        KeyError: A field is missing.
        TypeError: A field is of another type.
        ValueError: A field has a value that cannot be.
    """
    of, fields, parts = opened_message(Kind.JOURNAL, message, names=None)
    event = fields.pop("event")
    if event == "opened":
        prime, opening = number(fields, "prime", (1 << BITS) - 1, least=1 << (BITS - 1)), Opening.of(of, fields)
        books.open(opening, prime)
        return opening
    known = books.opening(of)
    if known is None:
        raise MessageError(f"instance {of.id} was not opened before")
    if event == "issued":
        rows, keys = number(fields, "rows", of.length, least=0), number(fields, "keys", _MOST, least=0)
        require_lengths(parts, *([_WORD.itemsize * rows * of.length] if rows else []))
        books.restore(known, np.frombuffer(b"".join(parts), _WORD).reshape(rows, of.length), keys)
    else:
        books.enrol(of, require_name(fields["owner"], "owner"))
    return known
