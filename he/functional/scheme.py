"""The interface of all schemes of inner-product functional encryption.

    master_key, public_key = setup(instance)            # the key authority
    ciphertext = encrypt(public_key, x)                  # a data owner: vectors x, int64 [samples, length]
    key = derive_key(master_key, y, scope)               # the authority: vectors y, int64 [keys, length]
    products = decrypt(ciphertext, key)                  # the trainer: <x, y>, int64 [samples, keys], or an error

Whoever holds a functional key and a ciphertext learns the inner products of its vectors and nothing else; whoever holds
as many independent keys as vectors have elements knows the vectors. A scheme promises nothing against a trainer who
colludes with the authority.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from numpy.typing import ArrayLike

from he.functional.instance import Instance, SchemeName
from intnn.values.arrays import IntArray, integer
from intnn.values.arrays import instance as of_type
from intnn.values.value_object import ValueObject

#: The most bytes of a ciphertext's header.
MOST_HEADER_BYTES = 64
#: The most samples that an instance may have.
MOST_SAMPLES = 1 << 48


class Bound(Protocol):
    """What belongs to one instance, and crosses as bytes: `from_bytes(to_bytes())` is the same again."""

    @property
    def instance(self) -> Instance:
        """The instance that it belongs to."""

    def to_bytes(self) -> bytes:
        """It as a message in the house's format."""

    @staticmethod
    def from_bytes(data: bytes) -> Bound:
        """Read it from a message; arrays in it are read-only.

        Raises:
            MessageError: The message is damaged, foreign, or not what an instance of this scheme has.
        """


class MasterKey(Bound, Protocol):
    """What the authority keeps secret."""

    @staticmethod
    def from_bytes(data: bytes) -> MasterKey:
        """Read one: see `Bound`."""


class PublicKey(Bound, Protocol):
    """What data owners encrypt with; no secret."""

    @staticmethod
    def from_bytes(data: bytes) -> PublicKey:
        """Read one: see `Bound`."""


class Ciphertext(Bound, Protocol):
    """Encrypted vectors of one data owner."""

    @staticmethod
    def from_bytes(data: bytes) -> Ciphertext:
        """Read one: see `Bound`."""

    @property
    def samples(self) -> int:
        """The number of vectors."""

    @property
    def header(self) -> bytes:
        """The bytes, at most 64, that the authority must see of it to derive keys that hold for it alone.

        They are empty for schemes whose keys hold for all ciphertexts of an instance.
        """

    def scope(self, start: int, stop: int) -> Scope | None:
        """What a key must be for that opens its samples from ``start`` to ``stop``, counted from its own first one.

        None for schemes whose keys hold for all ciphertexts of an instance.
        """


class FunctionalKey(Bound, Protocol):
    """What decrypts inner products with some vectors y, and nothing else."""

    @staticmethod
    def from_bytes(data: bytes) -> FunctionalKey:
        """Read one: see `Bound`."""

    @property
    def y(self) -> IntArray:
        """The vectors, int64 [keys, length]; they are no secret."""


@dataclass(frozen=True)
class Scope(ValueObject):
    """The ciphertext, and the samples in it, that a key is for.

    Attributes:
        header: The ciphertext's header, of 1 to 64 bytes.
        start: The number of the first sample, among all samples of the instance.
        stop: One behind the last sample, at most 2^48.

    Raises:
        TypeError: An attribute is of another type.
        ValueError: The header has more or fewer bytes, or the scope holds no sample, or reaches further.
    """

    header: bytes
    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 < len(of_type(self.header, bytes, "scope.header")) <= MOST_HEADER_BYTES:
            raise ValueError(
                f"`scope` must have a header of 1 to {MOST_HEADER_BYTES} bytes, got one of {len(self.header)}"
            )
        start, stop = integer(self.start, "scope.start"), integer(self.stop, "scope.stop")
        if not 0 <= start < stop <= MOST_SAMPLES:
            raise ValueError(f"`scope` must hold one sample or more of at most {MOST_SAMPLES}, got {start} to {stop}")
        vars(self).update(start=start, stop=stop)


class Types(NamedTuple):
    """The types of a scheme, by which what it made is read from bytes."""

    master_key: type[MasterKey]
    public_key: type[PublicKey]
    ciphertext: type[Ciphertext]
    functional_key: type[FunctionalKey]


class Scheme(Protocol):
    """One scheme: four functions, and what they need to be told."""

    @property
    def name(self) -> SchemeName:
        """The name by which instances ask for it."""

    @property
    def keys_are_scoped(self) -> bool:
        """Whether a key holds for the samples of a `Scope` alone; otherwise it holds for all of an instance."""

    @property
    def types(self) -> Types:
        """Its types: `scheme.types.public_key.from_bytes(data)` reads a public key."""

    def explain(self, instance: Instance) -> str:
        """The parameters that the scheme chooses for an instance, and why they are enough, in some lines.

        Raises:
            ParameterError: No parameters within the guidelines of 128 bits fit the instance.
            ValueError: It is of another scheme.
        """

    def setup(self, instance: Instance) -> tuple[MasterKey, PublicKey]:
        """Draw the keys of an instance.

        Raises:
            ParameterError: No parameters within the guidelines of 128 bits fit the instance.
        """

    def encrypt(self, public_key: PublicKey, x: ArrayLike, first: int = 0) -> Ciphertext:
        """Encrypt vectors, int64 [samples, length].

        Args:
            public_key: The instance's public key.
            x: The vectors.
            first: The number of the first one among all samples of the instance. Schemes whose keys are scoped bind
                the ciphertext to it; to others it means nothing.

        Raises:
            TypeError: They are no integers.
            ValueError: Their shape or a value is wrong, or there are none.
        """

    def derive_key(self, master_key: MasterKey, y: ArrayLike, scope: Scope | None = None) -> FunctionalKey:
        """Derive a key for vectors, int64 [keys, length].

        Raises:
            TypeError: They are no integers.
            ValueError: Their shape or a value is wrong, or there is a scope where none is used, or none where one is.
        """

    def decrypt(self, ciphertext: Ciphertext, key: FunctionalKey, samples: slice | None = None) -> IntArray:
        """The inner products of some samples (all by default) with the key's vectors, int64 [samples, keys].

        Raises:
            TypeError: An argument is of another scheme, or ``samples`` no slice of integers.
            ValueError: The slice has a step, holds nothing, or reaches beyond the ciphertext.
            MismatchError: Key and ciphertext belong to different instances or scopes, or a product could be wrong.
        """
