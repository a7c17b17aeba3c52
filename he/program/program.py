"""A program over packed slot vectors, as a value: a list of operations.

The same program is read by many algebras (`he.program.algebra`): one computes in the clear, one bounds the noise, one
counts the cost, and an engine evaluates it on ciphertexts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from he.program.operations import (
    Conjugate,
    Input,
    Matrix,
    Operation,
    PlainDot,
    Rotate,
    SwapRows,
    arguments,
    plains,
)


@dataclass(frozen=True, eq=False)
class Program:
    """Operations in order; operation i defines value i.

    Attributes:
        slots: length of every packed plaintext; 1 if there are none and all slots are alike.
        inputs: number of input ciphertexts.
        operations: each refers to earlier values only.
        plaintexts: packed operands, int64 (BFV, modulo t) or float64 (CKKS), each [slots] and read-only.
        output: the value that is the result.

    Raises:
        ValueError: if an operation refers to a value, an input or a plaintext that is not there.
    """

    slots: int
    inputs: int
    operations: tuple[Operation, ...]
    plaintexts: tuple[np.ndarray, ...] = field(repr=False)
    output: int

    def __post_init__(self) -> None:
        for position, operation in enumerate(self.operations):
            if not all(0 <= a < position for a in arguments(operation)):
                raise ValueError(f"operation {position} refers to a later value: {operation}")
            if isinstance(operation, Input) and not 0 <= operation.index < self.inputs:
                raise ValueError(f"operation {position} reads input {operation.index} of {self.inputs}")
            if not all(0 <= p.index < len(self.plaintexts) for p in plains(operation)):
                raise ValueError(f"operation {position} refers to a plaintext that is not there: {operation}")
        if not 0 <= self.output < len(self.operations):
            raise ValueError(f"`output` must be one of {len(self.operations)} values, got {self.output}")
        for plaintext in self.plaintexts:
            if plaintext.shape != (self.slots,):
                raise ValueError(f"plaintexts must have shape ({self.slots},), got {plaintext.shape}")
            plaintext.setflags(write=False)

    @cached_property
    def last_use(self) -> tuple[int, ...]:
        """For every value the position of the last operation that reads it, so that `run` can let go of it."""
        last = list(range(len(self.operations)))
        for position, operation in enumerate(self.operations):
            for a in arguments(operation):
                last[a] = position
        last[self.output] = len(self.operations)
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
    def counts(self) -> Counter[str]:
        """How often every kind of operation occurs; all terms of `PlainDot`s as "plain products", likewise "matrix"."""
        counts = Counter(type(op).__name__ for op in self.operations)
        counts["plain products"] = sum(len(op.plains) for op in self.operations if isinstance(op, PlainDot))
        counts["matrix products"] = sum(op.weights.size for op in self.operations if isinstance(op, Matrix))
        return counts
