"""A secret key's file: encrypted under a password, and readable by its owner only.

Layout: magic (5 bytes), version (1), header length (4, big-endian), header (JSON: parameters, the key's name, the cost
of scrypt, salt, nonce), the key encrypted by AES-256-GCM with its tag, SHA-256 over all before it. All before the
encrypted key is authenticated with it. The last digest needs no password: it tells damage from a wrong password.

Sources: scrypt, RFC 7914; AES-GCM, NIST SP 800-38D; the cost, OWASP's *Password Storage Cheat Sheet* (N = 2**17, r = 8,
p = 1: 128 MiB and a quarter of a second for every guess).
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import stat
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from he.formats.limits import require_at_most
from intnn.storage.document import require_place, write_atomically
from intnn.values.value_object import Unstorable, ValueObject

_MAGIC, _VERSION = b"HEKEY", 1
_START = len(_MAGIC) + 5
_HEADER_LIMIT = 4096
MAX_FILE_BYTES = 1 << 26  # 64 primes, the most of a chain, take 34 MB in the largest ring
_SALT_BYTES, _NONCE_BYTES, _TAG_BYTES, _DIGEST_BYTES = 16, 12, 16, 32
_MIN_LOG2_N, _MAX_LOG2_N, _MAX_P = 14, 18, 4


class KeyFileError(ValueError):
    """A file from which no secret key can be had, or a password under which none may be stored."""


@dataclass(frozen=True)
class Cost(ValueObject):
    """What every guess of a password costs: 1024 * 2**log2_n bytes of memory, for time in proportion to 2**log2_n * p.

    Attributes:
        log2_n: the binary logarithm of scrypt's N, from 14 to 18. The largest takes 256 MiB: no file can ask for more.
        p: how many such blocks are computed one after the other, from 1 to 4.

    Raises:
        ValueError: if a number is out of its range.
    """

    log2_n: int = 17
    p: int = 1

    def __post_init__(self) -> None:
        if type(self.log2_n) is not int or not _MIN_LOG2_N <= self.log2_n <= _MAX_LOG2_N:
            raise ValueError(f"`log2_n` must be an integer from {_MIN_LOG2_N} to {_MAX_LOG2_N}, got {self.log2_n!r}")
        if type(self.p) is not int or not 1 <= self.p <= _MAX_P:
            raise ValueError(f"`p` must be an integer from 1 to {_MAX_P}, got {self.p!r}")


@dataclass(frozen=True, repr=False)
class Protected(Unstorable, instead="store it under a password with `protect`"):
    """A secret with what may be known of it.

    Attributes:
        fields: plain JSON types; they are stored in the clear, and authenticated.
        secret: the bytes that the password protects.
    """

    fields: dict[str, Any]
    secret: bytes


def protect(content: Protected, password: str, cost: Cost) -> bytes:
    """A secret as the bytes of a file.

    Raises:
        KeyFileError: if the password is empty or no text that UTF-8 can hold, or the fields are too many for a header.
        TypeError: if the password is no string.
    """
    salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
    fields = {"fields": content.fields, "scrypt": asdict(cost), "salt": salt.hex(), "nonce": nonce.hex()}
    header = json.dumps(fields, sort_keys=True).encode()
    _require_header(len(header))
    head = _MAGIC + bytes([_VERSION]) + len(header).to_bytes(4, "big") + header
    body = head + AESGCM(_derived(password, salt, cost)).encrypt(nonce, content.secret, head)
    return body + hashlib.sha256(body).digest()


def reveal(data: bytes, password: str) -> Protected:
    """The secret in the bytes of a file.

    Raises:
        KeyFileError: if the bytes are foreign, of another version, truncated or damaged, or the password is wrong.
        TypeError: if the password is no string.
    """
    if data[: len(_MAGIC)] != _MAGIC:
        raise KeyFileError("the file holds no secret key of this toolkit; choose a file that `SecretKey.save` wrote")
    if len(data) > len(_MAGIC) and data[len(_MAGIC)] != _VERSION:  # which may have another digest
        raise KeyFileError(
            f"the key file must be of version {_VERSION}, got {data[len(_MAGIC)]}; read it with the version of this "
            "toolkit that wrote it"
        )
    if len(data) < _START + _TAG_BYTES + _DIGEST_BYTES or _digest(data[:-_DIGEST_BYTES]) != data[-_DIGEST_BYTES:]:
        raise KeyFileError("the key file is truncated or damaged: its digest does not match; restore it from a copy")
    end = _START + int.from_bytes(data[_START - 4 : _START], "big")
    _require_header(end - _START)
    if end > len(data) - _TAG_BYTES - _DIGEST_BYTES:
        raise KeyFileError("the key file was altered: its header is longer than the file")
    try:
        header = json.loads(data[_START:end])
        fields, cost = header["fields"], Cost(**header["scrypt"])
        salt, nonce = bytes.fromhex(header["salt"]), bytes.fromhex(header["nonce"])
        sound = isinstance(fields, dict) and (len(salt), len(nonce)) == (_SALT_BYTES, _NONCE_BYTES)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise KeyFileError(f"the key file was altered: its header is malformed: {error}") from error
    if not sound:
        raise KeyFileError("the key file was altered: its header is malformed")
    try:
        secret = AESGCM(_derived(password, salt, cost)).decrypt(nonce, data[end:-_DIGEST_BYTES], data[:end])
    except InvalidTag:
        raise KeyFileError("the password is wrong, or somebody altered the key file; try the password again") from None
    return Protected(fields, secret)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Have a secret key's file to oneself for a while: two that count under one key at a time would count too little.

    Raises:
        KeyFileError: if another process has it (where the system knows such locks).
        OSError: if there is none, or it cannot be read.
    """
    with path.open("rb") as file:
        if os.name == "posix":
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise KeyFileError(f"{path} is in use, and one process at a time may use a key; wait for it") from None
        yield


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all; see `intnn.storage.document.write_atomically`.

    Raises:
        KeyFileError: if there are more than `MAX_FILE_BYTES`.
        OSError: if it cannot be written.
    """
    require_place(path)
    _require_size(path, len(data))
    write_atomically(path, data, private=True)


def read_private(path: Path) -> bytes:
    """A file that only its owner may read.

    Raises:
        KeyFileError: if others may read or write it (where the system knows such rights), it is no file, or it has more
            than `MAX_FILE_BYTES`.
        OSError: if there is none or it cannot be read.
    """
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise KeyFileError(f"a secret key must lie in a regular file, and {path} is none")
        mode = stat.S_IMODE(status.st_mode)
        if os.name == "posix" and mode & 0o077:
            raise KeyFileError(f"others may use {path} (mode {mode:04o}); take that right away: chmod 600 {path}")
        _require_size(path, status.st_size)
        return file.read(status.st_size)


def _derived(password: str, salt: bytes, cost: Cost) -> bytes:
    """The key of AES that a password stands for; Unicode's ways to write one letter are one (NFC, as in RFC 8265)."""
    if not isinstance(password, str):
        raise TypeError(f"`password` must be a string, got {type(password).__name__}")
    if not password or "\0" in password:  # to HMAC, and so to scrypt, zeros at the end of a key are none
        raise KeyFileError("`password` must not be empty and hold no NUL: a secret key is stored under a password only")
    try:
        raw = unicodedata.normalize("NFC", password).encode()
    except UnicodeEncodeError:
        raise KeyFileError(
            "`password` must be text, and this one holds half a character (a lone surrogate), as bytes do that were "
            "decoded in another encoding; type it again"
        ) from None  # whose message quotes the password
    return Scrypt(salt=salt, length=32, n=1 << cost.log2_n, r=8, p=cost.p).derive(raw)


def _require_size(path: Path, size: int) -> None:
    require_at_most(MAX_FILE_BYTES, size, f"the key file {path}", KeyFileError, "no secure chain of primes is as long")


def _require_header(length: int) -> None:
    require_at_most(
        _HEADER_LIMIT, length, "the header of a key file", KeyFileError, "it was altered, or names too much"
    )


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
