"""The operations of a program over slot vectors; each names the values that it reads by their numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np

from intnn.values.arrays import frozen
from intnn.values.value_object import ValueObject


@dataclass(frozen=True)
class Plain:
    """A packed plaintext operand.

    Attributes:
        index: its index in `Program.plaintexts`.
        level: the number of data primes of the value that it meets; 0 until `he.compiler.place_bfv` or
            `he.compiler.place_ckks` has placed the operation.
        scale: the scale at which CKKS encodes it; 0 until then, and always for BFV.
    """

    index: int
    level: int = 0
    scale: float = 0.0


@dataclass(frozen=True)
class Scalar:
    """A plain number that all slots share, with the level and scale at which CKKS encodes it; both are 0 for BFV."""

    value: float
    level: int = 0
    scale: float = 0.0


@dataclass(frozen=True)
class Source(ValueObject):
    """The origin of an input.

    Attributes:
        owner: `"data"` if the owner of the data provides it, `"model"` if the owner of the model does.
        kind: `"ciphertext"` if it arrives encrypted, `"plaintext"` if it arrives in the clear.

    Raises:
        ValueError: if `owner` or `kind` is another string.
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
    """Define the program's `index`-th input as a value."""

    index: int


@dataclass(frozen=True)
class PlainDot:
    """Sum args[i] * plains[i] over i, slot by slot."""

    args: tuple[int, ...]
    plains: tuple[Plain, ...]


@dataclass(frozen=True)
class CipherDot(PlainDot):
    """The same with operands that the model's owner has encrypted; the sum has three polynomials."""


@dataclass(frozen=True)
class ScalarDot:
    """Sum scalars[i] * args[i] over i and add `constant`."""

    args: tuple[int, ...]
    scalars: tuple[Scalar, ...]
    constant: Scalar


@dataclass(frozen=True, eq=False)
class Matrix(ValueObject):
    """Define one value for every row of `weights`: the weighted sum of args, plus the row's constant.

    Attributes:
        args: the values that it reads; they share level and scale.
        weights: [rows, args], int64 for BFV or float64 for CKKS, made read-only.
        constants: [rows] of the same type, made read-only.
        level: the number of data primes of args; 0 until the operation has been placed.
        scale: the scale at which CKKS encodes the weights; 0 until then, and always for BFV.
        constant_scale: the scale at which CKKS encodes the constants; 0 until then, and always for BFV.
        norm: a declared bound on the sums of a row's absolute weights, by which noise counts; 0 for the largest sum.

    Raises:
        ValueError: if the shapes do not fit each other.
    """

    args: tuple[int, ...]
    weights: np.ndarray
    constants: np.ndarray
    level: int = 0
    scale: float = 0.0
    constant_scale: float = 0.0
    norm: float = 0.0

    def __post_init__(self) -> None:
        if self.constants.ndim != 1 or self.weights.shape != (len(self.constants), len(self.args)):
            raise ValueError(f"`weights` must be [{len(self.constants)}, {len(self.args)}], got {self.weights.shape}")
        object.__setattr__(self, "weights", frozen(self.weights))
        object.__setattr__(self, "constants", frozen(self.constants))

    def rows(self) -> list[tuple[list[Scalar], Scalar]]:
        """Return the scalars and the constant of every row, as a `ScalarDot` carries them."""
        return [
            (
                [Scalar(w, self.level, self.scale) for w in weights],
                Scalar(constant, self.level, self.constant_scale),
            )
            for weights, constant in zip(self.weights.tolist(), self.constants.tolist(), strict=True)
        ]


@dataclass(frozen=True)
class AddPlain:
    """Add `plain` to args[0], slot by slot."""

    args: tuple[int]
    plain: Plain


@dataclass(frozen=True)
class AddCipher(AddPlain):
    """The same with an operand that the model's owner has encrypted."""


@dataclass(frozen=True)
class Add:
    """Sum all args."""

    args: tuple[int, ...]


@dataclass(frozen=True)
class Multiply:
    """Multiply args[0] by args[1], slot by slot; the product has three polynomials until it is relinearised."""

    args: tuple[int, int]


