"""Inner-product functional encryption from ring learning with errors: `parameters.py` has the scheme and the reasons.

A ciphertext holds many samples: the i-th elements of up to N of them are the coefficients of one polynomial. So one
product of polynomials for a key serves all samples of a block, and where few of them are asked for, few coefficients of
it are computed (`he.kernels.passes.windows`). The rest of a decryption is a matrix product.
"""

from __future__ import annotations

import math
import secrets

import numpy as np
from numpy.typing import ArrayLike

from he.functional.checks import own, require_scheme, sample_range, uncentred
from he.functional.errors import FunctionalError, MismatchError
from he.functional.instance import Instance, SchemeName
from he.functional.rlwe.gaussian import Source
from he.functional.rlwe.parameters import parameters
from he.functional.rlwe.types import (
    Block,
    RlweCiphertext,
    RlweFunctionalKey,
    RlweMasterKey,
    RlwePublicKey,
    closed,
    cut,
    exact_products,
    expanded,
    limb_bits,
)
from he.functional.scheme import Ciphertext, FunctionalKey, MasterKey, PublicKey, Scope, Types
from he.kernels.passes import functional as kernels
from he.kernels.passes import shorts, windows
from he.kernels.tables.chain import chain
from he.kernels.tables.windows import WINDOW, window_tables
from he.ring.packed import SEED_BYTES
from intnn.values.arrays import Array, FloatArray, IntArray, frozen

#: The most coefficients of a functional key, of 8 bytes: a small request must not take all of an authority's memory.
MOST_COEFFICIENTS = 1 << 26
_ROWS = 8  # polynomials at once: they stay in the second cache
_COLUMNS = 1024  # coefficients at once: sums stay in the caches and need no fresh pages, and limbs are read once


