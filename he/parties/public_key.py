"""Public keys: whoever has a client's encrypts for that client, and can read nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from he.circuit.interface import Interface
from he.formats import compact, switching
from he.formats.compact import Form
from he.formats.messages import (
    Kind,
    MessageError,
    message_digest,
    open_message,
    require_fields,
    require_match,
    require_size,
    seal_message,
    unchanging,
)
from he.formats.seal_bridge import to_bytes
from he.parties.evaluation_keys import EvaluationKeys
from he.parties.keys import SecretKey
from he.ring.params import ParameterError, Parameters
from intnn.values.value_object import ValueObject


@dataclass(frozen=True, repr=False)
class PublicKey(ValueObject):
    """What a client gives a model's owner, who encrypts weights with it for one circuit (`he.ModelOwner`).

    It is an encryption of zero modulo all primes, and holds nothing secret.

    Attributes:
        message: the key as it travels.
        circuit: the digest of the circuit's interface.
        key: the name of the client's evaluation keys (`EvaluationKeys.id`), by which messages name the client's key.
        data: the encryption of zero (`he.formats.switching`).
        id: the digest with which the message ends, in hexadecimal digits. It names exactly this public key: whoever
            permits a client has to know its `id` from that client.

    Raises:
        MessageError: if the bytes are truncated, damaged or foreign, or have other fields or parts than a public key.
        TypeError: if they are no bytes.
    """

    message: bytes
    circuit: str = field(init=False, compare=False)
    key: str = field(init=False, compare=False)
    data: memoryview = field(init=False, compare=False)
    id: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", unchanging(Kind.PUBLIC_KEY, self.message))
        fields, parts = open_message(Kind.PUBLIC_KEY, self.message)
        require_fields(fields, "circuit", "key")
        if len(parts) != 1 or not all(isinstance(name, str) for name in fields.values()):
            raise MessageError(f"a public key must have one part, and names in its fields, got {len(parts)} part(s)")
        for name in ("circuit", "key"):
            object.__setattr__(self, name, fields[name])
        object.__setattr__(self, "data", parts[0])
        object.__setattr__(self, "id", message_digest(self.message))

    @staticmethod
    def sealed(circuit: str, key: str, zero: bytes) -> PublicKey:
        """Return the public key of an encryption of zero, for the circuit with this digest."""
        return PublicKey(seal_message(Kind.PUBLIC_KEY, {"circuit": circuit, "key": key}, [zero]))

    @staticmethod
    def of(key: PublicKey | bytes, interface: Interface) -> PublicKey:
        """Return the public key for a circuit, given as such or as bytes; more bytes than its are not looked at.

        Raises:
            MessageError: if it is damaged, foreign, or made for another circuit.
            TypeError: if it is neither.
        """
        if not isinstance(key, PublicKey):
            require_size(Kind.PUBLIC_KEY, key, _form(interface.parameters).bytes)
            key = PublicKey(key)
        require_match({"circuit": key.circuit}, "circuit", interface.digest, "circuit or parameter set")
        return key

    def to_bytes(self) -> bytes:
        """Return the key as it travels."""
        return self.message

    def __repr__(self) -> str:
        return f"PublicKey(circuit {self.circuit[:8]}, id {self.id[:8]})"


def public_key(secret_key: SecretKey, interface: Interface, keys: EvaluationKeys) -> PublicKey:
    """Return a new public key, with which a model's owner encrypts weights for one circuit and a secret key's owner.

    Args:
        secret_key: the secret key.
        interface: the circuit's public part.
        keys: the evaluation keys for it, whose name is the key's in all messages.

    Raises:
        MessageError: if the evaluation keys are not this secret's for this circuit.
        ParameterError: if the circuit has other parameters than the key, or its weights are plain.
    """
    secret_key.require_for(interface)
    secret_key.require_own(keys, interface)
    if not interface.encrypted:
        raise ParameterError('the circuit needs no public key: it was not compiled with weights="encrypted"')
    parameters, key_id = interface.parameters, secret_key.context.key_parms_id()
    made = to_bytes(secret_key.encryptor().encrypt_zero_symmetric(key_id))
    zero = compact.compact(made, _form(parameters), parameters, {len(parameters.primes): key_id})
    return PublicKey.sealed(interface.digest, keys.id, zero)


def _form(parameters: Parameters) -> Form:
    return switching.zero_form(parameters, len(parameters.primes))
