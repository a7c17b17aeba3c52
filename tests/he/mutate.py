"""Mutants of messages: altered where their structure is, mostly with a right digest, so that parsers are reached."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any, Protocol

from blake3 import blake3

from he.formats.messages import Kind

SCALARS: list[Any] = [
    *(0, 1, -1, 2, 3, 16, 255, 1024, 32768, 65537, 1 << 31, (1 << 31) - 1, -(1 << 31), 1 << 40, 1 << 62, (1 << 63) - 1),
    *(
        4611686018427322369,
        1 << 63,
        1 << 64,
        1 << 128,
        10**400,
        -(10**400),
        0.0,
        -0.0,
        0.5,
        1.0,
        5.0,
        1e-300,
        1e300,
        1.7e308,
        5e-324,
    ),
    *(float("nan"), float("inf"), -float("inf"), None, True, False, "", "x", "ckks", "insecure", "data", "0" * 64),
    *([], {}, [0], [1, 2, 3], {"a": 1}),
]

HEADERS = (
    b"[" * 60_000,
    b'{"a":' * 10_000,
    b'{"circuit": 3, ',
    b'{"parts": [], ',
    b'{"x": NaN, ',
    b"\xef\xbb\xbf{",
    b"{" + b" " * 65_000,
)

Fields = dict[str, Any]
Mutant = tuple[Fields, list[bytes]]


class Sender(Protocol):
    """Who has honest messages, each as its fields and parts."""

    messages: dict[Kind, Mutant]


def mutated(rng: random.Random, kind: Kind, subject: Sender, subjects: Sequence[Sender]) -> tuple[bytes, bool]:
    """A mutated message of a kind for one of these subjects, and whether its residues may be altered."""
    fields, parts = subject.messages[kind]
    parts, is_altered, header = list(parts), False, None
    if rng.random() < 0.6:
        fields = json.loads(json.dumps(fields))  # a copy
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            _mutate_fields(rng, fields)
    if rng.random() < 0.4:
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            is_altered |= _mutate_parts(rng, parts, subjects)
    runs = [[1, len(part)] for part in parts]
    header = json.dumps({**fields, "parts": runs if rng.random() < 0.9 else _scalar(rng)}).encode()
    if rng.random() < 0.2:
        header = _mutated_bytes(rng, header)
    if rng.random() < 0.02:
        header = rng.choice(HEADERS) + header[1:]
    length = len(header) if rng.random() < 0.95 else rng.choice((0, 1, len(header) + 1, 1 << 16, (1 << 32) - 1))
    letter = kind.value if rng.random() < 0.99 else rng.randbytes(1)
    body = b"".join([b"HEINF3", letter, length.to_bytes(4, "big"), header, *parts])
    if rng.random() < 0.05:
        body, is_altered = _mutated_bytes(rng, body), True
    digest = blake3(body).digest() if rng.random() < 0.97 else rng.randbytes(32)
    return body + digest, is_altered


def _mutate_fields(rng: random.Random, fields: Fields) -> None:
    """Alter, remove or add something anywhere in a header."""
    place: Any = fields
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = rng.choice(keys)
        if isinstance(place[key], dict | list) and place[key] and rng.random() < 0.8:
            place = place[key]
            continue
        break
    match rng.randrange(6):
        case 0:
            del place[key]
        case 1 if isinstance(place, dict):
            place[rng.choice(["x", *keys])] = place.pop(key)
        case 1:
            place.insert(key, _scalar(rng))
        case 2 if type(place[key]) in (int, float) and abs(place[key]) < 1 << 60:
            place[key] += rng.choice((-1, 1, 0.5, -place[key], place[key]))
        case 3 if isinstance(place, list) and len(place) < 1000:
            place += place * rng.choice((1, 100))
        case _:
            place[key] = _scalar(rng)


def _scalar(rng: random.Random) -> Any:
    value = rng.choice(SCALARS) if rng.random() < 0.998 else rng.choice(("x" * 70_000, [0] * 40_000))
    value = value.copy() if isinstance(value, list | dict) else value  # what is altered later is not the list above
    for _ in range(rng.choice((0,) * 50 + (1, 2, 300))):
        value = [value]
    return value


def _mutate_parts(rng: random.Random, parts: list[bytes], subjects: Sequence[Sender]) -> bool:
    """Alter, move, remove or add parts; tell whether what an honest answer would hold may have changed."""
    if not parts or rng.random() < 0.15:
        _, donor = rng.choice(list(rng.choice(subjects).messages.values()))
        parts.insert(rng.randint(0, len(parts)), rng.choice(donor) if donor else rng.randbytes(rng.randrange(99)))
        return True
    i, j = rng.randrange(len(parts)), rng.randrange(len(parts))
    match rng.randrange(6):
        case 0:
            del parts[i]
        case 1:
            parts[i], parts[j] = parts[j], parts[i]
        case 2:
            parts.append(parts[i])
        case 3:
            parts[i] = parts[i][: rng.randrange(len(parts[i]) + 1)]
        case _:
            parts[i] = _mutated_bytes(rng, parts[i])
    return True


def _mutated_bytes(rng: random.Random, original: bytes) -> bytes:
    data = bytearray(original)
    for _ in range(rng.choice((1, 1, 2, 4))):
        place, word = rng.randrange(len(data) + 1), rng.choice((b"\0" * 8, b"\xff" * 8, b"\1" + b"\0" * 7))
        match rng.randrange(7):
            case 0 | 1 if place < len(data):
                data[place] ^= 1 << rng.randrange(8)
            case 2:
                data[place : place + 8] = word
            case 3:
                del data[place:]
            case 4:
                data[place:place] = rng.randbytes(rng.randint(1, 40))
            case 5:
                del data[place : place + rng.randint(1, 40)]
            case _:
                other = rng.randrange(len(data) + 1)
                data[place : place + 64] = data[other : other + 64]
    return bytes(data)
