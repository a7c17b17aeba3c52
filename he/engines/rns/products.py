"""Matrix products of ciphertexts: every sum of products is scaled down and relinearised once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise, product
from typing import Any, Protocol

import numpy as np

from he.engines.rns.buffers import Buffers
from he.engines.rns.encoder import Encoder, ExactEncoder
from he.engines.rns.switching_keys import SwitchingKeys
from he.engines.rns.threads import Workers
from he.formats import compact
from he.formats.compact import Form
from he.formats.switching import RELINEARISATION
from he.kernels.passes.product import extend_polynomial, most_terms, scaling
from he.kernels.passes.tensors import (
    panel_shape,
    relinearise_and_rescale,
    scale_and_relinearise,
    tensor_products,
)
from he.kernels.tables.factors import Factors
from he.ring.gadget import Gadget

_MOST_BYTES = 1 << 26  # of sums that are not relinearised yet


class Packed(Protocol):
    """A matrix of ciphertexts, packed; `Factors` is one.

    Attributes:
        addresses: the addresses of their rows of residues, int64 [rows, terms, 2, primes].
    """

    addresses: np.ndarray

    def put(self, place: tuple[int, ...], rows: np.ndarray) -> None:
        """Copy the rows of a polynomial, uint64 [primes, N], to its place."""


class Products(ABC):
    """Multiplies matrices of ciphertexts, with one client's relinearisation key.

    Args:
        encoder: the encoder of the parameters.
        keys: evaluation keys, with that of relinearisation.
        workers: the threads that share the work.
        buffers: the memory of results.

    Raises:
        ValueError: if the key is missing.
    """

    def __init__(self, encoder: Encoder, keys: SwitchingKeys, workers: Workers, buffers: Buffers) -> None:
        parameters = encoder.parameters
        key = keys.key(RELINEARISATION, Gadget.of(parameters, parameters.levels))
        self._encoder, self._workers, self._empty, self._key = encoder, workers, buffers.empty, key.by_prime

    @staticmethod
    def of(encoder: Encoder, keys: SwitchingKeys, workers: Workers, buffers: Buffers) -> Products:
        """Return what multiplies in the scheme of the encoder's parameters."""
        made = ExactProducts if encoder.parameters.scheme.exact else ApproximateProducts
        return made(encoder, keys, workers, buffers)

    def packed(self, ciphertexts: Sequence[Callable[[], np.ndarray]], rows: int, terms: int) -> Packed:
        """Return a matrix of ciphertexts, packed for the left side of products.

        Args:
            ciphertexts: row by row, functions that return uint64 [2, level, N] in transformed form, one level for all.
                Each is called once, when its ciphertext is packed, from any thread.
            rows: the number of rows.
            terms: the number of ciphertexts in a row.

        Returns:
            [rows, terms, 2]. A matrix has one memory, which is large: the system hands that out in large pages.

        Raises:
            ValueError: if there are no such ciphertexts, or not so many.
        """
        if not len(ciphertexts) or len(ciphertexts) != rows * terms:
            raise ValueError(f"`ciphertexts` must be {rows} rows of {terms}, at least one, got {len(ciphertexts)}")
        first = ciphertexts[0]()
        primes = self._primes(first.shape[1])
        result = self._room((rows, terms, 2), primes)

        def put(place: tuple[int, ...], ciphertext: Callable[[], np.ndarray]) -> None:
            for c, polynomial in enumerate(self._encoder.raised(self._extended(ciphertext()), primes)):
                result.put((*place, c), polynomial)

        pairs = zip(np.ndindex(rows, terms), [lambda: first, *ciphertexts[1:]], strict=True)
        self._workers.all([partial(put, place, ciphertext) for place, ciphertext in pairs])
        return result

    def read(self, ciphertexts: Sequence[bytes | memoryview], form: Form, rows: int, terms: int) -> Packed:
        """Do what `packed` does with ciphertexts as they travel, in one form.

        Raises:
            SealDataError: if one has another length than its form, or a residue that is not below its prime.
            ValueError: as `packed`.
        """
        return self.packed([partial(_residues, data, form) for data in ciphertexts], rows, terms)

    def _room(self, shape: tuple[int, ...], primes: Sequence[int]) -> Packed:
        """Return room for polynomials with these primes."""
        N = self._encoder.parameters.poly_modulus_degree
        return Factors.empty(N, self._encoder.moduli(primes), shape)

    def sums(self, left: np.ndarray, right: Sequence[Sequence[Any]]) -> Iterator[np.ndarray]:
        """Do what `held` does, and yield arrays of the host."""
        return map(np.asarray, self.held(left, right))

    def held(self, left: np.ndarray, right: Sequence[Sequence[Any]]) -> Iterator[Any]:
        """Yield the entries of a matrix product, row by row: the sums over j of c_ij d_jk.

        What is yielded is where the engine has it; numpy makes an array of it.

        What the errors of both factors make of a product adds up over the terms. Scaling down and relinearising add to
        the whole sum what they add to a single product.

        Args:
            left: the addresses of the packed c_ij, int64 [rows, terms, 2, primes]: those of `packed`, or transposed.
                Somebody has to hold what they are of.
            right: for every term j the d_jk, uint64 [2, level, N] in transformed form, one level for all: of the host,
                or as the engine yields them. That of the left side is the same, or, in CKKS, may be higher.

        Yields:
            uint64 [2, level, N]; in CKKS at the next level, and at a scale that is both sides', divided by the last
            prime.

        Raises:
            ValueError: if terms or levels do not match, or there are more terms than the modulus allows (BFV).
        """
        _, terms, _, primes = left.shape
        level = right[0][0].shape[1] if len(right) and len(right[0]) else 0
        if terms != len(right) or not self._matches(level, primes):
            raise ValueError(
                f"`left` must have as many terms as `right`, and levels must match, got {terms} terms with {primes} "
                f"primes and {len(right)} at level {level}"
            )
        self._require_terms(terms, level)
        return self._sums(left, right, level)

    def _sums(self, left: np.ndarray, right: Sequence[Sequence[Any]], level: int) -> Iterator[Any]:
        extended = [[self._extended(ciphertext) for ciphertext in row] for row in right]
        addresses = np.array([[ciphertext.ctypes.data for ciphertext in row] for row in extended], np.int64)
        columns, (_, rows, N), primes = addresses.shape[1], extended[0][0].shape, self._primes(level)
        together = max(1, _MOST_BYTES // (8 * columns * 3 * rows * N))
        for first in range(0, len(left), together):
            some = np.ascontiguousarray(left[first : first + together])
            whole = self._empty(len(some), columns, 3, rows, N)
            threads = self._workers.threads
            ends = pairwise([len(some) * i // threads for i in range(threads + 1)])
            parts = [(some[start:stop], whole[start:stop]) for start, stop in ends if start < stop]
            self._workers.all(
                [
                    partial(
                        tensor_products, self._encoder.tables, part, addresses, row, prime,
                        self._empty(*panel_shape(columns)), out,
                    )
                    for (row, prime), (part, out) in product(enumerate(primes), parts)
                ]
            )  # fmt: skip
            sums = whole.reshape(-1, 3, rows, N)
            results = [self._empty(2, self._level_of_result(level), N) for _ in sums]
            pairs = zip(sums, results, strict=True)
            self._workers.all([partial(self._finish, x, level, result) for x, result in pairs])
            yield from results

    @abstractmethod
    def _matches(self, level: int, primes: int) -> bool:
        """Return whether ciphertexts at a level may be multiplied with packed ones of so many primes."""

    @abstractmethod
    def _require_terms(self, terms: int, level: int) -> None:
        """Check that so many products may be added up."""

    @abstractmethod
    def _primes(self, level: int) -> list[int]:
        """Return the indices of the primes modulo which products at a level are computed."""

    @abstractmethod
    def _extended(self, ciphertext: np.ndarray) -> np.ndarray:
        """Return the residues of a ciphertext modulo these primes."""

    @abstractmethod
    def _level_of_result(self, level: int) -> int:
        """Return the level of the results of products at a level."""

    @abstractmethod
    def _finish(self, x: np.ndarray, level: int, result: np.ndarray) -> None:
        """Scale a sum uint64 [3, primes, N] down, and relinearise it."""


def _residues(data: bytes | memoryview, form: Form) -> np.ndarray:
    return compact.read(data, form).residues


class ApproximateProducts(Products):
    """The products of CKKS: relinearised and rescaled."""

    def _matches(self, level: int, primes: int) -> bool:
        return 2 <= level <= primes

    def _require_terms(self, terms: int, level: int) -> None:
        pass

    def _primes(self, level: int) -> list[int]:
        return list(range(level))

    def _extended(self, ciphertext: np.ndarray) -> np.ndarray:
        return ciphertext

    def _level_of_result(self, level: int) -> int:
        return level - 1

    def _finish(self, x: np.ndarray, level: int, result: np.ndarray) -> None:
        relinearise_and_rescale(self._encoder.tables, x, self._key, self._encoder.parameters.levels, result)


class ExactProducts(Products):
    """The products of BFV: computed modulo auxiliary primes too, scaled by t / q as a sum, and relinearised."""

    _encoder: ExactEncoder

    def _matches(self, level: int, primes: int) -> bool:
        return level > 0 and primes == len(self._primes(level))

    def _require_terms(self, terms: int, level: int) -> None:
        parameters = self._encoder.parameters
        N, data = parameters.poly_modulus_degree, parameters.primes[:level]
        most = most_terms(N, data, self._auxiliary(level), parameters.t)
        if terms > most:
            raise ValueError(
                f"`left` must have at most {most} terms at level {level}, got {terms}; add up parts of them"
            )

    def _auxiliary(self, level: int) -> tuple[int, ...]:
        return self._encoder.auxiliary[: level + self._encoder.more]

    def _primes(self, level: int) -> list[int]:
        first = len(self._encoder.parameters.primes)
        return [*range(level), *range(first, first + len(self._auxiliary(level)))]

    def _extended(self, ciphertext: np.ndarray) -> np.ndarray:
        _, level, N = ciphertext.shape
        parameters, auxiliary = self._encoder.parameters, self._auxiliary(level)
        constants = scaling(parameters.primes[:level], auxiliary, parameters.t)
        result = self._empty(2, level + len(auxiliary), N)
        result[:, :level] = ciphertext
        for low, high in zip(ciphertext, result[:, level:], strict=True):
            extend_polynomial(self._encoder.tables, constants.up, low, len(parameters.primes), high)
        return result

    def _level_of_result(self, level: int) -> int:
        return level

    def _finish(self, x: np.ndarray, level: int, result: np.ndarray) -> None:
        parameters, special = self._encoder.parameters, self._encoder.parameters.levels
        constants = scaling(parameters.primes[:level], self._auxiliary(level), parameters.t)
        tables, key, auxiliary = self._encoder.tables, self._key, len(parameters.primes)
        scale_and_relinearise(tables, constants, x, key, special, auxiliary, result)
