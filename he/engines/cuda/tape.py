"""What a program does on a GPU, written down before anything runs: kernels, and tables of the rows that they take.

A row is one polynomial modulo one prime. While a program is read, every row that is written has a number of its own, so
that a *step* depends on exactly the steps that write what it reads. Steps of one kernel that do not wait for each other
become one launch, however many operations of the program they come from (`launches`), and rows share memory once
nobody reads them any more (`Plan`). So an evaluation allocates nothing, and how much it takes is known beforehand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from math import prod
from typing import Any

import numpy as np

from he.formats.compact import Form
from he.kernels.cuda.columns import (
    FIRST,
    FORWARD_COLUMNS,
    INVERSE_COLUMNS,
    MAX_PRODUCTS,
    MINUEND,
    NONE,
    SOURCE,
    STOP,
    TARGET,
    TILES,
    arrival_kernels,
    pinned_shape,
    request_bytes,
    transform_passes,
)
from intnn.machine.cuda.device import MOST_BLOCKS

Line = Sequence[Any]  # of numbers: rows, primes, factors
MOST_LINES = MOST_BLOCKS[1]  # of a table in one launch


class Kernel(Enum):
    """A kernel, by the columns that name rows: those that it reads and those that it writes, and those of its terms.

    Behind them stand how many columns its table has, and how many its terms, which are 0 where lines are no sums.
    """

    FORWARD = (SOURCE, MINUEND), (TARGET,), (), FORWARD_COLUMNS, 0
    INVERSE = (SOURCE,), (TARGET,), (), INVERSE_COLUMNS, 0
    COMBINE = (), (3,), (0,), 6, 2
    COMBINE_TILE = (), tuple(range(3, 3 + 3 * TILES[1], 3)), (0,), 3 + 3 * TILES[1], 1 + TILES[1]
    PRODUCTS = (), (2, 3), (0, 1), 5, 3
    SWITCH = (5,), (2, 3), (0,), 8, 3
    EXTEND = (), (2,), (0,), 5, 2
    TENSOR = (0, 1, 2, 3), (4, 5, 6), (), 8, 0
    TENSOR_SUMS = (), (2, 3, 4), (0, 1, 2, 3), 6, 4
    SQUARE_PARTS = (0, 1, 2, 3), (4, 5, 6), (), 10, 0

    def __init__(
        self, read: tuple[int, ...], written: tuple[int, ...], terms: tuple[int, ...], columns: int, wide: int
    ) -> None:
        self.read, self.written, self.terms, self.columns, self.wide = read, written, terms, columns, wide


@dataclass(frozen=True, eq=False)
class Step:
    """A kernel with its tables, as `he.kernels.cuda.rows` and `he.kernels.cuda.transform` describe them.

    Attributes:
        kernel: the kernel.
        table: int64 [lines, columns].
        terms: int64 [terms, columns of terms]; lines of sums name ranges of these.
        shares: float64 [terms] of an extension, and of other kernels empty.
    """

    kernel: Kernel
    table: np.ndarray
    terms: np.ndarray
    shares: np.ndarray

    @property
    def read(self) -> np.ndarray:
        """The distinct rows of the memory that it reads."""
        named = [self.table[:, self.kernel.read].ravel(), self.terms[:, self.kernel.terms].ravel()]
        rows = np.unique(np.concatenate(named))
        return rows[rows >= 0]

    @property
    def written(self) -> np.ndarray:
        """The distinct rows that it writes."""
        rows = np.unique(self.table[:, self.kernel.written])
        return rows[rows >= 0]

    def placed(self, places: np.ndarray) -> Step:
        """Return copies of the step in one, where ``places[i, row]`` stands for every row of copy i."""
        copies = len(places)
        table, terms = (np.repeat(array[None], copies, axis=0) for array in (self.table, self.terms))
        for array, columns in ((table, (*self.kernel.read, *self.kernel.written)), (terms, self.kernel.terms)):
            for column in columns:
                named = array[0, :, column] >= 0  # below are constants, or nothing
                array[:, named, column] = places[:, array[0, named, column]]
        if self.kernel.wide:
            table[..., [FIRST, STOP]] += len(self.terms) * np.arange(copies)[:, None, None]
        table, terms = (array.reshape(-1, array.shape[-1]) for array in (table, terms))
        return Step(self.kernel, table, terms, np.tile(self.shares, copies))


class Tape:
    """Steps in the order in which they are written.

    Attributes:
        steps: the steps.
        inputs: the rows of every input, int64 [polynomials, level].
        outputs: the rows of every output, the same.
        operands: the rows of every encrypted operand, [2, primes]; they are written once and stay.
        scales: what transforms multiply with, a number modulo a prime, and the place of each.
        rows: how many rows there are.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.inputs: list[np.ndarray] = []
        self.outputs: list[np.ndarray] = []
        self.operands: list[np.ndarray] = []
        self.scales: dict[tuple[int, int], int] = {}
        self.rows = 0

    def new(self, *shape: int) -> np.ndarray:
        """Return the numbers of new rows, int64 of this shape."""
        first, self.rows = self.rows, self.rows + int(np.prod(shape))
        return np.arange(first, self.rows).reshape(shape)

    def scale(self, number: int, prime: int) -> int:
        """Return the place of a number modulo a prime among the scales."""
        return self.scales.setdefault((number % prime, prime), len(self.scales))

    def write(self, kernel: Kernel, lines: Sequence[Line]) -> None:
        """Write a step whose lines are no sums."""
        if lines:
            self._write(kernel, np.array(lines, np.int64), np.empty((0, max(1, kernel.wide)), np.int64))

    def write_sums(self, kernel: Kernel, sums: Sequence[tuple[Any, Line]], shares: Sequence[float] = ()) -> None:
        """Write a step of sums: the terms of each, and its line behind the range of these.

        Raises:
            ValueError: if a sum has more terms than fit the words in which it is made.
        """
        if not sums:
            return
        most = max(len(terms) for terms, _ in sums)
        limit = MAX_PRODUCTS // (2 if kernel is Kernel.TENSOR_SUMS else 1)  # products of a term for each word
        if most > limit:
            raise ValueError(f"a sum of {kernel.name} must have at most {limit} terms, got {most}")
        ends = np.cumsum([0, *(len(terms) for terms, _ in sums)])
        lines = [(*ends[i : i + 2].tolist(), *line) for i, (_, line) in enumerate(sums)]
        terms = np.concatenate([np.asarray(terms, np.int64).reshape(-1, kernel.wide) for terms, _ in sums])
        self._write(kernel, np.array(lines, np.int64), terms, shares)

    def _write(self, kernel: Kernel, table: np.ndarray, terms: np.ndarray, shares: Sequence[float] = ()) -> None:
        assert table.shape[1] == kernel.columns
        self.steps.append(Step(kernel, table, terms, np.array(shares, np.float64)))


