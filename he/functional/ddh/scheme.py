"""Inner products from discrete logarithms on the curve secp256k1.

This is the scheme of section 3 of Agrawal, Libert and Stehlé, "Fully Secure Functional Encryption for Inner Products,
from Standard Assumptions" (CRYPTO 2016, IACR ePrint 2015/608). With generators g and h of a group that is written with
plus, and two secret numbers s_i and t_i for every element of a vector:

    public key       h_i = s_i g + t_i h
    ciphertext       C = r g,  D = r h,  E_i = r h_i + (x_i - centre) g        for a random r
    functional key   s = <s_i, y>,  t = <t_i, y>        modulo the group's order
    decryption       <x - centre, y> g = sum of y_i E_i - s C - t D, and its discrete logarithm

What is promised, and to whom: a trainer learns the products that he has keys for and nothing else, also where vectors
and keys are chosen after keys and ciphertexts have been seen (the paper's full security), as long as the decisional
Diffie-Hellman problem is hard: on this curve it takes about 2^128 steps by what is known, but a large quantum computer
would solve it. Nothing is promised against the authority, nor against a trainer who colludes with it. A key and a
ciphertext that do not belong together are noticed, as a random point has no small logarithm; but an owner who does not
follow the scheme, and whoever may change a ciphertext, decides what the products with it are.

Numbers are drawn from [1, order), not from zero on, which differs by a chance of 2^-256. `he.functional.ddh.group` says
what runs in constant time, and what does not: an owner's elements choose what is added, and when nothing is.
"""

from __future__ import annotations

import math
import secrets
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from he.functional.checks import own, sample_range, uncentred
from he.functional.ddh.exponents import Combiner
from he.functional.ddh.group import (
    ORDER,
    SCALAR_BYTES,
    Memory,
    Points,
    added,
    joined,
    multiples,
    multiplied,
    multiplied_openly,
    scalar,
    total,
)
from he.functional.ddh.logarithm import logarithm
from he.functional.ddh.objects import (
    MASKS,
    MOST_SAMPLES,
    DdhCiphertext,
    DdhFunctionalKey,
    DdhMasterKey,
    DdhPublicKey,
    require_ddh,
)
from he.functional.instance import Instance, SchemeName
from he.functional.scheme import Ciphertext, FunctionalKey, MasterKey, PublicKey, Scope, Types
from intnn.values.arrays import IntArray

_LIMB = np.dtype(">u2")  # numbers below the order in 16 limbs, the highest first


