"""Units of a first layer that come several times, so that the layer behind it has fewer diagonals.

A matrix of n diagonals takes n operands, and where these are ciphertexts, each is read from memory, and the sums that
giant steps rotate are relinearised one by one. But the client puts the inputs of a first layer's units wherever they
are wanted, and as often: so the layer's units may come c times, each time moved by n / c places more than before. Then
a diagonal of the matrix reads units in all copies together, as c diagonals would read them in one, and n / c of them
are left. It costs the client more ciphertexts, as each holds fewer inputs of a unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from he.compiler.linear import LinearMap, width_of
from he.compiler.stages import Stage, layered
from intnn.network.edges import INPUT

MOST_TIMES = 4  # a request is as many times as long


def repeats(stages: Sequence[Stage]) -> list[int]:
    """Return how often the units of the first layer may come: once, and powers of two if one layer alone reads them.

    Args:
        stages: the result of `he.compiler.arrange.arranged`.
    """
    maps = [linear for linear, _ in layered(stages)]
    readers = [linear for linear in maps if 0 in linear.reads]
    others = [linear for linear in maps[1:] if INPUT in linear.reads]
    if others or maps[0].reads != (INPUT,) or [linear.reads for linear in readers] != [(0,)] or readers[0].period:
        return [1]
    if width_of(readers[0]) > width_of(maps[0]):
        return [1]
    return [1 << i for i in range(MOST_TIMES.bit_length()) if 1 << i <= width_of(readers[0])]


def repeated(stages: Sequence[Stage], times: int) -> list[Stage]:
    """Return stages that compute the same, with the units of the first layer so many times.

    Args:
        stages: the result of `he.compiler.arrange.arranged`.
        times: one of `repeats`.
    """
    (first, _), *others = layered(stages)
    (following,) = [linear for linear, _ in others if linear.reads == (0,)] if times > 1 else [None]
    if following is None:
        return list(stages)
    width, diagonals = width_of(first), width_of(following)
    left = diagonals // times
    every, inputs = np.arange(first.outputs), np.arange(first.inputs)
    copies = [first.moved((every - left * copy) % width, width, inputs, first.inputs) for copy in range(times)]
    copy = (following.columns - following.rows) % diagonals // left
    columns = width * copy + (following.columns - left * copy) % width
    order = np.lexsort((columns, following.rows))
    changed = {
        id(first): replace(LinearMap.stacked(copies), reads=first.reads, sizes=first.sizes),
        id(following): replace(
            following,
            inputs=times * width,
            sizes=(times * width,),
            columns=columns[order],
            weights=following.weights[order],
            pool=None,
        ),
    }
    return [changed.get(id(stage), stage) for stage in stages]


def told_of(times: int) -> tuple[str, ...]:
    """Return what is to be said of a first layer whose units come so many times."""
    return (f"first layer: every unit comes {times} times, for fewer diagonals behind it",) if times > 1 else ()
