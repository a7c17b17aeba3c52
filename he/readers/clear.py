"""The algebra that evaluates a program in the clear: modulo t for BFV, in float64 for CKKS."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from he.program.algebra import Algebra, run
from he.program.operations import Matrix, Plain, Scalar
from he.program.program import Program


class ClearAlgebra(Algebra[np.ndarray]):
    """Evaluates a program on slot vectors in the clear.

    Args:
        modulus: t for BFV; None for CKKS.
        inputs: [inputs, slots], int64 for BFV and float64 for CKKS.
        plaintexts: the program's packed operands, each [slots].
        rows: the number of rows that the slots form; a rotation stays within a row.
    """

    def __init__(
        self, modulus: int | None, inputs: np.ndarray, plaintexts: Sequence[np.ndarray] = (), rows: int = 2
    ) -> None:
        self._modulus, self._inputs, self._plaintexts, self._rows = modulus, inputs, plaintexts, rows

    def input(self, index: int) -> np.ndarray:
        return self._reduced(self._inputs[index])

    def plain_dot(self, values: Sequence[np.ndarray], plains: Sequence[Plain]) -> np.ndarray:
        return self.add([self._reduced(v * self._plaintexts[p.index]) for v, p in zip(values, plains, strict=True)])

    def scalar_dot(self, values: Sequence[np.ndarray], scalars: Sequence[Scalar], constant: Scalar) -> np.ndarray:
        terms = [self._reduced(v * s.value) for v, s in zip(values, scalars, strict=True)]
        return self._reduced(np.sum(terms, axis=0) + constant.value)

    def matrix(self, values: Sequence[np.ndarray], matrix: Matrix) -> Sequence[np.ndarray]:
        weights, constants = self._reduced(matrix.weights), self._reduced(matrix.constants)
        if self._modulus is None:
            return list(weights @ np.array(values) + constants[:, None])
        # Factors are below 2^16 in absolute value, so float64 and its fast BLAS add fewer than 2^21 products exactly.
        sums = weights.astype(np.float64) @ np.array(values, np.float64)
        return list(self._reduced(sums.astype(np.int64) + constants[:, None]))

    def add_plain(self, a: np.ndarray, plain: Plain) -> np.ndarray:
        return self._reduced(a + self._plaintexts[plain.index])

    def add(self, values: Sequence[np.ndarray]) -> np.ndarray:
        return self._reduced(np.sum(values, axis=0))

    def multiply(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return self._reduced(a * b)

    def square_parts(self, a: np.ndarray, conjugate: np.ndarray) -> np.ndarray:
        return a * a

    def relinearise(self, a: np.ndarray) -> np.ndarray:
        return a

    def rotate(self, a: np.ndarray, step: int) -> np.ndarray:
        return np.roll(a.reshape(self._rows, -1), -step, axis=1).reshape(-1)

    def swap_rows(self, a: np.ndarray) -> np.ndarray:
        return a.reshape(2, -1)[::-1].reshape(-1)

    def conjugate(self, a: np.ndarray) -> np.ndarray:
        real, imaginary = a.reshape(2, -1)
        return np.concatenate([real, -imaginary])

    def switch_modulus(self, a: np.ndarray) -> np.ndarray:
        return a

    def rescale(self, a: np.ndarray) -> np.ndarray:
        return a

    def _reduced(self, values: np.ndarray) -> np.ndarray:
        """Return the values in centred form modulo t: below 2^16 in absolute value, so that no product overflows."""
        if self._modulus is None:
            return values
        half = self._modulus // 2
        return (values + half) % self._modulus - half


def constant_outputs(program: Program, modulus: int | None) -> np.ndarray:
    """Return which outputs are the same for every input, such as f(x) - f(x).

    The outputs are compared on 64 random inputs from Z_t, or from [0, 1]. A polynomial over Z_t that is not constant is
    taken for constant with a chance of at most (degree / t)^63.

    Args:
        program: a program without plaintexts and rotations, in which no slot meets another.
        modulus: t for BFV; None for CKKS.

    Returns:
        bool [outputs].
    """
    rng, shape = np.random.default_rng(0), (len(program.inputs), 64)
    inputs = rng.random(shape) if modulus is None else rng.integers(0, modulus, shape)
    outputs = np.array(run(program, ClearAlgebra(modulus, inputs)))
    # Equal terms cancel in float64 but for a few roundings.
    return np.ptp(outputs, axis=1) <= (0 if modulus else 2.0**-40 * np.abs(outputs).max())
