"""The ciphertexts of requests on a GPU: they are copied there as the bytes that come, and become residues there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import cuda
from numpy.lib.stride_tricks import as_strided

from he.engines.cuda.pieces import Pieces
from he.engines.rns.threads import Task
from he.formats.compact import Form, require_length
from he.kernels.cuda import arrivals
from he.kernels.cuda.columns import stream_parts
from he.kernels.cuda.tables import DeviceArray

WORD = np.dtype("<u8")  # of the format


class Requests:
    """Where the ciphertexts of a session's requests come to, one request after the other.

    The last word of what is copied is 0, and becomes 1 where a residue is not below its prime.

    Args:
        form: their form.
        constants: of the chain's primes, see `he.kernels.cuda.tables.DeviceTables`.
        residues: uint64 [ciphertexts, 2, level, N], where their residues belong.
        pieces: through which they are copied.

    Attributes:
        launches: what makes residues of them, in order.
    """

    def __init__(self, form: Form, constants: DeviceArray, residues: DeviceArray, pieces: Pieces) -> None:
        count, _, level, N = residues.shape
        words = form.bytes // WORD.itemsize
        self._form, self._pieces = form, pieces
        memory = cuda.device_array(count * words + 1, np.uint64)
        self._parts = pieces.cut(memory)
        self._packed, self._wrong = memory[:-1].reshape(count, words), memory[-1:]
        layout = cuda.to_device(arrivals.layout(form.primes, form.polynomials, N))
        self.launches = arrivals.unpack(constants, self._packed, layout, residues, self._wrong)
        if form.seeded:
            nodes, buffers = stream_parts(level, N)
            roots = cuda.device_array((count, arrivals.ROOT * buffers), np.uint64)
            marks = cuda.device_array((count, nodes), np.uint8)
            self.launches += arrivals.expand(constants, self._packed, roots, marks, residues)

    def fit(self, ciphertexts: Sequence[memoryview]) -> bool:
        """Return whether these are as many and as long as a request's ciphertexts."""
        return len(ciphertexts) == len(self._packed) and all(len(one) == self._form.bytes for one in ciphertexts)

    def copy(self, ciphertexts: Sequence[bytes | memoryview], stream: Any, meanwhile: Task | None = None) -> None:
        """Copy ciphertexts, as `Pieces.copy` does.

        Raises:
            SealDataError: if one has another length than its form; nothing is copied then.
            TypeError: if one is no bytes; the same.
        """
        found = [require_length(data, self._form) for data in ciphertexts]
        words = _joined(found) if self._pieces.threads > 1 else [np.frombuffer(view, WORD) for view in found]
        self._pieces.copy([*words, np.zeros(1, WORD)], self._parts, stream, meanwhile)

    def verdict(self, stream: Any) -> np.ndarray:
        """Start copying what the launches found, uint64 [1]: 0 if all residues are below their primes."""
        found: np.ndarray = self._wrong.copy_to_host(stream=stream)
        return found


def _joined(views: Sequence[memoryview]) -> list[np.ndarray]:
    """Return the words of ciphertexts, one behind the other; where they lie so in one buffer, as one array.

    So those of a request lie in its message. Threads that copy need the interpreter's lock between two arrays, and
    would wait for each other.
    """
    runs: list[tuple[np.ndarray, int]] = []  # their first arrays, and how many words each has
    owner, end = None, 0
    for view in views:
        words = np.frombuffer(view, WORD)
        start = words.__array_interface__["data"][0]
        if view.obj is owner and start == end:
            first, count = runs[-1]
            runs[-1] = first, count + len(words)
        else:
            runs.append((words, len(words)))
        owner, end = view.obj, start + words.nbytes
    return [as_strided(first, (count,)) for first, count in runs]  # of the buffer that the first array holds
