"""The search for the cheapest schedules of a network's linear layers, within a limit on the bytes of its keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from he.compiler.fit import Fit, State
from he.compiler.latency import Lowered, Schedule, schedules
from he.compiler.rotations import affordable
from he.compiler.stages import Stage
from he.program.program import Program
from he.readers.cost import HOISTING, Prices, cost, key_bytes, rotation_costs

#: The limit on the bytes of evaluation keys: a client sends them once, and its session holds them.
MAX_KEY_BYTES = 60_000_000

ATTEMPTS = 3  # to choose keys and fit parameters: fewer keys may need a longer modulus, whose keys are longer


def cheapest(
    stages: Sequence[Stage],
    write: Callable[[Sequence[Schedule]], Lowered],
    sketches: Sequence[Callable[[Schedule], Program]],
    fit: Callable[[Program], Fit],
    prices: Prices = HOISTING,
    max_key_bytes: int = MAX_KEY_BYTES,
) -> tuple[Lowered, Fit]:
    """Choose a schedule for every linear layer by its price, then give up keys until the rest is within the limit.

    A schedule changes no level, so the layers' schedules are chosen one by one under the same parameters. The final
    program is fitted anew for its noise.

    Args:
        stages: the result of `he.compiler.stages.to_stages`.
        write: lowers the stages with a schedule for every linear layer.
        sketches: record each linear layer alone with a schedule; see `he.compiler.latency.sketches`.
        fit: finds parameters for a program.
        prices: the prices of the engine that is to run the program.
        max_key_bytes: the limit for all evaluation keys. A network that needs more keys gets as few as it can.

    Returns:
        The lowered network, and its program with the parameters.

    Raises:
        ParameterError: if `fit` finds no parameters.
    """
    choices = schedules(stages)
    lowered = write([options[0] for options in choices])
    fitted = fit(lowered.program)
    states = fitted.states(lowered.program)

    def price(layer: Program, begin: State | None) -> float:
        level = begin.level if begin else None
        return cost(fitted.place(layer, begin), fitted.parameters, prices, level=level).total

    begins = [None if entry is None else states[entry] for entry in lowered.entries]
    lowered = write(
        [
            min(options, key=lambda option: price(sketch(option), begin))
            for options, sketch, begin in zip(choices, sketches, begins, strict=True)
        ]
    )
    for _ in range(ATTEMPTS):
        keys = _keys(lowered.program, fitted, max_key_bytes)
        program = affordable(lowered.program, keys, fitted.parameters.row_length, _rotations(lowered, fitted, prices))
        fitted = fitted.again(program) or fit(program)
        if cost(fitted.program, fitted.parameters).key_bytes <= max_key_bytes:
            break
    return lowered._replace(program=program), fitted


def _rotations(lowered: Lowered, fitted: Fit, prices: Prices) -> Callable[[int, int, int], float]:
    """Return the price of rotating a value of the program, as `affordable` asks for it."""
    states = fitted.states(lowered.program)
    each = cache(lambda level: rotation_costs(fitted.parameters, level, prices))

    def price(value: int, made: int, split: int) -> float:
        one, further = each(states[value].level)
        return one * made + further * split

    return price


def _keys(program: Program, fitted: Fit, max_key_bytes: int) -> int:
    """Return how many rotation steps may have a key beside the keys of the row swap and of relinearisation."""
    each = key_bytes(fitted.parameters, fitted.parameters.levels)
    return max_key_bytes // each - program.swaps_rows - program.multiplies
