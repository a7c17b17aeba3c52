"""A program over packed slot vectors, as a value: a list of operations.

Many algebras (`he.program.algebra`) read the same program: one computes in the clear, two bound the noise, one counts
the cost, and engines evaluate it on ciphertexts. An operation's *position* is its index in the program; the values are
*numbered* in the order in which operations define them. A `Matrix` defines several, so the two differ.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate

import numpy as np

from he.program.operations import (
    ENCRYPTED,
    AddPlain,
    CipherDot,
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
    require_well_formed,
    results,
)
from intnn.values.arrays import frozen
from intnn.values.value_object import ValueObject


@dataclass(frozen=True, eq=False)
class Program(ValueObject):
    """Operations in order; each defines the next value, or, if it is a matrix, the next values.

    Attributes:
        slots: the length of every packed plaintext; 1 if there are none and all slots are alike.
        inputs: the origin of every input.
        operations: each reads values that earlier operations define.
        plaintexts: packed operands, int64 (BFV, modulo t) or finite float64 (CKKS), each [slots] and made read-only.
            None where all operands are encrypted, and whoever holds the program is not to know them.
        outputs: the numbers of the values that are the results, at least one.
        guards: how many of the last outputs are range guards: they show whether values stayed in their range, and are
            no part of the result.

    Raises:
        ValueError: if an operation refers to a value, an input or a plaintext that is not there, if there is no output
            that is no guard, or if a plaintext has another shape than [slots].
    """

    slots: int
    inputs: tuple[Source, ...]
    operations: tuple[Operation, ...]
    plaintexts: tuple[np.ndarray, ...] = field(repr=False)
    outputs: tuple[int, ...]
    guards: int = 0

    def __post_init__(self) -> None:
        for position, (operation, first) in enumerate(zip(self.operations, self.first_values, strict=False)):
            require_well_formed(operation)
            if not all(0 <= a < first for a in arguments(operation)):
                raise ValueError(f"operation {position} must read earlier values only, got {operation}")
            if isinstance(operation, Input) and not 0 <= operation.index < len(self.inputs):
                raise ValueError(f"operation {position} must read one of {len(self.inputs)} inputs, got {operation}")
            withheld = isinstance(operation, ENCRYPTED) and not self.plaintexts
            if not all(p.index >= 0 and (withheld or p.index < len(self.plaintexts)) for p in plains(operation)):
                raise ValueError(
                    f"operation {position} must use one of {len(self.plaintexts)} plaintexts, got {operation}"
                )
        if type(self.slots) is not int or self.slots < 1:
            raise ValueError(f"`slots` must be a positive integer, got {self.slots!r}")
        values = range(self.first_values[-1])
        if not self.outputs or not all(type(output) is int and output in values for output in self.outputs):
            raise ValueError(f"`outputs` must be some of {self.first_values[-1]} values, got {self.outputs}")
        if type(self.guards) is not int or not 0 <= self.guards < len(self.outputs):
            raise ValueError(f"`guards` must be fewer than the {len(self.outputs)} outputs, got {self.guards!r}")
        object.__setattr__(self, "plaintexts", tuple(map(self._kept, self.plaintexts)))

    def _kept(self, plaintext: np.ndarray) -> np.ndarray:
        """Return a plaintext read-only; one that is so already has been looked at, or its numbers where it was read."""
        if plaintext.shape != (self.slots,):
            raise ValueError(f"`plaintexts` must have shape ({self.slots},), got {plaintext.shape}")
        kept = frozen(plaintext)
        if kept is not plaintext and not np.isfinite(kept).all():
            raise ValueError("`plaintexts` must be finite, got NaN or infinity")
        return kept

    @cached_property
    def first_values(self) -> tuple[int, ...]:
        """The number of the first value that each operation defines; the last entry counts all values."""
        return tuple(accumulate(map(results, self.operations), initial=0))

    @cached_property
    def last_use(self) -> tuple[int, ...]:
        """The position of the last operation that reads each value, or that defines it if none reads it.

        For an output it is the number of operations, so that outputs are never released.
        """
        last = [position for position, operation in enumerate(self.operations) for _ in range(results(operation))]
        for position, operation in enumerate(self.operations):
            for a in arguments(operation):
                last[a] = position
        for output in self.outputs:
            last[output] = len(self.operations)
        return tuple(last)

    @property
    def results(self) -> tuple[int, ...]:
        """The outputs that are no guards."""
        return self.outputs[: len(self.outputs) - self.guards]

    @cached_property
    def guarding(self) -> dict[int, int]:
        """The positions of the operations that no result needs, but a guard, each with the guard's number."""
        result: dict[int, int] = {}
        needed = set(self.results)
        guards = {value: number for number, value in enumerate(self.outputs[len(self.results) :])}
        for position in reversed(range(len(self.operations))):
            made = {*range(self.first_values[position], self.first_values[position + 1])}
            if made & needed:
                needed.update(arguments(self.operations[position]))
            elif shown := made & guards.keys():
                result[position] = guards[min(shown)]
                guards |= dict.fromkeys(arguments(self.operations[position]), result[position])
        return result

    @cached_property
    def rotation_steps(self) -> frozenset[int]:
        """The distinct steps of rotations; each needs a Galois key."""
        return frozenset(op.step for op in self.operations if isinstance(op, Rotate))

    @cached_property
    def swaps_rows(self) -> bool:
        """Whether the program needs the key of the row swap (BFV) or of complex conjugation (CKKS)."""
        return any(isinstance(op, SwapRows | Conjugate) for op in self.operations)

    @cached_property
    def multiplies(self) -> bool:
        """Whether the program multiplies ciphertexts, so that it needs a relinearisation key."""
        return any(isinstance(op, Multiply | SquareParts | CipherDot) for op in self.operations)

    @cached_property
    def factors(self) -> frozenset[Plain]:
        """Every distinct (plaintext, level, scale) that the program multiplies with."""
        return frozenset(p for op in self._in_the_clear if isinstance(op, PlainDot) for p in op.plains)

    @cached_property
    def addends(self) -> frozenset[Plain]:
        """Every distinct (plaintext, level, scale) that the program adds."""
        return frozenset(op.plain for op in self._in_the_clear if isinstance(op, AddPlain))

    @property
    def _in_the_clear(self) -> list[Operation]:
        return [operation for operation in self.operations if not isinstance(operation, ENCRYPTED)]

    @cached_property
    def encrypted(self) -> tuple[Plain, ...]:
        """Every distinct (plaintext, level, scale) that the model's owner has encrypted, in the order of their use."""
        return tuple(dict.fromkeys(p for op in self.operations if isinstance(op, ENCRYPTED) for p in plains(op)))

    @cached_property
    def encrypted_factors(self) -> frozenset[Plain]:
        """Those that the program multiplies with; others are added."""
        return frozenset(p for op in self.operations if isinstance(op, CipherDot) for p in op.plains)

    def without_plaintexts(self) -> Program:
        """Return the program for whoever evaluates it with encrypted operands.

        Raises:
            ValueError: if an operand is read in the clear.
        """
        return replace(self, plaintexts=())

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each class of operations occurs, by its name.

        "plain products" counts the terms of all `PlainDot`s, "encrypted products" those of all `CipherDot`s, "matrix
        products" the weights of all matrices.
        """
        counts = Counter(type(op).__name__ for op in self.operations)
        counts["plain products"] = sum(len(op.plains) for op in self._in_the_clear if isinstance(op, PlainDot))
        counts["encrypted products"] = sum(len(op.plains) for op in self.operations if isinstance(op, CipherDot))
        counts["matrix products"] = sum(op.weights.size for op in self.operations if isinstance(op, Matrix))
        return counts