class RlweScheme:
    """The lattice scheme, as `he.functional.scheme.Scheme` describes it."""

    name: SchemeName = "rlwe"
    keys_are_scoped = False
    types = Types(RlweMasterKey, RlwePublicKey, RlweCiphertext, RlweFunctionalKey)

    def explain(self, instance: Instance) -> str:
        """The parameters for an instance, and why they are enough: see `RlweParameters.explain`."""
        return parameters(instance).explain()

    def setup(self, instance: Instance) -> tuple[RlweMasterKey, RlwePublicKey]:
        """Draw the keys of an instance.

        Raises:
            TypeError: ``instance`` is no instance.
            ValueError: It is of another scheme.
            ParameterError: No parameters within the guidelines of 128 bits fit it.
        """
        require_scheme(instance, self.name)
        return drawn_keys(instance, Source(), secrets.token_bytes(SEED_BYTES))

    def encrypt(self, public_key: PublicKey, x: ArrayLike, first: int = 0) -> RlweCiphertext:  # noqa: ARG002 - of scoped keys
        """Encrypt vectors, int64 [samples, l]; those in one call belong to one owner.

        Raises:
            TypeError: They are no integers, or the key is one of another scheme.
            ValueError: Their shape or a value is wrong, or there are none.
        """
        key = own(public_key, RlwePublicKey, "public_key")
        return encrypted(key, key.instance.require_inputs(x), Source())

    def derive_key(self, master_key: MasterKey, y: ArrayLike, scope: Scope | None = None) -> RlweFunctionalKey:
        """Derive a key for vectors, int64 [keys, l], which holds for all ciphertexts of the instance.

        Raises:
            TypeError: They are no integers, or the master key is one of another scheme.
            ValueError: Their shape or a value is wrong, they are too many, or there is a scope.
            FunctionalError: The master key is not one that was drawn: the key is larger than keys are, but for 2^-64.
        """
        key = own(master_key, RlweMasterKey, "master_key")
        if scope is not None:
            raise ValueError("`scope` must be None: lattice keys hold for all ciphertexts of an instance")
        vectors, p = frozen(key.instance.require_keys(y)), key.parameters  # in C's order
        if len(vectors) * p.N > MOST_COEFFICIENTS:
            most = MOST_COEFFICIENTS // p.N
            raise ValueError(f"`y` must have at most {most} vectors, got {len(vectors)}; make several requests")
        keys, bits = np.empty((len(vectors), p.N), np.int64), shorts.limb_bits(p.secrets.bound)
        if shorts.combine(key.panels, bits, vectors, p.key_limit, keys) > p.key_bound:
            raise FunctionalError(f"a key has coefficients beyond {p.key_bound}; draw the master key again")
        return RlweFunctionalKey(key.instance, vectors, keys)

    def decrypt(self, ciphertext: Ciphertext, key: FunctionalKey, samples: slice | None = None) -> IntArray:
        """The inner products of some samples (all by default) with the key's vectors, int64 [samples, keys].

        Raises:
            TypeError: An argument is of another scheme, or ``samples`` no slice of integers.
            ValueError: The slice holds nothing, or more than the ciphertext.
            MismatchError: Key and ciphertext belong to different instances, or a product could be wrong:
                it lies too far from the grid of results, or is larger than products of the vector can be.
        """
        source = own(ciphertext, RlweCiphertext, "ciphertext")
        instance = source.instance
        functional = own(key, RlweFunctionalKey, "key", instance)
        wanted, N = sample_range(samples, source.samples), source.parameters.N
        products = []
        for number in range(wanted.start // N, source.parameters.blocks(wanted.stop)):
            first, last = max(wanted.start - number * N, 0), min(wanted.stop - number * N, N)
            products.append(decrypted(source, number, functional, first, last))
        return uncentred(products[0] if len(products) == 1 else np.vstack(products), functional.y, instance)


SCHEME = RlweScheme()


def drawn_keys(instance: Instance, source: Source, seed: bytes) -> tuple[RlweMasterKey, RlwePublicKey]:
    """Both keys of an instance from a source of randomness and the public seed of a, 64 bytes."""
    p = parameters(instance)
    tables, a = chain(p.N, p.primes).tables, expanded(seed, p)
    drawn = np.empty((instance.length, p.N), np.int32)
    b = np.empty((instance.length, len(p.primes), p.N), np.uint64)
    e = np.empty((_ROWS, *b.shape[1:]), np.uint64)
    for rows in _slices(0, instance.length, _ROWS):
        s, part = source.samples(p.secrets, drawn[rows].shape), b[rows]
        drawn[rows] = s
        kernels.transformed(tables, s, part)
        kernels.transformed(tables, source.samples(p.secrets, s.shape), e[: len(s)])
        kernels.multiply_add(tables, part, a, e[: len(s)])
    return RlweMasterKey(instance, drawn), RlwePublicKey(instance, seed, b)


def encrypted(key: RlwePublicKey, x: IntArray, source: Source) -> RlweCiphertext:
    """Encrypt checked vectors int64 [samples, l], N to a block."""
    N, centred = key.parameters.N, x - key.instance.centre
    blocks = [_encrypted_block(key, centred[at : at + N], source) for at in range(0, len(x), N)]
    return RlweCiphertext(key.instance, len(x), tuple(blocks))


def _encrypted_block(key: RlwePublicKey, x: IntArray, source: Source) -> Block:
    p = key.parameters
    tables, N, count = chain(p.N, p.primes).tables, p.N, len(p.primes)
    r = np.empty((1, count, N), np.uint64)
    kernels.transformed(tables, source.samples(p.masks, (1, N)), r)
    closed(r)
    scales = np.array([p.modulus // p.results % prime for prime in p.primes])

    def add_errors(factor: Array, first: int, errors: IntArray, message: IntArray, out: Array) -> None:
        """The product with r, plus errors and the message, modulo the primes that are kept."""
        product = np.empty((len(errors), count, N), np.uint64)
        kernels.multiply_back(tables, factor, r[0], product)
        whole = out if p.kept == count else np.empty((len(errors), count, errors.shape[1]), np.uint64)
        kernels.add_message(tables, product, scales, message, first, errors, whole)
        if p.kept < count:
            kernels.drop_last(tables, whole, out)

    mask = np.empty((1, p.kept, N), np.uint64)
    add_errors(key.a[None], 0, source.samples(p.masks, (1, N)), x[:0], mask)
    kernels.forward_all(tables, mask)
    rows = np.empty((key.instance.length, p.kept, p.coefficients(len(x))), np.uint64)
    for part in _slices(0, len(rows), _ROWS):
        errors = source.samples(p.errors, (part.stop - part.start, rows.shape[2]))
        add_errors(key.b[part], part.start, errors, x, rows[part])
    return Block(mask[0], rows)


def _slices(start: int, stop: int, size: int) -> list[slice]:
    """From start to stop, so many at a time."""
    return [slice(at, min(at + size, stop)) for at in range(start, stop, size)]


def decrypted(source: RlweCiphertext, number: int, key: RlweFunctionalKey, start: int, stop: int) -> IntArray:
    """The inner products of samples of a block, by its number, less the centre: int64 [stop - start, keys].

    Raises:
        MismatchError: A product could be wrong.
    """
    p, rows = key.parameters, source.blocks[number].rows
    # Whole windows, and as many coefficients as show a foreign key: those of neighbours where too few are asked for.
    first = max(0, min(start, rows.shape[2] - p.checked)) // WINDOW * WINDOW
    last = -(-max(stop, first + p.checked) // WINDOW) * WINDOW
    masks = np.empty((p.kept, len(key.y), last - first), np.uint64)
    for prime, spectra, mask in zip(p.kept_primes, source.spectra[number], masks, strict=True):
        windows.products(window_tables(prime), key.keys, spectra, first // WINDOW, mask)
    products, farthest = np.empty((last - first, len(key.y)), np.int64), 0.0
    y = key.y.astype(np.float64)
    for columns in _slices(first, last, _COLUMNS):
        fractions = _fractions(rows, columns, y, masks, first, key)
        rounded, distances = np.empty(fractions.shape, np.int64), np.empty(len(key.y))
        kernels.nearest(fractions, p.results, rounded, distances)
        products[columns.start - first : columns.stop - first] = rounded.T
        farthest = max(farthest, distances.max())
    if farthest > p.tolerance:
        raise MismatchError(
            f"a product lies {farthest:.2f} of a step from the grid of results, beyond {p.tolerance:.2f}: key and "
            "ciphertext were not made by the same keys, or one of them was damaged"
        )
    return products[start - first : stop - first]


def _fractions(
    rows: Array, columns: slice, y: FloatArray, masks: Array, first: int, key: RlweFunctionalKey
) -> FloatArray:
    """Decryptions before they are rounded, as fractions of the modulus: float64 [keys, coefficients].

    Masks are there from the ``first`` coefficient on.
    """
    p, out = key.parameters, np.zeros((len(y), columns.stop - columns.start))
    tables, modulus, bits = chain(p.N, p.kept_primes).tables, math.prod(p.kept_primes), limb_bits(key.instance)
    for j, prime in enumerate(p.kept_primes):
        sums = exact_products(y, cut(rows, j, columns, key.instance, prime))
        factor = pow(modulus // prime, -1, prime)
        kernels.add_fractions(tables, sums, bits, masks[j], columns.start - first, j, factor, out)
    return out
