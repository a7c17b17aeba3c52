"""A circuit's interface as bytes, from which a client is made."""

from __future__ import annotations

import numpy as np

from he.circuit.interface import Interface, require_interface
from he.circuit.packing import MAX_TAPS
from he.circuit.residues import interface_from
from he.formats.messages import Kind, MessageError, largest_message, open_message, seal_message

_MOST_TABLE_BYTES = 8 * MAX_TAPS  # as many distinct rows as taps, and as many units
#: The most bytes that an interface may have.
MOST_INTERFACE_BYTES = largest_message(_MOST_TABLE_BYTES)


def interface_bytes(interface: Interface) -> bytes:
    """Return a circuit's interface as the bytes from which a `Client` is made.

    Raises:
        MessageError: if it is too large for a message.
        TypeError: if it is no interface.
    """
    tables = [table.astype("<i4").tobytes() for table in require_interface(interface).tables]
    return seal_message(Kind.INTERFACE, interface.to_dict(), tables)


def read_interface(data: bytes) -> Interface:
    """Read what `interface_bytes` returned.

    Raises:
        MessageError: if the bytes are truncated, damaged or foreign, or hold no interface.
        TypeError: if they are no bytes.
    """
    fields, parts = open_message(Kind.INTERFACE, data, _MOST_TABLE_BYTES)
    try:
        return interface_from(fields, [np.frombuffer(part, "<i4").astype(np.int32) for part in parts])
    except ValueError as error:
        raise MessageError(f"the interface is malformed: {error}") from error
