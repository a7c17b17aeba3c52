"""What the authority's journal says: instances that were opened, keys that were issued or may be, owners' names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from he.formats.messages import Kind
from he.functional.instance import Instance
from he.functional.ledger import Span
from he.functional.messages import number, require_lengths, require_name, seal
from he.functional.messages import opened as opened_message
from he.functional.parties.books import Account, Books, Opening
from he.kernels.passes.span import BITS
from intnn.values.arrays import Array

_WORD = np.dtype("<u8")
_MOST = (1 << 63) - 1


def opened(opening: Opening, prime: int, master: bytes) -> bytes:
    """An instance, with its secrets: the master key, and the prime of its span if it is the first of its account."""
    return seal(Kind.JOURNAL, opening.instance, {"event": "opened", "prime": prime, **opening.fields()}, [master])


def issued(of: Instance, keys: int, added: Array, batch: int = 0) -> bytes:
    """How many keys there are for the data of an instance, and what a batch's span has more: uint64 [rows, length]."""
    fields = {"event": "issued", "keys": keys, "rows": len(added), **({"batch": batch} if batch else {})}
    return seal(Kind.JOURNAL, of, fields, _rows(added))


def foreseen(of: Instance, keys: int, batches: range) -> bytes:
    """How many keys there are, as in `issued`, and that some batches count as wholly known until they are settled."""
    fields = {"event": "foreseen", "keys": keys, "first": batches.start, "stop": batches.stop}
    return seal(Kind.JOURNAL, of, fields)


def settled(of: Instance, batch: int, span: Span) -> bytes:
    """What is known of a batch that counted as wholly known; it may be said again, as older journals do."""
    return seal(Kind.JOURNAL, of, {"event": "settled", "batch": batch, "rows": span.rank}, _rows(span.basis()))


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
        MismatchError: It speaks of an instance that was not opened before.
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
    known, accounts = books.opened(of)
    if event == "issued":
        account = _account(accounts, fields)
        account.span = account.span.extended(_vectors(of, fields, parts))
        books.issued[known.data] = number(fields, "keys", _MOST, least=0)
    elif event == "foreseen":
        stop = number(fields, "stop", len(accounts))
        for account in accounts[number(fields, "first", stop - 1, least=0) : stop]:
            account.foresee()
            account.span = Span.whole(of.length, account.span.prime)
        books.issued[known.data] = number(fields, "keys", _MOST, least=0)
    elif event == "settled":
        account, vectors = _account(accounts, fields), _vectors(of, fields, parts)
        account.settle(Span.empty(of.length, account.span.prime).extended(vectors))
    else:
        books.enrol(of, require_name(fields["owner"], "owner"))
    return known


def _rows(vectors: Array) -> list[bytes]:
    return [vectors.astype(_WORD).tobytes()] if len(vectors) else []


def _vectors(of: Instance, fields: dict[str, Any], parts: Sequence[memoryview]) -> Array:
    rows = number(fields, "rows", of.length, least=0)
    require_lengths(parts, *([_WORD.itemsize * rows * of.length] if rows else []))
    return np.frombuffer(b"".join(parts), _WORD).reshape(rows, of.length)


def _account(accounts: Sequence[Account], fields: dict[str, Any]) -> Account:
    """The account of the batch that a message names, the first one unless it does."""
    return accounts[number({"batch": 0, **fields}, "batch", len(accounts) - 1, least=0)]
