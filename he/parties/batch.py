"""Encryption of many numbers under a secret key, by kernels: what a data owner sends to be trained on.

Ciphertexts are as SEAL makes them with a secret key: (m + e - a s, a), where e has coefficients of a centred binomial
distribution over 21 + 21 bits, and a seed names the uniform a. They are read and decrypted like any other. The bits of
e come from AES-256 in counter mode, keyed by the operating system's generator; seeds come from that generator.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from math import prod

import numpy as np

from he.formats import compact
from he.formats.compact import Form
from he.formats.seal_bytes import CiphertextArray
from he.kernels.passes.encrypt import HALF, encrypted, noisy
from he.kernels.passes.evaluate import scale_row
from he.kernels.passes.expand import SEED_BYTES, uniform
from he.kernels.tables.chain import chain
from he.ring.params import ParameterError, Parameters
from he.ring.slots import paired_polynomials
from he.ring.words import Words
from intnn.values.value_object import Unstorable

_LARGEST = 2.0**59  # coefficient whose residues are found in words
_TOGETHER = 16  # polynomials: as many stay in the second cache


class BatchEncryptor(Unstorable, instead="it holds a secret key: store that with `SecretKey.save`"):
    """Encrypts arrays of numbers with CKKS; callers use `SecretKey.batch_encryptor`.

    Threads need an encryptor each.

    Args:
        parameters: the parameters.
        secret: the secret key, transformed, uint64 [primes, N].

    Raises:
        ParameterError: if the scheme is BFV.
    """

    def __init__(self, parameters: Parameters, secret: np.ndarray) -> None:
        if parameters.scheme.exact:
            raise ParameterError("a batch must be encrypted with CKKS, got parameters of BFV; encrypt its parts")
        self._parameters, self._words = parameters, Words()
        self._tables = chain(parameters.poly_modulus_degree, parameters.data_primes).tables
        self._secret = np.empty((parameters.levels, parameters.poly_modulus_degree), np.uint64)
        for j, row in enumerate(self._secret):
            factor = self._tables.constants[j]
            scale_row(self._tables, secret[j], j, int(factor["radix"]), int(factor["radix_quotient"]), row)

    def form(self, level: int | None = None) -> Form:
        """Return the form of the ciphertexts: fresh ones, at a level or that of all data primes."""
        parameters = self._parameters
        primes = parameters.primes[: self._level(level)]
        return Form(primes, parameters.poly_modulus_degree, True, parameters.input_scale, seeded=True)

    def encrypt(self, pairs: np.ndarray, level: int | None = None) -> Iterator[bytes]:
        """Yield a ciphertext for every row of slots, as it travels: `he.formats.compact`.

        Args:
            pairs: the slots, real or complex [n, N / 2]. A complex number stands for a pair a + b X^(N / 2), whose
                value is a + b i or a - b i in turns (`he.ring.slots.imaginary_units`).
            level: the number of data primes, by default all.

        Raises:
            ValueError: if the shape is another, or a number is not finite, or too large for its scale.
        """
        self._require_shape("pairs", pairs, self._parameters.poly_modulus_degree // 2)
        parts = (pairs[start : start + _TOGETHER] for start in range(0, len(pairs), _TOGETHER))
        return self._each((paired_polynomials(part) for part in parts), self.form(level))

    def encrypt_coefficients(self, numbers: np.ndarray, level: int | None = None) -> Iterator[bytes]:
        """Yield a ciphertext for every row of coefficients: packed numbers, which whoever evaluates expands.

        Args:
            numbers: float64 [n, N]: where `he.ring.slots.packed_places` says, and 0 elsewhere.
            level: the number of data primes, by default all.

        Raises:
            ValueError: if the shape is another, or a number is not finite, or too large for its scale.
        """
        self._require_shape("numbers", numbers, self._parameters.poly_modulus_degree)
        return self._each((numbers[i : i + 1] for i in range(len(numbers))), self.form(level))

    def _each(self, polynomials: Iterator[np.ndarray], form: Form) -> Iterator[bytes]:
        limit = min(_LARGEST, prod(form.primes) / 2 - 2 * HALF)
        for part in polynomials:
            largest = np.abs(part).max()
            if not largest * form.scale < limit:
                raise ValueError(
                    f"the coefficients of a batch must be finite and below {limit / form.scale:.3g} at scale "
                    f"{form.scale:.3g} and level {len(form.primes)}, got {largest:.3g}; scale the numbers down"
                )
            for row in part * form.scale:
                yield self._encrypted(row, form)

    def _encrypted(self, scaled: np.ndarray, form: Form) -> bytes:
        level, N = len(form.primes), form.degree
        seed = np.frombuffer(secrets.token_bytes(SEED_BYTES), "<u8").astype(np.uint64)
        message, mask, out = (
            np.empty((1, N), np.int64),
            np.empty((level, N), np.uint64),
            np.empty((1, level, N), np.uint64),
        )
        noisy(self._words.words(N), scaled, message[0])
        uniform(seed, np.array(form.primes, np.int64), mask)
        out = np.empty((1, level, N), np.uint64)
        encrypted(self._tables, message, self._secret, mask, out)
        return compact.write(CiphertextArray(out, True, form.scale, seed), form)

    def _level(self, level: int | None) -> int:
        levels = self._parameters.levels
        if level is None:
            return levels
        if not 1 <= level <= levels:
            raise ValueError(f"`level` must be from 1 to {levels}, got {level}")
        return level

    @staticmethod
    def _require_shape(name: str, array: np.ndarray, width: int) -> None:
        if array.ndim != 2 or array.shape[1] != width:
            raise ValueError(f"`{name}` must have rows of {width} numbers, got shape {array.shape}")
