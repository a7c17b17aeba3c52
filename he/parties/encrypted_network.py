"""A network whose weights and biases are encrypted for one client: what its owner gives to whoever evaluates it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from he.circuit.circuit import Circuit
from he.formats.compact import Form
from he.formats.messages import Kind, MessageError, open_message, require_fields, seal_message
from he.parties.permission import NotPermittedError, Permission
from intnn.values.value_object import ValueObject

_MOST_PERMISSION_BYTES = 1 << 12


@dataclass(frozen=True, eq=False)
class EncryptedNetwork(ValueObject):
    """The ciphertexts of a circuit's operands under one client's key, and the permission to use them.

    Whoever has them *and* the client's secret key can read the weights: they go to the evaluator, and not to the
    client.

    Attributes:
        permission: what the model's owner has signed, which names the ciphertexts by their digest.
        ciphertexts: those of `Program.encrypted`, in that order, as they travel.

    Raises:
        NotPermittedError: if the permission names others.
    """

    permission: Permission
    ciphertexts: Sequence[bytes | memoryview]

    def __post_init__(self) -> None:
        if self.permission.network != network_digest(self.ciphertexts):
            raise NotPermittedError("the permission is for another network")

    def to_bytes(self) -> bytes:
        """Return the network as it travels; `from_bytes` is the inverse."""
        return seal_message(Kind.ENCRYPTED_NETWORK, {}, [self.permission.to_bytes(), *map(bytes, self.ciphertexts)])

    @staticmethod
    def from_bytes(data: bytes, circuit: Circuit, owner: bytes) -> EncryptedNetwork:
        """Read what `to_bytes` returned of a circuit's network; more bytes than such have are not looked at.

        Args:
            data: the message.
            circuit: the circuit; it need not hold the weights.
            owner: the owner's verification key; see `Permission.from_bytes`.

        Raises:
            MessageError: if the bytes are truncated, damaged or foreign, or not as many as the circuit's.
            NotPermittedError: if the owner has not signed the permission, or it is for other ciphertexts.
            TypeError: if an argument is no bytes.
            ValueError: if `owner` has another length than such a key.
        """
        due = [form.bytes for form in operand_forms(circuit)]
        fields, parts = open_message(Kind.ENCRYPTED_NETWORK, data, network_bytes(circuit))
        require_fields(fields)
        if [len(part) for part in parts[1:]] != due:
            raise MessageError(
                f"the network must be the circuit's {len(due)} ciphertexts, and a permission before them"
            )
        return EncryptedNetwork(Permission.from_bytes(bytes(parts[0]), owner), parts[1:])


def operand_forms(circuit: Circuit) -> list[Form]:
    """Return the forms of a circuit's encrypted operands, in the order of `Program.encrypted`."""
    operands, parameters = circuit.program.encrypted, circuit.parameters
    return [Form.operand(parameters, plain.level, plain.scale) for plain in operands]


def network_bytes(circuit: Circuit) -> int:
    """Count the bytes that the parts of a circuit's encrypted network have together, at most."""
    return sum(form.bytes for form in operand_forms(circuit)) + _MOST_PERMISSION_BYTES


def network_digest(ciphertexts: Sequence[bytes | memoryview]) -> str:
    """Return SHA-256 over all ciphertexts, whose lengths follow from the circuit, in hexadecimal digits."""
    found = hashlib.sha256()
    for data in ciphertexts:
        found.update(data)
    return found.hexdigest()
