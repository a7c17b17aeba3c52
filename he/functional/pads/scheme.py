"""One-time pads by label, made public: an owner adds a pad that the authority can make again, and nobody else.

An owner draws a key for every ciphertext, on which the authority can agree with him by the ciphertext's header
(`he.functional.pads.agreement`), and adds the words u of its pad to the centred vectors, modulo 2^32:

    c = x - centre + u        <x - centre, y> = <c, y> - <u, y>

A functional key is a vector y with <u, y> for every sample of its scope. Products are right since they are below 2^31,
which is asked of the instance.

What is promised, and to whom. Were the pads random, ciphertexts would be random words whatever the vectors are, and
functional keys would follow from ciphertexts and products: a trainer learns the products that he has keys for and
nothing else, also where vectors and keys are chosen after ciphertexts and keys have been seen. Pads are as good as
random by the assumptions that `agreement` and `words` state, and none is used twice, since every ciphertext draws a key
of its own. Nothing is promised against the authority, who can read all ciphertexts, nor against a trainer who colludes
with it. An owner who does not follow the scheme, and whoever may change a ciphertext, decides what the products with it
are: who adds d to a word adds d y_i to a product. The trainer sees that something is wrong only where a product is out
of range, so even bytes that are foreign pass with a chance of its range over 2^32.
"""

from __future__ import annotations

import math
import secrets
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from he.functional.checks import own, require_possible, sample_range
from he.functional.errors import MismatchError
from he.functional.instance import Instance, SchemeName
from he.functional.pads.agreement import KEY_BYTES, Secret
from he.functional.pads.objects import (
    MAX_WORDS,
    PadsCiphertext,
    PadsFunctionalKey,
    PadsMasterKey,
    PadsPublicKey,
    require_pads,
    require_scope,
)
from he.functional.pads.words import Words, pads
from he.functional.scheme import MOST_SAMPLES, Ciphertext, FunctionalKey, MasterKey, PublicKey, Scope, Types
from he.kernels.passes import inner as kernels
from intnn.values.arrays import IntArray, integer

_BLOCK_WORDS = 1 << 16  # words at a time, which stay in the processor's cache


@lru_cache(maxsize=128)
def _authority_pads(seed: bytes, start: int, samples: int, length: int) -> Words:
    """The pads of some samples, [samples, length]: training asks for the same ones in every pass.

    At most 128 blocks are kept, of 256 KiB each.
    """
    return pads(seed, start * length, samples * length).reshape(samples, length)


