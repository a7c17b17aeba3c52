"""Matrix products of ciphertexts on a GPU: the bytes of `he.engines.rns.products`.

Both sides lie on the GPU: the packed one from when it is packed until nobody holds it any more, the other one for the
product. Some results at once are scaled down and relinearised, by launches that are planned for one of them, and are
the same for all of a level. They stay on the GPU until somebody asks for an array of the host.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from he.engines.cuda.device import Board, Resident, require_memory
from he.engines.cuda.pieces import Pieces
from he.engines.cuda.placed import Placed, gather, taken
from he.engines.cuda.places import places, stacked
from he.engines.cuda.requests import Requests
from he.engines.cuda.schemes import recorded
from he.engines.cuda.tape import Plan, Tape
from he.engines.rns.buffers import Buffers
from he.engines.rns.encoder import Encoder
from he.engines.rns.products import ApproximateProducts, ExactProducts, Packed, Products
from he.engines.rns.switching_keys import SwitchingKeys
from he.engines.rns.threads import Workers
from he.engines.rns.weights import Weights
from he.formats.compact import Form, require_residues
from he.formats.switching import RELINEARISATION
from he.kernels.cuda import matrices
from he.kernels.cuda.columns import MAX_PRODUCTS, PIECE_BYTES, PIECES, request_bytes
from he.kernels.cuda.tables import DeviceArray, DeviceTables, device_tables
from he.kernels.cuda.words import address_of
from he.ring.gadget import Gadget, Gadgets
from intnn.machine.cuda.device import device, free_bytes, gpu_in_use, reported
from intnn.machine.cuda.launch import run
from intnn.values.value_object import Unstorable

_MOST_ROWS_BYTES = 1 << 30  # of the memory in which sums are finished
_TOGETHER = 64  # sums that are finished at once, at most: more fill no GPU better
_MOST_BOARDS = 2  # that are kept


class DeviceFactors(Unstorable, instead="pack the polynomials again"):
    """Polynomials times 2**52 on the GPU in use when this is made.

    Args:
        N: the number of words of a row.
        shape: the axes along which polynomials are arranged.
        primes: the number of rows of a polynomial.

    Attributes:
        memory: the rows, uint64 [rows, N], one polynomial's behind the other's.
        addresses: the address of every row, int64 [*shape, primes].

    Raises:
        DeviceMemoryError: if the GPU has too little free memory.
    """

    def __init__(self, N: int, shape: tuple[int, ...], primes: int) -> None:
        require_memory(8 * N * primes * prod(shape))
        self._gpu, self._shape = gpu_in_use(), shape
        self.memory = cuda.device_array((prod(shape) * primes, N), np.uint64)
        rows = address_of(self.memory) + 8 * N * np.arange(prod(shape) * primes, dtype=np.int64)
        self.addresses = rows.reshape(*shape, primes)

    def put(self, place: tuple[int, ...], rows: np.ndarray) -> None:
        """Copy the rows of a polynomial, uint64 [primes, N], to its place among the others; from any thread."""
        first = int(np.ravel_multi_index(place, self._shape)) * len(rows)
        with reported("copying a matrix of ciphertexts to the GPU"), self._gpu:
            self.memory[first : first + len(rows)].copy_to_device(np.ascontiguousarray(rows))


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
        self._boards: dict[int, tuple[Board, Plan, int]] = {}
        self._stream, self._lock = cuda.stream(), threading.Lock()

    @staticmethod
    def of(encoder: Encoder, keys: SwitchingKeys, workers: Workers, buffers: Buffers) -> CudaProducts:
        """Return what multiplies in the scheme of the encoder's parameters."""
        made = CudaExactProducts if encoder.parameters.scheme.exact else CudaApproximateProducts
        return made(encoder, keys, workers, buffers)

    def _room(self, shape: tuple[int, ...], primes: Sequence[int]) -> DeviceFactors:
        with reported("making room for a matrix of ciphertexts on the GPU"), self._gpu:
            return DeviceFactors(self._N, shape, len(primes))

    def held(self, left: np.ndarray, right: Sequence[Sequence[Any]]) -> Iterator[Placed]:
        """Yield the entries of a matrix product, row by row, on the GPU; see `Products.held`.

        Raises:
            DeviceError: if the GPU fails, or has too little free memory.
            ValueError: as `Products.held`; or if there are more than 2**13 terms.
        """
        if left.shape[1] > MAX_PRODUCTS // 2:
            raise ValueError(
                f"`left` must have at most {MAX_PRODUCTS // 2} terms, got {left.shape[1]}; add up parts of them"
            )
        return super().held(left, right)

    def _sums(self, left: np.ndarray, right: Sequence[Sequence[Any]], level: int) -> Iterator[Placed]:
        results, primes = len(left) * len(right[0]), self._primes(level)
        with self._lock, reported("copying matrices of ciphertexts to the GPU"), self._gpu:
            board, plan, together = self._board(level)
            other = self._right(right, len(primes))
            sides = (
                cuda.to_device(np.ascontiguousarray(left[..., : len(primes)])),
                cuda.to_device(other.addresses),
                cuda.to_device(np.array(primes)),
            )
        for first in range(0, results, together):
            table = matrices.lines(len(right[0]), first, min(first + together, results))
            with self._lock, reported("multiplying matrices of ciphertexts"), self._gpu:
                found = self._some(board, plan, sides, table)
            yield from Placed.all(found, self._level_of_result(level), self._gpu)

    def _some(self, board: Board, plan: Plan, sides: Sequence[DeviceArray], table: np.ndarray) -> DeviceArray:
        """Return the rows of results by their lines of a table."""
        count, size = int(table[-1, 2:].sum()), plan.output_rows  # the last line's number and its results
        table[:, 3] *= plan.input_rows
        left, right, primes = sides
        found, there = cuda.device_array((count * size, self._N), np.uint64), cuda.to_device(table)

        def write(memory: DeviceArray, stream: Any) -> None:
            matrices.products(board.tables, left, right, memory, there, primes)(stream)

        board.evaluate_there(write, taken(found, 0, len(found), plan.outputs[0]))
        return found

    def _right(self, right: Sequence[Sequence[Any]], primes: int) -> _Right:
        """Return the right side of a product on the GPU, copied there unless it has been made there."""
        ciphertexts = [one if isinstance(one, Placed) else self._extended(one) for row in right for one in row]
        held = [one for one in ciphertexts if isinstance(one, Placed)]
        if len(held) < len(ciphertexts):
            require_memory(8 * self._N * 2 * primes * len(ciphertexts))
            memory = cuda.device_array((2 * primes * len(ciphertexts), self._N), np.uint64)
            gather(ciphertexts, memory, self._stream)
            self._stream.synchronize()
            held = Placed.all(memory, primes, self._gpu)
        addresses = np.array([one.addresses for one in held]).reshape(len(right), -1, 2, primes)
        return _Right(addresses, held)

    def _board(self, level: int) -> tuple[Board, Plan, int]:
        """Return what finishes some sums at a level at once, its plan, and how many."""
        if level not in self._boards:
            while len(self._boards) >= _MOST_BOARDS:
                del self._boards[next(iter(self._boards))]
            one = self._planned(level)
            room = min(_MOST_ROWS_BYTES, free_bytes() // 4)  # results and the other side need some too
            together = max(1, min(_TOGETHER, room // (8 * self._N * one.rows)))
            plan, nothing = one.times(together), np.empty((0, self._N))
            resident = Resident(plan, self._encoder.chain, nothing.astype(np.uint64), nothing.astype(np.int32))
            board = Board(resident, plan, self._device_keys, from_host=False)
            self._device_keys, self._boards[level] = board.keys, (board, plan, together)
        return self._boards[level]

    def _planned(self, level: int) -> Plan:
        """Return the plan that finishes one sum."""
        tape, constants = Tape(), places(Weights({}, {}, {}), self._named)
        algebra = recorded(self._encoder.parameters.scheme)(self._encoder, constants, False, tape)
        tape.inputs = [tape.new(3, len(self._primes(level)))]
        tape.outputs = [algebra.finished(tape.inputs[0], level)]
        return Plan.of(tape)


class _Right(NamedTuple):
    """The right side of a product on the GPU.

    Attributes:
        addresses: of its rows, int64 [terms, columns, 2, primes].
        held: what the addresses are of.
    """

    addresses: np.ndarray
    held: Sequence[Placed]


class CudaApproximateProducts(CudaProducts, ApproximateProducts):
    """The products of CKKS."""

    def read(self, ciphertexts: Sequence[bytes | memoryview], form: Form, rows: int, terms: int) -> Packed:
        """See `Products.read`: what travels is copied to the GPU as it is, and unpacked there.

        Raises:
            DeviceError: if the GPU fails, or has too little free memory.
        """
        if not len(ciphertexts) or len(ciphertexts) != rows * terms:
            return super().read(ciphertexts, form, rows, terms)  # which says what is wrong
        level, count = len(form.primes), len(ciphertexts)
        with self._lock, reported("reading ciphertexts on the GPU"), self._gpu:
            room = DeviceFactors(self._N, (rows, terms, 2), level)
            require_memory(request_bytes(count, form.bytes, form.polynomials, level, self._N))
            requests = Requests(
                form, self._tables.constants, room.memory.reshape(count, 2, level, self._N), self._pieces
            )
            raising = matrices.raised(self._tables, room.memory.reshape(2 * count, level, self._N))
            requests.copy(ciphertexts, self._stream)
            run([*requests.launches, *raising], self._stream)
            verdict = requests.verdict(self._stream)
            self._stream.synchronize()
        require_residues(not verdict[0])
        return room

    @cached_property
    def _tables(self) -> DeviceTables:
        return device_tables(self._encoder.chain)

    @cached_property
    def _pieces(self) -> Pieces:
        return Pieces(PIECES * PIECE_BYTES, self._workers.threads)


class CudaExactProducts(CudaProducts, ExactProducts):
    """The products of BFV."""

    def _right(self, right: Sequence[Sequence[Any]], primes: int) -> _Right:
        return super()._right([[np.asarray(one) for one in row] for row in right], primes)  # they are to be extended
