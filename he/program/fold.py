"""Programs of many equal features, folded: values that are made alike become one value with many members.

Packed for throughput, a layer of a thousand units is a thousand values on which the same operations are done. Where a
prime is dropped, what an operation costs and how noise grows follow from the operations alone, so the search for
parameters reads the folded program, in which every group of such values is one: its arrays have a place for each
member, where the arrays of a packed value have one for each slot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from he.program.algebra import Algebra, apply, run
from he.program.operations import Input, Matrix, Operation, Rescale, SwitchModulus, arguments
from he.program.program import Program


class Members(Protocol):
    """What an algebra computes for a group of values at once: its arrays end in an axis of members."""

    def take(self, places: np.ndarray) -> Self:
        """Return the members at these places."""

    @classmethod
    def join(cls, values: Sequence[Self]) -> Self:
        """Return the members of all values, which share a level and a scale, one after the other."""


M = TypeVar("M", bound=Members)


class GroupAlgebra(Algebra[M], Protocol[M]):
    """An algebra on groups of values."""

    def rows(self, value: M, matrix: Matrix) -> M:
        """Return the rows of a matrix, as members, of the members that it reads."""


@dataclass(frozen=True, eq=False)
class _Step:
    """What the members of one group read.

    Attributes:
        members: how many values the group has.
        places: for every operand, the member of the operand's group that each member reads; None for its own place.
        matrices: for a group of rows of matrices, every matrix with the places of what it reads among the members of
            all its operands.
        weight: how many times the work of the folded operation all members take.
    """

    members: int
    places: tuple[np.ndarray | None, ...] = ()
    matrices: tuple[tuple[Matrix, np.ndarray], ...] = ()
    weight: int = 1


@dataclass(frozen=True, eq=False)
class Fold:
    """A program, and the same program folded.

    Attributes:
        program: a program that has not been placed.
        folded: the folded program, which is placed as the program would be: whoever places it sees the same scales and
            depths. It is the program itself where slots are packed, because then no two values are alike.
    """

    program: Program
    folded: Program
    _steps: tuple[_Step, ...] | None

    @property
    def is_trivial(self) -> bool:
        """Whether the folded program is the program itself."""
        return self._steps is None

    def read(self, placed: Program, algebra: GroupAlgebra[M]) -> list[M]:
        """Read the folded program, after it was placed, by an algebra on groups; return the groups of the outputs."""
        if self._steps is None:
            return run(placed, algebra)
        values: list[M] = []
        for number, operation in self._numbered(placed):
            operands = [values[a] for a in arguments(operation)]
            values += (
                apply(algebra, operation, operands)
                if number is None
                else [self.apply(number, algebra, operation, operands)]
            )
        return [values[output] for output in placed.outputs]

    def apply(self, number: int, algebra: GroupAlgebra[M], operation: Operation, operands: Sequence[M]) -> M:
        """Return the group that one operation of the folded program defines; `number` is its position there."""
        if self._steps is None:
            return apply(algebra, operation, operands)[0]
        step = self._steps[number]
        if isinstance(operation, Matrix):
            read, join = type(operands[0]).join(operands), type(operands[0]).join
            parts = []
            for matrix, at in step.matrices:
                level, scale, constant_scale = operation.level, operation.scale, operation.constant_scale
                placed = replace(matrix, level=level, scale=scale, constant_scale=constant_scale)
                parts.append(algebra.rows(read.take(at), placed))
            return join(parts)
        if isinstance(operation, Input):
            return algebra.input(operation.index).take(np.zeros(step.members, np.int64))
        taken: dict[tuple[int, int], M] = {}  # one object for one value, for squares are not any products
        for a, operand, places in zip(arguments(operation), operands, step.places, strict=True):
            if (a, id(places)) not in taken:
                taken[a, id(places)] = operand if places is None else operand.take(places)
        read_by = [taken[a, id(places)] for a, places in zip(arguments(operation), step.places, strict=True)]
        return apply(algebra, operation, read_by)[0]

    def weights(self, placed: Program) -> list[int]:
        """Return, for every operation of the placed folded program, for how much work of its kind it stands."""
        if self._steps is None:
            return [1] * len(placed.operations)
        members: list[int] = []
        result: list[int] = []
        for number, operation in self._numbered(placed):
            if number is None:
                members.append(members[arguments(operation)[0]])
                result.append(members[-1])
            else:
                members.append(self._steps[number].members)
                result.append(self._steps[number].weight)
        return result

    def _numbered(self, placed: Program) -> list[tuple[int | None, Operation]]:
        """Return the operations with their positions in `folded`; those that placing has added have none."""
        numbered: list[tuple[int | None, Operation]] = []
        position = 0
        for operation in placed.operations:
            added = isinstance(operation, Rescale | SwitchModulus)
            numbered.append((None if added else position, operation))
            position += not added
        return numbered


def fold(program: Program) -> Fold:
    """Return the program with its folded form; values are made alike by equal operations on groups of values.

    Args:
        program: a program that has not been placed.
    """
    if program.slots > 1:
        return Fold(program, program, None)
    groups: dict[tuple[Any, ...], int] = {}
    operations: list[Operation] = []  # the first of every group, which reads groups
    reads: list[list[list[int]]] = []  # for every group and operand, the members read; all, for matrices
    matrices: list[list[Matrix]] = []
    sizes: list[int] = []
    home: list[tuple[int, int]] = []  # the group of every value, and its place there
    for operation in program.operations:
        args = arguments(operation)
        if isinstance(operation, Matrix):
            sources = tuple(sorted({home[a][0] for a in args}))
            key: tuple[Any, ...] = (Matrix, sources)
        else:
            sources = tuple(home[a][0] for a in args)
            key = (type(operation), sources, tuple(args.index(a) for a in args), *_content(operation))
        group = groups.setdefault(key, len(groups))
        if group == len(operations):
            operations.append(_stand_in(operation, sources))
            reads.append([[] for _ in args] if not isinstance(operation, Matrix) else [])
            matrices.append([])
            sizes.append(0)
        if isinstance(operation, Matrix):
            matrices[group].append(operation)
            reads[group].append([*args])
        else:
            for places, a in zip(reads[group], args, strict=True):
                places.append(home[a][1])
        made = len(operation.constants) if isinstance(operation, Matrix) else 1
        home += [(group, sizes[group] + i) for i in range(made)]
        sizes[group] += made
    steps = []
    for group, operation in enumerate(operations):
        if isinstance(operation, Matrix):
            offset = dict(zip(operation.args, np.cumsum([0, *(sizes[a] for a in operation.args[:-1])]), strict=True))
            at = [np.array([offset[home[a][0]] + home[a][1] for a in args]) for args in reads[group]]
            work = sum(matrix.weights.size for matrix in matrices[group]) // len(operation.args)
            steps.append(_Step(sizes[group], matrices=tuple(zip(matrices[group], at, strict=True)), weight=work))
        else:
            steps.append(_Step(sizes[group], _shared(arguments(operation), reads[group], sizes), weight=sizes[group]))
    outputs = tuple(dict.fromkeys(home[output][0] for output in program.outputs))
    guards = len({home[output][0] for output in program.outputs} - {home[output][0] for output in program.results})
    return Fold(program, Program(1, program.inputs, tuple(operations), (), outputs, guards), tuple(steps))


def _content(operation: Operation) -> tuple[Any, ...]:
    """Return what an operation is besides what it reads."""
    return tuple(getattr(operation, field.name) for field in fields(operation) if field.name not in ("args", "index"))


def _stand_in(operation: Operation, groups: tuple[int, ...]) -> Operation:
    """Return the operation as it reads groups; a matrix's weights are replaced by one row of zeros."""
    if isinstance(operation, Input):
        return Input(0)
    if isinstance(operation, Matrix):
        kind = operation.weights.dtype
        return replace(operation, args=groups, weights=np.zeros((1, len(groups)), kind), constants=np.zeros(1, kind))
    return replace(operation, args=groups)  # type: ignore[arg-type]  # as many as before


def _shared(groups: tuple[int, ...], reads: list[list[int]], sizes: list[int]) -> tuple[np.ndarray | None, ...]:
    """Return the places that each operand reads, one array where operands read the same, None for all in order."""
    result: list[np.ndarray | None] = []
    for i, (group, places) in enumerate(zip(groups, reads, strict=True)):
        same = next((j for j in range(i) if groups[j] == group and reads[j] == places), None)
        if same is not None:
            result.append(result[same])
        elif places == list(range(sizes[group])):
            result.append(None)
        else:
            result.append(np.array(places))
    return tuple(result)
