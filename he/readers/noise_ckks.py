"""The algebra that bounds the error of a CKKS program's slots before anything is encrypted.

The bounds hold for the real part of a polynomial at a root, which is what a slot holds. Most of its error is roundings
times the secret: both are normal there, and the real part of their product has Laplace's distribution, whose tails are
longer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count

import numpy as np

from he.program.algebra import Algebra
from he.program.operations import Matrix, Plain, Scalar
from he.program.program import Program
from he.readers.variance import (
    ERROR_VARIANCE,
    PRODUCT_TAIL,
    deviation_at_root,
    key_switch_variance,
    rounding_variance,
)
from he.ring.params import ParameterError, Parameters


@dataclass(frozen=True, eq=False)
class CkksError:
    """The interval and the standard deviation of the error of a CKKS value, slot by slot.

    Attributes:
        level: the number of data primes.
        scale: the scale of the ciphertext.
        low, high: float64 [slots], the interval in which each slot lies; [members] for a group of values that are each
            alike in all slots (`he.program.fold`).
        deviation: float64 [1 or 2, slots]. The first row is the standard deviation of the value's own error. The
            second, d, bounds it together with the errors of the layer's other features: a sum of features w_i x_i has
            an error of variance at most the sum of (w_i d_i)^2. There is none where features are packed into slots.
    """

    level: int
    scale: float
    low: np.ndarray
    high: np.ndarray
    deviation: np.ndarray

    @cached_property
    def magnitude(self) -> np.ndarray:
        """The largest absolute value that each slot may have: float64 [slots]."""
        return np.maximum(-self.low, self.high)

    @property
    def bound(self) -> float:
        """A bound that no slot's error exceeds, except with probability exp(-28) < 2^-40 for each slot."""
        return PRODUCT_TAIL * float(np.max(self.deviation[0]))

    def take(self, places: np.ndarray) -> CkksError:
        return replace(self, low=self.low[places], high=self.high[places], deviation=self.deviation[:, places])

    @classmethod
    def join(cls, values: Sequence[CkksError]) -> CkksError:
        low, high = (np.concatenate([getattr(v, end) for v in values]) for end in ("low", "high"))
        return replace(values[0], low=low, high=high, deviation=np.concatenate([v.deviation for v in values], axis=1))


