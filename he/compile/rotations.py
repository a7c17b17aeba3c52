"""The choice of rotations that get a key; other rotations take several steps, which saves the bytes of their keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from he.program.algebra import apply
from he.program.operations import Rotate, arguments
from he.program.program import Program
from he.program.recorder import Recorder

MOST_STEPS = 15  # a rotation that would take more steps gets a key


def compose(program: Program, steps: Iterable[int], row_length: int) -> Program:
    """Return the program with every rotation replaced by as few of the given steps as possible.

    Rotations of one value share the steps that they have in common at the beginning.

    Raises:
        ValueError: if the steps do not reach a rotation of the program.
    """
    route = _routes(sorted(steps), row_length, program.rotation_steps)
    missing = sorted(program.rotation_steps - route.keys())
    if missing:
        raise ValueError(f"`steps` must reach every rotation of the program, got none that reach {missing}")
    recorder = Recorder(program.plaintexts, program.inputs)
    known: list[int] = []
    taken: dict[tuple[int, int], int] = {}

    def rotate(value: int, step: int) -> int:
        if step and (value, step) not in taken:
            last = route[step]
            taken[value, step] = recorder.rotate(rotate(value, (step - last) % row_length), last)
        return taken[value, step] if step else value

    for operation in program.operations:
        operands = [known[a] for a in arguments(operation)]
        if isinstance(operation, Rotate):
            known.append(rotate(operands[0], operation.step))
        else:
            known += apply(recorder, operation, operands)
    return recorder.program(program.slots, [known[output] for output in program.outputs])


def affordable(program: Program, keys: int, row_length: int, price: Callable[[Program], float]) -> Program:
    """Return the program with at most `keys` distinct rotation steps.

    Steps are given up one by one, and each time the one whose loss costs the least. The result has more steps than
    `keys` if no further step can be given up.

    Args:
        program: a program that has not been placed.
        keys: the number of steps that may have a key.
        row_length: the number of slots in a row.
        price: the cost of a program.
    """
    steps, best = set(program.rotation_steps), program
    while len(steps) > keys:
        options = [(step, _without(program, steps - {step}, row_length)) for step in sorted(steps)]
        priced = [(price(option), step, option) for step, option in options if option is not None]
        if not priced:
            break
        _, step, best = min(priced, key=lambda entry: entry[:2])
        steps.remove(step)
    return best


def _without(program: Program, steps: set[int], row_length: int) -> Program | None:
    try:
        return compose(program, steps, row_length)
    except ValueError:
        return None


def _routes(steps: list[int], row_length: int, needed: frozenset[int]) -> dict[int, int]:
    """Return the last step of a shortest way to each rotation that the breadth-first search meets.

    The search ends once all needed rotations are reached; those that take more than `MOST_STEPS` are left out.
    """
    last = np.zeros(row_length, np.int64)
    reached = np.zeros(row_length, bool)
    reached[0] = True
    frontier = reached.copy()
    places = np.array(sorted(needed), np.int64)
    for _ in range(MOST_STEPS):
        if reached[places].all() or not frontier.any():
            break
        following = np.zeros_like(frontier)
        for step in steps:
            fresh = np.roll(frontier, step) & ~reached
            last[fresh] = step
            reached |= fresh
            following |= fresh
        frontier = following
    return {int(place): int(last[place]) for place in np.flatnonzero(last)}
