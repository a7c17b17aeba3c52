"""The operations of a program over slot vectors: what they read, what they carry, and what they define."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np


@dataclass(frozen=True)
class Plain:
    """A packed plaintext operand: index into `Program.plaintexts`, and what an engine needs to encode it.

    `level` (data primes of the value it meets) and `scale` (CKKS) are 0 until the operation has been placed, by
    `he.compile.place_bfv` or `he.compile.place_ckks`.
    """

    index: int
    level: int = 0
    scale: float = 0.0


@dataclass(frozen=True)
class Scalar:
    """A plain number that all slots share, with the level and scale at which CKKS encodes it."""

    value: float
    level: int = 0
    scale: float = 0.0


@dataclass(frozen=True)
class Source:
    """Where an input comes from, and as what.

    Attributes:
        owner: who provides it: the owner of the data, or of the model.
        kind: whether it arrives encrypted, or in the clear.

    Raises:
        ValueError: if either is neither of its two.
    """

    owner: Literal["data", "model"] = "data"
    kind: Literal["ciphertext", "plaintext"] = "ciphertext"

    def __post_init__(self) -> None:
        if self.owner not in ("data", "model"):
            raise ValueError(f'`owner` must be "data" or "model", got {self.owner!r}')
        if self.kind not in ("ciphertext", "plaintext"):
            raise ValueError(f'`kind` must be "ciphertext" or "plaintext", got {self.kind!r}')


@dataclass(frozen=True)
class Input:
    """The `index`-th of the program's inputs."""

    index: int


@dataclass(frozen=True)
class PlainDot:
    """Sum over i of args[i] * plains[i], slot by slot."""

    args: tuple[int, ...]
    plains: tuple[Plain, ...]


@dataclass(frozen=True)
class ScalarDot:
    """Sum over i of scalars[i] * args[i], plus `constant`."""

    args: tuple[int, ...]
    scalars: tuple[Scalar, ...]
    constant: Scalar


@dataclass(frozen=True, eq=False)
class Matrix:
    """For every row of `weights` one value: the sum of its multiples of args, plus its constant.

    Attributes:
        args: values that share level and scale.
        weights: [rows, args], int64 or float64, read-only.
        constants: [rows], alike.
        level: as of `Scalar`.
        scale: at which CKKS encodes the weights.
        constant_scale: and the constants.
    """

    args: tuple[int, ...]
    weights: np.ndarray
    constants: np.ndarray
    level: int = 0
    scale: float = 0.0
    constant_scale: float = 0.0

    def __post_init__(self) -> None:
        if self.weights.shape != (len(self.constants), len(self.args)):
            raise ValueError(f"`weights` must be [{len(self.constants)}, {len(self.args)}], got {self.weights.shape}")
        self.weights.setflags(write=False)
        self.constants.setflags(write=False)

    def rows(self) -> list[tuple[list[Scalar], Scalar]]:
        """Every row as a `ScalarDot` has it."""
        return [
            (
                [Scalar(w, self.level, self.scale) for w in weights],
                Scalar(constant, self.level, self.constant_scale),
            )
            for weights, constant in zip(self.weights.tolist(), self.constants.tolist(), strict=True)
        ]


@dataclass(frozen=True)
class AddPlain:
    """args[0] + plain."""

    args: tuple[int]
    plain: Plain


@dataclass(frozen=True)
class Add:
    """Sum of all args."""

    args: tuple[int, ...]


@dataclass(frozen=True)
class Multiply:
    """args[0] * args[1], of three polynomials until relinearised."""

    args: tuple[int, int]


@dataclass(frozen=True)
class Relinearise:
    """Back from three polynomials to two."""

    args: tuple[int]


@dataclass(frozen=True)
class Rotate:
    """Every row of slots, `step` places to the left."""

    args: tuple[int]
    step: int


@dataclass(frozen=True)
class SwapRows:
    """Exchange the two rows of BFV slots."""

    args: tuple[int]


@dataclass(frozen=True)
class Conjugate:
    """The complex conjugates of CKKS slots."""

    args: tuple[int]


@dataclass(frozen=True)
class SquareParts:
    """The squares of the real and of the imaginary parts of args[0], whose conjugate is args[1].

    With z = a + bi and z' = a - bi, (z + z')^2 - i (z - z')^2 = 4 (a^2 + b^2 i): of three polynomials, at four times
    the product of the scales. For i stands `he.engines.rns.encode.imaginary_units`.
    """

    args: tuple[int, int]


@dataclass(frozen=True)
class SwitchModulus:
    """Drop the last data prime; the value, and in CKKS the scale, stay."""

    args: tuple[int]


@dataclass(frozen=True)
class Rescale:
    """CKKS: drop the last data prime and divide the scale by it."""

    args: tuple[int]


Operation = (
    Input
    | PlainDot
    | ScalarDot
    | Matrix
    | AddPlain
    | Add
    | Multiply
    | SquareParts
    | Relinearise
    | Rotate
    | SwapRows
    | Conjugate
    | SwitchModulus
    | Rescale
)


#: Every kind of operation by its name.
OPERATIONS: Mapping[str, Callable[..., Operation]] = MappingProxyType(
    {kind.__name__: kind for kind in get_args(Operation)}
)


def arguments(operation: Operation) -> tuple[int, ...]:
    """The values that an operation reads."""
    return () if isinstance(operation, Input) else operation.args


def results(operation: Operation) -> int:
    """How many values an operation defines: one, or one for every row of a matrix."""
    return len(operation.constants) if isinstance(operation, Matrix) else 1


def plains(operation: Operation) -> tuple[Plain, ...]:
    """The packed plaintexts that an operation reads."""
    match operation:
        case PlainDot(_, operands):
            return operands
        case AddPlain(_, operand):
            return (operand,)
    return ()


def placed(operand: Plain, level: int, scale: float = 0.0) -> Plain:
    """The operand with the level and scale at which it is to be encoded."""
    return replace(operand, level=level, scale=scale)
