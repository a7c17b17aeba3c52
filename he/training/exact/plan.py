"""What is agreed on before a network of squares is trained exactly on ciphertexts: moduli, parameters and levels.

Every number of a step is an integer, and the gradients are known if they are known modulo primes t whose product is
more than twice the largest one (`intnn.training.squares.plan`). A step is computed modulo each t by BFV. There is one
secret, and one set of evaluation keys, for neither depends on t.

Two hidden units share a ciphertext, one in either half of the slots (`he.ring.slots.halves`), and a sample has a slot
in both. Noise is bounded by `he.readers.noise_bfv` for the largest t, and a prime of the modulus is dropped where that
adds less than a quarter to the noise that is there. So levels follow from the plan alone.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property

from he.circuit.residues import room_bits
from he.formats.switching import RELINEARISATION
from he.kernels.passes.product import auxiliary_primes, most_terms
from he.readers.noise_bfv import BfvNoise, BfvNoiseAlgebra
from he.ring.params import RING_DEGREES, ParameterError, Parameters, Security, max_modulus_bits
from he.ring.plain_moduli import primes_below
from he.ring.slots import trace_elements
from intnn.training.squares.plan import SquarePlan
from intnn.values.arrays import instance
from intnn.values.value_object import ValueObject

_PRIME_BITS = range(36, 51)  # of data primes; the special prime has the most
_MOST_LEVELS, _MOST_MODULI, _LEAST_MODULUS_BITS = 20, 8, 17
_LITTLE = 0.25  # of the noise that is there, which a dropped prime may add


@dataclass(frozen=True)
class ExactLevels:
    """The levels at which products are computed, and what a step ends with.

    Attributes:
        units: Of U.
        squares: Of U^2.
        logits: Of [U^2, 1] W, to which W comes packed.
        errors: Of R W'^T.
        inner: Of U times errors.
        gradients: Of both gradients.
        totals: Of totals over samples.
        answer: Of the packed gradients that the owner decrypts.
        budget_bits: A lower bound on the noise budget that these have left.
    """

    units: int
    squares: int
    logits: int
    errors: int
    inner: int
    gradients: int
    totals: int
    answer: int
    budget_bits: float


@dataclass(frozen=True)
class ExactPlan(ValueObject):
    """The public frame of training one network exactly.

    Attributes:
        squares: The network and its training; an even number of hidden units.
        security: As in `Parameters`.
        ring_degree: N; by default the smallest that the security allows and that has a slot in every half for a sample.

    Raises:
        TypeError: An argument has another type.
        ValueError: There is an odd number of hidden units, or there are more samples or weights than half of N.
        ParameterError: No parameters are secure and leave a noise budget.
    """

    squares: SquarePlan
    security: Security = "128"
    ring_degree: int | None = None

    def __post_init__(self) -> None:
        instance(self.squares, SquarePlan, "squares")
        if self.squares.hidden % 2:
            raise ValueError(f"`squares` must have an even number of hidden units, got {self.squares.hidden}")
        most = RING_DEGREES[-1] if self.ring_degree is None else self.ring_degree
        for name, count in (("samples", self.squares.samples), ("weights", self.answers)):
            if 2 * count > most:
                raise ValueError(f"`squares` must have at most {most // 2} {name} at N={most}, got {count}")
        _ = self._chosen

    @property
    def columns(self) -> int:
        """The ciphertexts that hold one number for every hidden unit."""
        return self.squares.hidden // 2

    @property
    def answers(self) -> int:
        """The totals that one answer holds: pairs of numbers of both gradients, and sums of residuals."""
        return self.squares.features * self.columns + self.columns * self.squares.classes + self.squares.classes

    @property
    def moduli(self) -> tuple[int, ...]:
        """The plaintext moduli t."""
        return self._chosen[0]

    @property
    def parameters(self) -> Parameters:
        """The encryption parameters for the first modulus."""
        return self._chosen[1]

    @property
    def levels(self) -> ExactLevels:
        """The levels of a step."""
        return self._chosen[2]

    @property
    def each(self) -> tuple[Parameters, ...]:
        """The encryption parameters for every modulus, which differ in nothing else."""
        return tuple(replace(self.parameters, plain_modulus=t) for t in self.moduli)

    @property
    def elements(self) -> tuple[int, ...]:
        """The Galois elements of totals over the slots of a half."""
        return trace_elements(self.parameters.poly_modulus_degree)

    @property
    def key_elements(self) -> tuple[int, ...]:
        """The Galois elements of all evaluation keys: relinearisation's, that which exchanges halves, and those."""
        return (RELINEARISATION, 2 * self.parameters.poly_modulus_degree - 1, *self.elements)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all that is agreed on, in hexadecimal digits."""
        fields = {**asdict(self.squares), "moduli": self.moduli, "parameters": self.parameters.to_dict()}
        return hashlib.sha256(json.dumps(fields, sort_keys=True, default=str).encode()).hexdigest()

    @cached_property
    def _chosen(self) -> tuple[tuple[int, ...], Parameters, ExactLevels]:
        """Choose the smallest ring, then the fewest moduli, then the fewest and shortest primes that suffice."""
        least = 2 * max(self.squares.samples, self.answers)
        degrees = [self.ring_degree] if self.ring_degree else [N for N in RING_DEGREES if least <= N]
        for N in degrees:
            for moduli in self._moduli(N):
                for parameters in self._chains(N, moduli[0]):
                    if levels := self._levels(parameters):
                        return moduli, parameters, levels
        raise ParameterError(
            f"no parameters hold gradients of {self.squares.bounds.gradient.bit_length()} bits at N of {degrees}; "
            "lower the ranges of inputs or weights, or the number of hidden units"
        )

    def _moduli(self, N: int) -> Iterator[tuple[int, ...]]:
        """Yield the shortest moduli that suffice, for every number of them, the fewest first."""
        due = self.squares.bounds.gradient.bit_length()
        for count in range(1, _MOST_MODULI):
            for bits in range(_LEAST_MODULUS_BITS, _PRIME_BITS[0]):
                found = tuple(t for t, _ in zip(primes_below(1 << bits, N), range(count), strict=False))
                if len(found) == count and room_bits(found) >= due:
                    yield found
                    break

    def _chains(self, N: int, t: int) -> Iterator[Parameters]:
        """Yield what is secure, the fewest and shortest primes first."""
        limit = max_modulus_bits(N, self.security)
        for count in range(2, _MOST_LEVELS):
            for bits in _PRIME_BITS:
                chain = (*[bits] * count, _PRIME_BITS[-1])
                if limit is None or sum(chain) <= limit:
                    yield Parameters("bfv", N, chain, t, security=self.security)  # type: ignore[arg-type]

    def _levels(self, parameters: Parameters) -> ExactLevels | None:
        """Follow the noise of a step; None if too little budget is left."""
        algebra, squares = BfvNoiseAlgebra(parameters), self.squares
        settled = _Settled(algebra)
        fresh = algebra.input(0)

        def products(left: BfvNoise, right: BfvNoise, terms: int) -> BfvNoise:
            made = algebra.products([settled.at(left, right.level)] * terms, [right] * terms)
            return algebra.relinearise(made)

        unit = settled(products(fresh, algebra.expanded(fresh, pairs=True), squares.features))
        square = settled(products(unit, unit, 1))
        weight = algebra.expanded(settled.at(fresh, square.level), pairs=True)
        logit = products(settled.noisier(square, fresh), weight, self.columns + 1)
        residual = settled(algebra.add([algebra.swap_rows(logit), logit, settled.at(fresh, logit.level)]))
        error = settled(products(residual, settled.at(weight, residual.level), squares.classes))
        inner = settled(products(unit, error, 1))
        low = inner.level
        gradients = (
            products(fresh, inner, 1),
            products(square, settled.at(residual, low), 1),
            settled.at(residual, low),
        )
        total = settled(replace(gradients[0], bound=max(value.largest for value in gradients)))
        answer = settled(algebra.packed(total, pairs=True))
        if answer.budget_bits < 1:
            return None
        found = ExactLevels(
            units=parameters.levels,
            squares=unit.level,
            logits=square.level,
            errors=residual.level,
            inner=error.level,
            gradients=low,
            totals=total.level,
            answer=answer.level,
            budget_bits=answer.budget_bits,
        )
        return found if self._has_room(parameters, found) else None

    def _has_room(self, parameters: Parameters, levels: ExactLevels) -> bool:
        """Return whether sums of products fit the primes that they are computed modulo beside those of the level."""
        N, t, primes, squares = parameters.poly_modulus_degree, parameters.t, parameters.primes, self.squares
        auxiliary = auxiliary_primes(N, primes, t)
        more = len(auxiliary) - parameters.levels
        sums = {levels.units: squares.features, levels.logits: self.columns + 1, levels.errors: squares.classes}
        return all(most_terms(N, primes[:at], auxiliary[: at + more], t) >= n for at, n in sums.items())


class _Settled:
    """Drops primes that noise has made useless."""

    def __init__(self, algebra: BfvNoiseAlgebra) -> None:
        self._algebra = algebra

    def __call__(self, value: BfvNoise) -> BfvNoise:
        """Return the noise at the lowest level at which roundings add little to it."""
        while value.level > 1:
            lower = self._algebra.switch_modulus(value)
            if lower.largest > (1 + _LITTLE) * value.largest or not math.isfinite(lower.largest):
                break
            value = lower
        return value

    def at(self, value: BfvNoise, level: int) -> BfvNoise:
        """Return the noise at a level."""
        while value.level > level:
            value = self._algebra.switch_modulus(value)
        return value

    def noisier(self, a: BfvNoise, b: BfvNoise) -> BfvNoise:
        """Return the larger of two noises at the level of the first."""
        return max(a, self.at(b, a.level), key=lambda value: value.largest)
