"""Matrix products of CKKS ciphertexts: every sum of products is relinearised and rescaled once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise, product

import numpy as np

from he.engines.rns.buffers import Buffers
from he.engines.rns.encoder import Encoder
from he.engines.rns.switching_keys import SwitchingKeys
from he.engines.rns.threads import Workers
from he.kernels.passes.tensors import panel_shape, relinearise_and_rescale, tensor_products
from he.kernels.tables.factors import Factors

_MOST_BYTES = 1 << 26  # of sums that are not relinearised yet


class Products:
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
        if keys.relinearisation is None:
            raise ValueError("`keys` must have that of relinearisation, and lacks it")
        self._encoder, self._workers, self._empty, self._key = encoder, workers, buffers.empty, keys.relinearisation

    def factors(self, ciphertext: np.ndarray) -> Factors:
        """Return a ciphertext uint64 [2, level, N], in transformed form, packed for the left side of products."""
        return self._encoder.factors(ciphertext, range(ciphertext.shape[1]))

    def sums(self, left: np.ndarray, right: Sequence[Sequence[np.ndarray]]) -> Iterator[np.ndarray]:
        """Yield the entries of a matrix product, row by row: the sums over j of c_ij d_jk.

        The errors of the factors add to that of a product as in a single one, and relinearising and rescaling add the
        error of one product to the whole sum.

        Args:
            left: the addresses of the packed c_ij, int64 [rows, terms, 2, primes]: those of `factors`, which somebody
                has to hold meanwhile. They may have more primes than the others.
            right: for every term j the d_jk, uint64 [2, level, N] in transformed form, one level from 2 on for all.

        Yields:
            uint64 [2, level - 1, N]. Their scale is the product of both sides', divided by the last prime.

        Raises:
            ValueError: if the numbers of terms or of levels do not match.
        """
        rows, terms, _, primes = left.shape
        _, level, N = right[0][0].shape if len(right) and len(right[0]) else (0, 0, 0)
        if terms != len(right) or not 2 <= level <= primes:
            raise ValueError(
                f"`left` must have as many terms as `right`, and at least its 2 or more levels, got {terms} terms at "
                f"level {primes} and {len(right)} at {level}"
            )
        columns = len(right[0])
        together = max(1, _MOST_BYTES // (8 * columns * 3 * level * N))
        return self._sums(left, right, (columns, 3, level, N), min(together, rows))

    def _sums(
        self, left: np.ndarray, right: Sequence[Sequence[np.ndarray]], shape: tuple[int, ...], together: int
    ) -> Iterator[np.ndarray]:
        columns, _, level, N = shape
        addresses = np.array([[ciphertext.ctypes.data for ciphertext in row] for row in right], np.int64)
        tables, key, special = self._encoder.tables, self._key.addresses, self._encoder.special
        for first in range(0, len(left), together):
            some = np.ascontiguousarray(left[first : first + together])
            whole = self._empty(len(some), *shape)
            ends = [len(some) * i // self._workers.threads for i in range(self._workers.threads + 1)]
            parts = [(start, stop) for start, stop in pairwise(ends) if start < stop]
            self._workers.all(
                [
                    partial(
                        tensor_products, tables, some[start:stop], addresses, prime, prime,
                        self._empty(*panel_shape(columns)), whole[start:stop],
                    )
                    for prime, (start, stop) in product(range(level), parts)
                ]
            )  # fmt: skip
            entries = whole.reshape(-1, *shape[1:])
            results = [self._empty(2, level - 1, N) for _ in entries]
            operands = zip(entries, results, strict=True)
            self._workers.all([partial(relinearise_and_rescale, tables, x, key, special, out) for x, out in operands])
            yield from results
