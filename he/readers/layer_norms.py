"""What is known of a linear layer of a CKKS network, by which its errors are bounded."""

from __future__ import annotations

import math
from dataclasses import dataclass

from intnn.values.value_object import ValueObject


@dataclass(frozen=True)
class Norms(ValueObject):
    """What is known of a linear layer y = W x + b.

    Attributes:
        magnitude: a bound on every |y_i|, whatever the network's input in its range.
        row: a bound on the Euclidean norm of every row of W.
        spectral: a bound on the spectral norm of W: the largest Euclidean norm of W x for x of norm 1.
        terms: the most inputs that the architecture connects with an output.
        loose: where features are packed, the same for errors that differ from copy to copy of the input: units read on
            from one copy into the next.
        length: a bound on the Euclidean norm of y; infinity if none is known, and magnitudes alone count.
        outputs: the number of outputs.
        largest: a bound on every |W_ij|.
        column: a bound on the Euclidean norm of every column of W.
        parts: the most copies of the input that neighbouring outputs read, where features are packed.
        width: the slots from one copy of the input to the next for a single image, where features are packed.
    """

    magnitude: float
    row: float
    spectral: float
    terms: int
    loose: float = math.inf
    length: float = math.inf
    outputs: int = 1
    largest: float = math.inf
    column: float = math.inf
    parts: float = 2.0
    width: int = 1