def launches(tape: Tape) -> list[Step]:
    """Merge steps of one kernel that wait for as long a chain of others: one launch of each kernel for every length."""
    depths = np.zeros(tape.rows, np.int64)
    merged: dict[tuple[int, str], list[Step]] = {}
    for step in tape.steps:
        depth = 1 + int(depths[step.read].max(initial=0))
        depths[step.written] = depth
        merged.setdefault((depth, step.kernel.name), []).append(step)
    found = [_joined(merged[key]) for key in sorted(merged)]
    return [part for step in found for part in _parts(step)]


def _joined(steps: Sequence[Step]) -> Step:
    tables, first = [], 0
    for step in steps:
        table = step.table.copy()
        if step.kernel.wide:
            table[:, :2] += first
        tables.append(table)
        first += len(step.terms)
    terms, shares = ([getattr(step, name) for step in steps] for name in ("terms", "shares"))
    return Step(steps[0].kernel, np.concatenate(tables), np.concatenate(terms), np.concatenate(shares))


def _parts(step: Step) -> list[Step]:
    return [_part(step, i, i + MOST_LINES) for i in range(0, len(step.table), MOST_LINES)]


def _part(step: Step, start: int, stop: int) -> Step:
    """Return some lines of a step, with the terms of their sums alone: ranges follow each other."""
    table = step.table[start:stop]
    if not step.kernel.wide:
        return Step(step.kernel, table, step.terms, step.shares)
    first, last = table[0, FIRST], table[-1, STOP]
    shift = np.zeros(table.shape[1], np.int64)
    shift[[FIRST, STOP]] = first
    return Step(step.kernel, table - shift, step.terms[first:last], step.shares[first:last])


