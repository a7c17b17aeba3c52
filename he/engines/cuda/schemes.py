"""The algebras of `he.engines.cuda.algebra` for both schemes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from he.engines.cuda.algebra import Recorded
from he.engines.cuda.tape import Kernel
from he.engines.rns.encoder import ExactEncoder
from he.engines.rns.value import Value
from he.kernels.cuda.columns import NONE
from he.kernels.passes.product import Scaling, scaling
from he.kernels.tables.extension import Extension
from he.program.operations import Plain
from he.ring.scheme import Scheme


class RecordedApproximate(Recorded):
    """The operations of CKKS."""

    def multiply(self, a: Value, b: Value) -> Value:
        return Value(self._tensor(self.mod_down(a), self.mod_down(b), range(a.level)))

    def switch_modulus(self, a: Value) -> Value:
        return Value(self.mod_down(a)[:, :-1])

    def finished(self, rows: np.ndarray, level: int) -> np.ndarray:
        """Relinearise a sum of products, [3, level], and divide it by the last prime."""
        del level
        return self.mod_down(self.rescale(self.relinearise(Value(rows))))


class RecordedExact(Recorded):
    """The operations of BFV."""

    _encoder: ExactEncoder

    def to_ntt(self, rows: np.ndarray) -> Value:
        return Value(self._forward(rows, range(rows.shape[1])))

    def output(self, value: Value) -> None:
        rows = self.mod_down(value)
        primes = [*range(value.level)] * len(rows)
        self._tape.outputs.append(self._coefficients(rows.ravel(), primes).reshape(rows.shape))

    def switch_modulus(self, a: Value) -> Value:
        return self.rescale(a)

    def finished(self, rows: np.ndarray, level: int) -> np.ndarray:
        """Scale a sum of products down, [3, level + auxiliary primes], and relinearise it."""
        high = self._encoder.product_primes(level)[level:]
        constants = scaling(self._primes[:level], self._encoder.auxiliary[: len(high)], self._parameters.t)
        scaled = self._scaled(rows[:, :level], rows[:, level:], constants, high)
        return self.mod_down(self.relinearise(Value(scaled)))

    def _forward(self, rows: np.ndarray, primes: Sequence[int]) -> np.ndarray:
        out = self._tape.new(*rows.shape)
        lines = [(rows[c, j], out[c, j], primes[j], NONE, NONE, 0) for c, j in np.ndindex(out.shape)]
        self._tape.write(Kernel.FORWARD, lines)
        return out

    def multiply(self, a: Value, b: Value) -> Value:
        level, x, y = a.level, self.mod_down(a), self.mod_down(b)
        auxiliary = self._encoder.auxiliary[: level + self._encoder.more]
        constants = scaling(self._primes[:level], auxiliary, self._parameters.t)
        first = len(self._parameters.primes)
        high = range(first, first + len(auxiliary))
        extended = {id(rows): self._up(rows, constants, high) for rows in (x, y)}
        low = self._tensor(x, y, range(level))
        product = self._tensor(extended[id(x)], extended[id(y)], high)
        return Value(self._scaled(low, product, constants, high))

    def _sum_of_products(self, values: Sequence[Value], plains: Sequence[Plain], level: int) -> np.ndarray:
        auxiliary = self._encoder.auxiliary[: level + self._encoder.more]
        constants = scaling(self._primes[:level], auxiliary, self._parameters.t)
        primes = self._encoder.product_primes(level)
        for value in values:
            if value.lifted is None:
                rows = self.mod_down(value)
                value.lifted = np.concatenate([rows, self._up(rows, constants, primes[level:])], axis=1)
        lifted = [value.lifted for value in values if value.lifted is not None]
        whole = self._tensor_sums(lifted, plains, primes)
        return self._scaled(whole[:, :level], whole[:, level:], constants, primes[level:])

    def _up(self, rows: np.ndarray, constants: Scaling, high: Sequence[int]) -> np.ndarray:
        """Return the rows of a ciphertext modulo the auxiliary primes."""
        level, up = rows.shape[1], constants.up
        numbers = self._over_degree(up, range(level))
        parts = self._inverse(rows.ravel(), [*range(level)] * len(rows), numbers * len(rows)).reshape(rows.shape)
        lifted = self._tape.new(len(rows), len(high))
        self._lift(up, parts, high, lifted)
        return self._forward(lifted, high)

    def _scaled(self, low: np.ndarray, product: np.ndarray, constants: Scaling, high: Sequence[int]) -> np.ndarray:
        """Return what `he.kernels.passes.product.scaled` does of a product's polynomials."""
        size, level = low.shape
        t, q = self._parameters.t, int(np.prod([int(p) for p in self._primes[:level]], dtype=object))
        numbers = [number * t for number in self._over_degree(constants.up, range(level))]
        parts = self._inverse(low.ravel(), [*range(level)] * size, numbers * size).reshape(low.shape)
        rest = self._tape.new(size, len(high))
        self._lift(constants.up, parts, high, rest)
        whole = self._coefficients(product.ravel(), [*high] * size).reshape(product.shape)
        # (t e - rest) / q, times the hats of the way back
        hats = [int(hat) for hat in constants.down.hats["value"]]
        inverses = [hat * pow(q, -1, self._chain[prime]) for hat, prime in zip(hats, high, strict=True)]
        weights = [[self._raised(sign * w, prime) for w, prime in zip(inverses, high, strict=True)] for sign in (t, -1)]
        quotients = self._combined([whole, rest], weights, high)
        lifted = self._tape.new(size, level)
        self._lift(constants.down, quotients, range(level), lifted)
        return self._forward(lifted, range(level))

    def _over_degree(self, extension: Extension, primes: Sequence[int]) -> list[int]:
        """Return the hats of an extension divided by N, as an inverse transform multiplies with them."""
        hats = extension.hats["value"].tolist()
        return [hat * pow(self._N, -1, self._chain[prime]) for hat, prime in zip(hats, primes, strict=True)]


def recorded(scheme: Scheme) -> type[Recorded]:
    """Return the class of a scheme's algebra."""
    return {Scheme.BFV: RecordedExact, Scheme.CKKS: RecordedApproximate}[scheme]
