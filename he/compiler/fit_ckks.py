"""The search for the bits of every scale of a CKKS program, and for the primes that follow from them.

Every scale causes an error in proportion to its inverse, and lengthens the modulus by its bits. For a given sum of
errors the modulus is shortest if each scale causes the same error. So one number decides all scales: the bits to
*spare*, by which each scale exceeds the scale that would alone cause an error of one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np

from he.compiler.fit import MAX_CHAIN_BITS, MAX_PRIMES, Fit, least
from he.compiler.gadgets import expected_units
from he.compiler.outline import outline
from he.compiler.place_ckks import (
    LEAST_DROP_BITS,
    Precision,
    Rescalings,
    depths,
    longest_path,
    place,
    rescalings,
    states,
)
from he.compiler.ranges import ERROR, Guard
from he.program.algebra import run
from he.program.fold import Fold
from he.program.program import Program
from he.readers.cost import cost
from he.readers.dependence import DependenceAlgebra
from he.readers.deviations import Deviations
from he.readers.flooding import zero_deviation
from he.readers.layer_norms import Norms
from he.readers.noise_ckks import CkksError, CkksErrorAlgebra
from he.readers.variance import PRODUCT_TAIL, deviation_at_root, rounding_variance
from he.ring.gadget import Gadgets
from he.ring.params import MIN_PRIME_BITS, ParameterError, Parameters, Security, max_modulus_bits
from he.ring.scheme import Scheme

SCALE_BITS = range(20, 51)  # smaller scales have errors whose products matter; larger ones exceed float64
PROBE_BITS = 40  # the bits of all other scales while the error of one scale is measured
HOPELESS_BITS = 14  # bits above the largest error, from which no scale brings an error down that is probed at 40
COARSE_BITS = 24  # the bits of the scale whose error is measured
LEAST_ERROR = 2.0**-100  # the error that a scale without influence is taken to cause
PROBE_PRIMES = 4  # so many primes of the largest size hold values of unknown size while errors are measured
STEP = 1 / 16  # bits by which the search makes all scales finer
AGAIN = (0, 8, 16)  # bits by which scales are made finer where the values' errors leave them no room
FINER = (8, 4, 2, 1, 0.5, 0)  # bits by which all scales are made finer if the chain gets no longer
SMALLEST_CAP = 28  # the least limit in bits on primes; chains of smaller primes are too long
ROOM_BITS = 1.05  # bits below half of the modulus: SEAL wants one, and primes are not quite powers of two
DECIMALS = 6  # of the logarithms of errors and sizes that decide about a circuit
BOUND_BITS = 10  # significant bits of a circuit's bound, which is hashed and must be the same on every machine
VANISHES = "the weights that lead to an output round to zero at every scale: multiply them, or leave the output out"
SCALE_ROOM_BITS = 2  # bits by which SEAL wants a modulus to exceed a scale, however small the values


@dataclass(frozen=True)
class _Candidate:
    """Scales, and bits of primes for them: those that stay, those that are dropped, and the special one."""

    precision: Precision
    stay: tuple[int, ...]
    drops: tuple[int, ...]
    special: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes in the order of `Parameters`: the prime that is dropped first comes last but one."""
        return (*self.stay, *reversed(self.drops), self.special)

    @property
    def bits(self) -> int:
        """The bits of the whole modulus."""
        return sum(self.sizes)

    @property
    def length(self) -> tuple[int, int]:
        """The number of primes that stay, and the number of primes that are dropped."""
        return len(self.stay), len(self.drops)