@dataclass(frozen=True, eq=False)
class Plan:
    """The launches of a program, with the places of all rows in one memory.

    Attributes:
        launches: the launches in order; their tables name places.
        inputs: the place of the first row of every input; the others follow.
        outputs: the same of every output.
        operands: the same of every encrypted operand.
        input_rows: the number of rows of an input.
        output_rows: the same of an output.
        rows: the number of rows of the memory.
        written: the number of rows that are written in all, each once.
        scales: what transforms multiply with: number and prime.
        form: the form of inputs that come as bytes; none if they come as residues alone.
    """

    launches: tuple[Step, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operands: tuple[int, ...]
    input_rows: int
    output_rows: int
    rows: int
    written: int
    scales: tuple[tuple[int, int], ...]
    form: Form | None = None

    @property
    def request_bytes(self) -> int:
        """The bytes of inputs as they come, and of what their seeds are expanded in."""
        if self.form is None:
            return 0
        return request_bytes(
            len(self.inputs), self.form.bytes, self.form.polynomials, len(self.form.primes), self.form.degree
        )

    def copied_bytes(self, N: int) -> int:
        """The bytes of inputs that are copied at once: as they come, with a word for what is found out, or residues."""
        if self.form is None:
            return 8 * N * self.input_rows * len(self.inputs)
        return len(self.inputs) * self.form.bytes + 8

    def pinned_bytes(self, N: int) -> int:
        """The bytes of the host's memory that a session pins to copy inputs."""
        return 8 * prod(pinned_shape(self.copied_bytes(N)))

    @property
    def table_bytes(self) -> int:
        """The bytes of the tables of all launches, and of the scales."""
        tables = sum(step.table.nbytes + step.terms.nbytes + step.shares.nbytes for step in self.launches)
        return tables + 16 * len(self.scales)

    def started(self, N: int) -> Counter[str]:
        """Return how many kernels an evaluation starts, by their names: a transform is a kernel for each pass."""
        found: Counter[str] = Counter()
        if self.form is not None:
            found.update(arrival_kernels(self.form.seeded))
        for step in self.launches:
            is_transform = step.kernel in (Kernel.FORWARD, Kernel.INVERSE)
            found[step.kernel.name.lower().replace("_", " ")] += transform_passes(N) if is_transform else 1
        return found

    def times(self, copies: int) -> Plan:
        """Return the plan of so many evaluations at once, each on rows of its own, for a plan without operands.

        The inputs of all come first, one behind the other, and all outputs behind them.
        """
        parts, first, number = [], 0, np.arange(copies)[:, None]
        taken, made = self.input_rows * len(self.inputs), self.output_rows * len(self.outputs)
        for size in (taken, made, self.rows - taken - made):  # in the order in which `of` places rows
            parts.append(copies * first + size * number + np.arange(size))
            first += size
        places = np.concatenate(parts, axis=1)
        return replace(
            self,
            launches=tuple(part for step in self.launches for part in _parts(step.placed(places))),
            inputs=tuple(range(0, copies * taken, self.input_rows)),
            outputs=tuple(range(copies * taken, copies * (taken + made), self.output_rows)),
            rows=copies * self.rows,
            written=copies * self.written,
        )

    @staticmethod
    def of(tape: Tape) -> Plan:
        """Return the plan of a tape: a row has a place from when it is written until its last reader ends."""
        ordered = launches(tape)
        last = np.full(tape.rows, -1)
        for number, step in enumerate(ordered):
            last[step.written] = np.maximum(last[step.written], number)
            last[step.read] = number
        kept = np.concatenate([rows.ravel() for rows in (*tape.outputs, *tape.operands)])
        last[kept] = len(ordered)
        places, rows = np.full(tape.rows, NONE), 0
        for block in (*tape.inputs, *tape.outputs, *tape.operands):  # each in one piece, for one copy
            places[block.ravel()] = np.arange(rows, rows + block.size)
            rows += block.size
        dying: dict[int, list[int]] = {}
        for row, number in enumerate(last.tolist()):
            dying.setdefault(number, []).append(row)
        free: list[int] = []
        for number, step in enumerate(ordered):
            for row in step.written.tolist():
                if places[row] == NONE:
                    if not free:
                        free, rows = [rows], rows + 1
                    places[row] = free.pop()
            free += [int(places[row]) for row in dying.get(number, ())]
        return Plan(
            launches=tuple(step.placed(places[None]) for step in ordered),
            inputs=tuple(int(places[block.flat[0]]) for block in tape.inputs),
            outputs=tuple(int(places[block.flat[0]]) for block in tape.outputs),
            operands=tuple(int(places[block.flat[0]]) for block in tape.operands),
            input_rows=tape.inputs[0].size if tape.inputs else 0,
            output_rows=tape.outputs[0].size,
            rows=rows,
            written=sum(len(step.written) for step in ordered),
            scales=tuple(tape.scales),
        )
