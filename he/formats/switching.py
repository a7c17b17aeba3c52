"""The format in which evaluation keys travel: digits as ciphertexts do, their second polynomials named by seeds.

The keys of a circuit lie one behind the other in the order of its interface, and the digits of a key, one for each
data prime, likewise. Where answers are re-randomised, an encryption of zero at their level follows. Nothing else is
written: how many keys there are, and how many bytes, follows from the interface.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from he.formats import compact
from he.formats.seal_bytes import CiphertextArray, expanded, require, write_keys
from he.ring.params import Parameters

RELINEARISATION = 1  # stands among the Galois elements for the relinearisation key

Key = Sequence[CiphertextArray]  # digit by digit


def key_bytes(parameters: Parameters, level: int) -> int:
    """Count the bytes of one key for so many data primes: keys that travel are for all of them."""
    return level * compact.Form.digit(parameters, level).bytes


def zero_form(parameters: Parameters, level: int) -> compact.Form:
    """Return the form of an encryption of zero at a level."""
    scheme, N = parameters.scheme, parameters.poly_modulus_degree
    return compact.Form(parameters.primes[:level], N, scheme.ntt_form, 1.0, seeded=True)


def read_zero(data: bytes | memoryview, parameters: Parameters, level: int) -> np.ndarray:
    """Read an encryption of zero.

    Returns:
        uint64 [2, level, N], in transformed form in both schemes.

    Raises:
        SealDataError: if the bytes have another length, or a residue is not below its prime.
    """
    form = zero_form(parameters, level)
    residues = compact.read(data, form).residues
    if not form.ntt:
        transform_rows(residues, form.primes)
    return residues


def transform_rows(residues: np.ndarray, primes: tuple[int, ...]) -> None:
    """Transform polynomials uint64 [polynomials, level, N] modulo these primes, in place."""
    from he.kernels.passes.evaluate import forward  # owners of keys need no kernels
    from he.kernels.tables.chain import chain

    tables = chain(residues.shape[-1], primes).tables
    for polynomial, prime in np.ndindex(residues.shape[:2]):
        forward(tables, residues[polynomial, prime], prime)


def write(keys: Iterable[Key], parameters: Parameters) -> bytes:
    """Return keys in this format.

    Raises:
        SealDataError: if a digit has another form than that of a key's.
    """
    form = compact.Form.digit(parameters, parameters.levels)
    return b"".join(compact.write_all(key, form) for key in keys)


def read(data: bytes | memoryview, parameters: Parameters, elements: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Read the keys of these Galois elements, one after the other.

    Yields:
        The element, and its key uint64 [levels, 2, levels + 1, N] in transformed form; the special prime is the last.

    Raises:
        SealDataError: if the bytes are not as many as these keys have, or a residue is not below its prime.
    """
    for element, key in _keys(data, parameters, elements):
        yield element, np.stack([expanded(digit, parameters.primes).residues for digit in key])


def restored(
    data: bytes | memoryview, parameters: Parameters, elements: Sequence[int], key_id: Any
) -> tuple[bytes, bytes]:
    """Write SEAL's serialisations of the relinearisation key and of the Galois keys, anew from residues and seeds.

    Args:
        data: the keys of these elements in this format.
        parameters: the parameters that they are for.
        elements: the Galois elements.
        key_id: SEAL's identifier of the parameters with the special prime.

    Raises:
        SealDataError: as `read`.
    """
    keys = dict(_keys(data, parameters, elements))
    relinearisation = {0: keys.pop(RELINEARISATION)} if RELINEARISATION in keys else {}
    galois = {element // 2: key for element, key in keys.items()}
    return write_keys(relinearisation, parameters, key_id), write_keys(galois, parameters, key_id)


def _keys(data: bytes | memoryview, parameters: Parameters, elements: Sequence[int]) -> Iterator[tuple[int, Key]]:
    """Read keys whose seeds are not expanded."""
    form = compact.Form.digit(parameters, parameters.levels)
    due = len(elements) * key_bytes(parameters, parameters.levels)
    require(len(data) == due, f"the {len(elements)} keys of the circuit must have {due} bytes, got {len(data)}")
    digits = (data[start : start + form.bytes] for start in range(0, due, form.bytes))
    for element in elements:
        yield element, [compact.read(next(digits), form, expand=False) for _ in range(parameters.levels)]
