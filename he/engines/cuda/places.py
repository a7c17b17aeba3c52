"""Where constants lie on the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from he.engines.rns.weights import Weights
from he.formats.switching import RELINEARISATION
from he.program.operations import Matrix, Plain
from he.ring.gadget import Gadget


@dataclass(frozen=True, eq=False)
class Places:
    """Where constants lie on the device: the first row of each, in the order of what they are made of.

    Attributes:
        factors: of every plaintext that is multiplied with, among the rows of weights.
        addends: of every plaintext that is added, among the same.
        matrices: the weights of every matrix, uint64 [level, ceil(rows / 4), terms, 4], times 2**52.
        keys: of every key, by Galois element and number of special primes, among the rows of keys; and the highest
            level that it serves.
        orders: the line of every Galois element's permutation.
        operands: the index of every encrypted operand among those of the tape.
    """

    factors: Mapping[Plain, int]
    addends: Mapping[Plain, int]
    matrices: Mapping[Matrix, np.ndarray]
    keys: Mapping[tuple[int, int], tuple[int, Gadget]]
    orders: Mapping[int, int]
    operands: Mapping[Plain, int]


def places(weights: Weights, keys: Sequence[tuple[int, Gadget]], encrypted: Sequence[Plain] = ()) -> Places:
    """Return where the rows of weights and keys lie, in the order in which they are copied."""
    row, factors, addends, found = 0, {}, {}, {}
    for plain, packed in weights.factors.items():
        factors[plain], row = row, row + len(packed.addresses)
    for plain, residues in weights.addends.items():
        addends[plain], row = row, row + len(residues)
    row = 0
    for element, gadget in keys:
        found[element, gadget.specials], row = (row, gadget), row + key_rows(gadget)
    orders = {element: line for line, element in enumerate(rotations(keys))}
    operands = {plain: i for i, plain in enumerate(encrypted)}
    return Places(factors, addends, weights.matrices, found, orders, operands)


def key_rows(gadget: Gadget) -> int:
    """Return the number of rows of a key."""
    return 2 * len(gadget.groups) * gadget.rows


def rotations(keys: Sequence[tuple[int, Gadget]]) -> list[int]:
    """Return the Galois elements of rotations, in the order of their permutations."""
    return [element for element in dict.fromkeys(element for element, _ in keys) if element != RELINEARISATION]


def stacked(arrays: Sequence[np.ndarray], dtype: type, N: int) -> np.ndarray:
    """Return arrays [.., N] as the rows of one."""
    return np.concatenate(
        [np.asarray(array).reshape(-1, N).astype(dtype, copy=False) for array in arrays] or [np.empty((0, N), dtype)]
    )