class Intervals:
    """What a program's values may be, kept from one reading of the program for the next.

    It follows from the program and the range of its inputs, however the program is placed: levels and scales change
    errors only.
    """

    def __init__(self) -> None:
        self._found: list[tuple[np.ndarray, ...]] = []

    def reading(self) -> Callable[[Callable[[], tuple[np.ndarray, ...]]], tuple[np.ndarray, ...]]:
        """Return a function for one reading, in order: it returns what was found at its place before, or finds it."""
        places = count()

        def recalled(find: Callable[[], tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
            place = next(places)
            if place == len(self._found):
                self._found.append(find())
            return self._found[place]

        return recalled


class CkksErrorAlgebra(Algebra[CkksError]):
    """Computes worst-case intervals and standard deviations of errors for every value of a program, slot by slot.

    A polynomial with independent coefficients has independent slots, because the embedding is orthogonal up to scale.
    So the variances of different slots add, while errors that meet in one product add in full (Kim, Papadimitriou and
    Polyakov, *Approximate homomorphic encryption with reduced approximation error*, CT-RSA 2022, section 3).

    The errors of a layer's outputs are not independent, because the outputs share inputs. Where a layer is a `Matrix`,
    the covariance of these errors is bounded by a diagonal matrix; it stays a bound after an activation of each output.
    Where a layer is rotations and products of packed slots, its outputs count as independent.

    Args:
        parameters: a CKKS set.
        program: the program whose plaintexts the operands name.
        low: the smallest value that an input may have.
        high: the largest value that an input may have.
        intervals: those of the same program from other readings, in the same order; None to keep none.

    Attributes:
        headroom: the least number of bits by which any value read so far stays below half of its modulus.
    """

    def __init__(
        self, parameters: Parameters, program: Program, low: float, high: float, intervals: Intervals | None = None
    ) -> None:
        self._parameters, self._program, N = parameters, program, parameters.poly_modulus_degree
        self._low, self._high = min(low, 0.0), max(high, 0.0)  # slots that carry no input hold zero
        # Deviations that rounding the coefficients of an encoded plaintext, or of a ciphertext, to integers causes.
        self._encoding, self._rounding = deviation_at_root(N, 1 / 12), deviation_at_root(N, rounding_variance(N))
        self._slots, self._rows = parameters.slots, 1
        if program.slots == 1:  # all slots are alike
            self._slots, self._rows = 1, 2
        # A complex slot with values in both parts is longer than either part.
        self._longer = math.sqrt(2) if program.counts["SquareParts"] else 1.0
        self._recalled = intervals.reading() if intervals else lambda find: find()
        self.headroom = math.inf

    def input(self, index: int) -> CkksError:
        return self._fresh

    @cached_property
    def _fresh(self) -> CkksError:
        """The error of every input."""
        p = self._parameters
        assert p.scale_bits is not None
        scale = 2.0**p.scale_bits
        fresh = math.hypot(deviation_at_root(p.poly_modulus_degree, ERROR_VARIANCE), self._encoding) / scale
        low, high = np.full(self._slots, self._low), np.full(self._slots, self._high)
        return self._seen(CkksError(p.levels, scale, low, high, np.full((self._rows, self._slots), fresh)))

    def plain_dot(self, values: Sequence[CkksError], plains: Sequence[Plain]) -> CkksError:
        weights = [self._program.plaintexts[p.index] for p in plains]

        def find() -> tuple[np.ndarray, ...]:
            low, high, squares = np.zeros((3, self._slots))
            for v, weight in zip(values, weights, strict=True):
                ends = weight * v.low, weight * v.high
                low += np.minimum(*ends)
                high += np.maximum(*ends)
                squares += v.magnitude**2
            return low, high, squares

        low, high, squares = self._recalled(find)
        variance = squares * (self._encoding / plains[0].scale) ** 2 + np.zeros((self._rows, self._slots))
        for v, weight in zip(values, weights, strict=True):
            variance += (weight * v.deviation) ** 2
        return self._seen(CkksError(values[0].level, values[0].scale * plains[0].scale, low, high, np.sqrt(variance)))

    def scalar_dot(self, values: Sequence[CkksError], scalars: Sequence[Scalar], constant: Scalar) -> CkksError:
        # The powers of one value carry the same error: deviations add in full.
        pairs = list(zip(values, scalars, strict=True))
        ends = np.array([(s.value * v.low, s.value * v.high) for v, s in pairs])  # [term, end, slot]
        low, high = constant.value + ends.min(axis=1).sum(axis=0), constant.value + ends.max(axis=1).sum(axis=0)
        deviation = np.sum([abs(s.value) * v.deviation + v.magnitude / (2 * s.scale) for v, s in pairs], axis=0)
        return self._seen(CkksError(values[0].level, values[0].scale * scalars[0].scale, low, high, deviation))

    def matrix(self, values: Sequence[CkksError], matrix: Matrix) -> list[CkksError]:
        rows = self.rows(CkksError.join(values), matrix)
        return [rows.take(np.array([row])) for row in range(len(rows.low))]

    def rows(self, value: CkksError, matrix: Matrix) -> CkksError:
        assert self._slots == 1
        positive, negative = np.maximum(matrix.weights, 0), np.minimum(matrix.weights, 0)
        low = (positive * value.low + negative * value.high).sum(axis=1) + matrix.constants
        high = (positive * value.high + negative * value.low).sum(axis=1) + matrix.constants
        rounding = self._longer**2 / (12 * matrix.scale**2)  # the variance of rounding a weight to an integer
        independent = rounding * float(np.sum(value.magnitude**2))
        errors = matrix.weights * value.deviation[1]
        covariance = _products(errors, errors) + independent * np.eye(len(errors))
        variance = np.diag(covariance)
        deviation = np.sqrt(np.stack([variance, _largest_correlation(covariance) * variance]))
        return self._seen(CkksError(value.level, value.scale * matrix.scale, low, high, deviation))

    def add_plain(self, a: CkksError, plain: Plain) -> CkksError:
        offset = self._program.plaintexts[plain.index]
        deviation = np.hypot(a.deviation, self._encoding / plain.scale)
        return self._seen(replace(a, low=a.low + offset, high=a.high + offset, deviation=deviation))

    def add(self, values: Sequence[CkksError]) -> CkksError:
        low, high = np.sum([v.low for v in values], axis=0), np.sum([v.high for v in values], axis=0)
        deviation = np.sqrt(np.sum([v.deviation**2 for v in values], axis=0))
        return self._seen(replace(values[0], low=low, high=high, deviation=deviation))

    def multiply(self, a: CkksError, b: CkksError) -> CkksError:
        ends = np.array([a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high])
        low, high = ends.min(axis=0), ends.max(axis=0)
        if a is b:
            low = np.maximum(low, 0.0)
        deviation = a.magnitude * b.deviation + b.magnitude * a.deviation + a.deviation * b.deviation
        return self._seen(CkksError(a.level, a.scale * b.scale, low, high, deviation))

    def square_parts(self, a: CkksError, conjugate: CkksError) -> CkksError:
        # The error of (z + z')^2 - i (z - z')^2 is 4 (a f + i b g) with f and g parts of the operands' errors.
        ends = np.array([a.low**2, a.high**2])
        low = np.where((a.low < 0) & (a.high > 0), 0.0, ends.min(axis=0))
        errors = a.deviation + conjugate.deviation
        deviation = self._longer * a.magnitude * errors + errors**2
        return self._seen(CkksError(a.level, 4 * a.scale * a.scale, low, ends.max(axis=0), deviation))

    def conjugate(self, a: CkksError) -> CkksError:
        return self.swap_rows(a)

    def relinearise(self, a: CkksError) -> CkksError:
        return self.swap_rows(a)

    def rotate(self, a: CkksError, step: int) -> CkksError:
        low, high = self._recalled(lambda: (np.roll(a.low, -step), np.roll(a.high, -step)))
        deviation = np.roll(a.deviation, -step, axis=-1)
        return self.swap_rows(replace(a, low=low, high=high, deviation=deviation))

    def swap_rows(self, a: CkksError) -> CkksError:
        digits = key_switch_variance(self._parameters, a.level)
        return replace(a, deviation=np.hypot(a.deviation, np.sqrt(digits + self._rounding**2) / a.scale))

    def switch_modulus(self, a: CkksError) -> CkksError:
        return self._seen(replace(a, level=a.level - 1))

    def rescale(self, a: CkksError) -> CkksError:
        scale = a.scale / self._parameters.primes[a.level - 1]
        deviation = np.hypot(a.deviation, self._rounding / scale)
        return self._seen(replace(a, level=a.level - 1, scale=scale, deviation=deviation))

    def _seen(self, value: CkksError) -> CkksError:
        largest = float(np.max(self._longer * value.magnitude + PRODUCT_TAIL * value.deviation[0])) * value.scale
        if not largest:
            raise ParameterError("values vanish before the end of the network, by the smallest of float64")
        room = self._parameters.log2_modulus(value.level) - 1 - math.log2(largest)
        self.headroom = min(self.headroom, room)
        return value


def _largest_correlation(covariance: np.ndarray) -> float:
    """Return a bound on the largest eigenvalue of the correlation matrix.

    The covariance is at most this factor times its diagonal. The bound is the sixteenth root of the sum of all
    eigenvalues' sixteenth powers, so for a thousand features it is at most 1.5 times too large.
    """
    deviations = np.sqrt(np.maximum(np.diag(covariance), np.finfo(float).tiny))
    power = covariance / deviations / deviations[:, None]
    for _ in range(3):
        power = _products(power, power)  # it is symmetric
    return float(np.sum(power**2) ** (1 / 16))


def _products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a b^T without a BLAS, which adds in an order of its own.

    The bound of a circuit is hashed, and must be the same on every machine.
    """
    return (a[:, None, :] * b[None, :, :]).sum(axis=2)
