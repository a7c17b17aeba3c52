"""The format in which ciphertexts travel: residues in as many bits as their primes have, and a seed where there is one.

Fresh residues are uniform, so no compressor makes them shorter, and SEAL's takes longer to undo than the first layers
take to evaluate.

A ciphertext says nothing of itself: whoever reads it knows its form, which follows from the circuit, and so its length.
It holds, in this order: the polynomials except one that a seed names, prime by prime, in words of as many bits as the
prime, without gaps; the seed (64 bytes). Numbers are little-endian.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from he.formats.bits import packed, unpacked
from he.formats.limits import require_bytes
from he.formats.seal_bytes import CiphertextArray, LevelIds, read_ciphertext, require, write_ciphertext
from he.ring.packed import SEED_BYTES, word_bits
from he.ring.params import Parameters


@dataclass(frozen=True)
class Form:
    """What is known of a ciphertext of two polynomials before it comes.

    Attributes:
        primes: the primes of its residues.
        degree: N, the ring's degree.
        ntt: whether it is in transformed form.
        scale: the scale of CKKS; 1 for BFV.
        seeded: whether a seed names its second polynomial.
    """

    primes: tuple[int, ...]
    degree: int
    ntt: bool
    scale: float
    seeded: bool

    @staticmethod
    def fresh(parameters: Parameters, level: int | None = None) -> Form:
        """Return the form of what a client encrypts: at a level that leaves special primes, or at the highest.

        A seed names half of it, unless the key has two owners: nobody has the secret then to encrypt by.
        """
        scheme, N = parameters.scheme, parameters.poly_modulus_degree
        primes = parameters.primes[: parameters.levels if level is None else level]
        return Form(primes, N, scheme.ntt_form, parameters.input_scale, parameters.owners == 1)

    @staticmethod
    def result(parameters: Parameters, level: int, scale: float) -> Form:
        """Return the form of what a session answers with, at a circuit's last level and scale."""
        return Form(parameters.primes[:level], parameters.poly_modulus_degree, parameters.scheme.ntt_form, scale, False)

    @staticmethod
    def operand(parameters: Parameters, level: int, scale: float) -> Form:
        """Return the form of an operand that the model's owner encrypts, where a scale of 0 stands for BFV's."""
        return Form.result(parameters, level, scale or 1.0)

    @staticmethod
    def digit(parameters: Parameters, level: int) -> Form:
        """Return the form of one digit of an evaluation key for so many data primes; the special prime is the last."""
        primes = (*parameters.primes[:level], parameters.primes[-1])
        return Form(primes, parameters.poly_modulus_degree, True, 1.0, True)

    @property
    def polynomials(self) -> int:
        """The number of polynomials that travel as residues."""
        return 1 if self.seeded else 2

    @property
    def bytes(self) -> int:
        """The number of bytes that every ciphertext of this form has."""
        words = self.degree // 8 * sum(map(word_bits, self.primes))
        return self.polynomials * words + SEED_BYTES * self.seeded


def compact(data: bytes, form: Form, parameters: Parameters, ids: LevelIds) -> bytes:
    """Convert what SEAL wrote of a ciphertext in this process to this format.

    Raises:
        SealDataError: if it has another form.
    """
    return write(read_ciphertext(data, parameters, ids), form)


def write(ciphertext: CiphertextArray, form: Form) -> bytes:
    """Return a ciphertext in this format.

    Raises:
        SealDataError: if it has another form; scales may differ by roundings.
    """
    return write_all([ciphertext], form)


def write_all(ciphertexts: Sequence[CiphertextArray], form: Form) -> bytes:
    """Return ciphertexts of one form in this format, one behind the other.

    Raises:
        SealDataError: if one has another form; scales may differ by roundings.
    """
    due = (form.polynomials, len(form.primes), form.degree, form.ntt, form.seeded)
    for one in ciphertexts:
        found = (*one.residues.shape, one.ntt, one.seed is not None)
        scales = math.isclose(one.scale, form.scale, rel_tol=1e-9)
        require(found == due and scales, f"it must have the form {due} at scale {form.scale}, got {found}")
    out, at = np.empty((len(ciphertexts), form.bytes), np.uint8), 0
    for polynomial, (j, prime) in product(range(form.polynomials), enumerate(form.primes)):
        size = form.degree // 8 * word_bits(prime)
        rows = np.concatenate([one.residues[polynomial, j] for one in ciphertexts])
        out[:, at : at + size] = np.frombuffer(packed(rows, prime), np.uint8).reshape(-1, size)
        at += size
    if form.seeded:
        out[:, at:] = np.array([one.seed for one in ciphertexts], "<u8").view(np.uint8)
    return out.tobytes()


def require_length(data: bytes | memoryview, form: Form) -> memoryview:
    """Return a view of a ciphertext that has the length of its form, and keeps it while the view is there.

    Raises:
        SealDataError: if it has another one.
        TypeError: if it is no bytes.
    """
    view = require_bytes(data, "a ciphertext")
    require(len(view) == form.bytes, f"a ciphertext must have {form.bytes} bytes, got {len(view)}")
    return view


def require_residues(sound: bool) -> None:
    """Check what has been found out of a ciphertext: whether its residues are below their primes.

    Raises:
        SealDataError: if they are not.
    """
    require(sound, "its residues must be below their primes")


def read(data: bytes | memoryview, form: Form, *, expand: bool = True) -> CiphertextArray:
    """Read a ciphertext of a known form; a seed is replaced by the polynomial that it names, or kept.

    Raises:
        SealDataError: if the bytes have another length, or a residue is not below its prime.
        TypeError: if they are no bytes.
    """
    data = require_length(data, form)
    named = form.seeded and expand
    residues = np.empty((form.polynomials + named, len(form.primes), form.degree), np.uint64)
    require_residues(unpacked(data, form.primes, residues[: form.polynomials]))
    seed = np.frombuffer(data, "<u8", offset=form.bytes - SEED_BYTES).astype(np.uint64) if form.seeded else None
    if named:
        from he.kernels.passes.expand import uniform  # who reads results alone needs no kernels

        uniform(seed, np.array(form.primes, np.int64), residues[1])
    return CiphertextArray(residues, form.ntt, form.scale, None if named else seed)


def restored(data: bytes | memoryview, form: Form, ids: LevelIds) -> bytes:
    """Write SEAL's serialisation of a ciphertext of a known form, anew from its residues and its seed.

    Raises:
        SealDataError: as `read`.
    """
    return write_ciphertext(read(data, form, expand=False), ids)