@dataclass(frozen=True)
class Relinearise:
    """Replace three polynomials by two with the same slots."""

    args: tuple[int]


@dataclass(frozen=True)
class Rotate:
    """Rotate every row of slots `step` places to the left."""

    args: tuple[int]
    step: int


@dataclass(frozen=True)
class SwapRows:
    """Exchange the two rows of BFV slots."""

    args: tuple[int]


@dataclass(frozen=True)
class Conjugate:
    """Conjugate complex CKKS slots."""

    args: tuple[int]


@dataclass(frozen=True)
class SquareParts:
    """Square the real and the imaginary parts of args[0], whose conjugate is args[1].

    With z = a + bi and z' = a - bi, (z + z')^2 - i (z - z')^2 = 4 (a^2 + b^2 i). The result has three polynomials, and
    four times the product of the operands' scales. `he.ring.slots.imaginary_units` gives the i of every slot.
    """

    args: tuple[int, int]


@dataclass(frozen=True)
class SwitchModulus:
    """Drop the last data prime; the slots, and in CKKS the scale, stay as they are."""

    args: tuple[int]


@dataclass(frozen=True)
class Rescale:
    """Drop the last data prime of a CKKS ciphertext and divide its scale by that prime."""

    args: tuple[int]


Operation = (
    Input
    | PlainDot
    | CipherDot
    | ScalarDot
    | Matrix
    | AddPlain
    | AddCipher
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


#: Operations on operands that the model's owner has encrypted.
ENCRYPTED = CipherDot | AddCipher

#: Every class of operations by its name.
OPERATIONS: Mapping[str, Callable[..., Operation]] = MappingProxyType(
    {kind.__name__: kind for kind in get_args(Operation)}
)


def arguments(operation: Operation) -> tuple[int, ...]:
    """Return the numbers of the values that an operation reads."""
    return () if isinstance(operation, Input) else operation.args


def results(operation: Operation) -> int:
    """Return how many values an operation defines: one for every row of a matrix, and one otherwise."""
    return len(operation.constants) if isinstance(operation, Matrix) else 1


def require_well_formed(operation: Operation) -> None:
    """Check that an operation has as many operands as it takes, and that these are numbers of the right kind.

    Raises:
        ValueError: if it has not, naming the operation.
    """
    match operation:
        case Input(index):
            sound = type(index) is int
        case PlainDot(args, operands):
            sound = len(args) == len(operands) > 0
        case ScalarDot(args, scalars, constant):
            sound = len(args) == len(scalars) > 0 and all(map(_is_scalar, (*scalars, constant)))
        case Matrix(args):
            sound = len(args) > 0 and type(operation.level) is int
            sound = sound and _is_number(operation.scale) and _is_number(operation.constant_scale)
        case Add(args):
            sound = len(args) > 0
        case Multiply(args) | SquareParts(args):
            sound = len(args) == 2
        case Rotate(args, step):
            sound = len(args) == 1 and type(step) is int
        case _:
            sound = len(arguments(operation)) == 1
    sound = sound and all(type(a) is int for a in arguments(operation)) and all(map(_is_plain, plains(operation)))
    if not sound:
        raise ValueError(f"an operation must have as many operands as it takes, of the right kind, got {operation}")


def _is_plain(plain: Plain) -> bool:
    return type(plain.index) is int and type(plain.level) is int and _is_number(plain.scale)


def _is_scalar(scalar: Scalar) -> bool:
    return _is_number(scalar.value) and type(scalar.level) is int and _is_number(scalar.scale)


def _is_number(number: object) -> bool:
    return isinstance(number, int | float) and not isinstance(number, bool)


def plains(operation: Operation) -> tuple[Plain, ...]:
    """Return the packed operands that an operation reads."""
    match operation:
        case PlainDot(_, operands):
            return operands
        case AddPlain(_, operand):
            return (operand,)
    return ()


def placed(operand: Plain, level: int, scale: float = 0.0) -> Plain:
    """Return the operand with the level and the scale at which it is to be encoded."""
    return Plain(operand.index, level, scale)
