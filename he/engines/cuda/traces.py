"""Totals packed and numbers expanded on a GPU: the bytes of `he.engines.rns.traces`, whose merges it writes down."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from functools import partial

import numpy as np
from numba import cuda

from he.engines.cuda.device import Board, Resident
from he.engines.cuda.placed import Placed, gather, taken
from he.engines.cuda.places import key_rows, places, stacked
from he.engines.cuda.schemes import recorded
from he.engines.cuda.tape import Kernel, Plan, Step, Tape
from he.engines.rns.buffers import Buffers
from he.engines.rns.encoder import Encoder
from he.engines.rns.switching_keys import SwitchingKeys
from he.engines.rns.threads import Workers
from he.engines.rns.traces import Traces
from he.engines.rns.value import Value
from he.engines.rns.weights import Weights
from he.ring.gadget import Gadget, Gadgets
from he.ring.slots import automorphism, trace_elements
from intnn.machine.cuda.device import device, free_bytes, gpu_in_use, reported

_MOST_ROWS_BYTES = 1 << 30  # of ciphertexts that are held at once, and of the memory in which they are merged or split
_TOGETHER = 64  # pairs that are merged or split at once, at most: more fill no GPU better


class _Work(Enum):
    """What is done with a ciphertext or two: how many it takes, and how many it makes."""

    MERGE = 2, 1
    DIVIDE = 1, 2

    def __init__(self, takes: int, makes: int) -> None:
        self.takes, self.makes = takes, makes


class CudaTraces(Traces):
    """Packs totals and expands packed numbers, with one client's keys on the GPU in use when it is made.

    See `Traces`, of which it is one. Ciphertexts are merged and split level by level, many at once, and stay on the GPU
    until somebody asks for an array of the host. Launches are the same for all automorphisms, and are kept as long as
    the level stays the same; only their tables change.

    Args:
        encoder: the encoder of the parameters, with one special prime at every level.
        keys: evaluation keys, with those of all `he.ring.slots.trace_elements`.
        pairs: whether slots hold pairs; by default if the scheme is CKKS.

    Raises:
        DeviceError: if there is no GPU that can be used, or it has too little free memory.
        ValueError: if a key is missing, or the encoder has other gadgets.
    """

    def __init__(self, encoder: Encoder, keys: SwitchingKeys, *, pairs: bool | None = None) -> None:
        device()
        with Workers(1) as workers:
            super().__init__(encoder, keys, workers, Buffers(), pairs=pairs)
        self._gpu, parameters = gpu_in_use(), encoder.parameters
        if encoder.gadgets != Gadgets.of(parameters):
            raise ValueError("`encoder` must have one special prime at every level; make it with `Encoder.of`")
        top = Gadget.of(parameters, parameters.levels)
        elements = trace_elements(self._N, self._pairs)
        self._named = [(element, top) for element in elements]
        found = [keys.key(element, top).factors.rows() for element in elements]
        # On the GPU from the first use on.
        self._orders = stacked([automorphism(self._N, element) for element in elements], np.int32, self._N)
        self._key_rows = stacked(found, np.uint64, self._N)
        self._power_rows = np.concatenate(self._powers).reshape(-1, self._N)
        self._boards: dict[tuple[_Work, int], tuple[Board, Plan, int]] = {}
        self._zeros: dict[int, Placed] = {}
        self._lock = threading.Lock()

    @property
    def _block(self) -> int:  # type: ignore[override]  # as deep as there is room for all ciphertexts of a block
        with self._gpu:
            room = min(_MOST_ROWS_BYTES, free_bytes() // 4)
        return max(0, (room // (16 * self._N * self._encoder.parameters.levels)).bit_length() - 1)

    def _merged_together(self, block: list[np.ndarray | Placed], depth: int) -> np.ndarray | Placed:
        for index in range(depth):
            block = [*self._all_of(_Work.MERGE, block, index)]
        return block[0]

    def _merged_pair(self, even: np.ndarray | Placed, odd: np.ndarray | Placed | None, index: int) -> Placed:
        return self._all_of(_Work.MERGE, [even] if odd is None else [even, odd], index)[0]

    def _split_together(self, x: np.ndarray | Placed, count: int, depth: int) -> list[np.ndarray | Placed]:
        block = [x]
        for index in reversed(range(depth)):
            block = [*self._all_of(_Work.DIVIDE, block, index)[: -(-count >> index)]]  # the last one may not be wanted
        return block

    def _halves(self, x: np.ndarray | Placed, index: int, *, both: bool) -> tuple[Placed, Placed | None]:
        even, odd = self._all_of(_Work.DIVIDE, [x], index)
        return even, odd if both else None

    def _all_of(self, work: _Work, given: list[np.ndarray | Placed], index: int) -> list[Placed]:
        """Do some work with all ciphertexts, by the automorphism of an index; one that is missing at the end is 0."""
        level = given[0].shape[1]
        given = [*given, *[self._zero(level)] * (-len(given) % work.takes)]
        with self._lock, reported("merging or splitting ciphertexts on the GPU"), self._gpu:
            board, plan, copies = self._board(work, level)
            board.load(self._turned(plan, index))
            units, size = len(given) // work.takes, 2 * level * work.makes
            made = cuda.device_array((size * units, self._N), np.uint64)
            for first in range(0, units, copies):
                stop = min(first + copies, units)
                some = given[work.takes * first : work.takes * stop]
                take = taken(made, size * first, size * (stop - first), plan.outputs[0])
                board.evaluate_there(partial(gather, some), take)
        return Placed.all(made, level, self._gpu)

    def _zero(self, level: int) -> Placed:
        if level not in self._zeros:
            with reported("copying a ciphertext to the GPU"), self._gpu:
                rows = cuda.to_device(np.zeros((2 * level, self._N), np.uint64))
            self._zeros[level] = Placed(rows, 0, level, self._gpu)
        return self._zeros[level]

    def _plan(self, work: _Work, level: int) -> Plan:
        """Return the plan of some work by the first automorphism, whose constants are the rows of all powers."""
        tape = Tape()
        recorded = _RecordedTraces(self._encoder, self._named, tape)
        tape.inputs = [tape.new(2, level) for _ in range(work.takes)]
        tape.outputs = recorded.made(work, tape.inputs)
        return Plan.of(tape)

    def _turned(self, plan: Plan, index: int) -> Plan:
        """Return a plan for another automorphism, whose key, permutation and powers follow those of the ones before."""
        key = key_rows(self._named[0][1])
        further = {  # to the columns of tables and of terms, see `he.kernels.cuda.rows`
            Kernel.SWITCH: ([0, 0, 0, 0, 0, 0, 0, 1], [0, key, key]),
            Kernel.PRODUCTS: ([0, 0, 0, 0, 0], [0, 0, 2 * self._encoder.parameters.levels]),
        }

        def turned(step: Step) -> Step:
            if step.kernel not in further:
                return step
            table, terms = (index * np.array(columns) for columns in further[step.kernel])
            return replace(step, table=step.table + table, terms=step.terms + terms)

        return replace(plan, launches=tuple(map(turned, plan.launches)))

    def _board(self, work: _Work, level: int) -> tuple[Board, Plan, int]:
        """Return what does some work at a level, its plan by the first automorphism, and how much it does at once."""
        if (work, level) not in self._boards:
            if any(other != level for _, other in self._boards):
                self._boards.clear()
            one, room = self._plan(work, level), min(_MOST_ROWS_BYTES, free_bytes() // 4)
            copies = max(1, min(_TOGETHER, room // (8 * self._N * one.rows)))
            plan = one.times(copies)
            resident = Resident(plan, self._encoder.chain, self._power_rows, self._orders)
            board = Board(resident, plan, self._key_rows, from_host=False)
            self._power_rows, self._orders = resident.weights, resident.orders
            self._key_rows, self._boards[work, level] = board.keys, (board, plan, copies)
        return self._boards[work, level]


class _RecordedTraces:
    """Merging and splitting as `he.engines.rns.traces` has it, written down; ciphertexts are the numbers of rows."""

    def __init__(self, encoder: Encoder, named: Sequence[tuple[int, Gadget]], tape: Tape) -> None:
        self._element, self._tape, self._levels = named[0][0], tape, encoder.parameters.levels
        constants = places(Weights({}, {}, {}), named)
        self._algebra = recorded(encoder.parameters.scheme)(encoder, constants, False, tape)

    def made(self, work: _Work, given: list[np.ndarray]) -> list[np.ndarray]:
        """Write some work by the first automorphism down, and return the rows of what it makes."""
        if work is _Work.MERGE:
            even, odd = given
            turned = self._power(odd, 0)
            image = self._image(self._algebra.combined([(even, 1), (turned, -1)]))
            return [self._algebra.combined([(even, 1), (turned, 1), (image, 1)])]
        (x,) = given
        image = self._image(x)
        return [
            self._algebra.combined([(x, 1), (image, 1)]),
            self._power(self._algebra.combined([(x, 1), (image, -1)]), self._levels),
        ]

    def _power(self, rows: np.ndarray, first: int) -> np.ndarray:
        """Multiply with a power, which has these rows of factors from the first on."""
        out = self._tape.new(*rows.shape)
        sums = [([(*rows[:, j], first + j)], (*out[:, j], j)) for j in range(rows.shape[1])]
        self._tape.write_sums(Kernel.PRODUCTS, sums)
        return out

    def _image(self, rows: np.ndarray) -> np.ndarray:
        return self._algebra.mod_down(self._algebra.automorphism(Value(rows), self._element))
