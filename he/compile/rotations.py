"""Which rotations get a key of their own: the others are taken in several steps, to save the bytes of their keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from he.program.algebra import apply
from he.program.operations import Rotate, arguments
from he.program.program import Program
from he.program.recorder import Recorder

MOST_STEPS = 15  # a rotation that takes more is worth a key


def compose(program: Program, steps: Iterable[int], row_length: int) -> Program:
    """The program with every rotation taken by the given steps alone, as few for each as possible.

    Values on the way are shared: two rotations of one value that begin alike begin once.

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
    """The program with at most so many distinct rotation steps, given up one by one, the cheapest to miss first.

    Fewer than the steps that are needed to reach all others there are never.
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
    """For every needed rotation and all on the way the last step of a shortest way there; what is too far is left out.

    Breadth first over the whole row.
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
