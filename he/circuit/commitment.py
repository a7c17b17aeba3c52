"""A commitment to a network: it tells nothing of the network, and no other network opens it.

A client sees the commitment in the interface, and every message names the circuit by a digest over the interface. So a
circuit of another network is another circuit, even where both have one architecture.

Nobody without the salt learns anything: to test a guess of the network takes 32 random bytes as well (SHA-256 as a
random oracle). Nobody, its owner included, finds two networks for one commitment (SHA-256 has no known collisions).
Nothing shows that a server evaluates the network that it has committed to: only someone to whom the owner gives
network and salt can compare answers with it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeAlias

from intnn.values.arrays import instance

if TYPE_CHECKING:
    from intnn import Graph, IntNetwork

    Network: TypeAlias = IntNetwork | Graph

SALT_BYTES = 32
_DIGITS = frozenset("0123456789abcdef")
_DOMAIN = b"encrypted inference: commitment to a network"  # no other hash of the toolkit begins so


def commitment(network: Network, salt: bytes) -> str:
    """Return the commitment to a network under a salt, 64 hexadecimal digits.

    Args:
        network: the network as it was compiled. Its layers and arrays count, and so do its name and metadata, as in
            `network.fingerprint`.
        salt: 32 bytes, secret as long as the network is to be.

    Raises:
        TypeError: if the network is none, or the salt no bytes.
        ValueError: if the salt has another length.
    """
    from intnn import Graph, IntNetwork  # clients, who compare commitments, have no network

    if not isinstance(network, IntNetwork | Graph):
        raise TypeError(f"`network` must be an IntNetwork or a Graph, got {type(network).__name__}")
    content = bytes.fromhex(network.fingerprint)
    return hashlib.sha256(_DOMAIN + require_salt(salt) + content).hexdigest()


def require_salt(salt: object) -> bytes:
    """Return a salt, if it is one.

    Raises:
        TypeError: if it is no bytes.
        ValueError: if it has another length than 32.
    """
    salt = instance(salt, bytes, "salt", "draw one with secrets.token_bytes(32)")
    if len(salt) != SALT_BYTES:
        raise ValueError(f"`salt` must have {SALT_BYTES} bytes, got {len(salt)}; draw it with secrets.token_bytes(32)")
    return salt


def is_digest(value: object) -> bool:
    """Return whether this is a string of 64 hexadecimal digits in lower case."""
    return isinstance(value, str) and len(value) == 64 and set(value) <= _DIGITS
