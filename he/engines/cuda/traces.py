"""Totals packed and numbers expanded on a GPU: the bytes of `he.engines.rns.traces`, whose merges it writes down."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from he.engines.cuda.device import Board, Resident
from he.engines.cuda.places import places, stacked
from he.engines.cuda.schemes import recorded
from he.engines.cuda.tape import Kernel, Plan, Tape
from he.engines.rns.encoder import Encoder
from he.engines.rns.switching_keys import SwitchingKeys
from he.engines.rns.threads import Workers
from he.engines.rns.traces import Traces
from he.engines.rns.value import Value
from he.engines.rns.weights import Weights
from he.ring.gadget import Gadget, Gadgets
from he.ring.slots import automorphism, trace_elements
from intnn.machine.cuda.device import device, gpu_in_use, reported

_Work = tuple[str, int, int]  # what is done, the level, and the number of ciphertexts


class CudaTraces:
    """Packs totals and expands packed numbers, with one client's keys on the GPU in use when it is made.

    What is done for a level and a number of ciphertexts is planned once, and kept.

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
        self._gpu = gpu_in_use()
        parameters = encoder.parameters
        if encoder.gadgets != Gadgets.of(parameters):
            raise ValueError("`encoder` must have one special prime at every level; make it with `Encoder.of`")
        self._encoder, self._N = encoder, parameters.poly_modulus_degree
        self._pairs = not parameters.scheme.exact if pairs is None else pairs
        top = Gadget.of(parameters, parameters.levels)
        elements = trace_elements(self._N, self._pairs)
        self._named = [(element, top) for element in elements]
        found = [keys.key(element, top).factors.rows() for element in elements]
        self._orders = stacked([automorphism(self._N, element) for element in elements], np.int32, self._N)
        self._keys = stacked(found, np.uint64, self._N)
        self._plans: dict[_Work, tuple[Plan, np.ndarray]] = {}
        self._boards: dict[_Work, Board] = {}
        self._lock = threading.Lock()

    def packed(self, ciphertexts: Iterable[np.ndarray], count: int) -> np.ndarray:
        """Return one ciphertext of the totals over the slots of many, which are all held; see `Traces.packed`.

        Args:
            ciphertexts: uint64 [2, level, N], one level for all, in transformed form.
            count: their number, from 1 to N / 2, or N without pairs.

        Raises:
            DeviceError: if the device fails.
            ValueError: if there are not so many, or they are too many.
        """
        held = list(ciphertexts)
        if not held or len(held) != count:
            raise ValueError(f"`ciphertexts` must be as many as `count`, {count}, and at least one, got {len(held)}")
        (result,) = self._evaluated("packed", held[0].shape[1], count, held)
        return result

    def expanded(self, packed: np.ndarray, count: int) -> Iterator[np.ndarray]:
        """Yield ciphertexts with the numbers that one holds at `packed_places`; see `Traces.expanded`."""
        yield from self._evaluated("expanded", packed.shape[1], count, [packed])

    def _evaluated(self, what: str, level: int, count: int, given: Sequence[np.ndarray]) -> list[np.ndarray]:
        with self._lock, reported(f"copying what is {what} to the GPU"):
            board = self._board(what, level, count)
        results = board.evaluate([x.reshape(-1, self._N) for x in given])
        return [rows.reshape(2, level, self._N) for rows in results]

    def plan(self, what: str, level: int, count: int) -> tuple[Plan, np.ndarray]:
        """Return the plan of `packed` or `expanded`, and the rows of powers that it multiplies with."""
        if (what, level, count) not in self._plans:
            self._plans[what, level, count] = self._planned(what, level, count)
        return self._plans[what, level, count]

    def _planned(self, what: str, level: int, count: int) -> tuple[Plan, np.ndarray]:
        tape = Tape()
        recorded = _RecordedTraces(self._encoder, self._named, self._pairs, tape)
        tape.inputs = [tape.new(2, level) for _ in range(count if what == "packed" else 1)]
        if what == "packed":
            made = [recorded.packed(tape.inputs, count)]
        else:
            made = list(recorded.expanded(tape.inputs[0], count))
        for rows in made:
            recorded.output(rows)
        return Plan.of(tape), recorded.rows

    def _board(self, what: str, level: int, count: int) -> Board:
        if (what, level, count) not in self._boards:
            plan, powers = self.plan(what, level, count)
            with self._gpu:
                board = Board(Resident(plan, self._encoder.chain, powers, self._orders), plan, self._keys)
            self._keys, self._boards[what, level, count] = board.keys, board
        return self._boards[what, level, count]


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

    @property
    def rows(self) -> np.ndarray:
        """The rows of all powers, in the order of `_power`."""
        return np.concatenate(self._powers).reshape(-1, self._N)

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
