"""Keys and ciphertexts of the lattice scheme, and their bytes.

Residues are packed to the bits of their primes, secrets and keys to the bits of their bounds, without gaps. Everything
else follows from the instance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

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
from he.functional.rlwe import kernels
from he.functional.rlwe.parameters import RlweParameters, parameters
from he.kernels.passes.bits import packed, unpacked, word_bits
from he.kernels.passes.expand import SEED_BYTES, uniform
from he.kernels.tables.chain import chain
from intnn.values.arrays import Array, FloatArray, IntArray
from intnn.values.value_object import Unstorable

MOST_SAMPLES = 1 << 32


class _OfInstance:
    instance: Instance

    @cached_property
    def parameters(self) -> RlweParameters:
        """The parameters that follow from the instance."""
        return parameters(self.instance)


@dataclass(frozen=True, eq=False)
class RlweMasterKey(_OfInstance, Unstorable, instead="store its bytes, under lock and key"):
    """The secrets s_i, which the authority keeps.

    Attributes:
        instance: The instance.
        secrets: int32 [l, N], small coefficients.
    """

    instance: Instance
    secrets: Array = field(repr=False)

    @cached_property
    def limbs(self) -> FloatArray:
        """The secrets plus their bound in limbs for `exact_products`: float64 [limbs, l, N]."""
        bound = self.parameters.secrets.bound
        return limbs((self.secrets + np.int64(bound)).view(np.uint64), self.instance, 2 * bound)

    def to_bytes(self) -> bytes:
        """It as a message: whoever reads it can read everything that was encrypted for the instance."""
        part = _packed_integers(self.secrets, self.parameters.secrets.bound)
        return seal(Kind.FUNCTIONAL_MASTER, self.instance, {}, [part])

    @staticmethod
    def from_bytes(data: bytes) -> RlweMasterKey:
        """Read it.

        Raises:
            MessageError: The message is damaged, foreign, or no master key of this scheme.
        """
        instance, _, parts = _opened(Kind.FUNCTIONAL_MASTER, data)
        p = parameters(instance)
        require_lengths(parts, _integers_bytes(instance.length * p.N, p.secrets.bound))
        secrets = _unpacked_integers(parts[0], (instance.length, p.N), p.secrets.bound)
        return RlweMasterKey(instance, closed(secrets.astype(np.int32)))


@dataclass(frozen=True, eq=False)
class RlwePublicKey(_OfInstance):
    """The polynomials b_i = a s_i + e_i, which owners encrypt with.

    Attributes:
        instance: The instance.
        seed: The 64 bytes that a is made of.
        b: Residues in transformed form, uint64 [l, primes, N].
    """

    instance: Instance
    seed: bytes
    b: Array = field(repr=False)

    @cached_property
    def a(self) -> Array:
        """The uniform polynomial in transformed form: uint64 [primes, N]."""
        return expanded(self.seed, self.parameters)

    def to_bytes(self) -> bytes:
        """It as a message."""
        part = _packed_residues(self.b, self.parameters.primes)
        return seal(Kind.FUNCTIONAL_PUBLIC, self.instance, {}, [self.seed, part])

    @staticmethod
    def from_bytes(data: bytes) -> RlwePublicKey:
        """Read it.

        Raises:
            MessageError: The message is damaged, foreign, or no public key of this scheme.
        """
        instance, _, parts = _opened(Kind.FUNCTIONAL_PUBLIC, data)
        p = parameters(instance)
        shape = (instance.length, len(p.primes), p.N)
        require_lengths(parts, SEED_BYTES, _residues_bytes(shape, p.primes))
        return RlwePublicKey(instance, bytes(parts[0]), _unpacked_residues(parts[1], shape, p.primes))


@dataclass(frozen=True, eq=False)
class Block:
    """Up to N samples, encrypted under the same randomness.

    Attributes:
        mask: c_0 in transformed form, uint64 [kept primes, N].
        rows: The first coefficients of c_1 .. c_l, one for every sample, and more: uint64 [l, kept primes, coefficients].
    """

    mask: Array
    rows: Array


@dataclass(frozen=True, eq=False)
class RlweCiphertext(_OfInstance):
    """Encrypted vectors.

    Attributes:
        instance: The instance.
        samples: The number of vectors.
        blocks: N samples each, and what is left in the last one.
    """

    instance: Instance
    samples: int
    blocks: tuple[Block, ...] = field(repr=False)

    @property
    def header(self) -> bytes:
        """Nothing: keys hold for all ciphertexts of an instance."""
        return b""

    def to_bytes(self) -> bytes:
        """It as a message."""
        primes = self.parameters.kept_primes
        parts = [_packed_residues(rows, primes) for block in self.blocks for rows in (block.mask[None], block.rows)]
        return seal(Kind.FUNCTIONAL_CIPHERTEXT, self.instance, {"samples": self.samples}, parts)

    @staticmethod
    def from_bytes(data: bytes) -> RlweCiphertext:
        """Read it.

        Raises:
            MessageError: The message is damaged, foreign, or no ciphertext of this scheme.
        """
        instance, fields, parts = _opened(Kind.FUNCTIONAL_CIPHERTEXT, data, ("samples",))
        samples, p = number(fields, "samples", MOST_SAMPLES), parameters(instance)
        primes, mask_shape = p.kept_primes, (1, p.kept, p.N)
        if len(parts) != 2 * -(-samples // p.N):
            raise MessageError(f"a ciphertext of {samples} samples must have two parts for every {p.N}")
        shapes = [(instance.length, p.kept, p.coefficients(min(p.N, samples - at))) for at in range(0, samples, p.N)]
        require_lengths(parts, *(_residues_bytes(s, primes) for shape in shapes for s in (mask_shape, shape)))
        blocks = [
            Block(_unpacked_residues(mask, mask_shape, primes)[0], _unpacked_residues(rows, shape, primes))
            for mask, rows, shape in zip(parts[::2], parts[1::2], shapes, strict=True)
        ]
        return RlweCiphertext(instance, samples, tuple(blocks))


@dataclass(frozen=True, eq=False)
class RlweFunctionalKey(_OfInstance):
    """The polynomials k_y for vectors y: with them, whoever holds a ciphertext of the instance learns <x, y>.

    Attributes:
        instance: The instance.
        y: The vectors, int64 [keys, l].
        keys: int64 [keys, N], within +-`RlweParameters.key_bound`.
    """

    instance: Instance
    y: IntArray
    keys: IntArray = field(repr=False)

    @cached_property
    def transformed(self) -> Array:
        """The keys modulo the primes that ciphertexts have, in transformed form: uint64 [keys, kept primes, N]."""
        p = self.parameters
        out = np.empty((len(self.keys), p.kept, p.N), np.uint64)
        kernels.transformed(chain(p.N, p.kept_primes).tables, self.keys, out)
        return out

    def to_bytes(self) -> bytes:
        """It as a message."""
        parts = [vectors_to_bytes(self.y), _packed_integers(self.keys, self.parameters.key_bound)]
        return seal(Kind.FUNCTIONAL_KEY, self.instance, {"keys": len(self.y)}, parts)

    @staticmethod
    def from_bytes(data: bytes) -> RlweFunctionalKey:
        """Read it.

        Raises:
            MessageError: The message is damaged, foreign, or no key of this scheme.
        """
        instance, fields, parts = _opened(Kind.FUNCTIONAL_KEY, data, ("keys",))
        count, p = number(fields, "keys", MOST_KEYS), parameters(instance)
        require_lengths(parts, vectors_bytes(instance, count), _integers_bytes(count * p.N, p.key_bound))
        y = vectors_from_bytes(instance, parts[0])
        return RlweFunctionalKey(instance, y, closed(_unpacked_integers(parts[1], (count, p.N), p.key_bound)))


def closed(array: Array) -> Array:
    """The same array, marked as read-only without a copy: these are large."""
    array.setflags(write=False)
    return array


def expanded(seed: bytes, p: RlweParameters) -> Array:
    """The uniform polynomial that a seed of 64 bytes names, in transformed form: uint64 [primes, N]."""
    out = np.empty((len(p.primes), p.N), np.uint64)
    uniform(np.frombuffer(seed, "<u8").astype(np.uint64), np.array(p.primes), out)
    return out


def limb_bits(instance: Instance) -> int:
    """The most bits of a limb for which sums of its products with vectors of keys are integers within 2^53.

    Float64 holds these exactly, also on the way, in whatever order a BLAS adds them, with fused additions or without: it
    is an exact integer unit there.
    """
    return 53 - (instance.length * instance.key_limit).bit_length()


def limbs(x: Array, instance: Instance, most: int) -> FloatArray:
    """Cut integers uint64 [l, m] from 0 to ``most`` into limbs as float64 [limbs, l, m]."""
    bits = limb_bits(instance)
    out = np.empty((-(-most.bit_length() // bits), *x.shape))
    kernels.limbs(x, bits, out)
    return out


def _opened(kind: Kind, data: bytes, names: tuple[str, ...] = ()) -> tuple[Instance, dict, list[memoryview]]:
    instance, fields, parts = opened(kind, data, names=names)
    if instance.scheme != "rlwe":
        raise MessageError(f'the message must belong to the scheme "rlwe", got one of "{instance.scheme}"')
    return instance, fields, parts


def _residues_bytes(shape: tuple[int, int, int], primes: tuple[int, ...]) -> int:
    return shape[0] * shape[2] // 8 * sum(map(word_bits, primes))


def _packed_residues(x: Array, primes: tuple[int, ...]) -> bytes:
    return b"".join([packed(row, p) for rows in x for row, p in zip(rows, primes, strict=True)])


def _unpacked_residues(part: memoryview, shape: tuple[int, int, int], primes: tuple[int, ...]) -> Array:
    out = np.empty(shape, np.uint64)
    if not unpacked(part, primes, out):
        raise MessageError("residues in the message must be below their primes")
    return closed(out)


def _integers_bytes(count: int, bound: int) -> int:
    return count // 8 * word_bits(2 * bound + 1)


def _packed_integers(x: Array, bound: int) -> bytes:
    return packed((x.ravel() + np.int64(bound)).view(np.uint64), 2 * bound + 1)


def _unpacked_integers(part: memoryview, shape: tuple[int, ...], bound: int) -> IntArray:
    out = np.empty((1, 1, math.prod(shape)), np.uint64)
    if not unpacked(part, (2 * bound + 1,), out):
        raise MessageError(f"integers in the message must lie within +-{bound}")
    return out.view(np.int64).reshape(shape) - bound
