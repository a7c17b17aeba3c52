"""What a trainer asks the authority for."""

from __future__ import annotations

from dataclasses import dataclass, field

from he.formats.messages import Kind, MessageError
from he.functional.instance import Instance
from he.functional.messages import (
    MOST_KEYS,
    number,
    opened,
    require_lengths,
    seal,
    vectors_bytes,
    vectors_from_bytes,
    vectors_to_bytes,
)
from he.functional.scheme import MOST_HEADER_BYTES, MOST_SAMPLES, Scope
from intnn.values.arrays import IntArray, instance
from intnn.values.value_object import ValueObject

#: The most keys times samples of a request with a scope: what answers it has a word for each,
#: and a request of a few hundred bytes must not take all of an authority's memory.
MOST_PRODUCTS = 1 << 26


@dataclass(frozen=True, eq=False)
class KeyRequest(ValueObject):
    """Vectors of which a trainer wants inner products.

    Attributes:
        instance: The instance.
        y: The vectors, int64 [keys, length], at most 65,536; read-only.
        scope: The samples, for schemes whose keys hold for some samples only.

    Raises:
        TypeError: An attribute is of another type.
        ValueError: The vectors are out of range, have another shape, or are too many, or the scope cannot be.
    """

    instance: Instance
    y: IntArray = field(repr=False)
    scope: Scope | None = None

    def __post_init__(self) -> None:
        y = vars(self)["y"] = instance(self.instance, Instance, "instance").require_keys(self.y)
        if len(y) > MOST_KEYS:
            raise ValueError(f"`y` must have at most {MOST_KEYS} vectors, got {len(y)}; make several requests")
        if self.scope is not None:
            samples = instance(self.scope, Scope, "scope").stop - self.scope.start
            if len(y) * samples > MOST_PRODUCTS:
                raise ValueError(
                    f"a request must be for at most {MOST_PRODUCTS} products, got {len(y)} vectors and {samples} "
                    "samples; make several requests"
                )

    def to_bytes(self) -> bytes:
        """The request as a message."""
        fields, parts = {"keys": len(self.y), "start": 0, "stop": 0}, [vectors_to_bytes(self.y)]
        if self.scope is not None:
            fields.update(start=self.scope.start, stop=self.scope.stop)
            parts.append(self.scope.header)
        return seal(Kind.KEY_REQUEST, self.instance, fields, parts)

    @staticmethod
    def from_bytes(data: bytes) -> KeyRequest:
        """Read a request.

        Raises:
            MessageError: The message is damaged, or no request.
            TypeError: ``data`` is no bytes.
        """
        instance, fields, parts = opened(Kind.KEY_REQUEST, data, names=("keys", "start", "stop"))
        keys = number(fields, "keys", MOST_KEYS)
        start, stop = (number(fields, name, MOST_SAMPLES, least=0) for name in ("start", "stop"))
        header = bytes(parts[1]) if len(parts) == 2 and len(parts[1]) <= MOST_HEADER_BYTES else b""
        require_lengths(parts, vectors_bytes(instance, keys), *([len(header)] if header else []))
        try:
            scope = Scope(header, start, stop) if header or stop else None
            return KeyRequest(instance, vectors_from_bytes(instance, parts[0]), scope)
        except ValueError as error:
            raise MessageError(f"the message is no request: {error}") from error
