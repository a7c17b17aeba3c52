"""Encryption of many numbers under a secret key, by kernels: what a data owner sends to be trained on.

Ciphertexts are as SEAL makes them with a secret key: (m + e - a s, a), where e has coefficients of a centred binomial
distribution over 21 + 21 bits, and a seed names the uniform a. They are read and decrypted like any other. The secret
is the one that SEAL has drawn, and a is what SEAL expands from the seed; seeds, and e, are drawn here.

Each ciphertext has a seed of 512 bits for a, and a key of AES-256 for e, both from the operating system's generator at
the moment at which it is made: of 2^30 ciphertexts two have the same key with a chance of 2^-197. No state is carried
from one ciphertext to the next, so that copies of this object, as in a process that is forked, never draw the same: of
two ciphertexts with equal errors the difference would be an exact equation in the secret, and of two with equal masks
one in what they hold. Under one key the counter of AES begins at 0 and is far from its end behind one polynomial.

Where the secret or an error is touched, no branch and no address depends on it: sums, products and transforms take the
same steps whatever they are of. Numbers are rounded up or down at random, to the right mean.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from he.engines.engine import thread_count
from he.formats import compact
from he.formats.compact import Form
from he.formats.seal_bytes import CiphertextArray
from he.kernels.passes.encrypt import HALF, encrypted, noisy
from he.kernels.passes.evaluate import scale_row
from he.kernels.passes.expand import uniform
from he.kernels.tables.chain import chain
from he.ring.packed import SEED_BYTES
from he.ring.params import ParameterError, Parameters
from he.ring.slots import paired_polynomials
from he.ring.words import Words
from intnn.values.arrays import array, integer, real, reals
from intnn.values.value_object import Unstorable

LARGEST = 2.0**59  # coefficient whose residues are found in words
_TOGETHER = 16  # polynomials: as many stay in the second cache


class BatchEncryptor(Unstorable, instead="it holds a secret key: store that with `SecretKey.save`"):
    """Encrypts arrays of numbers with CKKS; callers use `SecretKey.batch_encryptor`.

    It has threads of its own.

    Args:
        parameters: the parameters.
        secret: the secret key, transformed, uint64 [primes, N].
        threads: the number of threads that encrypt, by default one for each processor that this process may use.

    Raises:
        ParameterError: if the scheme is BFV.
        ValueError: if `threads` is out of range.
    """

    def __init__(self, parameters: Parameters, secret: np.ndarray, threads: int | None = None) -> None:
        if parameters.scheme.exact:
            raise ParameterError("a batch must be encrypted with CKKS, got parameters of BFV; encrypt its parts")
        self._parameters, self._threads = parameters, thread_count(threads)
        self._tables = chain(parameters.poly_modulus_degree, parameters.data_primes).tables
        self._secret = np.empty((parameters.levels, parameters.poly_modulus_degree), np.uint64)
        for j, row in enumerate(self._secret):
            factor = self._tables.constants[j]
            scale_row(self._tables, secret[j], j, int(factor["radix"]), int(factor["radix_quotient"]), row)

    def form(self, level: int | None = None, scale: float | None = None) -> Form:
        """Return the form of the ciphertexts: at a level and a scale, by default those of fresh ones.

        Raises:
            ValueError: if there is no such level, or the scale is not positive.
        """
        parameters = self._parameters
        count = parameters.levels if level is None else integer(level, "level", 1, parameters.levels)
        factor = parameters.input_scale if scale is None else real(scale, "scale")
        if not 0 < factor < math.inf:
            raise ValueError(f"`scale` must be positive and finite, got {scale}")
        return Form(parameters.primes[:count], parameters.poly_modulus_degree, True, factor, seeded=True)

    def encrypt(self, pairs: ArrayLike, level: int | None = None, scale: float | None = None) -> Iterator[bytes]:
        """Yield a ciphertext for every row of slots, as it travels: `he.formats.compact`.

        Args:
            pairs: the slots, real or complex [n, N / 2]. A complex number stands for a pair a + b X^(N / 2), whose
                value is a + b i or a - b i in turns (`he.ring.slots.imaginary_units`).
            level: the number of data primes, by default all.
            scale: the scale, by default that of fresh ciphertexts.

        Raises:
            TypeError: if they are no numbers.
            ValueError: if the shape is another, or a number is not finite, or too large for its scale.
        """
        slots = array(pairs, "pairs")
        if slots.dtype.kind == "c":
            slots = slots.astype(np.complex128, copy=False)
            for part in (slots.real, slots.imag):
                reals(part, "pairs")
        else:
            slots = reals(slots, "pairs")
        _require_shape("pairs", slots, self._parameters.poly_modulus_degree // 2)
        parts = (slots[start : start + _TOGETHER] for start in range(0, len(slots), _TOGETHER))
        return self._each(map(_polynomials, parts), self.form(level, scale))

    def encrypt_coefficients(
        self, numbers: ArrayLike, level: int | None = None, scale: float | None = None
    ) -> Iterator[bytes]:
        """Yield a ciphertext for every row of coefficients: packed numbers, which whoever evaluates expands.

        Args:
            numbers: [n, N]: where `he.ring.slots.packed_places` says, and 0 elsewhere.
            level: the number of data primes, by default all.
            scale: the scale, by default that of fresh ciphertexts.

        Raises:
            TypeError: if they are no numbers.
            ValueError: if the shape is another, or a number is not finite, or too large for its scale.
        """
        coefficients = reals(numbers, "numbers")
        _require_shape("numbers", coefficients, self._parameters.poly_modulus_degree)
        return self._each((coefficients[i : i + 1] for i in range(len(coefficients))), self.form(level, scale))

    def _each(self, polynomials: Iterator[np.ndarray], form: Form) -> Iterator[bytes]:
        limit = min(LARGEST, math.prod(form.primes) / 2 - 2 * HALF)
        with ThreadPoolExecutor(self._threads) as pool:  # numpy and kernels release the GIL
            for part in polynomials:
                largest = np.abs(part).max()
                if not largest * form.scale < limit:
                    raise ValueError(
                        f"the coefficients of a batch must be below {limit / form.scale:.3g} at scale {form.scale:.3g} "
                        f"and level {len(form.primes)}, got {largest:.3g}; scale the numbers down"
                    )
                yield from list(pool.map(partial(self._encrypted, form), part * form.scale))

    def _encrypted(self, form: Form, scaled: np.ndarray) -> bytes:
        level, N = len(form.primes), form.degree
        seed = np.frombuffer(secrets.token_bytes(SEED_BYTES), "<u8").astype(np.uint64)
        message, mask = np.empty((1, N), np.int64), np.empty((level, N), np.uint64)
        noisy(Words().words(N), scaled, message[0])
        uniform(seed, np.array(form.primes, np.int64), mask)
        out = np.empty((1, level, N), np.uint64)
        encrypted(self._tables, message, self._secret, mask, out)
        return compact.write(CiphertextArray(out, True, form.scale, seed), form)


def _polynomials(pairs: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):  # what is beyond float64 is beyond every limit
        return paired_polynomials(pairs)


def _require_shape(name: str, numbers: np.ndarray, width: int) -> None:
    if numbers.ndim != 2 or numbers.shape[1] != width:
        raise ValueError(f"`{name}` must have rows of {width} numbers, got shape {numbers.shape}")
