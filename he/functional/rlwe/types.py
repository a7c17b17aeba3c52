"""Keys and ciphertexts of the lattice scheme, and their bytes.

Residues are packed to the bits of their primes, secrets and keys to the bits of their bounds, without gaps. Everything
else follows from the instance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from he.formats.messages import Kind, MessageError
from he.functional.blas import product
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
from he.functional.rlwe.parameters import RlweParameters, parameters
from he.kernels.passes import shorts
from he.kernels.passes.bits import packed, unpacked
from he.kernels.passes.evaluate import inverse
from he.kernels.passes.expand import uniform
from he.kernels.passes.functional import limbs
from he.kernels.passes.windows import spectra_shape, windows
from he.kernels.tables.chain import chain
from he.kernels.tables.windows import window_tables
from he.ring.packed import SEED_BYTES, word_bits
from intnn.values.arrays import Array, FloatArray, IntArray, integer
from intnn.values.arrays import instance as of_type
from intnn.values.value_object import Unstorable

MOST_SAMPLES = 1 << 32


class _OfInstance:
    instance: Instance

    def __post_init__(self) -> None:
        require_scheme(self.instance, "rlwe")

    @cached_property
    def parameters(self) -> RlweParameters:
        """The parameters that follow from the instance."""
        return parameters(self.instance)


@dataclass(frozen=True, eq=False)
class RlweMasterKey(_OfInstance, Unstorable, instead="store its bytes, under lock and key"):
    """The secrets s_i, which the authority keeps.

    Attributes:
        instance: The instance.
        secrets: int32 [l, N], within the bound of their law, read-only.

    Raises:
        TypeError: A part is of another type.
        ValueError: The instance is none of this scheme, or a part has another shape, type or range of elements.
    """

    instance: Instance
    secrets: Array = field(repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        _close(self.secrets, "secrets", np.int32, self.instance.length, self.parameters.N)
        _require_within(self.secrets, self.parameters.secrets.bound, "secrets")

    @cached_property
    def panels(self) -> Array:
        """The secrets as `he.kernels.passes.shorts.combine` takes them: int16, of `panels_shape`, read-only."""
        (rows, columns), bound = self.secrets.shape, self.parameters.secrets.bound
        out = np.empty(shorts.panels_shape(rows, columns, bound), np.int16)
        shorts.cut(self.secrets, shorts.limb_bits(bound), out)
        return closed(out)

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
        instance, p, _, parts = _opened(Kind.FUNCTIONAL_MASTER, data)
        require_lengths(parts, _integers_bytes(instance.length * p.N, p.secrets.bound))
        secrets = _unpacked_integers(parts[0], (instance.length, p.N), p.secrets.bound)
        return RlweMasterKey(instance, secrets.astype(np.int32))


@dataclass(frozen=True, eq=False)
class RlwePublicKey(_OfInstance, Unstorable, instead="store its bytes"):
    """The polynomials b_i = a s_i + e_i, which owners encrypt with.

    Attributes:
        instance: The instance.
        seed: The 64 bytes that a is made of.
        b: Residues in transformed form, uint64 [l, primes, N], read-only.

    Raises:
        TypeError: A part is of another type.
        ValueError: The instance is none of this scheme, or a part has another shape or type of elements.
    """

    instance: Instance
    seed: bytes
    b: Array = field(repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(of_type(self.seed, bytes, "seed")) != SEED_BYTES:
            raise ValueError(f"`seed` must have {SEED_BYTES} bytes, got {len(self.seed)}")
        p = self.parameters
        _close(self.b, "b", np.uint64, self.instance.length, len(p.primes), p.N)

    @cached_property
    def a(self) -> Array:
        """The uniform polynomial in transformed form: uint64 [primes, N], read-only."""
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
        instance, p, _, parts = _opened(Kind.FUNCTIONAL_PUBLIC, data)
        shape = (instance.length, len(p.primes), p.N)
        require_lengths(parts, SEED_BYTES, _residues_bytes(shape, p.primes))
        return RlwePublicKey(instance, bytes(parts[0]), _unpacked_residues(parts[1], shape, p.primes))


@dataclass(frozen=True, eq=False)
class Block:
    """Up to N samples, encrypted under the same randomness.

    Attributes:
        mask: c_0 in transformed form, uint64 [kept primes, N], read-only.
        rows: The first coefficients of c_1 .. c_l, one for every sample, and more, read-only: uint64 [l, kept primes,
            coefficients].
    """

    mask: Array
    rows: Array


@dataclass(frozen=True, eq=False)
class RlweCiphertext(_OfInstance, Unstorable, instead="store its bytes"):
    """Encrypted vectors.

    Attributes:
        instance: The instance.
        samples: The number of vectors.
        blocks: N samples each, and what is left in the last one.

    Raises:
        TypeError: A part is of another type.
        ValueError: The instance is none of this scheme, or a part has another shape or type of elements.
    """

    instance: Instance
    samples: int
    blocks: tuple[Block, ...] = field(repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        p, samples = self.parameters, integer(self.samples, "samples", 1, MOST_SAMPLES)
        if len(self.blocks) != p.blocks(samples):
            raise ValueError(f"`blocks` must be {p.blocks(samples)} for {samples} samples, got {len(self.blocks)}")
        for block, (mask, rows) in zip(self.blocks, _shapes(p, samples), strict=True):
            _close(block.mask, "mask", np.uint64, *mask[1:])
            _close(block.rows, "rows", np.uint64, *rows)

    @cached_property
    def spectra(self) -> list[list[Array]]:
        """The windows of c_0, for every block and kept prime, as `he.kernels.passes.windows.products` takes them."""
        p = self.parameters
        return [[_spectra(p, j, block) for j in range(p.kept)] for block in self.blocks]

    @property
    def header(self) -> bytes:
        """Nothing: keys hold for all ciphertexts of an instance."""
        return b""

    def scope(self, start: int, stop: int) -> None:
        """None: keys hold for all ciphertexts of an instance."""

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
        instance, p, fields, parts = _opened(Kind.FUNCTIONAL_CIPHERTEXT, data, ("samples",))
        samples = number(fields, "samples", MOST_SAMPLES)
        if len(parts) != 2 * p.blocks(samples):
            raise MessageError(f"a ciphertext of {samples} samples must have two parts for every {p.N}")
        shapes = _shapes(p, samples)
        require_lengths(parts, *(_residues_bytes(shape, p.kept_primes) for pair in shapes for shape in pair))
        blocks = [
            Block(
                _unpacked_residues(mask, mask_shape, p.kept_primes)[0], _unpacked_residues(rows, shape, p.kept_primes)
            )
            for mask, rows, (mask_shape, shape) in zip(parts[::2], parts[1::2], shapes, strict=True)
        ]
        return RlweCiphertext(instance, samples, tuple(blocks))


@dataclass(frozen=True, eq=False)
class RlweFunctionalKey(_OfInstance, Unstorable, instead="store its bytes"):
    """The polynomials k_y for vectors y: with them, whoever holds a ciphertext of the instance learns <x, y>.

    Attributes:
        instance: The instance.
        y: The vectors, int64 [keys, l], read-only.
        keys: int64 [keys, N], within +-`RlweParameters.key_bound`, read-only.

    Raises:
        TypeError: A part is of another type.
        ValueError: The instance is none of this scheme, or a part has another shape, type or range of elements.
    """

    instance: Instance
    y: IntArray = field(repr=False)
    keys: IntArray = field(repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "y", self.instance.require_keys(self.y))
        _close(self.keys, "keys", np.int64, len(self.y), self.parameters.N)
        _require_within(self.keys, self.parameters.key_bound, "keys")

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
        instance, p, fields, parts = _opened(Kind.FUNCTIONAL_KEY, data, ("keys",))
        count = number(fields, "keys", MOST_KEYS)
        require_lengths(parts, vectors_bytes(instance, count), _integers_bytes(count * p.N, p.key_bound))
        y = vectors_from_bytes(instance, parts[0])
        return RlweFunctionalKey(instance, y, _unpacked_integers(parts[1], (count, p.N), p.key_bound))


def closed(array: Array) -> Array:
    """The same array, marked as read-only without a copy: these are large."""
    array.setflags(write=False)
    return array


def expanded(seed: bytes, p: RlweParameters) -> Array:
    """The uniform polynomial that a seed of 64 bytes names, in transformed form: uint64 [primes, N]."""
    out = np.empty((len(p.primes), p.N), np.uint64)
    uniform(np.frombuffer(seed, "<u8").astype(np.uint64), np.array(p.primes), out)
    return closed(out)


def limb_bits(instance: Instance) -> int:
    """The most bits of a limb for which sums of its products with vectors of keys are integers within 2^53.

    Float64 holds these exactly, also on the way, in whatever order a BLAS adds them, with fused additions or without:
    it is an exact integer unit there.
    """
    return 53 - (instance.length * instance.key_limit).bit_length()


def cut(x: Array, row: int, columns: slice, instance: Instance, most: int) -> FloatArray:
    """Cut one row of integers uint64 [l, rows, coefficients], at most ``most``, into limbs: float64 [limbs, l, m]."""
    bits = limb_bits(instance)
    out = np.empty((-(-most.bit_length() // bits), len(x), columns.stop - columns.start))
    limbs(closed(x), row, columns.start, bits, out)
    return out


def exact_products(y: FloatArray, limbs: FloatArray) -> FloatArray:
    """The inner products of vectors of keys, [keys, l], with limbs, [limbs, l, m]: exact, as `limb_bits` says."""
    return product(y, limbs)


def _close(array: Array, name: str, kind: DTypeLike, *shape: int) -> None:
    """Mark an array as read-only, after a look whether kernels can read it."""
    if of_type(array, np.ndarray, name).dtype != kind or array.shape != shape or not array.flags.c_contiguous:
        raise ValueError(
            f"`{name}` must be {np.dtype(kind)} {list(shape)} in C order, got {array.dtype} {list(array.shape)}"
        )
    closed(array)


def _require_within(integers: Array, bound: int, name: str) -> None:
    """Check magnitudes: limbs, lifts and messages have no room for larger ones, and would hold others instead."""
    if max(int(integers.max()), -int(integers.min())) > bound:
        raise ValueError(f"`{name}` must lie within +-{bound}, got larger ones; take those that the scheme has made")


def _shapes(p: RlweParameters, samples: int) -> list[tuple[tuple[int, int, int], tuple[int, int, int]]]:
    """The shapes of the mask (of one polynomial) and of the rows of every block."""
    counts = (min(p.N, samples - at) for at in range(0, samples, p.N))
    return [((1, p.kept, p.N), (p.length, p.kept, p.coefficients(count))) for count in counts]


def _spectra(p: RlweParameters, j: int, block: Block) -> Array:
    """The windows of a block's c_0 modulo the j-th prime."""
    row, out = block.mask[j].copy(), np.empty(spectra_shape(p.N, block.rows.shape[2]), np.uint64)
    inverse(chain(p.N, p.kept_primes).tables, row, j)
    windows(window_tables(p.primes[j]), row, out)
    return closed(out)


