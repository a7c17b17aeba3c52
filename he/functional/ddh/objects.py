"""The four things that the scheme of discrete logarithms makes, and their bytes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from he.formats.messages import Kind
from he.functional.checks import made_of_a_message, require_scheme
from he.functional.ddh.group import ORDER, POINT_BYTES, SCALAR_BYTES, Memory, Points
from he.functional.ddh.logarithm import MAX_BOUND
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
from he.ring.params import ParameterError
from intnn.values.arrays import IntArray, frozen
from intnn.values.arrays import instance as of_type
from intnn.values.value_object import Unstorable

#: The most samples of a ciphertext.
MOST_SAMPLES = 1 << 20

#: What a ciphertext has for a sample beside a point for every element.
MASKS = 2


def require_ddh(instance: Instance) -> None:
    """Check that an instance is one of this scheme, and that logarithms of its products can be found.

    Raises:
        TypeError: It is no instance.
        ValueError: It is of another scheme.
        ParameterError: Products can be larger than 2^32.
    """
    require_scheme(instance, "ddh")
    if instance.bound > MAX_BOUND:
        raise ParameterError(
            f"products must be at most 2^32 for logarithms, got up to {instance.bound}: "
            "take shorter vectors or smaller values"
        )


@dataclass(frozen=True, eq=False)
class DdhMasterKey(Unstorable, instead="store its bytes, which are secret"):
    """Two secret numbers for every element of a vector.

    Attributes:
        instance: The instance.
        scalars: Numbers in [0, order), big-endian: uint8 [length, 2, 32], read-only.

    Raises:
        TypeError: A part is of another type.
        ValueError: The instance is none of this scheme, or a part has another shape or range.
    """

    instance: Instance
    scalars: Memory = field(repr=False)

    def __post_init__(self) -> None:
        require_ddh(self.instance)
        object.__setattr__(self, "scalars", _scalars(self.scalars, self.instance.length))

    def to_bytes(self) -> bytes:
        """It as a message; whoever has it can read all ciphertexts."""
        return seal(Kind.FUNCTIONAL_MASTER, self.instance, {}, [self.scalars.tobytes()])

    @staticmethod
    def from_bytes(data: bytes) -> DdhMasterKey:
        """Read it from a message.

        Raises:
            MessageError: It is damaged, or no master key of this scheme.
        """
        instance, _, parts = opened(Kind.FUNCTIONAL_MASTER, data)
        require_lengths(parts, 2 * SCALAR_BYTES * instance.length)
        with made_of_a_message():
            return DdhMasterKey(instance, _read(parts[0]))


@dataclass(frozen=True, eq=False)
class DdhPublicKey(Unstorable, instead="store its bytes"):
    """A second generator h, and for every element the point s g + t h, where s and t are its secret numbers.

    Attributes:
        instance: The instance.
        points: h, then a point for every element: length + 1 points.

    Raises:
        TypeError: A part is of another type.
        ValueError: The instance is none of this scheme, or there are more or fewer points.
    """

    instance: Instance
    points: Points = field(repr=False)

    def __post_init__(self) -> None:
        require_ddh(self.instance)
        _require_points(self.points, self.instance.length + 1)

    def to_bytes(self) -> bytes:
        """It as a message, of 33 bytes a point."""
        return seal(Kind.FUNCTIONAL_PUBLIC, self.instance, {}, [self.points.to_bytes()])

    @staticmethod
    def from_bytes(data: bytes) -> DdhPublicKey:
        """Read it from a message.

        Raises:
            MessageError: It is damaged, or no public key of this scheme.
        """
        instance, _, parts = opened(Kind.FUNCTIONAL_PUBLIC, data)
        require_lengths(parts, POINT_BYTES * (instance.length + 1))
        with made_of_a_message():
            return DdhPublicKey(instance, Points.from_bytes(parts[0]))


@dataclass(frozen=True, eq=False)
class DdhCiphertext(Unstorable, instead="store its bytes"):
    """Vectors of which each is hidden by a random number of its own; `he.functional.ddh.scheme` says how.

    Attributes:
        instance: The instance.
        points: length + 2 points for every vector, one behind the other.

    Raises:
        TypeError: A part is of another type.
        ValueError: The instance is none of this scheme, or the points are those of no whole number of vectors.
    """

    instance: Instance
    points: Points = field(repr=False)

    def __post_init__(self) -> None:
        require_ddh(self.instance)
        _require_points(self.points, max(1, self.samples) * (self.instance.length + MASKS))

    @property
    def samples(self) -> int:
        """The number of vectors."""
        return len(self.points) // (self.instance.length + MASKS)

    @property
    def header(self) -> bytes:
        """Nothing: keys hold for all ciphertexts of the instance."""
        return b""

    def scope(self, start: int, stop: int) -> None:
        """None: keys hold for all ciphertexts of the instance."""

    def sample(self, number: int) -> Points:
        """The points of one vector."""
        size = self.instance.length + MASKS
        return self.points[number * size : (number + 1) * size]

    def to_bytes(self) -> bytes:
        """It as a message, of 33 bytes a point."""
        return seal(Kind.FUNCTIONAL_CIPHERTEXT, self.instance, {"samples": self.samples}, [self.points.to_bytes()])

    @staticmethod
    def from_bytes(data: bytes) -> DdhCiphertext:
        """Read it from a message.

        Raises:
            MessageError: It is damaged, or no ciphertext of this scheme.
        """
        instance, fields, parts = opened(Kind.FUNCTIONAL_CIPHERTEXT, data, names=("samples",))
        samples = number(fields, "samples", MOST_SAMPLES)
        require_lengths(parts, POINT_BYTES * samples * (instance.length + MASKS))
        with made_of_a_message():
            return DdhCiphertext(instance, Points.from_bytes(parts[0]))


@dataclass(frozen=True, eq=False)
class DdhFunctionalKey(Unstorable, instead="store its bytes"):
    """Vectors, and their inner products with both columns of the secret numbers.

    Attributes:
        instance: The instance.
        y: The vectors, int64 [keys, length], read-only.
        scalars: The inner products modulo the order, big-endian: uint8 [keys, 2, 32], read-only.

    Raises:
        TypeError: A part is of another type.
        ValueError: The instance is none of this scheme, or a part has another shape or range.
    """

    instance: Instance
    y: IntArray = field(repr=False)
    scalars: Memory = field(repr=False)

    def __post_init__(self) -> None:
        require_ddh(self.instance)
        object.__setattr__(self, "y", self.instance.require_keys(self.y))
        object.__setattr__(self, "scalars", _scalars(self.scalars, len(self.y)))

    def to_bytes(self) -> bytes:
        """It as a message."""
        parts = [vectors_to_bytes(self.y), self.scalars.tobytes()]
        return seal(Kind.FUNCTIONAL_KEY, self.instance, {"keys": len(self.y)}, parts)

    @staticmethod
    def from_bytes(data: bytes) -> DdhFunctionalKey:
        """Read it from a message.

        Raises:
            MessageError: It is damaged, or no functional key of this scheme.
        """
        instance, fields, parts = opened(Kind.FUNCTIONAL_KEY, data, names=("keys",))
        keys = number(fields, "keys", MOST_KEYS)
        require_lengths(parts, vectors_bytes(instance, keys), 2 * SCALAR_BYTES * keys)
        y = vectors_from_bytes(instance, parts[0])
        with made_of_a_message():
            return DdhFunctionalKey(instance, y, _read(parts[1]))


def _read(part: memoryview) -> Memory:
    return np.frombuffer(part, np.uint8).reshape(-1, 2, SCALAR_BYTES)


def _scalars(values: Memory, rows: int) -> Memory:
    """Return pairs of numbers read-only, if there are so many, all below the order."""
    if of_type(values, np.ndarray, "scalars").dtype != np.uint8 or values.shape != (rows, 2, SCALAR_BYTES):
        raise ValueError(
            f"`scalars` must be uint8 [{rows}, 2, {SCALAR_BYTES}], got {values.dtype} {list(values.shape)}"
        )
    if any(bytes(value) >= ORDER.to_bytes(SCALAR_BYTES, "big") for value in values.reshape(-1, SCALAR_BYTES)):
        raise ValueError("`scalars` must be below the group's order")
    return frozen(values)


def _require_points(points: Points, count: int) -> None:
    """Check that there are so many points."""
    if len(of_type(points, Points, "points")) != count:
        raise ValueError(f"`points` must be {count}, got {len(points)}")
