"""The cheapest way to lower a network: the schedules of its linear layers, and the rotation keys that it can afford."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from he.compile.fit import Fit
from he.compile.latency import Lowered, Schedule, schedules
from he.compile.rotations import affordable
from he.compile.stages import Stage
from he.program.operations import Multiply
from he.program.program import Program
from he.readers.cost import HOISTING, Prices, cost, key_bytes

#: What a client sends once, and a server keeps for each of its clients.
MAX_KEY_BYTES = 60_000_000

ATTEMPTS = 3  # parameters, keys, and parameters again: fewer keys may take a longer modulus, whose keys are longer


def cheapest(
    stages: Sequence[Stage],
    write: Callable[[Sequence[Schedule]], Lowered],
    fit: Callable[[Program], Fit],
    prices: Prices = HOISTING,
    max_key_bytes: int = MAX_KEY_BYTES,
) -> tuple[Lowered, Fit]:
    """Choose a schedule for every linear layer by its price, then give up keys until the others are few enough.

    A schedule moves no level, so layers are chosen one by one, under parameters that fit any choice; the final program
    is fitted anew, for its noise.

    Args:
        stages: what `he.compile.stages.to_stages` gives.
        write: lowers the stages by a choice from `schedules`.
        fit: finds parameters for a program.
        prices: of the engine that is to run it.
        max_key_bytes: of all evaluation keys. Where a network cannot do with so little, it takes the fewest.

    Raises:
        ParameterError: if `fit` finds no parameters.
    """
    choices = schedules(stages)
    chosen = [options[0] for options in choices]
    lowered = write(chosen)
    fitted = fit(lowered.program)

    def price(program: Program) -> float:
        return cost(fitted.place(program), fitted.parameters, prices).total

    for layer, options in enumerate(choices):
        variants = [[*chosen[:layer], option, *chosen[layer + 1 :]] for option in options]
        chosen = min(variants, key=lambda variant: price(write(variant).program))
    lowered = write(chosen)
    for _ in range(ATTEMPTS):
        keys = _keys(lowered.program, fitted, max_key_bytes)
        program = affordable(lowered.program, keys, fitted.parameters.row_length, price)
        fitted = fitted.again(program) or fit(program)
        if cost(fitted.program, fitted.parameters).key_bytes <= max_key_bytes:
            break
    return lowered._replace(program=program), fitted


def _keys(program: Program, fitted: Fit, max_key_bytes: int) -> int:
    """Rotation steps that may have a key beside those that the row swap and relinearisation need."""
    multiplies = any(isinstance(operation, Multiply) for operation in program.operations)
    each = key_bytes(fitted.parameters, fitted.parameters.levels)
    return max_key_bytes // each - program.swaps_rows - multiplies
