"""The places of units in the slots, and the layers that are too large for one ciphertext.

Packed for latency, a layer is evaluated by the diagonals of its matrix. Where a unit lies is free: the client puts the
inputs of the first layer's units wherever they are wanted, and a matrix may write its outputs in any order. So the
pixels of an image are placed such that a convolution has few diagonals. All layers of convolutions share a grid of
cells: a pixel lies in the cell of the region that it leads to, and the pixels of a cell, and the channels, lie whole
grids apart. Then a tap moves all pixels by the same distance, and a convolution of c channels to d has a diagonal for
each tap and each of at most c + d distances between channels. Lee et al., *Low-complexity deep convolutional neural
networks on fully homomorphic encryption using multiplexed parallel convolutions*, ICML 2022, multiplex alike; here
nothing is masked or collected, because a matrix reads and writes any places.

Where a layer is read as sums of neighbouring pixels, those of one sum lie as far apart as each other, as many as fill
the row: rotations add them up for all sums at once, and the matrix behind has fewer diagonals.

A layer with more places than a row has slots is cut into several, of one ciphertext each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from he.compiler.linear import Grid, LinearMap, power_of_two
from he.compiler.stages import Function, Stage, layered
from he.ring.params import ParameterError
from intnn.network.edges import INPUT

ROW = 1 << 14  # slots of a row in the largest ring
MOST_CIPHERTEXTS = 512  # of a request for one image: some 400 MB in the largest ring

_Layers = list[tuple[LinearMap, list[Function]]]

#: Where the units of a layer come from: another layer's number, and its unit for each of them, -1 for places without.
Origin = tuple[int, np.ndarray]


class Places(NamedTuple):
    """The places of the units of every layer.

    They follow from where maps have terms, and so are those of a network modulo any prime.

    Attributes:
        at: int64 [units] for every layer.
        moves: whether a layer's units are not in their order, or a layer has to be cut.
    """

    at: list[np.ndarray]
    moves: bool

    @staticmethod
    def of(stages: Sequence[Stage], row: int = ROW) -> Places:
        """Return the places that make few diagonals; the outputs stay as they are.

        Args:
            stages: the result of `he.compiler.stages.to_stages`.
            row: the slots of a row.

        Raises:
            ParameterError: if a client would have to send too many ciphertexts.
        """
        layers = layered(stages)
        _require_sendable(layers, row)
        in_order = [np.arange(linear.outputs) for linear, _ in layers]
        candidates = [in_order, *_on_grids(layers, in_order)]
        fitting = [places for places in candidates if all(_width(at) <= row for at in places[:-1])]
        places = min(fitting or candidates, key=lambda places: _diagonals(layers, places))
        is_chain = all(linear.reads == (number - 1,) for number, (linear, _) in enumerate(layers))
        return Places(places, moves=not (places is in_order and is_chain and fitting))


def arranged(stages: Sequence[Stage], row: int = ROW, places: Places | None = None) -> list[Stage]:
    """Return the stages of `arranged_from`, without where their units come from."""
    return arranged_from(stages, row, places)[0]


def arranged_from(
    stages: Sequence[Stage], row: int = ROW, places: Places | None = None
) -> tuple[list[Stage], list[Origin]]:
    """Return stages that compute the same, with units in places that make few diagonals.

    Args:
        stages: the result of `he.compiler.stages.to_stages`.
        row: the slots of a row.
        places: those of the units; by default, `Places.of` these stages.

    Raises:
        ParameterError: if a client would have to send too many ciphertexts.

    Returns:
        The stages; no linear map has more than `row` outputs, but for the last. And, for each linear map, where its
        units come from.
    """
    places = places or Places.of(stages, row)
    if not places.moves:
        return list(stages), list(enumerate(places.at))
    moved = _moved(layered(stages), places.at, row)
    origins = []
    for (linear, _), at in zip(moved, places.at, strict=True):
        origins.append(np.full(linear.outputs, -1))
        origins[-1][at] = np.arange(len(at))
    cut, cut_origins = _cut(moved, origins, row)
    return [stage for linear, functions in cut for stage in (linear, *functions)], cut_origins


def _require_sendable(layers: _Layers, row: int) -> None:
    """Refuse first layers that read more inputs, unit by unit, than a request may hold."""
    firsts = [linear for linear, _ in layers if linear.reads == (INPUT,)]
    sent = sum(-(-linear.outputs // row) * int(np.diff(linear.starts).max(initial=1)) for linear in firsts)
    if max(linear.outputs for linear in firsts) > row and sent > MOST_CIPHERTEXTS:
        raise ParameterError(
            f"the first layers must read what {MOST_CIPHERTEXTS} ciphertexts hold, got {sent}, one for every {row} "
            "units and each of their inputs: make the layer or its input smaller, or its steps larger"
        )


def _on_grids(layers: _Layers, in_order: list[np.ndarray]) -> list[list[np.ndarray]]:
    """Return places on one grid of all layers of pixels, and others where a layer has finer pixels than what it reads.

    These are then as far apart as if the image had not become larger, which suits outputs in order.
    """
    grids = [linear.grid for linear, _ in layers[:-1]]
    coarse: list[Grid | None] = []
    for (linear, _), grid in zip(layers, grids, strict=False):
        behind = [coarse[number] for number in linear.reads if number != INPUT]
        steps = [other.step for other in (grid, *behind) if other is not None]
        coarse.append(grid and Grid(grid.shape, (max(step[0] for step in steps), max(step[1] for step in steps))))
    more = _on_grid_of(layers, coarse, in_order) if coarse != grids else []
    return _on_grid_of(layers, grids, in_order) + more


def _on_grid_of(layers: _Layers, grids: list[Grid | None], in_order: list[np.ndarray]) -> list[list[np.ndarray]]:
    """Return places on one grid, of sides that are powers of two, and of the least sides."""
    images = [grid for grid in grids if grid is not None]
    if len(images) < 2:  # a grid makes the diagonals between two layers fewer
        return []
    last = [max(grid.step[axis] for grid in images) for axis in (0, 1)]  # pixels of the input that a cell is high, wide
    if any(last[axis] % grid.step[axis] for grid in images for axis in (0, 1)):
        return []
    rows, columns = (
        max(-(-grid.shape[1 + axis] * grid.step[axis] // last[axis]) for grid in images) for axis in (0, 1)
    )
    pools = [_pool_of(layers, number) for number in range(len(grids))]
    result = []
    for sides in dict.fromkeys([(power_of_two(rows), power_of_two(columns)), (rows, columns)]):
        at = [plain if grid is None else _on_grid(grid, last, sides, pool, len(plain))
              for grid, pool, plain in zip(grids, pools, in_order, strict=False)]  # fmt: skip
        result.append([*at, in_order[-1]])
    return result


def _pool_of(layers: _Layers, number: int) -> tuple[int, int]:
    """Return the pixels of a layer that all of its readers read as sums, of so many down and across."""
    sizes = {linear.pool.size if linear.pool else (1, 1) for linear, _ in layers if number in linear.reads}
    (size, *others) = sizes
    return (1, 1) if others else size


def _on_grid(grid: Grid, cell: Sequence[int], sides: tuple[int, int], pool: tuple[int, int], units: int) -> np.ndarray:
    """Return the places of a layer's units: pixels by phase in their cell, channel and cell, then all others.

    The phases within a sum of pixels come first, and for their sake channels are as many as a power of two, if that
    takes no longer a period.
    """
    down, across = (cell[axis] // grid.step[axis] for axis in (0, 1))
    channels, (high, wide) = grid.shape[0], pool
    if down % high or across % wide:
        high = wide = 1
    padded = power_of_two(channels)
    if power_of_two(down * across * channels * sides[0] * sides[1]) == power_of_two(
        down * across * padded * sides[0] * sides[1]
    ):
        channels = padded
    channel, y, x = (axis.ravel() for axis in np.indices(grid.shape))
    outer = (y % high) * wide + x % wide
    inner = (y % down // high) * (across // wide) + x % across // wide
    phase = outer * (down // high) * (across // wide) + inner
    at = ((phase * channels + channel) * sides[0] + y // down) * sides[1] + x // across
    free = int(at.max()) + 1
    return np.concatenate([at, np.arange(free, free + units - len(at))])


def _width(places: np.ndarray) -> int:
    return power_of_two(int(places.max()) + 1)


def _diagonals(layers: _Layers, places: list[np.ndarray]) -> int:
    """Return how many diagonals all layers behind the first have, and as many more as sums over copies take."""
    total = 0
    for (linear, _), at in zip(layers, places, strict=True):
        if linear.reads == (INPUT,):
            total += int(np.diff(linear.starts).max()) * _width(at) >> 14  # ciphertexts that a client sends
            continue
        widths = [_width(places[read]) for read in linear.reads]
        out, width = _width(at), max(widths)
        rows = at[linear.rows]
        for number, read in enumerate(linear.reads):
            begin = sum(linear.sizes[:number])
            mine = (linear.columns >= begin) & (linear.columns < begin + linear.sizes[number])
            columns = places[read][linear.columns[mine] - begin]
            if period := _period(linear, places):
                width, columns = period, columns % period
            total += len(np.unique((columns - rows[mine]) % min(width, out)))
        total += max(0, (width // out).bit_length() - 1)
    return total


def _period(linear: LinearMap, places: list[np.ndarray]) -> int:
    """Return the distance of pixels that a map reads as sums, if they fill their layer's period; 0 if they do not."""
    if linear.pool is None or linear.grid is None or linear.reads[0] == INPUT:
        return 0
    at, count = places[linear.reads[0]], math.prod(linear.pool.size)
    period = _width(at) // count
    if count < 2 or count != power_of_two(count):
        return 0
    # The pixels of a sum must be all that lie a multiple of the period apart, and so as many as there are.
    sums, is_read = linear.pool.sums, linear.pool.sums >= 0
    met = np.unique(np.stack([sums[is_read], at[is_read] % period]), axis=1)
    return period if met.shape[1] == sums.max() + 1 else 0


