"""The algebra that evaluates a program in the clear: modulo t for BFV, in float64 for CKKS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from he.program.algebra import Algebra, run
from he.program.operations import Matrix, Plain, Scalar
from he.program.program import Program
from he.ring.arithmetic import centred, matrix_product, product
from he.ring.params import PLAIN_MODULUS

PRIMES = (PLAIN_MODULUS, 65521, 65519)  # whose product is beyond all encoded factors of up to 2^47


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
        return self.add([self._product(v, self._plaintexts[p.index]) for v, p in zip(values, plains, strict=True)])

    def scalar_dot(self, values: Sequence[np.ndarray], scalars: Sequence[Scalar], constant: Scalar) -> np.ndarray:
        terms = [self._product(v, self._reduced(np.array(s.value))) for v, s in zip(values, scalars, strict=True)]
        return self._reduced(np.sum(terms, axis=0) + constant.value)

    def matrix(self, values: Sequence[np.ndarray], matrix: Matrix) -> Sequence[np.ndarray]:
        weights, constants = self._reduced(matrix.weights), self._reduced(matrix.constants)
        if self._modulus is None:
            return list(weights @ np.array(values) + constants[:, None])
        return list(self._reduced(matrix_product(weights, np.array(values), self._modulus) + constants[:, None]))

    def add_plain(self, a: np.ndarray, plain: Plain) -> np.ndarray:
        return self._reduced(a + self._plaintexts[plain.index])

    def add(self, values: Sequence[np.ndarray]) -> np.ndarray:
        return self._reduced(np.sum(values, axis=0))

    def multiply(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return self._product(a, b)

    def square_parts(self, a: np.ndarray, conjugate: np.ndarray) -> np.ndarray:
        return self._product(a, a)

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

    def _product(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return a * b if self._modulus is None else centred(product(a, b, self._modulus), self._modulus)

    def _reduced(self, values: np.ndarray) -> np.ndarray:
        """Return the values in centred form modulo t, so that no sum of them overflows."""
        return values if self._modulus is None else centred(values, self._modulus)


class _EncodedAlgebra(ClearAlgebra):
    """Computes modulo a prime with the factors of a placed CKKS program, rounded as they are encoded."""

    def __init__(self, modulus: int, inputs: np.ndarray) -> None:
        super().__init__(modulus, inputs)
        self._prime = modulus

    def matrix(self, values: Sequence[np.ndarray], matrix: Matrix) -> Sequence[np.ndarray]:
        weights = self._rounded(matrix.weights, matrix.scale)
        return super().matrix(values, replace(matrix, weights=weights, constants=np.zeros(len(weights), np.int64)))

    def scalar_dot(self, values: Sequence[np.ndarray], scalars: Sequence[Scalar], constant: Scalar) -> np.ndarray:
        factors = [Scalar(int(self._rounded(np.array(s.value), s.scale))) for s in scalars]
        return super().scalar_dot(values, factors, Scalar(0))

    def _rounded(self, values: np.ndarray, scale: float) -> np.ndarray:
        return np.fmod(np.rint(values * scale), self._prime).astype(np.int64)


def constant_outputs(program: Program, modulus: int | None) -> np.ndarray:
    """Return which outputs are the same for every input: their terms cancel, or their factors are encoded as zero.

    The ciphertext of such an output is legible without a key. Outputs are compared on 64 random inputs modulo a prime
    t of at least 16 bits; a polynomial over Z_t that is not constant is taken for constant with a chance of at most
    (degree / t)^63. A CKKS factor may be a multiple of one prime, so its outputs must be constant modulo several.

    Args:
        program: a placed program without plaintexts and rotations, in which no slot meets another.
        modulus: t for BFV; None for CKKS.

    Returns:
        bool [outputs].
    """
    constant = np.ones(len(program.outputs), bool)
    for prime in [modulus] if modulus else PRIMES:
        inputs = np.random.default_rng(0).integers(0, prime, (len(program.inputs), 64))
        algebra = ClearAlgebra(prime, inputs) if modulus else _EncodedAlgebra(prime, inputs)
        constant &= np.ptp(np.array(run(program, algebra)), axis=1) == 0
        if not constant.any():
            break
    return constant
