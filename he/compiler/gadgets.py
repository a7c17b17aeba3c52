"""The choice of gadgets for a program, by what it costs and by the bytes of its keys."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from he.formats import hybrid
from he.program.program import Program
from he.readers.cost import HOISTING, Prices, cost, key_gadgets
from he.readers.key_switching import key_switch_norm
from he.ring.gadget import Gadget, Gadgets
from he.ring.params import ParameterError, Parameters

MOST_KINDS = 3  # numbers of special primes among which levels choose: every one more is one more key for an element


def choose_gadgets(
    program: Program, parameters: Parameters, prices: Prices = HOISTING, max_key_bytes: int | None = None
) -> Gadgets:
    """Return the gadgets with which a placed program takes the least time, as far as its keys fit.

    Of every set of at most `MOST_KINDS` numbers of special primes, each level takes the one with which it costs the
    least. Of the sets whose keys fit, the one with the least time is taken.

    Only gadgets are taken that add no more noise than one special prime does at the same level (`is_no_noisier`), so
    that bounds by which parameters were chosen hold. Levels at which no keys are switched have one special prime.

    Args:
        program: a program that has been placed.
        parameters: the parameters for which it was placed.
        prices: the prices of the engine.
        max_key_bytes: the most bytes of all keys as they travel; by default any number.

    Raises:
        ParameterError: if the keys do not fit with any choice; the message says how many bytes the fewest have.
    """
    one = cost(program, parameters, prices)
    levels = sorted({level for levels in one.uses.values() for level in levels})
    units = {1: one.by_level}
    for specials in range(2, parameters.levels + 1):
        allowed = [level for level in levels if is_no_noisier(parameters, level, specials)]
        if allowed:
            found = cost(program, parameters, prices, gadgets=_gadgets(parameters, dict.fromkeys(allowed, specials)))
            units[specials] = {level: found.by_level[level] for level in allowed}
    sizes: list[int] = []
    best: tuple[float, int, Gadgets] | None = None
    for kinds in _choices(sorted(units)):
        chosen = {}
        for level in levels:
            able = [specials for specials in kinds if level in units[specials]]
            if not able:
                break
            chosen[level] = min(able, key=lambda specials: units[specials][level])
        else:
            gadgets = _gadgets(parameters, chosen)
            size = sum(hybrid.key_bytes(gadget) for _, gadget in key_gadgets(one.uses, gadgets))
            sizes.append(size)
            time = sum(units[specials][level] for level, specials in chosen.items())
            if (max_key_bytes is None or size <= max_key_bytes) and (best is None or (time, size) < best[:2]):
                best = time, size, gadgets
    if best is None:
        raise ParameterError(
            f"`max_key_bytes` must be at least {min(sizes)} for this program, got {max_key_bytes}; rotate less, or "
            "at lower levels"
        )
    return best[2]


def is_no_noisier(parameters: Parameters, level: int, specials: int) -> bool:
    """Return whether there are so many special primes above a level, and a switch adds no more noise than by one."""
    if level + specials > len(parameters.primes):
        return False
    return key_switch_norm(Gadget.of(parameters, level, specials)) <= key_switch_norm(Gadget.of(parameters, level))


def _gadgets(parameters: Parameters, chosen: Mapping[int, int]) -> Gadgets:
    """Return the gadgets with these numbers of special primes by level, and one elsewhere."""
    return Gadgets.of(parameters, [chosen.get(level, 1) for level in range(1, parameters.levels + 1)])


def _choices(numbers: list[int]) -> list[tuple[int, ...]]:
    """List all choices of at most `MOST_KINDS` of some numbers."""
    return [kinds for count in range(1, MOST_KINDS + 1) for kinds in combinations(numbers, count)]
