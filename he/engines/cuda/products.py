"""Matrix products of ciphertexts on a GPU: the bytes of `he.engines.rns.products`.

The packed side lies on the GPU from when it is packed until nobody holds it any more. The other side comes prime by
prime, for as many results at once as there is room for; these are scaled down and relinearised by launches that are
planned once for their level and number.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from math import prod

import numpy as np
from numba import cuda

from he.engines.cuda.device import Board, Resident, require_memory
from he.engines.cuda.places import places, stacked
from he.engines.cuda.schemes import recorded
from he.engines.cuda.tape import Plan, Tape
from he.engines.rns.buffers import Buffers
from he.engines.rns.encoder import Encoder
from he.engines.rns.products import ApproximateProducts, ExactProducts, Products
from he.engines.rns.switching_keys import SwitchingKeys
from he.engines.rns.threads import Workers
from he.engines.rns.weights import Weights
from he.formats.switching import RELINEARISATION
from he.kernels.cuda import matrices
from he.kernels.cuda.columns import MAX_TERMS
from he.kernels.cuda.words import address_of
from he.ring.gadget import Gadget, Gadgets
from intnn.machine.cuda.device import device, free_bytes, gpu_in_use, reported
from intnn.values.value_object import Unstorable

_MOST_ROWS_BYTES = 1 << 30  # of the rows of results that are not relinearised yet, with the digits of their products
_MOST_BOARDS = 2  # that are kept: most products leave a last part that is smaller


class DeviceFactors(Unstorable, instead="pack the polynomials again"):
    """Polynomials times 2**52 on the GPU in use when this is made.

    Args:
        N: the number of words of a row.
        shape: the axes along which polynomials are arranged.
        primes: the number of rows of a polynomial.

    Attributes:
        addresses: the address of every row, int64 [*shape, primes].

    Raises:
        DeviceMemoryError: if the GPU has too little free memory.
    """

    def __init__(self, N: int, shape: tuple[int, ...], primes: int) -> None:
        require_memory(8 * N * primes * prod(shape))
        self._gpu, self._shape = gpu_in_use(), shape
        self._memory = cuda.device_array((prod(shape) * primes, N), np.uint64)
        rows = address_of(self._memory) + 8 * N * np.arange(prod(shape) * primes, dtype=np.int64)
        self.addresses = rows.reshape(*shape, primes)

    def put(self, place: tuple[int, ...], rows: np.ndarray) -> None:
        """Copy the rows of a polynomial, uint64 [primes, N], to its place among the others; from any thread."""
        first = int(np.ravel_multi_index(place, self._shape)) * len(rows)
        with reported("copying a matrix of ciphertexts to the GPU"), self._gpu:
            self._memory[first : first + len(rows)].copy_to_device(np.ascontiguousarray(rows))


class CudaProducts(Products):
    """Multiplies matrices of ciphertexts on the GPU in use when it is made; see `Products`.

    Args:
        encoder: the encoder of the parameters, with one special prime at every level.
        keys: as in `Products`.
        workers: the threads that share the host's part of the work.
        buffers: as in `Products`.

    Raises:
        DeviceError: if there is no GPU that can be used, or too little memory.
        ValueError: if the key is missing, or the encoder has other gadgets.
    """

    def __init__(self, encoder: Encoder, keys: SwitchingKeys, workers: Workers, buffers: Buffers) -> None:
        super().__init__(encoder, keys, workers, buffers)
        device()
        self._gpu, parameters = gpu_in_use(), encoder.parameters
        if encoder.gadgets != Gadgets.of(parameters):
            raise ValueError("`encoder` must have one special prime at every level; make it with `Encoder.of`")
        top, self._N = Gadget.of(parameters, parameters.levels), parameters.poly_modulus_degree
        self._named = [(RELINEARISATION, top)]
        self._device_keys = stacked([keys.key(RELINEARISATION, top).factors.rows()], np.uint64, self._N)
        self._boards: dict[tuple[int, int], tuple[Board, Plan]] = {}
        self._lock = threading.Lock()

    @staticmethod
    def of(encoder: Encoder, keys: SwitchingKeys, workers: Workers, buffers: Buffers) -> CudaProducts:
        """Return what multiplies in the scheme of the encoder's parameters."""
        made = CudaExactProducts if encoder.parameters.scheme.exact else CudaApproximateProducts
        return made(encoder, keys, workers, buffers)

    def _room(self, shape: tuple[int, ...], primes: Sequence[int]) -> DeviceFactors:
        with reported("making room for a matrix of ciphertexts on the GPU"), self._gpu:
            return DeviceFactors(self._N, shape, len(primes))

    def sums(self, left: np.ndarray, right: Sequence[Sequence[np.ndarray]]) -> Iterator[np.ndarray]:
        """Yield the entries of a matrix product, row by row; see `Products.sums`.

        Raises:
            DeviceError: if the GPU fails, or has too little free memory.
            ValueError: as `Products.sums`; or if there are more than 2**14 terms.
        """
        if left.shape[1] > MAX_TERMS:
            raise ValueError(f"`left` must have at most {MAX_TERMS} terms, got {left.shape[1]}; add up parts of them")
        return super().sums(left, right)

    def _sums(self, left: np.ndarray, right: Sequence[Sequence[np.ndarray]], level: int) -> Iterator[np.ndarray]:
        extended = [[self._extended(ciphertext) for ciphertext in row] for row in right]
        results, primes = len(left) * len(right[0]), self._primes(level)
        rows = 3 * len(primes) + (level + 1) * (level + 3)
        with reported("asking for the GPU's free memory"), self._gpu:
            room = min(_MOST_ROWS_BYTES, free_bytes() // 2)  # the other side's rows need some too
        together = max(1, room // (8 * self._N * rows))
        left = np.ascontiguousarray(left[..., : len(primes)])
        for first in range(0, results, together):
            with self._lock, reported("multiplying matrices of ciphertexts"), self._gpu:
                found = self._some(left, extended, level, range(first, min(first + together, results)))
            yield from found

    def _some(self, left: np.ndarray, right: list[list[np.ndarray]], level: int, results: range) -> list[np.ndarray]:
        """Return results by their numbers, row by row."""
        board, plan = self._board(level, len(results))
        table = matrices.lines(len(right[0]), results.start, results.stop)
        table[:, 3] = np.array(plan.inputs)[table[:, 3]]
        columns = range(table[:, 1].min(), (table[:, 1] + table[:, 2]).max())  # of the right side, that are needed
        table[:, 1] -= columns.start
        addresses, there = cuda.to_device(left), cuda.to_device(table)

        def write(memory: object, stream: object) -> None:
            for j, prime in enumerate(self._primes(level)):
                one = np.array([[row[k][:, j] for k in columns] for row in right])
                require_memory(one.nbytes)
                launch = matrices.products(board.tables, addresses, cuda.to_device(one), memory, there, (j, prime))
                launch(stream)

        shape = 2, self._level_of_result(level), self._N
        return [rows.reshape(shape) for rows in board.evaluate(write)]

    def _board(self, level: int, count: int) -> tuple[Board, Plan]:
        """Return what finishes so many sums at a level, and its plan."""
        if (level, count) not in self._boards:
            while len(self._boards) >= _MOST_BOARDS:
                del self._boards[next(iter(self._boards))]
            plan, nothing = self._planned(level, count), np.empty((0, self._N))
            resident = Resident(plan, self._encoder.chain, nothing.astype(np.uint64), nothing.astype(np.int32))
            board = Board(resident, plan, self._device_keys)
            self._device_keys, self._boards[level, count] = board.keys, (board, plan)
        return self._boards[level, count]

    def _planned(self, level: int, count: int) -> Plan:
        tape, constants = Tape(), places(Weights({}, {}, {}), self._named)
        algebra = recorded(self._encoder.parameters.scheme)(self._encoder, constants, False, tape)
        tape.inputs = [tape.new(3, len(self._primes(level))) for _ in range(count)]
        tape.outputs = [algebra.finished(rows, level) for rows in tape.inputs]
        return Plan.of(tape)


class CudaApproximateProducts(CudaProducts, ApproximateProducts):
    """The products of CKKS."""


class CudaExactProducts(CudaProducts, ExactProducts):
    """The products of BFV."""