class Pads:
    """The scheme: see the module, and `he.functional.scheme.Scheme` for what its functions have in common."""

    name: SchemeName = "pads"
    keys_are_scoped = True
    types = Types(PadsMasterKey, PadsPublicKey, PadsCiphertext, PadsFunctionalKey)

    def explain(self, instance: Instance) -> str:
        """What pads are made of, and whether products fit them."""
        require_pads(instance)
        return (
            "one-time pads, X25519 (about 128 bits: RFC 7748, section 7) and AES-256 in counter mode\n"
            f"products: at most 2^{math.log2(instance.bound):.1f} in magnitude, of 2^31 that a pad hides"
        )

    def setup(self, instance: Instance) -> tuple[PadsMasterKey, PadsPublicKey]:
        """Draw a key pair of X25519.

        Raises:
            TypeError: ``instance`` is no instance.
            ValueError: It is of another scheme.
            ParameterError: Its products can be 2^31 or larger.
        """
        require_pads(instance)
        master = PadsMasterKey(instance, secrets.token_bytes(KEY_BYTES))
        return master, PadsPublicKey(instance, master.public)

    def encrypt(self, public_key: PublicKey, x: ArrayLike, first: int = 0) -> PadsCiphertext:
        """Encrypt vectors, int64 [samples, length], of at most 2^32 elements together; ``first`` is the first's number.

        Raises:
            TypeError: They are no integers, or the key is none of this scheme.
            ValueError: Their shape or a value is wrong, or there are none, or too many.
            MismatchError: The key is no honest public key.
        """
        key = own(public_key, PadsPublicKey, "public_key")
        rows, centre = key.instance.require_inputs(x), key.instance.centre
        most = MAX_WORDS // key.instance.length
        if len(rows) > most:
            raise ValueError(f"`x` must have at most {most} samples, got {len(rows)}: make several ciphertexts")
        secret = Secret(secrets.token_bytes(KEY_BYTES))
        header = secret.public
        seed = secret.agreed(key.public, header, key.public, key.instance.id)
        words, first = np.empty(rows.shape, "<u4"), integer(first, "first", 0, MOST_SAMPLES - len(rows))
        for start, stop in _blocks(0, *rows.shape):
            masked = (rows[start:stop] - centre).astype("<u4").ravel()  # wraps: that is modulo 2^32
            pad = pads(seed, (first + start) * key.instance.length, masked.size)
            words[start:stop].reshape(-1)[:] = masked + pad
        return PadsCiphertext(key.instance, header, words, first)

    def derive_key(self, master_key: MasterKey, y: ArrayLike, scope: Scope | None = None) -> PadsFunctionalKey:
        """Derive a key for vectors, int64 [keys, length], and the samples of a scope.

        Raises:
            TypeError: They are no integers, or the master key or scope is none of this scheme.
            ValueError: Their shape or a value is wrong, there are none, or the scope names nothing that can be.
            MismatchError: The scope's header is no honest public key.
        """
        master = own(master_key, PadsMasterKey, "master_key")
        instance = master.instance
        vectors, scope = instance.require_keys(y), require_scope(scope, instance)
        seed, first, samples = master.shared(scope.header), scope.start, scope.stop - scope.start
        length = instance.length
        products = np.empty((samples, len(vectors)), np.int32)
        if samples * length <= _BLOCK_WORDS:  # as nearly always
            kernels.wrapped_products(_authority_pads(seed, first, samples, length), vectors, products)
        else:
            for start, stop in _blocks(first, samples, length):
                words = _authority_pads(seed, start, stop - start, length)
                kernels.wrapped_products(words, vectors, products[start - first : stop - first])
        return PadsFunctionalKey.of_checked(instance, vectors, scope, products)

    def decrypt(self, ciphertext: Ciphertext, key: FunctionalKey, samples: slice | None = None) -> IntArray:
        """The inner products of some samples (all by default) with the key's vectors, int64 [samples, keys].

        Raises:
            TypeError: An argument is of another scheme, or ``samples`` no slice of integers.
            ValueError: The slice has a step, holds nothing, or reaches beyond the ciphertext.
            MismatchError: The key is for another instance, ciphertext or samples, or a product is out of range.
        """
        cipher = own(ciphertext, PadsCiphertext, "ciphertext")
        instance = cipher.instance
        functional = own(key, PadsFunctionalKey, "key", instance)
        wanted, scope = sample_range(samples, len(cipher.words)), functional.scope
        start, stop = cipher.first + wanted.start, cipher.first + wanted.stop
        if scope.header != cipher.header or not scope.start <= start < stop <= scope.stop:
            raise MismatchError(
                f"the key is for samples {scope.start} to {scope.stop} of ciphertext {scope.header.hex()}, got samples "
                f"{start} to {stop} of {cipher.header.hex()}; ask the authority for a key for these"
            )
        words, y, masks = cipher.words[wanted.start : wanted.stop], functional.y, functional.pads
        if len(masks) != stop - start:
            masks = masks[start - scope.start : stop - scope.start]
        products = np.empty(masks.shape, np.int64)
        beyond = kernels.unmasked(words, y, masks, instance.magnitude, instance.centre, products)
        if beyond >= 0:
            require_possible(beyond, y, instance)
        return products


def _blocks(start: int, samples: int, length: int) -> list[tuple[int, int]]:
    """The ends of blocks of samples, one behind the other."""
    step, stop = max(1, _BLOCK_WORDS // length), start + samples
    return [(at, min(at + step, stop)) for at in range(start, stop, step)]


SCHEME = Pads()