def _opened(
    kind: Kind, data: bytes, names: tuple[str, ...] = ()
) -> tuple[Instance, RlweParameters, dict[str, Any], list[memoryview]]:
    instance, fields, parts = opened(kind, data, names=names)
    with made_of_a_message():
        require_scheme(instance, "rlwe")
        return instance, parameters(instance), fields, parts


def _residues_bytes(shape: tuple[int, int, int], primes: tuple[int, ...]) -> int:
    return shape[0] * shape[2] // 8 * sum(map(word_bits, primes))


def _packed_residues(x: Array, primes: tuple[int, ...]) -> bytes:
    return b"".join([packed(row, p) for rows in x for row, p in zip(rows, primes, strict=True)])


def _unpacked_residues(part: memoryview, shape: tuple[int, int, int], primes: tuple[int, ...]) -> Array:
    out = np.empty(shape, np.uint64)
    if not unpacked(part, primes, out):
        raise MessageError("residues in the message must be below their primes")
    return out


def _integers_bytes(count: int, bound: int) -> int:
    return count // 8 * word_bits(2 * bound + 1)


def _packed_integers(x: Array, bound: int) -> bytes:
    return packed((x.ravel() + np.int64(bound)).view(np.uint64), 2 * bound + 1)


def _unpacked_integers(part: memoryview, shape: tuple[int, ...], bound: int) -> IntArray:
    out = np.empty((1, 1, math.prod(shape)), np.uint64)
    if not unpacked(part, (2 * bound + 1,), out):
        raise MessageError(f"integers in the message must lie within +-{bound}")
    return out.view(np.int64).reshape(shape) - bound
