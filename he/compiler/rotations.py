"""The choice of rotations that get a key; other rotations take several steps, which saves the bytes of their keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from he.program.algebra import apply
from he.program.operations import Rotate, arguments
from he.program.program import Program
from he.program.recorder import Recorder

FAR_TOO_MANY = 32  # steps above the limit, from which they are not given up one by one
MOST_STEPS = 15  # a rotation that would take more steps gets a key


def compose(program: Program, steps: Iterable[int], row_length: int) -> Program:
    """Return the program with every rotation replaced by as few of the given steps as possible.

    Rotations of one value share the steps that they have in common at the beginning.

    Raises:
        ValueError: if the steps do not reach a rotation of the program.
    """
    route = _routes(steps, row_length, program.rotation_steps)
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
    return recorder.program(program.slots, [known[output] for output in program.outputs], program.guards)


class Turns:
    """The rotations of a program, and by how many steps they are done where some steps have no key.

    What has been counted is kept: limits and prices change more often than steps do.

    Args:
        program: a program that has not been placed.
        row_length: the number of slots in a row.
    """

    def __init__(self, program: Program, row_length: int) -> None:
        self._program, self._row_length = program, row_length
        self._targets: dict[int, set[int]] = {}  # of every value that is rotated
        for operation in program.operations:
            if isinstance(operation, Rotate):
                self._targets.setdefault(operation.args[0], set()).add(operation.step)
        self._counted: dict[int, np.ndarray | None] = {}  # by the bits of the steps that have a key
        self._bit = {step: 1 << i for i, step in enumerate(sorted(program.rotation_steps))}

    def affordable(self, keys: int, price: Callable[[int, int, int], float]) -> Program:
        """Return the program with at most `keys` distinct rotation steps.

        Steps are given up one by one, and each time the one whose loss costs the least; while there are far too many,
        an eighth of those that are too many is given up at once. The result has more steps than `keys` if no further
        step can be given up.

        Args:
            keys: the number of steps that may have a key.
            price: the cost of rotating a value, by its number: of so many rotations, of which so many are rotated
                further.
        """
        steps = set(self._program.rotation_steps)

        def total(remaining: set[int]) -> float | None:
            """Return the cost of all rotations by these steps; None if they do not reach one of them."""
            counts = self._counts(remaining)
            return None if counts is None else sum(map(price, self._targets, *counts.tolist()))

        while len(steps) > keys:
            options = [(total(steps - {step}), step) for step in sorted(steps)]
            priced = sorted((cost, step) for cost, step in options if cost is not None)
            if not priced:
                break
            excess = len(steps) - keys
            for _, step in priced[: excess // 8 if excess > FAR_TOO_MANY else 1]:
                if total(steps - {step}) is not None:  # others have gone since it was priced
                    steps.remove(step)
        fewer = steps < self._program.rotation_steps
        return compose(self._program, steps, self._row_length) if fewer else self._program

    def _counts(self, steps: set[int]) -> np.ndarray | None:
        """Return how many rotations of each value there are, and how many are rotated further: [2, values].

        It is None if the steps do not reach a rotation of the program.
        """
        key = sum(self._bit[step] for step in steps)
        if key not in self._counted:
            route = _routes(steps, self._row_length, self._program.rotation_steps)
            trees = None
            if self._program.rotation_steps <= route.keys():
                trees = [_tree(targets, route, self._row_length) for targets in self._targets.values()]
            self._counted[key] = None if trees is None else np.array(trees, np.int32).T
        return self._counted[key]


def _tree(targets: Iterable[int], route: Mapping[int, int], row_length: int) -> tuple[int, int]:
    """Return how many rotations reach the targets by these routes, and how many of them are rotated further."""
    made, split = set(), set()
    for place in targets:
        while place and place not in made:
            made.add(place)
            place = (place - route[place]) % row_length
            split.add(place)
    return len(made), len(split - {0})


def _routes(steps: Iterable[int], row_length: int, needed: Iterable[int]) -> dict[int, int]:
    """Return the last step of a shortest way to each needed rotation, and to all on these ways.

    Sets of rotations are the bits of integers: all are turned by a step at once. Rotations that would take more than
    `MOST_STEPS` are left out.
    """
    every, ordered = (1 << row_length) - 1, sorted(steps)
    reached = frontier = 1
    wanted = sum(1 << place for place in set(needed))
    found: list[tuple[int, int]] = []  # a step, and what it was the first to reach
    for _ in range(MOST_STEPS):
        if not wanted & ~reached or not frontier:
            break
        following = 0
        for step in ordered:
            turned = ((frontier << step) | (frontier >> (row_length - step))) & every
            if fresh := turned & ~reached:
                found.append((step, fresh))
                reached |= fresh
                following |= fresh
        frontier = following
    route: dict[int, int] = {}
    for step, fresh in reversed(found):  # what lies on a way was found before what it leads to
        places = fresh & wanted
        while places:
            place = (places & -places).bit_length() - 1
            route[place] = step
            wanted |= 1 << (place - step) % row_length
            places &= places - 1
    return route
