"""The interface of all schemes of inner-product functional encryption.

    master_key, public_key = setup(instance)            # the key authority
    ciphertext = encrypt(public_key, x)                  # a data owner: vectors x, int64 [samples, length]
    key = derive_key(master_key, y, scope)               # the authority: vectors y, int64 [keys, length]
    products = decrypt(public_key, ciphertext, key)      # the trainer: <x, y>, int64 [samples, keys], or an error

Whoever holds a functional key and a ciphertext learns the inner products of its vectors and nothing else; whoever holds
as many independent keys as vectors have elements knows the vectors. A scheme promises nothing against a trainer who
colludes with the authority.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from numpy.typing import ArrayLike

from he.functional.instance import Instance, SchemeName
from intnn.values.arrays import IntArray


class Bound(Protocol):
    """What belongs to one instance, and crosses as bytes: `from_bytes(to_bytes())` is the same again."""

    @property
    def instance(self) -> Instance:
        """The instance that it belongs to."""

    def to_bytes(self) -> bytes:
        """It as a message in the house's format."""


class MasterKey(Bound, Protocol):
    """What the authority keeps secret."""


class PublicKey(Bound, Protocol):
    """What data owners encrypt with, and trainers decrypt beside; no secret."""


class Ciphertext(Bound, Protocol):
    """Encrypted vectors of one data owner."""

    @property
    def samples(self) -> int:
        """The number of vectors."""

    @property
    def header(self) -> bytes:
        """The bytes, at most 64, that the authority must see of it to derive keys that hold for it alone.

        They are empty for schemes whose keys hold for all ciphertexts of an instance.
        """


class FunctionalKey(Bound, Protocol):
    """What decrypts inner products with some vectors y, and nothing else."""

    @property
    def y(self) -> IntArray:
        """The vectors, int64 [keys, length]; they are no secret."""


@dataclass(frozen=True)
class Scope:
    """The ciphertext, and the samples in it, that a key is for.

    Attributes:
        header: The ciphertext's header.
        start: The first sample.
        stop: One behind the last sample.
    """

    header: bytes
    start: int
    stop: int


class Scheme(Protocol):
    """One scheme: four functions, and what they need to be told."""

    @property
    def name(self) -> SchemeName:
        """The name by which instances ask for it."""

    @property
    def keys_are_scoped(self) -> bool:
        """Whether a key holds for the samples of a `Scope` alone; otherwise it holds for all of an instance."""

    def setup(self, instance: Instance) -> tuple[MasterKey, PublicKey]:
        """Draw the keys of an instance.

        Raises:
            ParameterError: No parameters within the guidelines of 128 bits fit the instance.
        """

    def encrypt(self, public_key: PublicKey, x: ArrayLike) -> Ciphertext:
        """Encrypt vectors, int64 [samples, length].

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

    def decrypt(
        self, public_key: PublicKey, ciphertext: Ciphertext, key: FunctionalKey, samples: slice | None = None
    ) -> IntArray:
        """The inner products of some samples (all by default) with the key's vectors, int64 [samples, keys].

        Raises:
            MismatchError: Key and ciphertext belong to different instances or scopes, or a product could be wrong.
        """
