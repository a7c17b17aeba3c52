"""Totals packed and numbers expanded on a GPU: the bytes of `he.engines.rns.traces`, whose merges it writes down."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from he.engines.cuda.device import Board, Resident
from he.engines.cuda.places import places, stacked
from he.engines.cuda.schemes import recorded
from he.engines.cuda.tape import Kernel, Plan, Tape
from he.engines.rns.buffers import Buffers
from he.engines.rns.encoder import Encoder
from he.engines.rns.switching_keys import SwitchingKeys
from he.engines.rns.threads import Workers
from he.engines.rns.traces import Traces
from he.engines.rns.value import Value
from he.engines.rns.weights import Weights
from he.ring.gadget import Gadget, Gadgets
from he.ring.slots import automorphism, trace_elements
from intnn.machine.cuda.device import device, gpu_in_use, reported


@dataclass(frozen=True)
class _Work:
    """A part of what is packed or expanded, which is done at once.

    Attributes:
        what: a method of `Traces`, without the underscore.
        level: the level of all ciphertexts.
        takes: the number of ciphertexts that it takes.
        makes: the number of those that it makes.
        index: the index or the depth that the method takes.
    """

    what: str
    level: int
    takes: int
    makes: int
    index: int = 0


class CudaTraces(Traces):
    """Packs totals and expands packed numbers, with one client's keys on the GPU in use when it is made.

    See `Traces`, of which it is one. What that merges or splits together is done by one evaluation, and what is done
    for a level and a number of ciphertexts is planned once, and kept; its memory as long as the level stays the same.

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
        self._plans: dict[_Work, Plan] = {}
        self._boards: dict[_Work, Board] = {}
        self._lock = threading.Lock()

    def _merged_together(self, block: list[np.ndarray], depth: int) -> np.ndarray:
        return self._evaluated("merged_together", block, 1, depth)[0]

    def _merge(self, even: np.ndarray, odd: np.ndarray | None, index: int, result: np.ndarray) -> None:
        (result[:],) = self._evaluated("merge", [even] if odd is None else [even, odd], 1, index)

    def _split_together(self, x: np.ndarray, count: int, depth: int) -> list[np.ndarray]:
        return self._evaluated("split_together", [x], count, depth)

    def _divide(self, x: np.ndarray, index: int, even: np.ndarray, odd: np.ndarray | None) -> None:
        if odd is None:
            (even[:],) = self._evaluated("divide", [x], 1, index)
        else:
            even[:], odd[:] = self._evaluated("divide", [x], 2, index)

    def _divided(self, packed: np.ndarray) -> np.ndarray:
        return self._evaluated("divided", [packed], 1)[0]

    def _evaluated(self, what: str, given: Sequence[np.ndarray], makes: int, index: int = 0) -> list[np.ndarray]:
        """Return what a method makes of ciphertexts."""
        level = given[0].shape[1]
        with self._lock, reported(f"preparing what is {what} on the GPU"):
            board = self._board(_Work(what, level, len(given), makes, index))
        results = board.evaluate([x.reshape(-1, self._N) for x in given])
        return [rows.reshape(2, level, self._N) for rows in results]

    def plan(self, work: _Work) -> Plan:
        """Return the plan of some work, whose constants are the rows of all powers."""
        if work not in self._plans:
            tape = Tape()
            recorded = _RecordedTraces(self._encoder, self._named, self._pairs, tape)
            tape.inputs = [tape.new(2, work.level) for _ in range(work.takes)]
            for rows in recorded.made(work, tape.inputs):
                recorded.output(rows)
            self._plans[work] = Plan.of(tape)
        return self._plans[work]

    def _board(self, work: _Work) -> Board:
        if work not in self._boards:
            if any(other.level != work.level for other in self._boards):
                self._boards.clear()
            plan = self.plan(work)
            with self._gpu:
                resident = Resident(plan, self._encoder.chain, self._power_rows, self._orders)
                board = Board(resident, plan, self._key_rows)
            self._power_rows, self._orders = resident.weights, resident.orders
            self._key_rows, self._boards[work] = board.keys, board
        return self._boards[work]


class _RecordedTraces(Traces):
    """The merges and splittings of `Traces`, written down; ciphertexts are the numbers of their rows."""

    def __init__(self, encoder: Encoder, named: Sequence[tuple[int, Gadget]], pairs: bool, tape: Tape) -> None:
        self._encoder, self._pairs, self._N = encoder, pairs, encoder.parameters.poly_modulus_degree
        self._elements, self._depths = [element for element, _ in named], len(named)
        self._all, self._empty = Workers(1).all, tape.new
        self._algebra, self._tape = (
            recorded(encoder.parameters.scheme)(encoder, places(Weights({}, {}, {}), named), False, tape),
            tape,
        )

    def made(self, work: _Work, given: list[np.ndarray]) -> list[np.ndarray]:
        """Write some work down, and return the rows of what it makes."""
        made = [self._empty(*given[0].shape) for _ in range(work.makes)]
        match work.what:
            case "merged_together":
                made = [self._merged_together(given, work.index)]
            case "merge":
                self._merge(given[0], given[1] if len(given) > 1 else None, work.index, made[0])
            case "split_together":
                made = self._split_together(given[0], work.makes, work.index)
            case "divide":
                self._divide(given[0], work.index, made[0], made[1] if len(made) > 1 else None)
            case "divided":
                made = [self._divided(given[0])]
        return made

    def output(self, rows: np.ndarray) -> None:
        """Write rows to rows of their own, in transformed form for both schemes."""
        self._tape.outputs.append(self._algebra.combined([(rows, 1)]))

    def _power(self, rows: np.ndarray, index: int, back: int, out: np.ndarray) -> None:
        """Multiply with X**h for the distance of an index, or with X**-h."""
        base = (2 * index + back) * self._encoder.parameters.levels
        sums = [([(*rows[:, j], base + j)], (*out[:, j], j)) for j in range(rows.shape[1])]
        self._tape.write_sums(Kernel.PRODUCTS, sums)

    def _image(self, rows: np.ndarray, index: int) -> np.ndarray:
        return self._algebra.mod_down(self._algebra.automorphism(Value(rows), self._elements[index]))

    def _merge(self, even: np.ndarray, odd: np.ndarray | None, index: int, result: np.ndarray) -> None:
        if odd is None:
            self._algebra.combined([(even, 1), (self._image(even, index), 1)], result)
            return
        turned = self._tape.new(*odd.shape)
        self._power(odd, index, 0, turned)
        image = self._image(self._algebra.combined([(even, 1), (turned, -1)]), index)
        self._algebra.combined([(even, 1), (turned, 1), (image, 1)], result)

    def _divide(self, x: np.ndarray, index: int, even: np.ndarray, odd: np.ndarray | None) -> None:
        image = self._image(x, index)
        self._algebra.combined([(x, 1), (image, 1)], even)
        if odd is not None:
            self._power(self._algebra.combined([(x, 1), (image, -1)]), index, 1, odd)

    def _divided(self, packed: np.ndarray) -> np.ndarray:
        return self._algebra.multiple(packed, self._inverses(packed.shape[1]))
