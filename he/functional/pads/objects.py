"""The four things that the scheme of pads makes, and their bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from he.formats.messages import Kind
from he.functional.checks import made_of_a_message, require_scheme
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
from he.functional.pads.agreement import KEY_BYTES, Secret
from he.functional.pads.words import WORD_BYTES, Words
from he.functional.scheme import MOST_SAMPLES, Scope
from he.ring.params import ParameterError
from intnn.values.arrays import Array, IntArray, frozen, given_away, integer
from intnn.values.arrays import instance as of_type
from intnn.values.value_object import Unstorable, ValueObject

#: The most words that a ciphertext, and a request, may have: samples times length.
MAX_WORDS = 1 << 32

_WORD, _SIGNED_WORD = np.dtype("<u4"), np.dtype("<i4")
_REMEMBERED = 1 << 10  # shared keys that a master key remembers: to agree costs more than a small functional key


def require_pads(instance: Instance) -> None:
    """Check that an instance is one of this scheme, and that its products fit 32 bits.

    Raises:
        TypeError: It is no instance.
        ValueError: It is of another scheme.
        ParameterError: Products can be 2^31 or larger.
    """
    require_scheme(instance, "pads")
    if instance.bound >= 1 << 31:
        raise ParameterError(
            f"products must be below 2^31 for pads, got up to {instance.bound}: take shorter vectors or smaller values"
        )


def require_scope(scope: Scope | None, instance: Instance) -> Scope:
    """Return a scope, unless no ciphertext of the instance has it.

    Raises:
        TypeError: It is no scope.
        ValueError: There is none, or it names what cannot be.
    """
    if scope is None:
        raise ValueError("`scope` must name a ciphertext and its samples: keys of this scheme hold for nothing else")
    samples = (scope if type(scope) is Scope else of_type(scope, Scope, "scope")).stop - scope.start
    if len(scope.header) != KEY_BYTES or samples * instance.length > MAX_WORDS:
        raise ValueError(
            f"`scope` must have a header of {KEY_BYTES} bytes and at most {MAX_WORDS // instance.length} samples, got "
            f"{len(scope.header)} bytes and {samples} samples"
        )
    return scope


@dataclass(frozen=True, eq=False)
class PadsMasterKey(Unstorable, instead="store its bytes, which are secret"):
    """The authority's secret key of X25519.

    Attributes:
        instance: The instance.
        secret: 32 bytes.

    Raises:
        TypeError: A part is of another type.
        ValueError: The instance is none of this scheme, or there are more or fewer bytes.
    """

    instance: Instance
    secret: bytes = field(repr=False)
    _shared: dict[bytes, bytes] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        require_pads(self.instance)
        _key(self.secret, "secret")

    @property
    def public(self) -> bytes:
        """The public key of X25519, 32 bytes."""
        return self._own.public

    @cached_property
    def _own(self) -> Secret:
        return Secret(self.secret)

    def shared(self, header: bytes) -> bytes:
        """The key of a ciphertext's pad, 32 bytes, by the ciphertext's header.

        Raises:
            MismatchError: The header is no honest public key.
        """
        found = self._shared.get(header)
        if found is None:
            found = self._own.agreed(header, header, self.public, self.instance.id)
            if len(self._shared) >= _REMEMBERED:
                self._shared.clear()
            self._shared[header] = found
        return found

    def to_bytes(self) -> bytes:
        """It as a message; whoever has it can read all ciphertexts."""
        return seal(Kind.FUNCTIONAL_MASTER, self.instance, {}, [self.secret])

    @staticmethod
    def from_bytes(data: bytes) -> PadsMasterKey:
        """Read it from a message.

        Raises:
            MessageError: It is damaged, or no master key of this scheme.
        """
        instance, _, parts = opened(Kind.FUNCTIONAL_MASTER, data)
        require_lengths(parts, KEY_BYTES)
        with made_of_a_message():
            return PadsMasterKey(instance, bytes(parts[0]))


@dataclass(frozen=True)
class PadsPublicKey(ValueObject):
    """The public key of X25519 that belongs to a master key.

    Attributes:
        instance: The instance.
        public: 32 bytes.

    Raises:
        TypeError: A part is of another type.
        ValueError: The instance is none of this scheme, or there are more or fewer bytes.
    """

    instance: Instance
    public: bytes

    def __post_init__(self) -> None:
        require_pads(self.instance)
        _key(self.public, "public")

    def to_bytes(self) -> bytes:
        """It as a message."""
        return seal(Kind.FUNCTIONAL_PUBLIC, self.instance, {}, [self.public])

    @staticmethod
    def from_bytes(data: bytes) -> PadsPublicKey:
        """Read it from a message.

        Raises:
            MessageError: It is damaged, or no public key of this scheme.
        """
        instance, _, parts = opened(Kind.FUNCTIONAL_PUBLIC, data)
        require_lengths(parts, KEY_BYTES)
        with made_of_a_message():
            return PadsPublicKey(instance, bytes(parts[0]))


@dataclass(frozen=True, eq=False)
class PadsCiphertext(ValueObject):
    """Vectors behind a pad.

    Attributes:
        instance: The instance.
        header: The public key of X25519 by which the authority agrees on the pad's key, 32 bytes.
        words: The centred vectors plus the pad, modulo 2^32: uint32 [samples, length], read-only.
        first: The number of the first vector among all samples of the instance: it decides where in the pad's stream
            the pad begins, so that a key for other numbers opens nothing.

    Raises:
        TypeError: A part is of another type.
        ValueError: The instance is none of this scheme, a part has another shape, or the number is out of range.
    """

    instance: Instance
    header: bytes
    words: Words = field(repr=False)
    first: int = 0

    def __post_init__(self) -> None:
        require_pads(self.instance)
        _key(self.header, "header")
        shape = len(self.words), self.instance.length
        if not 0 < shape[0] * shape[1] <= MAX_WORDS:
            raise ValueError(f"`words` must be of one sample or more, and {MAX_WORDS} at most, got {shape[0]} samples")
        first = integer(self.first, "first", 0, MOST_SAMPLES - shape[0])
        vars(self).update(words=_words(self.words, _WORD, shape, "words"), first=first)

    @property
    def samples(self) -> int:
        """The number of vectors."""
        return len(self.words)

    def scope(self, start: int, stop: int) -> Scope:
        """What a key must be for that opens its samples from ``start`` to ``stop``, counted from its own first one."""
        return Scope(self.header, self.first + start, self.first + stop)

    def to_bytes(self) -> bytes:
        """It as a message, of four bytes an element."""
        fields = {"samples": self.samples, **({"first": self.first} if self.first else {})}
        return seal(Kind.FUNCTIONAL_CIPHERTEXT, self.instance, fields, [self.header, self.words.tobytes()])

    @staticmethod
    def from_bytes(data: bytes) -> PadsCiphertext:
        """Read it from a message; its words lie in the message, if they are aligned there.

        Raises:
            MessageError: It is damaged, or no ciphertext of this scheme.
        """
        instance, fields, parts = opened(Kind.FUNCTIONAL_CIPHERTEXT, data, names=("samples",), optional=("first",))
        first = number(fields, "first", MOST_SAMPLES) if "first" in fields else 0
        shape = number(fields, "samples", MAX_WORDS // instance.length), instance.length
        require_lengths(parts, KEY_BYTES, WORD_BYTES * shape[0] * shape[1])
        with made_of_a_message():
            return PadsCiphertext(instance, bytes(parts[0]), np.frombuffer(parts[1], "<u4").reshape(shape), first)


@dataclass(frozen=True, eq=False)
class PadsFunctionalKey(ValueObject):
    """Vectors, and their inner products with the pads of some samples.

    Attributes:
        instance: The instance.
        y: The vectors, int64 [keys, length], read-only.
        scope: The samples that it holds for.
        pads: Inner products with their pads modulo 2^32: int32 [samples of the scope, keys], read-only.

    Raises:
        TypeError: A part is of another type.
        ValueError: The instance is none of this scheme, or a part has another shape, or a vector another range.
    """

    instance: Instance
    y: IntArray = field(repr=False)
    scope: Scope
    pads: NDArray[np.int32] = field(repr=False)

    def __post_init__(self) -> None:
        require_pads(self.instance)
        y, scope = self.instance.require_keys(self.y), require_scope(self.scope, self.instance)
        pads = _words(self.pads, _SIGNED_WORD, (scope.stop - scope.start, len(y)), "pads")
        vars(self).update(y=y, scope=scope, pads=pads)

    @classmethod
    def of_checked(cls, instance: Instance, y: IntArray, scope: Scope, pads: NDArray[np.int32]) -> Self:
        """A key of parts that are as they must be and that nobody else writes to: none is looked at or copied again."""
        key = object.__new__(cls)
        parts = vars(key)
        parts["instance"], parts["y"], parts["scope"], parts["pads"] = instance, y, scope, given_away(pads)
        return key

    def to_bytes(self) -> bytes:
        """It as a message."""
        fields = {"keys": len(self.y), "start": self.scope.start, "stop": self.scope.stop}
        parts = [self.scope.header, vectors_to_bytes(self.y), self.pads.tobytes()]
        return seal(Kind.FUNCTIONAL_KEY, self.instance, fields, parts)

    @staticmethod
    def from_bytes(data: bytes) -> PadsFunctionalKey:
        """Read it from a message; the inner products with pads lie in the message, if they are aligned there.

        Raises:
            MessageError: It is damaged, or no functional key of this scheme.
        """
        instance, fields, parts = opened(Kind.FUNCTIONAL_KEY, data, names=("keys", "start", "stop"))
        keys, stop = number(fields, "keys", MOST_KEYS), number(fields, "stop", MOST_SAMPLES)
        start = number(fields, "start", stop - 1, least=0)
        require_lengths(parts, KEY_BYTES, vectors_bytes(instance, keys), WORD_BYTES * (stop - start) * keys)
        y, pads = vectors_from_bytes(instance, parts[1]), np.frombuffer(parts[2], "<i4").reshape(stop - start, keys)
        with made_of_a_message():
            return PadsFunctionalKey(instance, y, Scope(bytes(parts[0]), start, stop), pads)


def _key(value: bytes, name: str) -> bytes:
    """Return 32 bytes, if that is what it is."""
    if len(of_type(value, bytes, name)) != KEY_BYTES:
        raise ValueError(f"`{name}` must have {KEY_BYTES} bytes, got {len(value)}")
    return value


def _words(values: Array, kind: np.dtype[Any], shape: tuple[int, int], name: str) -> Array:
    """Return an array read-only, if it has a type and a shape; kernels want it aligned, and messages do not align."""
    if of_type(values, np.ndarray, name).dtype != kind or values.shape != shape:
        raise ValueError(f"`{name}` must be {kind} {list(shape)}, got {values.dtype} {list(values.shape)}")
    return frozen(values if values.flags.aligned else values.copy())
