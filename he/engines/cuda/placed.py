"""Ciphertexts on a GPU, between what makes them there and what takes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from typing import Any

import numpy as np

from he.kernels.cuda.tables import DeviceArray
from he.kernels.cuda.words import address_of
from intnn.machine.cuda.device import reported
from intnn.machine.cuda.pinned import address, start_copy


class Placed:
    """A ciphertext on a GPU, which keeps the memory where its rows are; numpy makes an array of the host of it.

    Args:
        memory: uint64 [rows, N].
        first: the place of its first row; all others follow, those of the first polynomial first.
        level: the number of a polynomial's rows.
        gpu: a context in which the memory's GPU is in use.

    Attributes:
        shape: of the array, (2, level, N).
    """

    def __init__(self, memory: DeviceArray, first: int, level: int, gpu: AbstractContextManager[None]) -> None:
        self.memory, self.first, self._gpu = memory, first, gpu
        self.shape = 2, level, memory.shape[1]

    @staticmethod
    def all(memory: DeviceArray, level: int, gpu: AbstractContextManager[None]) -> list[Placed]:
        """Return the ciphertexts that fill a memory one behind the other."""
        return [Placed(memory, first, level, gpu) for first in range(0, len(memory), 2 * level)]

    @property
    def stop(self) -> int:
        """The place behind its last row."""
        return self.first + 2 * self.shape[1]

    @property
    def addresses(self) -> np.ndarray:
        """The addresses of its rows, int64 [2, level]."""
        _, level, N = self.shape
        return address_of(self.memory) + 8 * N * np.arange(self.first, self.stop, dtype=np.int64).reshape(2, level)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Copy it to the host, uint64 [2, level, N]; for numpy."""
        with reported("copying a ciphertext from the GPU"), self._gpu:
            rows: np.ndarray = self.memory[self.first : self.stop].copy_to_host()
        return rows.reshape(self.shape).astype(dtype or rows.dtype, copy=False)


def gather(ciphertexts: Sequence[np.ndarray | Placed], memory: DeviceArray, stream: Any) -> None:
    """Copy ciphertexts of one level to the first rows of a memory, one behind the other.

    Those of the host have been read when this returns or raises; what follows on the stream finds all of them.

    Raises:
        ValueError: if they have several levels, or more rows than the memory.
    """
    first, (_, level, N), read = 0, ciphertexts[0].shape, list[np.ndarray]()
    shapes = {one.shape for one in ciphertexts}
    if len(shapes) > 1 or 2 * level * len(ciphertexts) > len(memory):
        raise ValueError(f"`ciphertexts` must have one level and at most {len(memory)} rows, got {sorted(shapes)}")
    try:
        for _, run in groupby(enumerate(ciphertexts), _run):
            some = [ciphertext for _, ciphertext in run]
            start, stop = some[0], some[-1]
            if isinstance(start, Placed) and isinstance(stop, Placed):
                count = stop.stop - start.first
                taken(memory, first, count, start.first)(start.memory, stream)
            else:
                count, words = 2 * level, np.ascontiguousarray(start, np.uint64)
                read.append(words)  # which may be a copy that nobody else holds
                start_copy(address(memory, N * first), address(words), words.nbytes, stream)
            first += count
    finally:
        if read:
            stream.synchronize()


def taken(target: DeviceArray, first: int, count: int, place: int) -> Callable[[DeviceArray, Any], None]:
    """Return what starts copying so many rows of a memory, from a place on, to a target's, from ``first`` on."""

    def take(memory: DeviceArray, stream: Any) -> None:
        N = target.shape[1]
        start_copy(address(target, N * first), address(memory, N * place), 8 * N * count, stream, on_gpu=True)

    return take


def _run(numbered: tuple[int, np.ndarray | Placed]) -> tuple[int, int]:
    """Return what ciphertexts have alike that are copied at once: their memory, and where it would have the first."""
    number, ciphertext = numbered
    if isinstance(ciphertext, Placed):
        return id(ciphertext.memory), ciphertext.first - number * (ciphertext.stop - ciphertext.first)
    return 0, number
