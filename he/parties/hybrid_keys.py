"""Keys for gadgets with several special primes, made by the owner of a secret of encryptions of zero by SEAL.

A digit of the key that switches from a secret s' to s is an encryption of zero under s modulo all primes of the chain,
to whose first polynomial s' is added times the product of the special primes, modulo the digit's own primes alone. So
SEAL draws all that is random, and a key tells no more than its encryptions of zero do, and what is added to them: as
with SEAL's own keys, that is safe if the scheme is circularly secure.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from he.formats import hybrid
from he.formats.seal_bridge import to_bytes
from he.formats.seal_bytes import CiphertextArray, read_ciphertext
from he.formats.switching import RELINEARISATION
from he.kernels.passes.evaluate import inverse, multiply, scale_row
from he.kernels.tables.chain import Tables, chain
from he.kernels.tables.gadgets import gadget_tables
from he.ring.gadget import Gadget
from he.ring.params import ParameterError, Parameters
from he.ring.slots import automorphism


def hybrid_key(
    parameters: Parameters, secret: np.ndarray, encryptor: Any, key_id: Any, gadget: Gadget, element: int
) -> bytes:
    """Return a new evaluation key in the format of `he.formats.hybrid`.

    Args:
        parameters: the parameters of the secret s, none of whose primes has more than 50 bits.
        secret: s modulo all primes, the special one included, transformed: uint64 [primes, N].
        encryptor: SEAL's encryptor under s.
        key_id: SEAL's identifier of the parameters with the special prime.
        gadget: a gadget of these primes.
        element: the Galois element g, odd and below 2 N, for a key that switches from s(X^g); 1 for the relinearisation
            key, which switches from s^2.

    Raises:
        ParameterError: if the gadget is not one of these parameters.
        ValueError: if a prime has more than 50 bits, or `element` is none.
    """
    N, primes = parameters.poly_modulus_degree, parameters.primes
    if (gadget.degree, gadget.chain) != (N, primes):
        raise ParameterError(
            f"`gadget` must be one of {parameters}, got one of other primes or another ring; make it by `Gadget.of`"
        )
    if type(element) is not int or not 0 < element < 2 * N or element % 2 == 0:
        raise ValueError(f"`element` must be an odd integer from 1 to {2 * N - 1}, got {element!r}")
    tables, special, ids = chain(N, primes).tables, gadget_tables(gadget).special, {len(primes): key_id}
    source = _switched_from(tables, secret, element)
    digits = []
    for group in gadget.groups:
        zero = read_ciphertext(to_bytes(encryptor.encrypt_zero_symmetric(key_id)), parameters, ids)
        rows = zero.residues[:, list(gadget.indices)].astype(np.uint64)
        for i in group:
            term = np.empty(N, np.uint64)
            scale_row(tables, source[i], i, special[i]["value"], special[i]["quotient"], term)
            if not zero.ntt:
                inverse(tables, term, i)
            rows[0, i] = (rows[0, i] + term) % np.uint64(primes[i])
        digits.append(CiphertextArray(rows, zero.ntt, zero.scale, zero.seed))
    return hybrid.write(digits, gadget, parameters.scheme)


def _switched_from(tables: Tables, secret: np.ndarray, element: int) -> np.ndarray:
    """Return the secret that a key switches from, transformed: uint64 [primes, N]."""
    if element != RELINEARISATION:
        return np.take(secret, automorphism(secret.shape[1], element), axis=1)
    squares = np.empty((3, *secret.shape), np.uint64)
    pair = np.stack([secret, secret])
    multiply(tables, pair, pair, 0, squares)
    return squares[0]
