"""The encoded plaintexts of a circuit: computed once, in parallel, or taken from a file."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from he.circuit.circuit import Circuit
from he.engines.rns.encoder import Encoder
from he.kernels.tables.factors import SPARE, Factors
from he.kernels.tables.roots import WORD
from he.program.operations import Matrix, Plain
from he.program.program import Program

#: How words are laid out, on any processor: the bits of their factor, and the bytes behind a row. Shapes say the rest.
_LAYOUT = np.array([WORD, SPARE])


@dataclass(frozen=True, eq=False)
class Weights:
    """The encoded plaintexts of one program.

    Attributes:
        factors: the transformed polynomials of every operand of a plain product.
        addends: the transformed polynomial of every operand that is added, uint64 [level, N].
        matrices: the weights of every `Matrix` of the program, uint64 [level, ceil(rows / 4), terms, 4].
    """

    factors: Mapping[Plain, Factors]
    addends: Mapping[Plain, np.ndarray]
    matrices: Mapping[Matrix, np.ndarray]

    @staticmethod
    def encoded(circuit: Circuit, encoder: Encoder, threads: int) -> Weights:
        """Return the weights of a circuit, encoded on so many threads."""
        factors, addends, matrices = _operands(circuit.program)
        with ThreadPoolExecutor(threads) as pool:  # numpy and kernels release the GIL
            made = pool.map(lambda plain: encoder.factor(circuit.operand(plain), plain), factors)
            added = pool.map(lambda plain: encoder.addend(circuit.operand(plain), plain), addends)
            packed = pool.map(lambda matrix: encoder.matrix(circuit.factors(matrix)), matrices)
            return Weights(
                dict(zip(factors, made, strict=True)),
                dict(zip(addends, added, strict=True)),
                dict(zip(matrices, packed, strict=True)),
            )

    def arrays(self, program: Program) -> dict[str, np.ndarray]:
        """Return the weights as arrays by name; `restored` is the inverse."""
        factors, addends, matrices = _operands(program)
        return {
            **{f"factor.{i}": self.factors[plain].memory for i, plain in enumerate(factors)},
            **{f"addend.{i}": self.addends[plain] for i, plain in enumerate(addends)},
            **{f"matrix.{i}": self.matrices[matrix] for i, matrix in enumerate(matrices)},
            "layout": _LAYOUT,
        }

    @staticmethod
    def restored(program: Program, encoder: Encoder, arrays: Mapping[str, np.ndarray]) -> Weights:
        """Return the weights that `arrays` returned; nothing is copied.

        Raises:
            ValueError: if an array is missing or not of the program's shape, or words are laid out in another way.
        """
        layout = _array(arrays, "layout", _LAYOUT.shape, np.int64)
        if not np.array_equal(layout, _LAYOUT):
            raise ValueError(f"`layout` must be {_LAYOUT.tolist()}, got {layout.tolist()}; prepare the circuit anew")
        operands, N = _operands(program), encoder.parameters.poly_modulus_degree
        factors: dict[Plain, Factors] = {}
        addends: dict[Plain, np.ndarray] = {}
        matrices: dict[Matrix, np.ndarray] = {}
        for i, plain in enumerate(operands[0]):
            moduli = encoder.gadgets.at(plain.level).primes
            factors[plain] = Factors(_array(arrays, f"factor.{i}", (Factors.size(N, moduli),), np.uint8), N, moduli)
        for i, plain in enumerate(operands[1]):
            addends[plain] = _array(arrays, f"addend.{i}", (plain.level, N), np.uint64)
        for i, matrix in enumerate(operands[2]):
            rows, terms = matrix.weights.shape
            matrices[matrix] = _array(arrays, f"matrix.{i}", (matrix.level, -(-rows // 4), terms, 4), np.uint64)
        return Weights(factors, addends, matrices)


def _operands(program: Program) -> tuple[list[Plain], list[Plain], list[Matrix]]:
    """Return the distinct factors and addends, and all matrices, in an order that only the program decides."""

    def key(plain: Plain) -> tuple[int, int, float]:
        return plain.index, plain.level, plain.scale

    matrices = [operation for operation in program.operations if isinstance(operation, Matrix)]
    return sorted(program.factors, key=key), sorted(program.addends, key=key), matrices


def _array(arrays: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    array = arrays.get(name)
    if array is None or array.shape != shape or array.dtype != dtype:
        found = "none" if array is None else f"{array.dtype} {array.shape}"
        raise ValueError(f"`{name}` must be {np.dtype(dtype)} {shape} for this circuit, got {found}; prepare it anew")
    return array
