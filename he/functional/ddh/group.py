"""The group of the curve secp256k1 (SEC 2, section 2.4.1), by libsecp256k1: points, and sums that may be infinity.

The library refuses a sum that is infinity, the group's zero, and has no form for it: here it is None. Its own form of a
point is 64 bytes that only the library reads, and it ends the process where it meets others; so nothing but this file
makes them.

Products of secret numbers with points run in the library's constant time. Sums do not, nor does Python: whoever can
time single steps of an owner or an authority from close by is outside of what is promised.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from coincurve._libsecp256k1 import ffi, lib
from coincurve.context import GLOBAL_CONTEXT
from numpy.typing import NDArray

from he.functional.errors import FunctionalError
from intnn.values.arrays import frozen

#: The number of elements of the group, a prime.
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

#: Bytes of a point, compressed, and of a number below the order, big-endian.
POINT_BYTES = 33
SCALAR_BYTES = 32

#: Bytes of a point in the library's own form.
MEMORY_BYTES = 64

Memory = NDArray[np.uint8]

_CONTEXT = GLOBAL_CONTEXT.ctx


class Points:
    """Points other than infinity, one behind the other, which the functions of this file make; they never change."""

    def __init__(self, memory: Memory) -> None:
        #: uint8 [points, 64], read-only: the library's own form.
        self.memory = frozen(memory)

    @staticmethod
    def from_bytes(data: bytes | memoryview) -> Points:
        """Read points in compressed form, 33 bytes each.

        Raises:
            ValueError: They are no whole number of points, or one of them is not on the curve.
        """
        count, left = divmod(len(data), POINT_BYTES)
        memory = np.empty((count, MEMORY_BYTES), np.uint8)
        place, source = pointer(memory), ffi.from_buffer("unsigned char[]", data)
        for i in range(count):
            if not lib.secp256k1_ec_pubkey_parse(_CONTEXT, place + i, source + POINT_BYTES * i, POINT_BYTES):
                raise ValueError(f"point {i} of {count} is none of the curve")
        if left:
            raise ValueError(f"points must have {POINT_BYTES} bytes each, got {left} bytes more than {count} have")
        return Points(memory)

    def to_bytes(self) -> bytes:
        """All points in compressed form, 33 bytes each."""
        place, out = pointer(self.memory), ffi.new("unsigned char[]", POINT_BYTES * len(self))
        size = ffi.new("size_t *", POINT_BYTES)
        for i in range(len(self)):
            serialise(out + POINT_BYTES * i, size, place + i)
        return bytes(ffi.buffer(out))

    def __len__(self) -> int:
        return len(self.memory)

    def __getitem__(self, index: slice) -> Points:
        return Points(self.memory[index])


def joined(parts: Iterable[Points]) -> Points:
    """All points of several."""
    return Points(np.concatenate([part.memory for part in parts]))


def scalar(value: int) -> bytes:
    """A number modulo the order, as the library reads it."""
    return (value % ORDER).to_bytes(SCALAR_BYTES, "big")


def multiples(scalars: Sequence[bytes]) -> Points:
    """The products of numbers, none of them zero, with the generator, in constant time."""
    memory = np.empty((len(scalars), MEMORY_BYTES), np.uint8)
    place = pointer(memory)
    for i, value in enumerate(scalars):
        _require(lib.secp256k1_ec_pubkey_create(_CONTEXT, place + i, value))
    return Points(memory)


def multiplied(points: Points, scalars: Sequence[bytes]) -> Points:
    """The product of every point with a number of its own, none of them zero, in constant time.

    The library has this for the agreement of Diffie and Hellman, which hands the product to a function of the caller.
    """
    memory, product = np.empty_like(points.memory), ffi.new("unsigned char[65]", b"\x04")  # both coordinates follow
    place, source = pointer(memory), pointer(points.memory)
    for i, value in enumerate(scalars):
        _require(lib.secp256k1_ecdh(_CONTEXT, product + 1, source + i, value, _both_coordinates, ffi.NULL))
        _require(lib.secp256k1_ec_pubkey_parse(_CONTEXT, place + i, product, 65))
    return Points(memory)


@ffi.callback("int(unsigned char *, unsigned char *, unsigned char *, void *)")
def _both_coordinates(out: Any, x: Any, y: Any, _: Any) -> int:
    ffi.memmove(out, x, 32)
    ffi.memmove(out + 32, y, 32)
    return 1


def multiplied_openly(point: Points, value: int) -> Points | None:
    """The product of one point with a number that is no secret, in a time that depends on it; None for infinity."""
    if value % ORDER == 0:
        return None
    memory = point.memory.copy()
    _require(lib.secp256k1_ec_pubkey_tweak_mul(_CONTEXT, pointer(memory), scalar(value)))
    return Points(memory)


def negated(points: Points) -> Points:
    """The negative of every point."""
    memory = points.memory.copy()
    place = pointer(memory)
    for i in range(len(points)):
        _require(lib.secp256k1_ec_pubkey_negate(_CONTEXT, place + i))
    return Points(memory)


def added(first: Points, second: Points) -> Points:
    """The sums of two points each.

    Raises:
        FunctionalError: A sum is infinity, which has a chance of 2^-256 for points that were drawn at random.
    """
    memory = np.empty_like(first.memory)
    place, one, other = pointer(memory), pointer(first.memory), pointer(second.memory)
    for i in range(len(first)):
        if not combine(place + i, [one + i, other + i], 2):
            raise FunctionalError("a point at infinity, which random points never meet: draw them again")
    return Points(memory)


def total(points: Iterable[Points | None]) -> Points | None:
    """The sum of single points, of which some may be infinity; None if it is infinity itself."""
    terms = [point for point in points if point is not None]
    memory = np.empty((1, MEMORY_BYTES), np.uint8)
    if terms and combine(pointer(memory), [pointer(term.memory) for term in terms], len(terms)):
        return Points(memory)
    return None


# On addresses: for loops that make millions of sums.


def pointer(memory: Memory) -> Any:
    """The address of points, which whoever uses it must hold."""
    return ffi.cast("secp256k1_pubkey *", memory.ctypes.data)


def combine(out: Any, terms: Any, count: int) -> bool:
    """Write the sum of points at several addresses to another, which is none of them; false if it is infinity."""
    return bool(lib.secp256k1_ec_pubkey_combine(_CONTEXT, out, terms, count))


def serialise(out: Any, size: Any, point: Any) -> None:
    """Write a point in compressed form; ``size`` is an address of the number 33."""
    lib.secp256k1_ec_pubkey_serialize(_CONTEXT, out, size, point, lib.SECP256K1_EC_COMPRESSED)


def _require(done: int) -> None:
    """Check that the library did what it can always do with points and numbers that are none of them zero."""
    if not done:
        raise FunctionalError("a number must be in [1, order) to multiply a point by")
