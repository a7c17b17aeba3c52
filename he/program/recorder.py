"""The algebra that writes programs: its values are the numbers of values in the program that it records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from he.program.operations import (
    Add,
    AddCipher,
    AddPlain,
    CipherDot,
    Conjugate,
    Input,
    Matrix,
    Multiply,
    Operation,
    Plain,
    PlainDot,
    Relinearise,
    Rescale,
    Rotate,
    Scalar,
    ScalarDot,
    Source,
    SquareParts,
    SwapRows,
    SwitchModulus,
    results,
)
from he.program.program import Program

#: The origin of an input that a client encrypts.
DATA = Source()


class Recorder:
    """An algebra that records every operation it is asked for; a value is its number in the recorded program.

    Scalars may be plain numbers, as `he.compiler.polynomial` gives them; they are recorded as `Scalar`s.

    Args:
        plaintexts: the plaintexts to begin with; operands of a program that is rewritten keep their indices.
        inputs: the origins of the inputs to begin with.
    """

    def __init__(self, plaintexts: Iterable[np.ndarray] = (), inputs: Iterable[Source] = ()) -> None:
        self._operations: list[Operation] = []
        self._plaintexts, self._inputs = list(plaintexts), dict(enumerate(inputs))
        self._values = 0

    def plaintext(self, slots: np.ndarray) -> Plain:
        """Add a packed plaintext [slots] to the program and return the operand that names it."""
        self._plaintexts.append(slots)
        return Plain(len(self._plaintexts) - 1)

    def plaintext_of(self, make: Callable[[], np.ndarray]) -> Plain:
        """Add the packed plaintext that a function makes; recorders that leave plaintexts out do not call it."""
        return self.plaintext(make())

    def input(self, index: int, source: Source = DATA) -> int:
        self._inputs.setdefault(index, source)
        return self._record(Input(index))

    def plain_dot(self, values: Sequence[int], plains: Sequence[Plain]) -> int:
        return self._record(PlainDot(tuple(values), tuple(plains)))

    def cipher_dot(self, values: Sequence[int], plains: Sequence[Plain]) -> int:
        return self._record(CipherDot(tuple(values), tuple(plains)))

    def scalar_dot(self, values: Sequence[int], scalars: Sequence[float | Scalar], constant: float | Scalar) -> int:
        return self._record(ScalarDot(tuple(values), tuple(_scalar(s) for s in scalars), _scalar(constant)))

    def matrix(self, values: Sequence[int], matrix: Matrix) -> range:
        first = self._record(replace(matrix, args=tuple(values)))
        return range(first, self._values)

    def add_plain(self, a: int, plain: Plain) -> int:
        return self._record(AddPlain((a,), plain))

    def add_cipher(self, a: int, plain: Plain) -> int:
        return self._record(AddCipher((a,), plain))

    def add(self, values: Sequence[int]) -> int:
        return values[0] if len(values) == 1 else self._record(Add(tuple(values)))

    def multiply(self, a: int, b: int) -> int:
        return self._record(Multiply((a, b)))

    def square_parts(self, a: int, conjugate: int) -> int:
        return self._record(SquareParts((a, conjugate)))

    def relinearise(self, a: int) -> int:
        return self._record(Relinearise((a,)))

    def rotate(self, a: int, step: int) -> int:
        return self._record(Rotate((a,), step)) if step else a

    def swap_rows(self, a: int) -> int:
        return self._record(SwapRows((a,)))

    def conjugate(self, a: int) -> int:
        return self._record(Conjugate((a,)))

    def switch_modulus(self, a: int) -> int:
        return self._record(SwitchModulus((a,)))

    def rescale(self, a: int) -> int:
        return self._record(Rescale((a,)))

    def program(self, slots: int, outputs: Sequence[int], guards: int = 0) -> Program:
        """Return the program recorded so far, with plaintexts of this many slots and these outputs.

        So many of the last outputs are range guards.
        """
        inputs = tuple(self._inputs.get(i, DATA) for i in range(max(self._inputs, default=-1) + 1))
        return Program(slots, inputs, tuple(self._operations), tuple(self._plaintexts), tuple(outputs), guards)

    def _record(self, operation: Operation) -> int:
        """Append an operation and return the number of the first value that it defines."""
        first = self._values
        self._operations.append(operation)
        self._values += results(operation)
        return first


def _scalar(number: float | Scalar) -> Scalar:
    return number if isinstance(number, Scalar) else Scalar(number)
