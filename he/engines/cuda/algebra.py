"""The algebra that writes a program down as kernels on a GPU; what waits for what is `he.engines.rns.lazy`'s to say.

Values hold the numbers of rows where those of the CPU's engine hold residues. So nothing is copied where rows stay as
they are: a sum with a plaintext shares the second polynomial of what it was made of, and a switch of the modulus in
CKKS leaves a prime's rows out.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from he.engines.cuda.places import Places
from he.engines.cuda.tape import Kernel, Line, Tape
from he.engines.rns.encoder import Encoder
from he.engines.rns.lazy import Lazy
from he.engines.rns.value import Value
from he.formats.switching import RELINEARISATION
from he.kernels.cuda.columns import NONE, TILES
from he.kernels.tables.extension import Extension
from he.kernels.tables.gadgets import gadget_tables
from he.kernels.tables.roots import WORD
from he.program.operations import Matrix, Plain, Scalar
from he.ring.gadget import Gadget


class Recorded(Lazy):
    """What both schemes share.

    Args:
        encoder: the encoder of the circuit's parameters.
        places: where its constants lie.
        both_parts: whether slots hold one image in their real and another in their imaginary part.
        tape: where steps are written.
    """

    def __init__(self, encoder: Encoder, places: Places, both_parts: bool, tape: Tape) -> None:
        super().__init__(encoder)
        self._places, self._both_parts, self._tape = places, both_parts, tape
        self._chain = encoder.chain.primes

    def input(self, index: int) -> Value:
        return self.to_ntt(self._tape.inputs[index])

    def to_ntt(self, rows: np.ndarray) -> Value:
        """Return the value of a ciphertext's rows, which are in the form in which it travels."""
        return Value(rows)

    def output(self, value: Value) -> None:
        """Write a value's rows to rows of their own, in the form in which a ciphertext travels."""
        rows = self.mod_down(value)
        self._tape.outputs.append(self._sum([rows], value.level))

    @abstractmethod
    def finished(self, rows: np.ndarray, level: int) -> np.ndarray:
        """Take a sum of products of ciphertexts at a level, of three polynomials, to a ciphertext's rows."""

    def _gadget(self, level: int) -> Gadget:
        return self._encoder.gadgets.at(level)

    def _raised(self, number: int, prime: int) -> int:
        """Return a number modulo a prime times 2**52, as kernels take it."""
        p = self._chain[prime]
        return (number % p << WORD) % p

    def _reciprocal(self, number: int, prime: int) -> int:
        """Return the place of 1 / number modulo a prime among the scales."""
        p = self._chain[prime]
        return self._tape.scale(pow(number, -1, p), p)

    def _combined(
        self, arrays: Sequence[np.ndarray], weights: Sequence[Sequence[int]], primes: Sequence[int]
    ) -> np.ndarray:
        """Return sums of multiples of arrays [polynomials, rows], by weights for every array and prime, times 2**52."""
        out = self._tape.new(max(map(len, arrays)), len(primes))
        sums: list[tuple[Any, Line]] = []
        for (c, j), row in np.ndenumerate(out):
            terms = [(x[c, j], w[j]) for x, w in zip(arrays, weights, strict=True) if c < len(x)]
            sums.append((terms, (primes[j], row, 0, 0)))
        self._tape.write_sums(Kernel.COMBINE, sums)
        return out

    def combined(self, multiples: Sequence[tuple[np.ndarray, int]]) -> np.ndarray:
        """Return a sum of small multiples of ciphertexts [polynomials, level]."""
        primes = range(multiples[0][0].shape[1])
        weights = [[self._raised(number, prime) for prime in primes] for _, number in multiples]
        return self._combined([rows for rows, _ in multiples], weights, primes)

    def _ones(self, primes: Sequence[int]) -> list[int]:
        return [self._raised(1, prime) for prime in primes]

    def _sum(self, arrays: Sequence[np.ndarray], level: int) -> np.ndarray:
        primes = self._gadget(level).indices[: arrays[0].shape[1]]
        return self._combined(arrays, [self._ones(primes)] * len(arrays), primes)

    def _extended(self, total: np.ndarray, others: Sequence[np.ndarray], level: int) -> Value:
        gadget = self._gadget(level)
        if others:
            primes = gadget.indices[:level]
            special = [self._raised(gadget.factor, prime) for prime in primes]
            weights = [self._ones(primes), *[special] * len(others)]
            low = self._combined([total[:, :level], *others], weights, primes)
            total = np.concatenate([low, total[:, level:]], axis=1)
        return Value(None, total, gadget.specials)

    def _products(self, ciphertexts: Sequence[np.ndarray], plains: Sequence[Plain], level: int) -> np.ndarray:
        size, rows = max(map(len, ciphertexts)), ciphertexts[0].shape[1]
        primes, out = self._gadget(level).indices, self._tape.new(size, rows)
        bases = [self._places.factors[plain] for plain in plains]
        sums: list[tuple[Any, Line]] = []
        for c in range(0, size, 2):
            other = min(c + 1, size - 1)
            terms = [(x, base) for x, base in zip(ciphertexts, bases, strict=True) if c < len(x)]
            for j in range(rows):
                line = out[c, j], out[other, j], primes[j]
                sums.append(([(x[c, j], x[other if other < len(x) else c, j], base + j) for x, base in terms], line))
        self._tape.write_sums(Kernel.PRODUCTS, sums)
        return out

    def add_plain(self, a: Value, plain: Plain) -> Value:
        rows, base = self.mod_down(a), self._places.addends[plain]
        primes = range(a.level)
        addend = np.array([[~(base + j) for j in primes]])
        first = self._combined([rows[:1], addend], [self._ones(primes)] * 2, primes)
        return Value(np.concatenate([first, rows[1:]]))

    def add_cipher(self, a: Value, plain: Plain) -> Value:
        rows, operand = self.mod_down(a), self._tape.operands[self._places.operands[plain]]
        primes = range(a.level)
        both = self._combined([rows[:2], operand], [self._ones(primes)] * 2, primes)
        return Value(np.concatenate([both, rows[2:]]))

    def _sum_of_products(self, values: Sequence[Value], plains: Sequence[Plain], level: int) -> np.ndarray:
        return self._tensor_sums([self.mod_down(value) for value in values], plains, range(level))

    def _tensor_sums(self, rows: Sequence[np.ndarray], plains: Sequence[Plain], primes: Sequence[int]) -> np.ndarray:
        """Return the sum of products with encrypted operands modulo these primes, of three polynomials."""
        operands = [self._tape.operands[self._places.operands[plain]] for plain in plains]
        out = self._tape.new(3, len(primes))
        sums: list[tuple[Any, Line]] = []
        for j, prime in enumerate(primes):
            terms = [(*x[:, j], *operand[:, j]) for x, operand in zip(rows, operands, strict=True)]
            sums.append((terms, (*out[:, j], prime)))
        self._tape.write_sums(Kernel.TENSOR_SUMS, sums)
        return out

    def scalar_dot(self, values: Sequence[Value], scalars: Sequence[Scalar], constant: Scalar) -> Value:
        level, down = values[0].level, [self.mod_down(value) for value in values]
        weights = [
            [self._raised(w, j) for j, w in enumerate(self._encoder.integers(scalar, level, addend=False))]
            for scalar in scalars
        ]
        constants = self._encoder.constants(constant, level, self._both_parts).tolist()
        out = self._tape.new(max(map(len, down)), level)
        sums: list[tuple[Any, Line]] = []
        for (c, j), row in np.ndenumerate(out):
            terms = [(x[c, j], w[j]) for x, w in zip(down, weights, strict=True) if c < len(x)]
            sums.append((terms, (j, row, *(constants[j] if c == 0 else (0, 0)))))
        self._tape.write_sums(Kernel.COMBINE, sums)
        return Value(out)

    def matrix(self, values: Sequence[Value], matrix: Matrix) -> list[Value]:
        level, count, tile = values[0].level, len(matrix.constants), TILES[1]
        down, weights = np.array([self.mod_down(value) for value in values]), self._places.matrices[matrix]
        weights = weights.transpose(0, 2, 1, 3).reshape(level, len(values), -1)  # [level, terms, at least rows]
        scalars = [Scalar(constant, level, matrix.constant_scale) for constant in matrix.constants.tolist()]
        constants = [self._encoder.constants(scalar, level, self._both_parts).tolist() for scalar in scalars]
        out = self._tape.new(count, 2, level)
        sums: list[tuple[Any, Line]] = []  # those of the same rows are together
        for (c, j), first in product(np.ndindex(2, level), range(0, count, tile)):
            rows = range(first, min(first + tile, count))
            terms = np.zeros((len(values), 1 + tile), np.int64)
            terms[:, 0] = down[:, c, j]
            terms[:, 1 : 1 + len(rows)] = weights[j][:, rows.start : rows.stop]
            line: list[int] = [j]
            for row in rows:
                line += [int(out[row, c, j]), *(constants[row][j] if c == 0 else (0, 0))]
            line += [NONE, 0, 0] * (tile - len(rows))
            sums.append((terms, line))
        self._tape.write_sums(Kernel.COMBINE_TILE, sums)
        return [Value(rows) for rows in out]

    def square_parts(self, a: Value, conjugate: Value) -> Value:
        numbers = [(self._raised(-i, j), self._raised(i, j)) for j, i in enumerate(self._encoder.imaginary[: a.level])]
        units = [tuple(self._tape.scale(x, self._chain[j]) for x in pair) for j, pair in enumerate(numbers)]
        x, y, out = self.mod_down(a), self.mod_down(conjugate), self._tape.new(3, a.level)
        lines = [(*x[:, j], *y[:, j], *out[:, j], j, *unit) for j, unit in enumerate(units)]
        self._tape.write(Kernel.SQUARE_PARTS, lines)
        return Value(out)

    def _tensor(self, x: np.ndarray, y: np.ndarray, primes: Sequence[int]) -> np.ndarray:
        """Return the product of two ciphertexts modulo these primes, of three polynomials."""
        out = self._tape.new(3, len(primes))
        self._tape.write(Kernel.TENSOR, [(*x[:, j], *y[:, j], *out[:, j], prime) for j, prime in enumerate(primes)])
        return out

    def relinearise(self, a: Value) -> Value:
        rows = self.mod_down(a)
        sums = self._switched(rows, self._digits(rows[2], a.level), RELINEARISATION, a.level)
        return Value(self._sum([self._divided_by_special(sums, a.level), rows[:2]], a.level))

    def automorphism(self, a: Value, element: int) -> Value:
        rows = self.mod_down(a)
        if a.digits is None:
            self.decompose(a)
        assert a.digits is not None
        return Value(None, self._switched(rows, a.digits, element, a.level), self._gadget(a.level).specials)

    def _switched(self, rows: np.ndarray, digits: np.ndarray, element: int, level: int) -> np.ndarray:
        """Return the products of digits with a key, and for a rotation what `rotate` of the CPU's kernels does."""
        gadget, turned = self._gadget(level), element != RELINEARISATION
        base, found = self._places.keys[element, gadget.specials]
        kept = [*range(level), *range(found.level, found.rows)]  # of the key's rows, those that the level has
        out = self._tape.new(2, gadget.rows)
        sums: list[tuple[Any, Line]] = []
        for j, prime in enumerate(gadget.indices):
            at = [base + 2 * g * found.rows + kept[j] for g in range(len(gadget.groups))]
            terms = [(digit, first, first + found.rows) for digit, first in zip(digits[j], at, strict=True)]
            added = (rows[0, j], self._raised(gadget.factor, prime)) if turned and j < level else (NONE, 0)
            sums.append((terms, (*out[:, j], prime, *added, self._places.orders[element] if turned else NONE)))
        self._tape.write_sums(Kernel.SWITCH, sums)
        return out

    def _inverse(self, rows: np.ndarray, primes: Sequence[int], numbers: Sequence[int]) -> np.ndarray:
        """Return rows transformed back, with numbers in the place of 1 / N."""
        out, scale = self._tape.new(len(rows)), self._tape.scale
        self._tape.write(
            Kernel.INVERSE,
            [
                (row, to, prime, scale(number, self._chain[prime]))
                for row, to, prime, number in zip(rows, out, primes, numbers, strict=True)
            ],
        )
        return out

    def _coefficients(self, rows: np.ndarray, primes: Sequence[int]) -> np.ndarray:
        return self._inverse(rows, primes, [pow(self._N, -1, self._chain[prime]) for prime in primes])

    def _lift(self, extension: Extension, parts: np.ndarray, targets: Sequence[int], out: np.ndarray) -> None:
        """Extend coefficients, of every polynomial [n, sources], to other primes, [n, targets]."""
        sums, factors, modulus = [], extension.factors.tolist(), extension.modulus.tolist()
        for (n, j), row in np.ndenumerate(out):
            terms = list(zip(parts[n].tolist(), factors[j], strict=True))
            sums.append((terms, (row, targets[j], modulus[j])))
        self._tape.write_sums(Kernel.EXTEND, sums, extension.shares.tolist() * out.size)

    def _digits(self, x: np.ndarray, level: int) -> np.ndarray:
        gadget, tables = self._gadget(level), gadget_tables(self._gadget(level))
        out, indices = np.empty((gadget.rows, len(gadget.groups)), np.int64), gadget.indices
        lines: list[Line] = []
        if gadget.specials == 1:
            coefficients = self._coefficients(x, range(level))
        else:
            coefficients = self._inverse(x, range(level), tables.up.hats["value"].tolist())
        for g, group in enumerate(gadget.groups):
            others = [j for j in range(gadget.rows) if j not in group]
            out[list(group), g] = x[list(group)]
            out[others, g] = self._tape.new(len(others))
            if gadget.specials == 1:
                lines += [(coefficients[g], out[j, g], indices[j], g, NONE, 0) for j in others]
                continue
            lifted = self._tape.new(len(others))
            up = tables.up
            extension = Extension(
                up.hats, up.shares[group.start : group.stop], up.factors[g][others, : len(group)], up.modulus[g][others]
            )
            targets = [indices[j] for j in others]
            self._lift(extension, coefficients[None, group.start : group.stop], targets, lifted[None])
            lines += [(row, out[j, g], indices[j], NONE, NONE, 0) for row, j in zip(lifted, others, strict=True)]
        self._tape.write(Kernel.FORWARD, lines)
        return out

    def _divided_by_special(self, x: np.ndarray, level: int, *, shared: bool = True) -> np.ndarray:
        del shared
        gadget = self._gadget(level)
        if gadget.specials == 1:
            return self._divided(x, gadget.indices[-1])
        down, specials, out = gadget_tables(gadget).down, gadget.indices[level:], self._tape.new(len(x), level)
        flat, hats = x[:, level:].ravel(), down.hats["value"].tolist()
        parts = self._inverse(flat, specials * len(x), hats * len(x)).reshape(len(x), -1)
        rest = self._tape.new(len(x), level)
        self._lift(down, parts, range(level), rest)
        inverses = [self._reciprocal(gadget.factor, j) for j in range(level)]
        lines = [(rest[c, j], out[c, j], j, NONE, x[c, j], inverses[j]) for c, j in np.ndindex(out.shape)]
        self._tape.write(Kernel.FORWARD, lines)
        return out

    def _divided(self, x: np.ndarray, divisor: int) -> np.ndarray:
        """Return polynomials [n, level + 1] divided by the prime of their last row, whose index is `divisor`."""
        level, out = x.shape[1] - 1, self._tape.new(len(x), x.shape[1] - 1)
        last = self._coefficients(x[:, level], [divisor] * len(x))
        inverses = [self._reciprocal(self._chain[divisor], j) for j in range(level)]
        lines = [(last[c], out[c, j], j, divisor, x[c, j], inverses[j]) for c, j in np.ndindex(out.shape)]
        self._tape.write(Kernel.FORWARD, lines)
        return out

    def rescale(self, a: Value) -> Value:
        return Value(self._divided(self.mod_down(a), a.level - 1))