def fit_ckks(
    folded: Fold,
    N: int,
    norms: Sequence[Norms],
    magnitude: float,
    largest_logit: float,
    max_error: float,
    security: Security,
    flood: float | None = None,
    guards: Sequence[Guard] = (),
    checked: bool = True,
    owners: int = 1,
) -> Fit:
    """Return the cheapest chain of primes whose error bound is within `max_error`, with its finest scales.

    Args:
        folded: a program that has not been placed, and its folded form, by which the scales are found.
        N: the ring degree.
        norms: those of the program's linear layers, in order.
        magnitude: the largest absolute value of an input.
        largest_logit: a bound on the absolute value of a logit; an error that is larger says nothing about scales.
        max_error: the largest bound on the error of a logit.
        security: see `Parameters`.
        flood: the error of a logit that re-randomising adds, for which there must be room; the error of the encryption
            of zero that goes with it counts as the program's. The same for opening answers under a key of two owners,
            with no encryption of zero. None if answers get no flood.
        guards: what the program's guards show, in order.
        checked: whether plaintexts are looked at. Where they are not, only `Fit.again` makes a program for use.
        owners: how many parties hold the secret key.

    Raises:
        ParameterError: if there is none, with the bits that it would take.
    """
    tolerance, max_error = 2 * max_error, min(max_error, largest_logit or max_error)
    limit = max_modulus_bits(N, security) or MAX_PRIMES * MAX_CHAIN_BITS
    shortest = _shortest_modulus(folded.folded)
    if shortest > limit:
        raise ParameterError(f"its depth alone takes {shortest} bits of modulus, more than {limit}")
    refusals: list[str] = []
    found: list[tuple[_Search, float]] = []
    for search in _searches(_Task(folded, N, norms, magnitude, tolerance, flood, guards, checked, owners)):
        spare = search.least(max_error)
        if spare is None:
            refusals.append(VANISHES if search.vanishes else f"no scales leave an error bound of {max_error}")
        else:
            found.append((search, spare))
    for more in AGAIN if found else ():
        candidates: list[tuple[float, float, _Candidate, _Search]] = []
        for search, spare in [(search, spare + more) for search, spare in found if search.in_range(spare + more)]:
            chains = [search.chain(spare, largest, limit) for largest in range(MAX_CHAIN_BITS, SMALLEST_CAP - 1, -1)]
            if min(chain.bits for chain in chains) > limit:
                shortest = min(chain.bits for chain in chains)
                refusals.append(f"an error bound of {max_error} takes {shortest} bits of modulus, more than {limit}")
            for chain in {chain.length: chain for chain in chains if chain.bits <= limit}.values():
                try:
                    candidates.append((search.price(chain), spare, chain, search))
                except ParameterError as refusal:  # there are too few primes of a size
                    refusals.append(str(refusal))
        for _, spare, chain, search in sorted(candidates, key=lambda entry: entry[0]):
            if fit := search.finest(spare, chain, limit, max_error, security):
                return fit
            refusals.append(f"{sum(chain.sizes)} bits of modulus leave an error of more than {max_error}, or no room")
        if not candidates:  # finer scales take still more bits
            break
    raise ParameterError(refusals[-1])


@dataclass(frozen=True, eq=False)
class _Task:
    """What `fit_ckks` is given, with the tolerance that clients are told."""

    folded: Fold
    N: int
    norms: Sequence[Norms]
    magnitude: float
    tolerance: float
    flood: float | None
    guards: Sequence[Guard]
    checked: bool
    owners: int


