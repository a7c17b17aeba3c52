"""What a client knows beside its keys, as bytes: what has been counted, and which requests wait for an answer."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from he.formats.messages import Kind, MessageError, open_message, require_fields, require_match, seal_message
from he.parties.keys import SecretKey


class State(NamedTuple):
    """The state of a client.

    Attributes:
        key: the name of its evaluation keys.
        answers, refusals, published: how many answers have been decrypted, refused and published.
        questions: what `Questions.to_parts` returned.
    """

    key: str
    answers: int
    refusals: int
    published: int
    questions: Sequence[bytes | memoryview]


def seal_state(state: State, secret_key: SecretKey, circuit: str) -> bytes:
    """Return a state as bytes, which only the owner of the secret key can make for the circuit with this digest.

    Raises:
        MessageError: if more requests are open than a message holds.
    """
    fields = {name: getattr(state, name) for name in State._fields if name != "questions"}
    mark = _mark(fields, state.questions, secret_key, circuit)
    return seal_message(Kind.CLIENT, {**fields, "circuit": circuit, "mark": mark}, list(map(bytes, state.questions)))


def open_state(data: bytes, secret_key: SecretKey, circuit: str) -> State:
    """Read what `seal_state` returned.

    Raises:
        MessageError: if the bytes are truncated, damaged or foreign, or made for another circuit or by another key.
        TypeError: if they are no bytes.
    """
    fields, parts = open_message(Kind.CLIENT, data)
    require_fields(fields, "circuit", "mark", *State._fields[:-1])
    require_match(fields, "circuit", circuit, "circuit or parameter set")
    mark, _ = fields.pop("mark"), fields.pop("circuit")
    due = _mark(fields, parts, secret_key, circuit)
    if not (isinstance(mark, str) and mark.isascii() and hmac.compare_digest(mark, due)):
        raise MessageError("the state was made from another secret key, or changed; give that of this key")
    return State(**fields, questions=parts)


def state_circuit(data: bytes) -> str:
    """Return the digest of the circuit for which a state was made; whether it is sound, `open_state` says.

    Raises:
        MessageError: if the bytes are truncated, damaged or foreign.
        TypeError: if they are no bytes.
    """
    return str(open_message(Kind.CLIENT, data)[0].get("circuit"))


def _mark(fields: dict[str, Any], parts: Sequence[bytes | memoryview], secret_key: SecretKey, circuit: str) -> str:
    digests = [hashlib.sha256(part).hexdigest() for part in parts]
    return secret_key.mark(circuit, b"state of a client" + json.dumps([fields, digests], sort_keys=True).encode())
