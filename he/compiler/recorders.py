"""Recorders of packed programs: with plaintexts or without, and with weights in the clear or encrypted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from he.program.operations import Plain, Scalar
from he.program.recorder import Recorder


class Sketch(Recorder):
    """Records operations; every plaintext is the same."""

    def __init__(self, slots: int) -> None:
        super().__init__([np.zeros(slots)])

    def plaintext_of(self, make: Callable[[], np.ndarray]) -> Plain:  # noqa: ARG002 - it is left out
        """Return the one plaintext."""
        return Plain(0)


class Encrypting(Recorder):
    """Records plain operands as encrypted ones: sums of products with them are relinearised once."""

    def plain_dot(self, values: Sequence[int], plains: Sequence[Plain]) -> int:
        """Record a sum of products with encrypted operands, relinearised."""
        return self.relinearise(self.cipher_dot(values, plains))

    def add_plain(self, a: int, plain: Plain) -> int:
        """Record a sum with an encrypted operand."""
        return self.add_cipher(a, plain)


class EncryptingTables(Encrypting):
    """Records the coefficients of activations as encrypted operands, too, each in all slots.

    Factors of 1 and constants of 0 are part of how a polynomial is evaluated, and stay as they are.

    Args:
        constants: returns the packed operand that has a number in all slots.
        recorded: the arguments of other recorders.
    """

    def __init__(self, constants: Callable[[float], np.ndarray], *recorded: Any) -> None:
        super().__init__(*recorded)
        self._constants = constants

    def scalar_dot(self, values: Sequence[int], scalars: Sequence[float | Scalar], constant: float | Scalar) -> int:
        """Record a sum of products with encrypted coefficients, relinearised, and its constant."""
        factors, added = [_number(scalar) for scalar in scalars], _number(constant)
        hidden = [(value, factor) for value, factor in zip(values, factors, strict=True) if factor != 1]
        terms = [value for value, factor in zip(values, factors, strict=True) if factor == 1]
        if hidden:
            operands = [self.plaintext_of(partial(self._constants, factor)) for _, factor in hidden]
            terms.append(self.plain_dot([value for value, _ in hidden], operands))
        total = self.add(terms)
        return self.add_plain(total, self.plaintext_of(partial(self._constants, added))) if added else total


class EncryptingSketch(Encrypting, Sketch):
    """Records encrypted operands, all of them the same."""


class EncryptingTablesSketch(EncryptingTables, Sketch):
    """The same with the coefficients of activations."""


def recorder_of(
    slots: int,
    *,
    sketched: bool,
    encrypts: bool,
    constants: Callable[[float], np.ndarray] | None = None,
) -> Recorder:
    """Return a new recorder.

    Args:
        slots: the slots of a packed operand.
        sketched: whether plaintexts are left out, for a program that only shows what it costs.
        encrypts: whether the model's owner encrypts what the program multiplies with and adds.
        constants: where the coefficients of activations are encrypted, too, what returns the packed operand that has
            a number in all slots.
    """
    if encrypts and constants:
        return EncryptingTablesSketch(constants, slots) if sketched else EncryptingTables(constants)
    if sketched:
        return EncryptingSketch(slots) if encrypts else Sketch(slots)
    return Encrypting() if encrypts else Recorder()


def _number(scalar: float | Scalar) -> float:
    return scalar.value if isinstance(scalar, Scalar) else scalar
