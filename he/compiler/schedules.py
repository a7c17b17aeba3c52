"""The search for the cheapest schedules of a network's linear layers, within a limit on the bytes of its keys."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

from he.compiler.fit import Fit, State
from he.compiler.gadgets import worthwhile
from he.compiler.latency import Lowered, Schedule, schedules
from he.compiler.rotations import Turns
from he.compiler.stages import Stage
from he.program.program import Program
from he.readers.cost import cost, rotation_costs
from he.ring.gadget import Gadgets

#: The limits on the bytes of evaluation keys: a client sends them once, and its session holds them.
KEY_BYTES = (60_000_000, 120_000_000, 240_000_000)
WORTH = 0.8  # of a circuit's cost that a higher limit must leave at most
WAITING_WORTH = 0.95  # of it that schedules must leave whose rotations wait for each other
#: What is tried where keys are limited: whether giant steps are chained, and by what baby steps are fewer.
FEWER_KEYS = ((True, 1), (True, 2))

ATTEMPTS = 3  # to choose keys and fit parameters: fewer keys may need a longer modulus, whose keys are longer


def cheapest(
    stages: Sequence[Stage],
    write: Callable[[Sequence[Schedule]], Lowered],
    sketches: Sequence[Callable[[Schedule], Program]],
    fit: Callable[[Program], Fit],
    rough: Callable[[Program], Fit] | None = None,
    key_bytes: Sequence[int] = KEY_BYTES,
) -> tuple[Lowered, Fit]:
    """Choose a schedule for every linear layer by its price, then give up keys until the rest is within a limit.

    A schedule changes no level, so the layers' schedules are chosen one by one under the same parameters. The final
    program is fitted anew for its noise.

    Args:
        stages: the result of `he.compiler.stages.to_stages`.
        write: lowers the stages with a schedule for every linear layer.
        sketches: record each linear layer alone with a schedule; see `he.compiler.latency.sketches`.
        fit: finds parameters for a program.
        rough: finds some for a program by which schedules are priced; `fit` by default.
        key_bytes: the limits for all evaluation keys, ascending. A network that needs more keys gets as few as it can.

    Returns:
        The lowered network, and its program with the parameters.

    Raises:
        ParameterError: if `fit` finds no parameters.
    """
    choices = schedules(stages)
    lowered = write([options[0] for options in choices])
    fitted = (rough or fit)(lowered.program)
    states, gadgets = fitted.states(lowered.program), gadgets_of(fitted)

    def price(layer: Program, begin: State | None) -> float:
        level = begin.level if begin else None
        return cost(fitted.place(layer, begin), fitted.parameters, level=level, gadgets=gadgets).total

    begins = [None if entry is None else states[entry] for entry in lowered.entries]
    chosen = [
        min(options, key=lambda option: price(sketch(option), begin))
        for options, sketch, begin in zip(choices, sketches, begins, strict=True)
    ]
    row_length = fitted.parameters.row_length
    usual = Turned.of(write(chosen), row_length)
    best, least, limit = usual, math.inf, key_bytes[0]
    fewer: list[Turned] = []
    for bound in key_bytes:
        candidate, units = usual, usual.limited_units(fitted, bound, gadgets)
        is_cut = len(usual.lowered.program.rotation_steps) > usual.keys(fitted, bound, gadgets)
        if is_cut and not fewer:
            others = (write([schedule.with_fewer_keys(*how) for schedule in chosen]) for how in FEWER_KEYS)
            fewer = [Turned.of(other, row_length) for other in others]
        for other in fewer if is_cut else ():
            waiting = other.limited_units(fitted, bound, gadgets)
            if waiting <= WAITING_WORTH * units:
                candidate, units = other, waiting
        if units <= WORTH * least:
            best, least, limit = candidate, units, bound
        if not is_cut:
            break
    return _limited(best, fitted, fit, limit, gadgets)


class Turned(NamedTuple):
    """A lowered network with the rotations of its program."""

    lowered: Lowered
    turns: Turns

    @staticmethod
    def of(lowered: Lowered, row_length: int) -> Turned:
        """Return it for rows of so many slots."""
        return Turned(lowered, Turns(lowered.program, row_length))

    def limited_units(self, fitted: Fit, limit: int = KEY_BYTES[-1], gadgets: Gadgets | None = None) -> float:
        """Return what the network costs with as many keys as a limit allows, by the schedules that it has."""
        placed = fitted.place(self.limited(fitted, limit, gadgets))
        return cost(placed, fitted.parameters, gadgets=gadgets).total

    def limited(self, fitted: Fit, limit: int, gadgets: Gadgets | None, like: Program | None = None) -> Program:
        """Return the program with as many keys as a limit allows, where they are as long as this fit's.

        Args:
            fitted: the parameters, and how programs are placed for them.
            limit: the most bytes of all keys.
            gadgets: those of keys that differ in length; None for usual keys.
            like: a program whose keys are as long as these will be on average; by default the whole one.
        """
        states = fitted.states(self.lowered.program)
        each = cache(lambda level: rotation_costs(fitted.parameters, level, gadgets))

        def price(value: int, made: int, split: int) -> float:
            one, further = each(states[value].level)
            return one * made + further * split

        return self.turns.affordable(self.keys(fitted, limit, gadgets, like), price)

    def keys(self, fitted: Fit, limit: int, gadgets: Gadgets | None, like: Program | None = None) -> int:
        """Return how many rotation steps may have a key beside the keys of the row swap and of relinearisation."""
        program = self.lowered.program
        spent = cost(fitted.place(like or program), fitted.parameters, gadgets=gadgets)
        keys = limit * len(spent.uses) // max(1, spent.key_bytes)
        return keys - program.swaps_rows - program.multiplies


def gadgets_of(fitted: Fit, limit: int | None = None) -> Gadgets | None:
    """Return the gadgets that are worthwhile for a fitted program; None for usual keys."""
    chosen = worthwhile(fitted, limit)
    return chosen and chosen.gadgets


def _limited(
    turned: Turned, fitted: Fit, fit: Callable[[Program], Fit], limit: int, gadgets: Gadgets | None
) -> tuple[Lowered, Fit]:
    """Return a network with as many keys as a limit allows, fitted for its noise."""
    program = None
    for _ in range(ATTEMPTS):
        program = turned.limited(fitted, limit, gadgets, program)
        fitted = fitted.again(program) or fit(program)
        gadgets = gadgets_of(fitted, limit)
        if cost(fitted.program, fitted.parameters, gadgets=gadgets).key_bytes <= limit:
            break
    assert program is not None
    return turned.lowered._replace(program=program), fitted