class Ddh:
    """The scheme: see the module, and `he.functional.scheme.Scheme` for what its functions have in common."""

    name: SchemeName = "ddh"
    keys_are_scoped = False
    types = Types(DdhMasterKey, DdhPublicKey, DdhCiphertext, DdhFunctionalKey)

    def explain(self, instance: Instance) -> str:
        """The group, and whether products fit the search for logarithms."""
        require_ddh(instance)
        return (
            "discrete logarithms on secp256k1 (128 bits: SEC 2, version 2, table 1)\n"
            f"products: at most 2^{math.log2(instance.bound):.1f} in magnitude, found by baby and giant steps"
        )

    def setup(self, instance: Instance) -> tuple[DdhMasterKey, DdhPublicKey]:
        """Draw the keys of an instance.

        Raises:
            TypeError: ``instance`` is no instance.
            ValueError: It is of another scheme.
            ParameterError: Its products can be larger than 2^32.
        """
        require_ddh(instance)
        numbers = [_drawn() for _ in range(2 * instance.length)]
        generator = multiples([_drawn()])
        points = added(multiples(numbers[::2]), multiplied(joined([generator] * instance.length), numbers[1::2]))
        scalars = np.frombuffer(b"".join(numbers), np.uint8).reshape(-1, 2, SCALAR_BYTES)
        return DdhMasterKey(instance, scalars), DdhPublicKey(instance, joined([generator, points]))

    def encrypt(self, public_key: PublicKey, x: ArrayLike, first: int = 0) -> DdhCiphertext:  # noqa: ARG002 - of scoped keys
        """Encrypt vectors, int64 [samples, length], at most 2^20.

        Raises:
            TypeError: They are no integers, or the key is none of this scheme.
            ValueError: Their shape or a value is wrong, or there are none, or too many.
        """
        key = own(public_key, DdhPublicKey, "public_key")
        rows = key.instance.require_inputs(x) - key.instance.centre
        if len(rows) > MOST_SAMPLES:
            raise ValueError(f"`x` must have at most {MOST_SAMPLES} samples, got {len(rows)}: make several ciphertexts")
        small = _small_multiples(key.instance.magnitude)
        return DdhCiphertext(key.instance, joined(encrypted(key.points, row, small, _drawn()) for row in rows))

    def derive_key(self, master_key: MasterKey, y: ArrayLike, scope: Scope | None = None) -> DdhFunctionalKey:
        """Derive a key for vectors, int64 [keys, length].

        Raises:
            TypeError: They are no integers, or the master key is none of this scheme.
            ValueError: Their shape or a value is wrong, there are none, or there is a scope.
        """
        master = own(master_key, DdhMasterKey, "master_key")
        if scope is not None:
            raise ValueError("`scope` must be None: keys of this scheme hold for all ciphertexts of an instance")
        vectors = master.instance.require_keys(y)
        return DdhFunctionalKey(master.instance, vectors, inner_products(vectors, master.scalars))

    def decrypt(self, ciphertext: Ciphertext, key: FunctionalKey, samples: slice | None = None) -> IntArray:
        """The inner products of some samples (all by default) with the key's vectors, int64 [samples, keys].

        Raises:
            TypeError: An argument is of another scheme, or ``samples`` no slice of integers.
            ValueError: The slice has a step, holds nothing, or reaches beyond the ciphertext.
            MismatchError: The key is for another instance, or a product has no logarithm within the instance's bound.
        """
        cipher = own(ciphertext, DdhCiphertext, "ciphertext")
        instance = cipher.instance
        functional = own(key, DdhFunctionalKey, "key", instance)
        wanted, combiner = sample_range(samples, cipher.samples), Combiner(functional.y)
        masks = [[-int.from_bytes(number, "big") for number in pair] for pair in functional.scalars.tolist()]
        products = np.empty((len(wanted), len(masks)), np.int64)
        for row, number in zip(products, wanted, strict=True):
            points = cipher.sample(number)
            first, second, rest = points[:1], points[1:MASKS], points[MASKS:]
            for k, (masked, (s, t)) in enumerate(zip(combiner.sums(rest), masks, strict=True)):
                product = total([masked, multiplied_openly(first, s), multiplied_openly(second, t)])
                row[k] = logarithm(product, instance.bound)
        return uncentred(products, functional.y, instance)


def encrypted(public: Points, x: IntArray, small: Points, r: bytes) -> Points:
    """One vector, encrypted with a number r.

    Args:
        public: The points of the public key.
        x: The centred vector, int64 [length].
        small: The multiples of the generator by 1, 2, ... and then by -1, -2, ..., as far as elements of ``x`` reach.
        r: A number in [1, order) that is used for nothing else.

    Returns:
        length + 2 points.

    Raises:
        FunctionalError: A point would be infinite, which has a chance of 2^-256.
    """
    masks = multiplied(public, [r] * len(public))
    memory, chosen = masks.memory.copy(), np.flatnonzero(x)
    values = x[chosen]
    addends = Points(small.memory[np.where(values > 0, values - 1, len(small) // 2 - values - 1)])
    memory[1 + chosen] = added(Points(memory[1 + chosen]), addends).memory
    return joined([multiples([r]), Points(memory)])


def inner_products(y: IntArray, scalars: Memory) -> Memory:
    """Inner products of small integers with numbers below the order, modulo the order.

    Numbers are cut into limbs of 16 bits, so that sums stay below 2^(16 + 15 + 16) and float64 holds them exactly.

    Args:
        y: int64 [keys, length], of magnitudes below 2^15; the length is at most 2^16.
        scalars: Numbers, big-endian: uint8 [length, 2, 32].

    Returns:
        uint8 [keys, 2, 32].
    """
    limbs = scalars.reshape(len(scalars), -1).view(_LIMB).astype(np.float64)
    sums = (y.astype(np.float64) @ limbs).astype(np.int64).reshape(2 * len(y), -1).tolist()
    places = range(8 * SCALAR_BYTES - 16, -1, -16)
    found = [scalar(sum(limb << place for limb, place in zip(row, places, strict=True))) for row in sums]
    return np.frombuffer(b"".join(found), np.uint8).reshape(-1, 2, SCALAR_BYTES)


def _drawn() -> bytes:
    """A random number in [1, order)."""
    return scalar(1 + secrets.randbelow(ORDER - 1))


@lru_cache(maxsize=16)
def _small_multiples(magnitude: int) -> Points:
    """The multiples of the generator by 1 to a magnitude, then by -1 to minus the magnitude."""
    return multiples([scalar(sign * value) for sign in (1, -1) for value in range(1, magnitude + 1)])


SCHEME = Ddh()
