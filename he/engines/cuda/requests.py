"""The ciphertexts of requests on a GPU: they are copied there as the bytes that come, and become residues there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import cuda

from he.formats.compact import Form, require_length
from he.kernels.cuda import arrivals
from he.kernels.cuda.columns import stream_parts
from he.kernels.cuda.transform import DeviceArray

WORD = np.dtype("<u8")  # of the format
PINNED = 64 << 20  # bytes of a session's inputs, at most, that go by memory of the host that the GPU reads by itself


class Requests:
    """Where the ciphertexts of a session's requests come to, one request after the other.

    The last word of what is copied is 0, and becomes 1 where a residue is not below its prime.

    Args:
        form: their form.
        constants: of the chain's primes, see `he.kernels.cuda.transform.DeviceTables`.
        residues: uint64 [ciphertexts, 2, level, N], where their residues belong.

    Attributes:
        launches: what makes residues of them, in order.
    """

    def __init__(self, form: Form, constants: DeviceArray, residues: DeviceArray) -> None:
        count, _, level, N = residues.shape
        words = form.bytes // WORD.itemsize
        self._form = form
        self._memory = cuda.device_array(count * words + 1, np.uint64)
        self._packed, self._wrong = self._memory[:-1].reshape(count, words), self._memory[-1:]
        self._pinned: np.ndarray | None = None
        if self._memory.nbytes <= PINNED:
            self._pinned = cuda.pinned_array(count * words + 1, np.uint64)
        layout = cuda.to_device(arrivals.layout(form.primes, form.polynomials, N))
        self.launches = [arrivals.unpack(constants, self._packed, layout, residues, self._wrong)]
        if form.seeded:
            nodes, buffers = stream_parts(level, N)
            roots = cuda.device_array((count, arrivals.ROOT * buffers), np.uint64)
            marks = cuda.device_array((count, nodes), np.uint8)
            self.launches += arrivals.expand(constants, self._packed, roots, marks, residues)

    def copy(self, ciphertexts: Sequence[bytes | memoryview], stream: Any) -> None:
        """Copy ciphertexts; the copy before must be over.

        Raises:
            SealDataError: if one has another length than its form; nothing is copied then.
        """
        found = [np.frombuffer(data, np.uint8) for data in ciphertexts]  # a buffer keeps its length while it is read
        for one in found:
            require_length(one, self._form)
        found = [one.view(WORD) for one in found]
        if self._pinned is None:
            for place, words in zip(self._packed, found, strict=True):
                place.copy_to_device(words, stream=stream)
            self._wrong.copy_to_device(np.zeros(1, np.uint64), stream=stream)
        else:
            np.concatenate([*found, [np.uint64(0)]], out=self._pinned)
            self._memory.copy_to_device(self._pinned, stream=stream)

    def verdict(self, stream: Any) -> np.ndarray:
        """Start copying what the launches found, uint64 [1]: 0 if all residues are below their primes."""
        found: np.ndarray = self._wrong.copy_to_host(stream=stream)
        return found
