"""Recorders of packed programs: with plaintexts or without, and with weights in the clear or encrypted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from he.program.operations import Plain
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


class EncryptingSketch(Encrypting, Sketch):
    """Records encrypted operands, all of them the same."""


def recorder_of(slots: int, *, sketched: bool, encrypts: bool) -> Recorder:
    """Return a new recorder.

    Args:
        slots: the slots of a packed operand.
        sketched: whether plaintexts are left out, for a program that only shows what it costs.
        encrypts: whether the model's owner encrypts what the program multiplies with and adds.
    """
    if sketched:
        return EncryptingSketch(slots) if encrypts else Sketch(slots)
    return Encrypting() if encrypts else Recorder()