class _Search:
    """Measures the error that each scale of a program causes, and finds chains for scales that are chosen by it."""

    def __init__(self, task: _Task, early: bool) -> None:
        self._task, self._folded, self._N = task, task.folded, task.N
        self._early, self._merges = early, False
        self._known_rescalings: dict[tuple[Precision, int], Rescalings] = {}
        self.vanishes = False  # whether the last scales tried left an output without its input
        self._outline = outline(self._folded.folded)
        self._plain, products = depths(self._outline)
        self._probes = [PROBE_BITS] * (2 + self._plain + products)
        self._fine, room = self._probed(self._probes)
        # log2 of the largest value. What decides about a circuit is rounded: the last bits of a float are a machine's.
        self._magnitude = round(PROBE_PRIMES * MAX_CHAIN_BITS - PROBE_BITS - room, DECIMALS)

    def merging(self) -> _Search:
        """Return the search for chains in which the first product is not rescaled before the second, but with it."""
        other = copy(self)  # with the errors, if they are known
        other._merges = True
        return other

    @cached_property
    def _errors(self) -> np.ndarray:
        """The log2 of the error that each scale would cause if it were one."""
        others = [(self._probes[:i], self._probes[i + 1 :]) for i in range(len(self._probes))]
        coarse = [self._probed([*before, COARSE_BITS, *after])[0] for before, after in others]
        caused = np.array([max(LEAST_ERROR, deviations.without(self._fine).bound) for deviations in coarse])
        return np.round(np.log2(caused) + COARSE_BITS, DECIMALS)

    def least(self, max_error: float) -> float | None:
        """Return the least bits to spare that bring the bound down to `max_error`; None if no scales do."""
        lowest = -math.log2(max_error)
        if not self._fine.bound <= max_error * 2.0**HOPELESS_BITS:  # a comparison with NaN is false
            return None

        def spare(steps: int) -> float:
            return lowest + STEP * steps

        @cache
        def bound(steps: int) -> float:
            try:
                return self._probed(self._bits(spare(steps)))[0].bound
            except ParameterError:  # there are too few primes of a size
                return math.inf

        def accepted(steps: int) -> bool:
            within = bound(steps) <= max_error
            self.vanishes = within and not self._holds(self._placed_probe(self._bits(spare(steps)))[0])
            return within and not self.vanishes

        if not self.in_range(lowest):
            return None
        # The bound halves with every bit: the first one tells about where it meets the limit.
        excess, most = bound(0), math.floor((SCALE_BITS[-1] - float(np.max(self._errors)) - lowest) / STEP)
        guess = math.ceil(math.log2(excess / max_error) / STEP) if 0 < excess < math.inf else 0
        steps = least(accepted, guess, 0, most)
        return None if steps is None else spare(steps)

    def chain(self, spare: float, largest: int, limit: int) -> _Candidate:
        """Return primes up to `largest` bits for scales with `spare` bits to spare; the special one takes the rest."""
        precision = self._precision(self._bits(spare))
        drops, output_bits, _ = self._rescalings(precision, largest)
        last = max(LEAST_DROP_BITS, output_bits + max(math.ceil(self._magnitude + ROOM_BITS), SCALE_ROOM_BITS))
        for guard, bits in zip(self._task.guards, precision.guard_bits, strict=True):
            last = max(last, bits + math.ceil(math.log2(guard.largest) + 2 * ROOM_BITS))
        count = math.ceil(last / largest)
        stay = tuple(max(LEAST_DROP_BITS, (last + i) // count) for i in range(count))
        special = max(MIN_PRIME_BITS, min(MAX_CHAIN_BITS, limit - sum(stay) - sum(drops)))
        return _Candidate(precision, stay, drops, special)

    def _rescalings(self, precision: Precision, largest: int) -> Rescalings:
        if (precision, largest) not in self._known_rescalings:
            found = rescalings(self._outline, precision, largest)
            alike = range(found.least, largest + 1)
            self._known_rescalings |= {(precision, bits): found for bits in alike}
        return self._known_rescalings[precision, largest]

    def price(self, chain: _Candidate) -> float:
        """Return the program's cost under this chain, in units of one SEAL rotation.

        Raises:
            ParameterError: if there are too few primes of a size.
        """
        parameters = self._parameters(chain, "insecure")
        placed = place(self._folded.folded, chain.precision, parameters, len(chain.stay))
        return expected_units(cost(placed, parameters, self._folded.weights(placed)), parameters)

    def finest(self, spare: float, chain: _Candidate, limit: int, max_error: float, security: Security) -> Fit | None:
        """Return the finest scales whose chain is as long as this one; None if no bound is within `max_error`."""
        for more in FINER:
            for largest in range(MAX_CHAIN_BITS, SMALLEST_CAP - 1, -1):
                finer = self.chain(spare + more, largest, limit) if self.in_range(spare + more) else None
                if finer and finer.length == chain.length and finer.bits <= limit:
                    with suppress(ParameterError):  # there are too few primes of a size
                        if self._accepts(finer, max_error) and (
                            fit := self._fit(self._folded.program, finer, max_error, security, self._task.checked)
                        ):
                            return fit
        return None

    def _accepts(self, chain: _Candidate, max_error: float) -> bool:
        """Return whether the folded program is within the bound and the modulus; a program that folds is far longer."""
        if self._folded.is_trivial:
            return True
        parameters = self._parameters(chain, "insecure")
        placed = place(self._folded.folded, chain.precision, parameters, len(chain.stay))
        return self._is_within(placed, parameters, max_error) is not None and self._holds(placed)

    def _holds(self, placed: Program) -> bool:
        """Return whether all outputs of the folded program depend on an input, at the scales of its operands.

        This looks at weights. It decides only where a logit is so small beside the others that it would be lost.
        """
        if not self._task.checked:
            return True
        return all(output.found.all() for output in self._folded.read(placed, DependenceAlgebra(placed)))

    def _fit(
        self, program: Program, chain: _Candidate, max_error: float, security: Security, checked: bool = True
    ) -> Fit | None:
        parameters, stay = self._parameters(chain, security), len(chain.stay)
        placed = place(program, chain.precision, parameters, stay)
        kept = not checked or all(output.found.all() for output in run(placed, DependenceAlgebra(placed)))
        found = self._is_within(placed, parameters, max_error)
        if found is None or not kept:
            return None
        error, shown = found
        bound = min(_coarser(error.bound), max_error)

        def bound_with(gadgets: Gadgets) -> float | None:
            with_them = self._is_within(placed, parameters, max_error, gadgets)
            return with_them and max(bound, min(_coarser(with_them[0].bound), max_error))

        return Fit(
            program=placed,
            parameters=parameters,
            bound=bound,
            tolerance=self._task.tolerance,
            output_scale=error.scale,
            place=lambda other, begin=None: place(other, chain.precision, parameters, stay, begin),
            states=lambda other: states(other, chain.precision, parameters, stay),
            bound_with=bound_with,
            again=lambda other: self._fit(other, chain, max_error, security),
            guard_scales=tuple(guard.scale for guard in shown),
        )

    def _probed(self, bits: list[int]) -> tuple[Deviations, float]:
        """Return the error of these scales, and the room in the modulus, where primes are plenty."""
        error, room, _ = self._error(*self._placed_probe(bits))
        return error.own, room

    def _placed_probe(self, bits: list[int]) -> tuple[Program, Parameters]:
        precision = self._precision(bits)
        drops = self._rescalings(precision, MAX_CHAIN_BITS).sizes
        chain = _Candidate(precision, (MAX_CHAIN_BITS,) * PROBE_PRIMES, drops, MAX_CHAIN_BITS)
        parameters = self._parameters(chain, "insecure")
        return place(self._folded.folded, precision, parameters, PROBE_PRIMES), parameters

    def _error(
        self, placed: Program, parameters: Parameters, gadgets: Gadgets | None = None
    ) -> tuple[CkksError, float, list[CkksError]]:
        """Return the error of the worst output, the room in the modulus, and the errors of the guards."""
        algebra = CkksErrorAlgebra(parameters, placed, self._task.norms, self._task.magnitude, gadgets)
        values = run(placed, algebra)
        worst, guards = max(values[: len(placed.results)], key=lambda value: value.bound), values[len(placed.results) :]
        shown = [replace(v, magnitude=g.largest) for v, g in zip(guards, self._task.guards, strict=True)]
        room = min(map(algebra.room, shown), default=math.inf)
        if self._task.flood is None:
            return worst, min(room, algebra.room(worst)), shown
        if self._task.owners == 1:
            worst = worst.plus(Deviations(product=zero_deviation(self._N) / worst.scale))
        return worst, algebra.room(replace(worst, magnitude=worst.magnitude + self._task.flood)), shown

    def _is_within(
        self, placed: Program, parameters: Parameters, max_error: float, gadgets: Gadgets | None = None
    ) -> tuple[CkksError, list[CkksError]] | None:
        """Return the error of the worst output, and those of the guards, if all are within what they may be."""
        error, room, shown = self._error(placed, parameters, gadgets)
        exact = all(v.bound <= ERROR * guard.limit for v, guard in zip(shown, self._task.guards, strict=True))
        return (error, shown) if error.bound <= max_error and room >= 1 and exact else None  # NaN compares false

    def _parameters(self, chain: _Candidate, security: Security) -> Parameters:
        scale, owners = chain.precision.input_bits, self._task.owners
        return Parameters(Scheme.CKKS, self._N, chain.sizes, scale_bits=scale, security=security, owners=owners)

    def in_range(self, spare: float) -> bool:
        return math.isfinite(self._magnitude) and float(np.max(self._errors)) + spare <= SCALE_BITS[-1]

    def _bits(self, spare: float) -> list[int]:
        return [max(SCALE_BITS[0], math.ceil(error + spare)) for error in self._errors]

    def _precision(self, bits: list[int]) -> Precision:
        fresh, weights, values = bits[0], tuple(bits[1 : 1 + self._plain]), tuple(bits[1 + self._plain :])
        if weights:
            missing = LEAST_DROP_BITS - (fresh + weights[0] - values[0])
            if self._merges:  # the first product's excess is rescaled with the next one's
                values = (values[0] + max(0, 1 - missing), *values[1:])
            elif 0 < missing <= LEAST_DROP_BITS // 2:  # a finer input lets it be rescaled by a prime of its own
                fresh += missing
        return Precision(fresh, weights, values, self._early, self._guard_bits)

    @cached_property
    def _guard_bits(self) -> tuple[int, ...]:
        """The scales at which the rounding of a guard to the last level is no more than a quarter of its error."""
        variance = rounding_variance(self._N, owners=self._task.owners)
        rounding = PRODUCT_TAIL * deviation_at_root(self._N, variance)
        return tuple(math.ceil(math.log2(4 * rounding / (ERROR * guard.limit))) for guard in self._task.guards)


def _searches(task: _Task) -> Iterator[_Search]:
    """Yield a search for every way to place rescalings."""
    for early in (True, False):
        search = _Search(task, early)
        yield search  # which measures its errors, unless it is hopeless: then so is the other one
        yield search.merging()


def _shortest_modulus(program: Program) -> int:
    """Return the bits that any modulus for a program has: every product makes a scale longer, by the shortest at least.

    What a scale has grown by is either dropped on the way, prime by prime, or left at the end.
    """
    growths = 1 + longest_path(program)
    return SCALE_BITS[0] * growths + SCALE_ROOM_BITS + LEAST_DROP_BITS  # and the special prime


def _coarser(bound: float) -> float:
    """Return the least number with `BOUND_BITS` significant bits that is not below the bound."""
    mantissa, exponent = math.frexp(bound)
    return math.ldexp(math.ceil(mantissa * 2**BOUND_BITS), exponent - BOUND_BITS)
