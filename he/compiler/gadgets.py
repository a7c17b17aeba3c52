"""The choice of gadgets for a program: by its cost, by the bytes of its keys, and by the noise that it can bear."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

from he.compiler.fit import Fit
from he.formats import hybrid
from he.formats.switching import key_bytes
from he.readers.cost import Cost, cost, units_of
from he.readers.key_switching import key_switch_norm
from he.ring.gadget import Gadget, Gadgets
from he.ring.params import ParameterError, Parameters

MOST_KINDS = 3  # numbers of special primes among which levels choose: every one more is one more key for an element
NEAR = 1.02  # of the least time that a choice with fewer bytes of keys may take
NOISIER_BITS = (math.inf, 24, 16, 8, 4, 0)  # by which key switches may add more noise than by one special prime

#: Of the time that usual keys take, or of their bytes, what others must leave at most to be taken.
WORTH_TIME, WORTH_BYTES = 0.95, 0.7
SHORT_KEYS = 10_000_000  # bytes of usual keys that are no burden


class Chosen(NamedTuple):
    """Gadgets for a fitted program, and its bound with them and with usual keys alike."""

    gadgets: Gadgets
    bound: float


def worthwhile(fit: Fit, max_key_bytes: int | None = None) -> Chosen | None:
    """Return the gadgets by which a fitted program takes less time than by usual keys, or much shorter keys.

    Usual keys are SEAL's: for all levels, with one special prime. Many key switches are done where the scale, or what
    is left of the budget, is so large that more noise does no harm: so noisier gadgets are tried first.

    Args:
        fit: a program with its parameters.
        max_key_bytes: the most bytes of all keys, where usual keys have no more; by default any number.

    Returns:
        None if usual keys are as good, or the program's bound is accepted with no others.
    """
    program, parameters = fit.program, fit.parameters
    keys = len(program.rotation_steps) + program.swaps_rows + program.multiplies
    if keys * key_bytes(parameters, parameters.levels) <= SHORT_KEYS:
        return None
    usual, tried = cost(program, parameters), None
    limit = None if max_key_bytes is None else max(max_key_bytes, usual.key_bytes)
    for bits in NOISIER_BITS:
        gadgets = choose_gadgets(usual, parameters, limit, bits)
        if gadgets == tried:
            continue
        spent, tried = cost(program, parameters, gadgets=gadgets), gadgets
        gains = spent.total < WORTH_TIME * usual.total or spent.key_bytes < WORTH_BYTES * usual.key_bytes
        if not gains or spent.total > usual.total:
            return None
        bound = fit.bound_with(gadgets)
        if bound is not None:
            return Chosen(gadgets, bound)
    return None


def choose_gadgets(
    spent: Cost, parameters: Parameters, max_key_bytes: int | None = None, noisier_bits: float = 0
) -> Gadgets:
    """Return the gadgets with which a program takes the least time, or nearly so, as far as its keys fit.

    Of every set of at most `MOST_KINDS` numbers of special primes, each level takes the one with which it costs the
    least. Of the sets whose keys fit and whose time is within `NEAR` of the least, the one with the shortest keys is
    taken. Levels at which no keys are switched have one special prime.

    Args:
        spent: the cost of a placed program, with any gadgets.
        parameters: the parameters for which it was placed.
        max_key_bytes: the most bytes of all keys as they travel; by default any number.
        noisier_bits: by how many bits a key switch may add more noise than by one special prime at the same level.

    Raises:
        ParameterError: if the keys do not fit with any choice; the message says how many bytes the fewest have.
    """
    levels = sorted({level for levels in spent.uses.values() for level in levels})
    units = {level: dict(_units(spent, parameters, level, noisier_bits)) for level in levels}
    choices = {}
    numbers = sorted({1}.union(*units.values()))
    for kinds in (kinds for count in range(1, MOST_KINDS + 1) for kinds in combinations(numbers, count)):
        able = {level: [specials for specials in kinds if specials in units[level]] for level in levels}
        if all(able.values()):
            chosen = tuple(min(some, key=units[level].__getitem__) for level, some in able.items())
            choices[chosen] = sum(units[level][specials] for level, specials in zip(levels, chosen, strict=True))
    fitting: dict[Gadgets, int] = {}
    least = fewest = math.inf
    for chosen, time in sorted(choices.items(), key=lambda choice: choice[1]):
        if time > NEAR * least:
            break
        by_level = dict(zip(levels, chosen, strict=True))
        gadgets = Gadgets.of(parameters, [by_level.get(level, 1) for level in range(1, parameters.levels + 1)])
        size = sum(hybrid.key_bytes(gadget) for _, gadget in gadgets.keys(spent.uses))
        fewest = min(fewest, size)
        if max_key_bytes is None or size <= max_key_bytes:
            fitting[gadgets], least = size, min(least, time)
    if not fitting:
        raise ParameterError(
            f"`max_key_bytes` must be at least {fewest} for this program, got {max_key_bytes}; rotate less, or at "
            "lower levels"
        )
    return min(fitting, key=fitting.__getitem__)


def expected_units(spent: Cost, parameters: Parameters) -> float:
    """Return the time of a program before its gadgets are chosen: with the best at every level, if that is worthwhile.

    Only gadgets that add no more noise than one special prime count, for these are accepted wherever usual keys are.

    Args:
        spent: the cost of the program with one special prime at every level.
        parameters: the parameters for which it was placed.
    """
    saved = 0.0
    for level in spent.switches:
        units = dict(_units(spent, parameters, level, 0))
        saved += units[1] - min(units.values())
    least = spent.total - saved
    return least if least < WORTH_TIME * spent.total else spent.total


def _units(spent: Cost, parameters: Parameters, level: int, noisier_bits: float) -> Iterator[tuple[int, float]]:
    """Yield the numbers of special primes that a level may have, and what its key switches cost with them."""
    most = key_switch_norm(Gadget.of(parameters, level)) * 2.0 ** min(noisier_bits, 1000)
    for specials in range(1, len(parameters.primes) - level + 1):
        gadget = Gadget.of(parameters, level, specials)
        if key_switch_norm(gadget) <= most:
            yield specials, units_of(spent.switches[level].work(gadget), parameters)