def _moved(layers: _Layers, places: list[np.ndarray], row: int) -> _Layers:
    """Return the layers with units at their places."""
    widths = [_width(at) for at in places]
    firsts = [number for number, (linear, _) in enumerate(layers) if linear.reads == (INPUT,)]
    for number in firsts:  # the client packs the inputs of all of them alike
        widths[number] = max(widths[first] for first in firsts)
    widths[-1] = layers[-1][0].outputs
    result: _Layers = []
    for (linear, functions), at, outputs in zip(layers, places, widths, strict=True):
        sizes = [linear.inputs if read == INPUT else widths[read] for read in linear.reads]
        begins = np.cumsum([0, *sizes[:-1]])
        columns = [
            begin + (np.arange(linear.inputs) if read == INPUT else places[read])
            for begin, read in zip(begins, linear.reads, strict=True)
        ]
        moved = linear.moved(at, outputs, np.concatenate(columns), sum(sizes))
        period = _period(linear, places) if max(sizes) <= row else 0
        result.append((replace(moved, sizes=tuple(sizes), period=period), functions))
    return result


def _cut(layers: _Layers, origins: Sequence[np.ndarray], row: int) -> tuple[_Layers, list[Origin]]:
    """Return the layers, those of more than a row's units as several, and where units come from; the last stays one."""
    result: _Layers = []
    come_from: list[Origin] = []
    made: list[list[int]] = []  # the numbers of the layers that each one has become
    for number, (linear, functions) in enumerate(layers):
        known = [[INPUT] if read == INPUT else made[read] for read in linear.reads]
        sizes = [size // len(parts) for parts, size in zip(known, linear.sizes, strict=True) for _ in parts]
        linear = replace(linear, reads=tuple(part for parts in known for part in parts), sizes=tuple(sizes))
        count = 1 if number == len(layers) - 1 else -(-linear.outputs // row)
        made.append(list(range(len(result), len(result) + count)))
        if count == 1:
            result.append((linear, functions))
            come_from.append((number, origins[number]))
            continue
        each, unit, inputs = linear.outputs // count, np.arange(linear.outputs), np.arange(linear.inputs)
        for part in range(count):  # widths are powers of two, and so is a row
            at = np.where(unit // each == part, unit % each, -1)
            result.append((linear.moved(at, each, inputs, linear.inputs), list(functions)))
            come_from.append((number, origins[number][part * each : (part + 1) * each]))
    return result, come_from
