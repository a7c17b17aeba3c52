"""What a model owner offers, as bytes."""

from __future__ import annotations

from he.circuit.family import MOST_CIRCUITS, Offer
from he.formats.messages import Kind, MessageError, open_message, require_fields, seal_message
from he.parties.interfaces import interface_bytes, read_interface
from intnn.values.arrays import instance

_MOST_BYTES = 1 << 32  # of all interfaces


def offer_bytes(offer: Offer) -> bytes:
    """Return an offer as bytes, which `read_offer` reads: the prices, and every interface as `interface_bytes`.

    Raises:
        MessageError: if it is too large for a message.
        TypeError: if it is no offer.
    """
    instance(offer, Offer, "offer", "give `family.offer`")
    return seal_message(Kind.OFFER, {"units": list(offer.units)}, list(map(interface_bytes, offer.interfaces)))


def read_offer(data: bytes) -> Offer:
    """Read what `offer_bytes` returned.

    Raises:
        MessageError: if the bytes are truncated, damaged or foreign, or hold no offer.
        TypeError: if they are no bytes.
    """
    fields, parts = open_message(Kind.OFFER, data, _MOST_BYTES)
    require_fields(fields, "units")
    units = fields["units"]
    if not (isinstance(units, list) and len(units) == len(parts) <= MOST_CIRCUITS):
        raise MessageError(f"an offer must have a price for each of at most {MOST_CIRCUITS} interfaces")
    try:
        return Offer(tuple(read_interface(bytes(part)) for part in parts), tuple(units))
    except (TypeError, ValueError) as error:
        raise MessageError(f"the offer is malformed: {error}") from error
