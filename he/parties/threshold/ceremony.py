"""How two owners make one key: five messages, after which each has a share of the secret, and both the same keys.

    data owner                                model owner
    DataShare.invitation    -- nonce -->      ModelShare.commit
    DataShare.first         <-- commitment    (nonce, and a hash of what it is about to publish)
                            -- first -->      ModelShare.shares
    DataShare.second        <-- shares --     (what the hash is of, and its shares of all evaluation keys)
                            -- second -->     ModelShare.finish

*Commit, then open.* Whoever publishes its share b_2 of the public key after it has seen b_1 could choose b_2 = b' -
b_1: then the joint key would be b', whose secret it alone knows (a *rogue key*). The model owner commits to its share
by a hash before it sees the data owner's, and the data owner sees nothing but a hash before it publishes its own: so
each share is independent of the other one, and the joint public key hides what is encrypted under it from either owner,
even from one that deviates. The commitment proves nothing else: not that an owner knows the secret of what it
publishes, nor that its errors are small, nor that its shares of evaluation keys belong to its share of the public key.
An owner who deviates here can make keys that evaluate to noise or to something else.

Every message names the one before by its digest, so that messages of another ceremony are refused. A transport that
authenticates is needed: a stranger in the middle can be the other owner for both.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from he.circuit.interface import Interface
from he.formats.messages import (
    Kind,
    MessageError,
    message_digest,
    open_message,
    require_fields,
    require_match,
    seal_message,
    unchanging,
)
from he.parties.evaluation_keys import EvaluationKeys
from he.parties.interfaces import read_interface
from he.parties.keys import SecretKey
from he.parties.policy import Policy
from he.parties.public_key import PublicKey
from he.parties.threshold import halves
from he.parties.threshold.halves import First, Strings
from he.ring.params import ParameterError
from intnn.values.value_object import Unstorable

_NONCE_BYTES = 32
_DIGITS = re.compile("[0-9a-f]{64}")


class JointKey(NamedTuple):
    """What an owner has at the end.

    Attributes:
        share: its share of the secret, a ternary secret like that of a key of one owner.
        evaluation_keys: the keys for the evaluator; both owners have the same.
        public_key: the public key, under which images and weights are encrypted; the same for both, too.
    """

    share: SecretKey
    evaluation_keys: EvaluationKeys
    public_key: PublicKey


_INSTEAD = "keep its `key.share` with `SecretKey.save`"


class _Owner(Unstorable, instead=_INSTEAD):
    """What both owners do alike. A ceremony is made once: its share is drawn for it, and used in no other."""

    _leads: ClassVar[bool]  # whether this owner's first message holds its share, encrypted; one of both does
    _strings: Strings  # from the first message that has been received on, as the two below
    _first: First
    _published: list[bytes]

    def __init__(self, interface: Interface | bytes) -> None:
        found = interface if isinstance(interface, Interface) else read_interface(interface)
        if not (isinstance(found, Interface) and found.threshold):
            raise ParameterError("the circuit's key has one owner: compile it with `threshold`")
        self._interface, self._secret = found, SecretKey.generate(found.parameters)
        self._share, self._nonce = self._secret.share(), secrets.token_bytes(_NONCE_BYTES)
        self._before, self._due, self._taken = "", "", 0  # digests: of the last message, and of one that is read
        self._key: JointKey | None = None

    @property
    def key(self) -> JointKey:
        """What the owner has at the end.

        Raises:
            LookupError: before that.
        """
        if self._key is None:
            raise LookupError("the owners have not made their key yet")
        return self._key

    def _sealed(self, kind: Kind, parts: Sequence[bytes] = (), **fields: str) -> bytes:
        """Return a message that names the one before."""
        message = seal_message(kind, {**fields, "circuit": self._interface.digest, "before": self._before}, parts)
        self._before = message_digest(message)
        return message

    def _opened(
        self, kind: Kind, message: bytes, taken: int, most: int, *names: str
    ) -> tuple[dict[str, Any], list[memoryview]]:
        """Return the fields and parts of the message that is due; `taken` is how many this owner has had before."""
        message = unchanging(kind, message, most)
        fields, parts = open_message(kind, message, most)
        require_fields(fields, "circuit", "before", *names)
        require_match(fields, "circuit", self._interface.digest, "circuit or parameter set")
        if not all(isinstance(fields[name], str) and _DIGITS.fullmatch(fields[name]) for name in names):
            raise MessageError(f"the fields {', '.join(names)} must be 64 hexadecimal digits each")
        if taken != self._taken:
            raise MessageError("a message must be the next one that is due of two owners' key, got another")
        require_match(fields, "before", self._before, "ceremony, or is not the next one of this")
        self._due = message_digest(message)
        return fields, parts

    def _received(self) -> None:
        """Go on behind the message that was opened last."""
        self._taken, self._before = self._taken + 1, self._due

    def _contribute(self, nonces: Sequence[bytes]) -> None:
        """Make what this owner publishes first."""
        self._strings = Strings(self._interface, nonces)
        self._first = halves.first(self._share, self._interface, self._strings, leads=self._leads)
        self._published = self._first.to_parts(self._interface)

    def _second(self, named: Sequence[np.ndarray], theirs: First) -> bytes:
        return halves.second(self._share, self._interface, named, theirs, leads=self._leads)

    def _finish(self, keys: EvaluationKeys, theirs: First) -> None:
        publics = self._first.public, theirs.public
        self._key = JointKey(
            self._secret, keys, halves.joint_public_key(self._interface, self._strings, publics, keys.id)
        )


class DataShare(_Owner, instead=_INSTEAD):
    """The data owner's part in the making of a key.

    Args:
        interface: the circuit's public part, or its bytes.
        policy: what the data owner insists on.

    Attributes:
        invitation: the first message, for `ModelShare.commit`.

    Raises:
        MessageError: if the bytes are no interface.
        ParameterError: if the circuit's key has one owner.
        PolicyError: if the policy does not accept the interface; no key has been made then.
    """

    _leads = True

    def __init__(self, interface: Interface | bytes, *, policy: Policy | None = None) -> None:
        found = interface if isinstance(interface, Interface) else read_interface(interface)
        (policy or Policy()).require(found)
        super().__init__(found)
        self._committed = ""
        self.invitation = self._sealed(Kind.JOINT_INVITATION, nonce=self._nonce.hex())

    def first(self, commitment: bytes) -> bytes:
        """Return the message for `ModelShare.shares`, given what `ModelShare.commit` returned.

        Raises:
            MessageError: if the message is damaged, foreign, or not the one that is due; nothing has changed then.
        """
        fields, _ = self._opened(Kind.JOINT_COMMITMENT, commitment, 0, 0, "nonce", "commitment")
        self._received()
        self._committed = fields["commitment"]
        self._contribute([self._nonce, bytes.fromhex(fields["nonce"])])
        return self._sealed(Kind.JOINT_FIRST, self._published)

    def second(self, shares: bytes) -> bytes:
        """Return the message for `ModelShare.finish`, given what `ModelShare.shares` returned; `key` is there then.

        Raises:
            MessageError: if the message is damaged, foreign, not the one that is due, or not what was committed to;
                nothing has changed then.
        """
        interface = self._interface
        most = halves.public_bytes(interface) + halves.products_bytes(interface) + halves.keys_bytes(interface)
        _, parts = self._opened(Kind.JOINT_SHARES, shares, 1, most)
        if len(parts) != 3 or _commitment(parts[:2]) != self._committed:
            raise MessageError("the model owner's shares must be those that it has committed to")
        theirs = First.from_parts(parts[:2], interface)
        named = self._strings.of_keys(*self._published, *parts[:2])
        own = self._second(named, theirs)
        data = halves.keys_data(interface, named, [own, parts[2]])
        mark = self._secret.mark(interface.digest, data)  # by which this owner alone knows its keys again
        self._finish(EvaluationKeys.sealed(interface.digest, data, mark), theirs)
        self._received()
        return self._sealed(Kind.JOINT_SECOND, [own], mark=mark)


class ModelShare(_Owner, instead=_INSTEAD):
    """The model owner's part in the making of a key.

    Args:
        interface: the circuit's public part, or its bytes.

    Raises:
        MessageError: if the bytes are no interface.
        ParameterError: if the circuit's key has one owner.
    """

    _leads = False
    _theirs: First  # from the second message that has been received on, as the two below
    _named: Sequence[np.ndarray]
    _half: bytes

    def commit(self, invitation: bytes) -> bytes:
        """Return the message for `DataShare.first`, given a data owner's `DataShare.invitation`.

        Raises:
            MessageError: if the message is damaged, foreign, or not the one that is due; nothing has changed then.
        """
        fields, _ = self._opened(Kind.JOINT_INVITATION, invitation, 0, 0, "nonce")
        self._received()
        self._contribute([bytes.fromhex(fields["nonce"]), self._nonce])
        return self._sealed(Kind.JOINT_COMMITMENT, nonce=self._nonce.hex(), commitment=_commitment(self._published))

    def shares(self, first: bytes) -> bytes:
        """Return the message for `DataShare.second`, given what `DataShare.first` returned.

        Raises:
            MessageError: if the message is damaged, foreign, or not the one that is due; nothing has changed then.
        """
        interface = self._interface
        most = halves.public_bytes(interface) + halves.products_bytes(interface)
        _, parts = self._opened(Kind.JOINT_FIRST, first, 1, most)
        self._theirs = First.from_parts(parts, interface)
        self._received()
        self._named = self._strings.of_keys(*parts, *self._published)
        self._half = self._second(self._named, self._theirs)
        return self._sealed(Kind.JOINT_SHARES, [*self._published, self._half])

    def finish(self, second: bytes) -> None:
        """Take what `DataShare.second` returned; `key` is there then.

        Raises:
            MessageError: if the message is damaged, foreign, or not the one that is due; nothing has changed then.
        """
        interface = self._interface
        fields, parts = self._opened(Kind.JOINT_SECOND, second, 2, halves.keys_bytes(interface), "mark")
        data = halves.keys_data(interface, self._named, [*parts, self._half])
        self._finish(EvaluationKeys.sealed(interface.digest, data, fields["mark"]), self._theirs)
        self._received()


def _commitment(parts: Sequence[bytes | memoryview]) -> str:
    """Return the hash of what an owner publishes first, which errors of its own make impossible to guess."""
    found = hashlib.sha256(b"a share of a joint key")
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.hexdigest()
