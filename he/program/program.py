"""A program over packed slot vectors, as a value: a list of operations.

The same program is read by many algebras (`he.program.algebra`): one computes in the clear, one bounds the noise, one
counts the cost, and an engine evaluates it on ciphertexts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

import numpy as np

from he.program.operations import (
    AddPlain,
    Conjugate,
    Input,
    Matrix,
    Multiply,
    Operation,
    Plain,
    PlainDot,
    Rotate,
    Source,
    SquareParts,
    SwapRows,
    arguments,
    plains,
    results,
)


@dataclass(frozen=True, eq=False)
class Program:
    """Operations in order, each defining the next value or, a matrix, the next values.

    Attributes:
        slots: length of every packed plaintext; 1 if there are none and all slots are alike.
        inputs: where every input comes from.
        operations: each refers to earlier values only.
        plaintexts: packed operands, int64 (BFV, modulo t) or float64 (CKKS), each [slots] and read-only.
        outputs: the values that are the results, at least one.

    Raises:
        ValueError: if an operation refers to a value, an input or a plaintext that is not there, or there is no output.
    """

    slots: int
    inputs: tuple[Source, ...]
    operations: tuple[Operation, ...]
    plaintexts: tuple[np.ndarray, ...] = field(repr=False)
    outputs: tuple[int, ...]

    def __post_init__(self) -> None:
        for position, (operation, first) in enumerate(zip(self.operations, self.first_values, strict=False)):
            if not all(0 <= a < first for a in arguments(operation)):
                raise ValueError(f"operation {position} refers to a later value: {operation}")
            if isinstance(operation, Input) and not 0 <= operation.index < len(self.inputs):
                raise ValueError(f"operation {position} reads input {operation.index} of {len(self.inputs)}")
            if not all(0 <= p.index < len(self.plaintexts) for p in plains(operation)):
                raise ValueError(f"operation {position} refers to a plaintext that is not there: {operation}")
        if not self.outputs or not all(0 <= output < self.first_values[-1] for output in self.outputs):
            raise ValueError(f"`outputs` must be some of {self.first_values[-1]} values, got {self.outputs}")
        for plaintext in self.plaintexts:
            if plaintext.shape != (self.slots,):
                raise ValueError(f"plaintexts must have shape ({self.slots},), got {plaintext.shape}")
            plaintext.setflags(write=False)

    @cached_property
    def first_values(self) -> tuple[int, ...]:
        """For every operation the first value that it defines; then the number of all values."""
        return tuple(accumulate(map(results, self.operations), initial=0))

    @cached_property
    def last_use(self) -> tuple[int, ...]:
        """For every value the position of the last operation that reads it, or that defines it if none does.

        For outputs, the number of operations: they are never let go of.
        """
        last = [position for position, operation in enumerate(self.operations) for _ in range(results(operation))]
        for position, operation in enumerate(self.operations):
            for a in arguments(operation):
                last[a] = position
        for output in self.outputs:
            last[output] = len(self.operations)
        return tuple(last)

    @cached_property
    def rotation_steps(self) -> frozenset[int]:
        """Distinct steps that need a Galois key."""
        return frozenset(op.step for op in self.operations if isinstance(op, Rotate))

    @cached_property
    def swaps_rows(self) -> bool:
        """Whether the key of the row swap, or of complex conjugation, is needed."""
        return any(isinstance(op, SwapRows | Conjugate) for op in self.operations)

    @cached_property
    def multiplies(self) -> bool:
        """Whether a relinearisation key is needed."""
        return any(isinstance(op, Multiply | SquareParts) for op in self.operations)

    @cached_property
    def factors(self) -> frozenset[Plain]:
        """Every distinct (plaintext, level, scale) that the program multiplies with."""
        return frozenset(p for op in self.operations if isinstance(op, PlainDot) for p in op.plains)

    @cached_property
    def addends(self) -> frozenset[Plain]:
        """Every distinct (plaintext, level, scale) that the program adds."""
        return frozenset(op.plain for op in self.operations if isinstance(op, AddPlain))

    @cached_property
    def counts(self) -> Counter[str]:
        """How often every kind of operation occurs; all terms of `PlainDot`s as "plain products", likewise "matrix"."""
        counts = Counter(type(op).__name__ for op in self.operations)
        counts["plain products"] = sum(len(op.plains) for op in self.operations if isinstance(op, PlainDot))
        counts["matrix products"] = sum(op.weights.size for op in self.operations if isinstance(op, Matrix))
        return counts
