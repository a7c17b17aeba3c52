"""How a client's inputs are gathered for the first layers: each into the slots of the units that read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from he.circuit.packing import MAX_TAPS, InputLayout, Packing
from he.compiler.linear import LinearMap, width_of
from he.ring.params import ParameterError


class Gathering(NamedTuple):
    """How a client's inputs are gathered for the first layers, those that read the network's input.

    Attributes:
        layout: the layout of all of their inputs.
        parts: the ciphertexts of each of the layers, by its place in memory.
    """

    layout: InputLayout
    parts: dict[int, range]

    @staticmethod
    def of(packing: Packing, firsts: Sequence[LinearMap]) -> Gathering:
        """Return how the inputs of these layers are gathered; the taps of each begin a ciphertext."""
        tables = [gather(first) for first in firsts]
        width = max(len(table) for table in tables)
        each = packing.copies(width) * (1 if packing.split_rows else packing.rows)  # taps in a ciphertext
        parts, padded, begin = {}, [], 0
        for first, table in zip(firsts, tables, strict=True):
            count = -(-table.shape[1] // each)
            parts[id(first)] = range(begin, begin + count)
            more = count * each - table.shape[1] if len(firsts) > 1 else 0
            padded.append(np.pad(table, ((0, width - len(table)), (0, more)), constant_values=-1))
            begin += count
        return Gathering(InputLayout.of(packing, firsts[0].inputs, np.concatenate(padded, axis=1)), parts)


def gather(linear: LinearMap) -> np.ndarray:
    """Return the inputs that the architecture connects with each unit: int64 [width, taps], -1 for absent taps."""
    taps = max(1, int(np.diff(linear.starts).max()))
    if width_of(linear) * taps > MAX_TAPS:
        raise ParameterError(
            f"the first layer must read at most {MAX_TAPS:,} inputs, as many for each unit as for the unit with the "
            f"most, got {width_of(linear):,} x {taps:,}: make the layer or its input smaller"
        )
    gather = np.full((width_of(linear), taps), -1, dtype=np.int64)
    gather[taps_of(linear)] = linear.columns
    return gather


def taps_of(linear: LinearMap) -> tuple[np.ndarray, np.ndarray]:
    """Return the unit of every term, and the number of the term among those of its unit."""
    return linear.rows, np.arange(len(linear.columns)) - linear.starts[linear.rows]
