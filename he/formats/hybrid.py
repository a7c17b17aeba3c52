"""The format in which a key for a gadget with several special primes travels: digit by digit, packed, and seeded.

A digit is an encryption of zero under all primes of the parameters, as SEAL draws it, plus a multiple of what the key
is for. Of its first polynomial only the rows travel that the gadget uses, in the form of the scheme: coefficients for
BFV, transformed for CKKS. Its second polynomial is named by a seed, for all primes: whoever reads it expands it and
leaves out rows. Nothing else is written; how many bytes there are follows from the gadget. Keys lie one behind another
in an order that writer and reader know.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from he.formats import compact
from he.formats.limits import require_bytes
from he.formats.seal_bytes import CiphertextArray, require
from he.formats.switching import transform_rows
from he.ring.gadget import Gadget
from he.ring.scheme import Scheme


def digit_form(gadget: Gadget, scheme: Scheme) -> compact.Form:
    """Return the form of one digit; its seed names rows of all primes of the chain."""
    return compact.Form(gadget.primes, gadget.degree, scheme.ntt_form, 1.0, seeded=True)


def key_bytes(gadget: Gadget) -> int:
    """Count the bytes of a key; they are the same in both schemes."""
    return len(gadget.groups) * digit_form(gadget, Scheme.CKKS).bytes


def write(digits: Sequence[CiphertextArray], gadget: Gadget, scheme: Scheme) -> bytes:
    """Return a key in this format.

    Args:
        digits: the digits in order: the rows of the first polynomial that the gadget uses, uint64 [1, rows, N], in the
            form of the scheme, and a seed.
        gadget: the gadget.
        scheme: the scheme of the key's ciphertexts.

    Raises:
        SealDataError: if there are more or fewer digits than the gadget's, or one has another form.
    """
    due = len(gadget.groups)
    require(len(digits) == due, f"a key for {due} digits must have as many, got {len(digits)}")
    form = digit_form(gadget, scheme)
    return compact.write_all(digits, form)


def read(data: bytes | memoryview, gadget: Gadget, scheme: Scheme) -> np.ndarray:
    """Read a key.

    Returns:
        uint64 [digits, 2, rows, N], transformed in both schemes; residues are below their primes.

    Raises:
        SealDataError: if the bytes are not as many as the key has, or a residue is not below its prime.
        TypeError: if they are no bytes.
    """
    form, due, data = digit_form(gadget, scheme), key_bytes(gadget), require_bytes(data, "an evaluation key")
    require(len(data) == due, f"a key of {len(gadget.groups)} digits must have {due} bytes, got {len(data)}")
    parts = (data[start : start + form.bytes] for start in range(0, due, form.bytes))
    return np.stack([_rows(compact.read(part, form, expand=False), gadget) for part in parts])


def read_all(
    data: bytes | memoryview, keys: Sequence[tuple[int, Gadget]], scheme: Scheme
) -> Iterator[tuple[int, Gadget, np.ndarray]]:
    """Read keys that lie one behind the other, one after the other.

    Args:
        data: the bytes of all keys.
        keys: the Galois element and the gadget of every key, in their order.
        scheme: the scheme of the keys' ciphertexts.

    Yields:
        Element, gadget, and the key as `read` returns it.

    Raises:
        SealDataError: if the bytes are not as many as these keys have, or a residue is not below its prime.
        TypeError: if they are no bytes.
    """
    view, due, start = require_bytes(data, "evaluation keys"), sum(key_bytes(gadget) for _, gadget in keys), 0
    require(len(view) == due, f"{len(keys)} keys must have {due} bytes, got {len(view)}")
    for element, gadget in keys:
        stop = start + key_bytes(gadget)
        yield element, gadget, read(view[start:stop], gadget, scheme)
        start = stop


def _rows(digit: CiphertextArray, gadget: Gadget) -> np.ndarray:
    """Return both polynomials of a digit, uint64 [2, rows, N], transformed; the second one from its seed."""
    from he.kernels.passes.expand import uniform  # owners of keys need no kernels

    named = np.empty((len(gadget.chain), gadget.degree), np.uint64)
    uniform(digit.seed, np.array(gadget.chain, np.int64), named)
    rows = np.stack([digit.residues[0], named[list(gadget.indices)]])
    if not digit.ntt:
        transform_rows(rows, gadget.primes)
    return rows
