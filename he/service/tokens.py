"""Permitted clients: a name, what they may use, and a token of which only a hash is stored.

The file is JSON, readable by its owner only: for every name the SHA-256 of its token, the models that it may use (`"*"`
for all), and whether it may read the server's measurements. Tokens are 32 random bytes, so that a hash without salt or
cost tells nothing of them. A new file takes effect when the server starts.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from he.formats.header import parsed
from he.formats.keys import read_private, write_private
from intnn.values.value_object import ValueObject

NAME = re.compile("[A-Za-z0-9._-]{1,64}")
_HASH = re.compile("[0-9a-f]{64}")
_EVERYTHING = "*"


class TokenError(ValueError):
    """A file of tokens is malformed, or a client's name is."""


@dataclass(frozen=True)
class Permitted(ValueObject):
    """A client that may use a server.

    Attributes:
        name: its name, of up to 64 letters, digits, and `._-`.
        models: the names of models that it may use, or `"*"` for all.
        operator: whether it may read the server's measurements.

    Raises:
        TokenError: if the name is malformed.
    """

    name: str
    models: tuple[str, ...] = (_EVERYTHING,)
    operator: bool = False

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise TokenError(f"a client's name must have 1 to 64 letters, digits, and ._-, got {self.name!r:.80}")

    def may_use(self, model: str) -> bool:
        """Return whether it may use a model."""
        return _EVERYTHING in self.models or model in self.models


#: Who everybody is where there are no tokens.
PUBLIC = Permitted("public", operator=True)


class Tokens:
    """The clients that a server permits, by the hashes of their tokens."""

    def __init__(self, clients: Mapping[str, Permitted]) -> None:
        self._clients = dict(clients)

    @staticmethod
    def load(path: Path) -> Tokens:
        """Read a file of tokens.

        Raises:
            TokenError: if it is malformed.
            KeyFileError: if others may read it.
            OSError: if it cannot be read.
        """
        clients, content = {}, read_private(path)
        try:
            for name, entry in parsed(content).items():
                digest, models = entry["sha256"], entry.get("models", [_EVERYTHING])
                are_names = isinstance(models, list) and all(isinstance(model, str) for model in models)
                if not _HASH.fullmatch(digest) or not are_names:
                    raise ValueError(f"{name!r:.80} must have a hash, and a list of models' names")
                clients[digest] = Permitted(name, tuple(models), entry.get("operator") is True)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise TokenError(f"{path} is no file of tokens: {error!r}; write it by `python -m he token`") from error
        return Tokens(clients)

    def named(self, name: str) -> Permitted | None:
        """Return the client of a name, None if there is none."""
        return next((client for client in self._clients.values() if client.name == name), None)

    def client(self, token: str) -> Permitted | None:
        """Return whose token this is, None if it is nobody's; in a time that does not tell how nearly it is one."""
        digest, found = _digest(token), None
        for known, client in self._clients.items():
            if hmac.compare_digest(known, digest):
                found = client
        return found


def add(path: Path, client: Permitted) -> str:
    """Add a client to a file, or give it a new token, and return that; it is stored nowhere.

    Raises:
        TokenError: if the file is malformed.
        KeyFileError: if others may read it.
        OSError: if it cannot be read or written.
    """
    entries = {}
    if path.exists():
        Tokens.load(path)
        entries = parsed(read_private(path))
    token = secrets.token_urlsafe(32)
    entries[client.name] = {"sha256": _digest(token), "models": list(client.models), "operator": client.operator}
    write_private(path, json.dumps(entries, indent=2).encode())
    return token


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
