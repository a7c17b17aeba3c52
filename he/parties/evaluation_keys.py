"""The type of evaluation keys, which sessions hold. It has no place for a secret."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from he.circuit.interface import Interface, require_interface
from he.formats import switching
from he.formats.limits import require_at_most
from he.formats.messages import Kind, MessageError, message_digest, open_message, require_size, seal_message, unchanging
from intnn.storage.document import file_path, write_atomically
from intnn.values.value_object import ValueObject

_MOST_KEY_BYTES = 1 << 32  # of evaluation keys: some hundred rotations in the largest ring
_NO_MARK, _MARK = "0" * 64, re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, repr=False)
class EvaluationKeys(ValueObject):
    """The keys that a session needs in order to evaluate one circuit for one client; they hold nothing secret.

    Attributes:
        message: the keys as they travel; nothing of it is copied.
        circuit: the digest of the circuit's interface, which covers the parameters.
        mark: 64 hexadecimal digits, by which the owner of the secret knows keys of its own (`SecretKey.require_own`).
        data: the keys themselves, in the format of `he.formats.switching`, or of `he.formats.hybrid` where an interface
            has `key_levels`, and an encryption of zero behind them where the circuit's answers are re-randomised.
            `require` says whether they are as many as their circuit needs; who binds them reads them.
        id: the digest with which the message ends, in hexadecimal digits; requests and answers name the keys by it.

    Raises:
        MessageError: if the bytes are truncated, damaged or foreign, or have other fields or parts than keys.
        TypeError: if they are no bytes.
    """

    message: bytes
    circuit: str = field(init=False, compare=False)
    mark: str = field(init=False, compare=False)
    data: memoryview = field(init=False, compare=False)
    id: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", unchanging(Kind.EVALUATION_KEYS, self.message))
        fields, parts = open_message(Kind.EVALUATION_KEYS, self.message)
        if len(parts) > 1:
            raise MessageError(f"evaluation keys must have one part at most, got {len(parts)}")
        strings = all(isinstance(value, str) for value in fields.values())
        if sorted(fields) != ["circuit", "mark"] or not strings or not _MARK.fullmatch(fields["mark"]):
            raise MessageError(
                f"evaluation keys must have a circuit and a mark and nothing else, got {sorted(fields)!r:.80}"
            )
        object.__setattr__(self, "circuit", fields["circuit"])
        object.__setattr__(self, "mark", fields["mark"])
        object.__setattr__(self, "data", parts[0] if parts else memoryview(b""))
        object.__setattr__(self, "id", message_digest(self.message))

    @staticmethod
    def sealed(circuit: str, data: bytes, mark: str = _NO_MARK) -> EvaluationKeys:
        """Return keys for a circuit.

        Args:
            circuit: its interface's digest, 64 hexadecimal digits.
            data: the keys, as `EvaluationKeys.data` has them.
            mark: that of the secret key's owner, `SecretKey.mark`; by default one that no secret key accepts.
        """
        fields = {"circuit": circuit, "mark": mark}
        return EvaluationKeys(seal_message(Kind.EVALUATION_KEYS, fields, [data] if data else []))

    def to_bytes(self) -> bytes:
        """Return the keys as they travel; `from_bytes` is the inverse."""
        return self.message

    @staticmethod
    def from_bytes(data: bytes) -> EvaluationKeys:
        """Read what `to_bytes` returned.

        Raises:
            MessageError: if the bytes are truncated, damaged or foreign, or have other fields or parts than keys.
            TypeError: if they are no bytes.
        """
        return EvaluationKeys(data)

    @staticmethod
    def of(keys: EvaluationKeys | bytes, interface: Interface) -> EvaluationKeys:
        """Return the keys of a circuit that are given as such or as bytes; more bytes than theirs are not looked at.

        Raises:
            MessageError: as `from_bytes` and `require`.
            TypeError: if they are neither.
        """
        if not isinstance(keys, EvaluationKeys):
            require_size(Kind.EVALUATION_KEYS, keys, data_bytes(interface))
            keys = EvaluationKeys(keys)
        keys.require(interface)
        return keys

    def require(self, interface: Interface) -> None:
        """Check that the keys were made for a circuit, and are as many as it needs.

        Raises:
            MessageError: if they were not, or are not.
            TypeError: if `interface` is no interface.
        """
        require_interface(interface)
        if self.circuit != interface.digest:
            raise MessageError(
                "the evaluation keys were made for another circuit or parameter set; make some with "
                "`SecretKey.evaluation_keys` from this circuit's interface"
            )
        count, due = len(interface.keys), data_bytes(interface)
        if len(self.data) != due:
            zero = " and an encryption of zero" if interface.rerandomises else ""
            raise MessageError(
                f"the evaluation keys must be exactly the circuit's {count}{zero}, of {due} bytes together, got "
                f"{len(self.data)} bytes"
            )

    def divided(self, interface: Interface) -> tuple[memoryview, memoryview]:
        """Return the keys of a circuit that they are for, and its encryption of zero; no bytes if it needs none."""
        return self.data[: interface.key_bytes], self.data[interface.key_bytes :]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `to_bytes` to a file, whole or not at all.

        Raises:
            MessageError: if they are too many for a file.
            OSError: if the file cannot be written; a file that was there stays as it was.
        """
        _require_key_bytes(len(self.message))
        write_atomically(file_path(path), self.message)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> EvaluationKeys:
        """Read what `save` wrote.

        Raises:
            MessageError: if the file is truncated, damaged, foreign or too large.
            OSError: if there is no file or it cannot be read.
        """
        with file_path(path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            _require_key_bytes(size)
            return EvaluationKeys.from_bytes(file.read(size))  # what has grown since is cut off, and so refused

    def __repr__(self) -> str:
        return f"EvaluationKeys(circuit {self.circuit[:8]}, id {self.id[:8]}, {len(self.data):,} bytes)"


def data_bytes(interface: Interface) -> int:
    """Count the bytes that the evaluation keys of a circuit have."""
    zero = switching.zero_form(interface.parameters, interface.output_level).bytes if interface.rerandomises else 0
    return interface.key_bytes + zero


def _require_key_bytes(size: int) -> None:
    what, remedy = "a file of evaluation keys", "choose a file that `EvaluationKeys.save` wrote"
    require_at_most(_MOST_KEY_BYTES, size, what, MessageError, remedy)
