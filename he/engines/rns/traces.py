"""Totals over slots of many ciphertexts, packed into one; and numbers of one ciphertext, each in all slots of its own.

The total over the slots is the trace of a polynomial: what all automorphisms that fix X^(N / 2) leave of it. A rotation
for every doubling would be log2(N / 2) key switches for each total. Merged on the way (`he.kernels.passes.traces`), a
total costs one; and another one splits it off again.

Slots may hold pairs a + b X^(N / 2), whose halves are added up apart: in CKKS they stand for a + b i
(`he.ring.slots.imaginary_units`), in BFV for one number where X^(N / 2) is one root of -1 modulo t, and another where
it is the other root (`he.ring.slots.halves`). Totals of single numbers take the conjugation beside the automorphisms
that fix pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property, partial
from itertools import islice
from typing import Any

import numpy as np

from he.engines.rns.buffers import Buffers
from he.engines.rns.encoder import Encoder
from he.engines.rns.switching_keys import SwitchingKeys
from he.engines.rns.threads import Workers
from he.kernels.passes import traces
from he.kernels.passes.evaluate import scale_row
from he.kernels.tables.roots import WORD, quotient
from he.ring.gadget import Gadget
from he.ring.slots import trace_elements


class Traces:
    """Packs totals and expands packed numbers, with one client's keys.

    Errors are bounded by `he.readers.traces.packing_variance` and `expansion_variance`.

    Args:
        encoder: the encoder of the parameters.
        keys: evaluation keys, with those of all `he.ring.slots.trace_elements`.
        workers: the threads that share the work.
        buffers: the memory of results.
        pairs: whether slots hold pairs; by default if the scheme is CKKS.

    Raises:
        ValueError: if a key is missing.
    """

    _block = 5  # depth of what is merged or split together, for threads to share it

    def __init__(
        self, encoder: Encoder, keys: SwitchingKeys, workers: Workers, buffers: Buffers, *, pairs: bool | None = None
    ) -> None:
        self._pairs = not encoder.parameters.scheme.exact if pairs is None else pairs
        self._encoder, self._all, self._empty, self._N = (
            encoder,
            workers.all,
            buffers.empty,
            encoder.parameters.poly_modulus_degree,
        )
        elements = trace_elements(self._N, self._pairs)
        top = Gadget.of(encoder.parameters, encoder.parameters.levels)
        self._depths, self._keys = len(elements), keys  # addresses do not keep what they are of
        self._automorphisms = [
            (keys.key(element, top).by_prime, encoder.parameters.levels, keys.permutations[element])
            for element in elements
        ]

    def packed(self, ciphertexts: Iterable[Any], count: int) -> np.ndarray:
        """Return one ciphertext of the totals over the slots of many.

        At the coefficient `he.ring.slots.packed_places(N, count, pairs)[i]` stands the sum over the slots of ciphertext
        i, times the scale, and N / 2 coefficients further that of the second numbers of pairs; all others are 0. Of
        single numbers in CKKS it is twice the sum, for a slot and its conjugate both count; in BFV it is the sum modulo
        t. A total, times the scale, must be below half of the modulus.

        Args:
            ciphertexts: uint64 [2, level, N], one level for all, in transformed form: of the host, or as the engine's
                products yield them. They are taken when they are needed, and few are held.
            count: their number, from 1 to N / 2, or N without pairs.

        Returns:
            uint64 [2, level, N], at the same scale.

        Raises:
            ValueError: if there are no such ciphertexts, or too many.
        """
        depth = self._depth(count)
        result = self._merged(iter(ciphertexts), count, depth)
        for further in range(depth, self._depths):
            result = self._merged_pair(result, None, further)
        return np.asarray(result)

    def expanded(self, packed: np.ndarray, count: int) -> Iterator[np.ndarray]:
        """Do what `held` does, and yield arrays of the host."""
        return map(np.asarray, self.held(packed, count))

    def held(self, packed: np.ndarray, count: int) -> Iterator[Any]:
        """Yield ciphertexts with the numbers that one holds at `packed_places`, each in all slots of its own.

        What is yielded is where the engine has it; numpy makes an array of it.

        Every splitting doubles what is kept. So the ciphertext is divided by that power of two first, modulo its
        primes, which is exact: whatever its coefficients are then, those that are kept come back as they were, errors
        included, and all others vanish.

        Args:
            packed: uint64 [2, level, N] in transformed form.
            count: the number of ciphertexts, from 1 to N / 2, or N without pairs.

        Yields:
            uint64 [2, level, N], at the same scale.

        Raises:
            ValueError: if so many are more than a ciphertext holds.
        """
        self._depth(count)
        return self._split(self._divided(packed), count, self._depths)

    def _divided(self, packed: np.ndarray) -> np.ndarray:
        """Return a ciphertext divided by what all splittings multiply it with, modulo its primes."""
        divided = self._empty(*packed.shape)
        for half, result in zip(packed, divided, strict=True):
            for j, inverse in enumerate(self._inverses(len(half))):
                prime = self._encoder.parameters.primes[j]
                scale_row(self._encoder.tables, half[j], j, inverse, quotient(inverse, prime), result[j])
        return divided

    def _inverses(self, level: int) -> list[int]:
        return [pow(1 << self._depths, -1, prime) for prime in self._encoder.parameters.primes[:level]]

    def _depth(self, count: int) -> int:
        most = 1 << self._depths
        if not 1 <= count <= most:
            raise ValueError(f"`count` must be from 1 to {most} at N={self._N}, got {count}")
        return (count - 1).bit_length()

    def _merged(self, ciphertexts: Iterator[Any], count: int, depth: int) -> Any:
        """Merge the next ciphertexts; those at even multiples of the distance come first."""
        if depth <= self._block:
            return self._merged_together(list(islice(ciphertexts, count)), depth)
        half = 1 << depth - 1
        even = self._merged(ciphertexts, min(count, half), depth - 1)
        odd = self._merged(ciphertexts, count - half, depth - 1) if count > half else None
        return self._merged_pair(even, odd, depth - 1)

    def _merged_pair(self, even: Any, odd: Any, index: int) -> Any:
        """Merge two ciphertexts by the automorphism of an index, or one and a ciphertext of zeros."""
        result = self._empty(*even.shape)
        self._merge(even, odd, index, result)
        return result

    def _merged_together(self, block: list[Any], depth: int) -> Any:
        """Merge a few ciphertexts, level by level."""
        for index in range(depth):
            pairs = list(zip(block[::2], [*block[1::2], None], strict=False))  # the last one may stand alone
            block = [self._empty(*even.shape) for even, _ in pairs]
            parts = zip(pairs, block, strict=True)
            self._all([partial(self._merge, *pair, index, result) for pair, result in parts])
        return block[0]

    def _merge(self, even: np.ndarray, odd: np.ndarray | None, index: int, result: np.ndarray) -> None:
        """Merge two ciphertexts by the automorphism of an index, or one and a ciphertext of zeros."""
        if odd is None:
            traces.add_image(self._encoder.tables, even, *self._automorphisms[index], result)
        else:
            power = self._powers[index][0][: even.shape[1]]
            traces.merge(self._encoder.tables, even, odd, power, *self._automorphisms[index], result)

    def _split(self, x: Any, count: int, depth: int) -> Iterator[Any]:
        """Yield the first ciphertexts that one is split into; those at even multiples of the distance come first."""
        if depth <= self._block:
            yield from self._split_together(x, count, depth)
            return
        half = 1 << depth - 1
        even, odd = self._halves(x, depth - 1, both=count > half)
        yield from self._split(even, min(count, half), depth - 1)
        del even  # what it was split into has been taken
        if odd is not None:
            yield from self._split(odd, count - half, depth - 1)

    def _halves(self, x: Any, index: int, *, both: bool) -> tuple[Any, Any]:
        """Split a ciphertext by the automorphism of an index; the odd half is None unless both are wanted."""
        even, odd = self._empty(*x.shape), self._empty(*x.shape) if both else None
        self._divide(x, index, even, odd)
        return even, odd

    def _split_together(self, x: Any, count: int, depth: int) -> list[Any]:
        """Return the first of a few ciphertexts that one is split into, level by level."""
        block = [x]
        for index in reversed(range(depth)):
            size = -(-count >> index)  # of the next block: every second one may not be wanted
            following = [self._empty(*x.shape) for _ in range(size)]
            parts = zip(block, following[::2], [*following[1::2], None], strict=False)
            self._all([partial(self._divide, whole, index, even, odd) for whole, even, odd in parts])
            block = following
        return block

    def _divide(self, x: np.ndarray, index: int, even: np.ndarray, odd: np.ndarray | None) -> None:
        """Split a ciphertext by the automorphism of an index; leave out what is odd if nobody wants it."""
        if odd is None:
            traces.add_image(self._encoder.tables, x, *self._automorphisms[index], even)
        else:
            power = self._powers[index][1][: x.shape[1]]
            traces.split(self._encoder.tables, x, power, *self._automorphisms[index], even, odd)

    @cached_property
    def _powers(self) -> list[np.ndarray]:
        """X**h and X**-h times 2**52, uint64 [2, levels, N], for the distance h of every depth."""
        N, primes = self._N, range(self._encoder.parameters.levels)
        result = []
        for depth in range(self._depths):
            unit = np.zeros((2, N), np.int64)
            h = N >> depth + 1 + self._pairs
            unit[0, h], unit[1, N - h] = 1 << WORD, -(1 << WORD)
            result.append(np.array([self._encoder.transformed(power, primes) for power in unit]))
        return result
