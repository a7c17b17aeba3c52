"""What a plan needs of a GPU at least: bytes that are moved and instructions that are issued, launch by launch.

Bytes are those of every distinct row that a pass over the memory reads or writes, of plaintexts, keys and roots, and of
tables; a GPU that finds some of them in its cache moves fewer. Instructions are those of arithmetic, as NVIDIA's
assembler makes them for compute capability 9.0; addresses are not counted. A launch takes at least the longer of the
two times, and starting it takes time beside that. So these are floors that no record has confirmed: predictions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from he.engines.cuda.tape import Kernel, Plan, Step
from he.formats.compact import Form
from he.kernels.cuda.columns import (
    LAYOUT_COLUMNS,
    MINUEND,
    NONE,
    ORIGIN,
    PRIME,
    ROOT_BYTES,
    TILES,
    arrival_kernels,
    stream_parts,
    transform_passes,
)
from he.ring.packed import SEED_BYTES

WORD = 8  # bytes
COMPRESSION, UNPACKING, MARKING = 2124, 17, 2  # instructions of BLAKE2b's, of a packed word, of a node's marks
BUTTERFLY, TIMES, SCALING, LIFT, SUM = 17, 13, 21, 8, 5  # instructions of each; a scaling ends below its prime
LIMBS, PRODUCT, REDUCTION, FRACTION = 3, 6, 51, 3  # to split a factor, add a product, end a sum, add a share


@dataclass(frozen=True)
class Gpu:
    """A GPU by its data sheet.

    Attributes:
        name: its name.
        bandwidth: bytes that its memory moves in a second.
        instructions: instructions of single threads that it issues in a second: as many as multiplications with
            addition in single precision.
    """

    name: str
    bandwidth: float
    instructions: float


@dataclass(frozen=True)
class Needs:
    """What one launch, or several of one kernel, need.

    Attributes:
        kernel: the kernel's name.
        launches: how many kernels are started.
        bytes: the bytes that are moved.
        instructions: the instructions of single threads.
        longer: seconds on each GPU that was asked about, in their order: the longer of the times for both, added up.
    """

    kernel: str
    launches: int
    bytes: int
    instructions: int
    longer: tuple[float, ...]


def needs(plan: Plan, N: int, gpus: Sequence[Gpu]) -> list[Needs]:
    """Return what a plan needs, by kernel, the one that takes most on the first GPU before the others."""
    found: dict[str, Needs] = {}
    arrivals = [] if plan.form is None else needed_on_arrival(plan.form, len(plan.inputs))
    steps = [(step.kernel.name.lower(), *needed(step, N)) for step in plan.launches]
    for name, launches, moved, instructions in [*arrivals, *steps]:
        longer = tuple(max(moved / gpu.bandwidth, instructions / gpu.instructions) for gpu in gpus)
        before = found.get(name, Needs(name, 0, 0, 0, (0.0,) * len(longer)))
        found[name] = Needs(
            name,
            before.launches + launches,
            before.bytes + moved,
            before.instructions + instructions,
            tuple(a + b for a, b in zip(before.longer, longer, strict=True)),
        )
    return sorted(found.values(), key=lambda need: -need.longer[0])


def needed(step: Step, N: int) -> tuple[int, int, int]:
    """Return how many kernels a step starts, the bytes that they move, and their instructions."""
    kernel, lines, terms = step.kernel, len(step.table), len(step.terms)
    rows = len(step.read) + len(step.written)
    tables = step.table.nbytes + step.terms.nbytes + step.shares.nbytes
    passes = 1
    match kernel:
        case Kernel.FORWARD | Kernel.INVERSE:
            passes = transform_passes(N)
            rows += 2 * lines * (passes - 1) + 2 * len(np.unique(step.table[:, PRIME]))  # and roots with quotients
            words: float = lines * BUTTERFLY * (N.bit_length() - 1) / 2
            if kernel is Kernel.INVERSE:
                words += lines * (TIMES + SCALING * passes)
            else:
                words += lines * SCALING + LIFT * _given(step, ORIGIN) + SUM * _given(step, MINUEND)
        case Kernel.COMBINE | Kernel.COMBINE_TILE:
            rows += len(np.unique(step.terms[step.terms[:, 0] < 0, 0]))
            tile = TILES[kernel is Kernel.COMBINE_TILE]
            words = LIMBS * terms + tile * (PRODUCT * terms + (REDUCTION + SUM) * lines)
        case Kernel.PRODUCTS:
            rows += len(np.unique(step.terms[:, 2]))
            words = (3 * LIMBS + 2 * PRODUCT) * terms + 2 * REDUCTION * lines
        case Kernel.SWITCH:
            rows += len(np.unique(step.terms[:, 1:]))
            words = (3 * LIMBS + 2 * PRODUCT) * terms + 2 * REDUCTION * lines + (2 * LIMBS + PRODUCT) * _given(step, 5)
        case Kernel.EXTEND:
            words = (LIMBS + PRODUCT + FRACTION) * terms + (2 * LIMBS + PRODUCT + REDUCTION) * lines
        case Kernel.TENSOR:
            words = lines * (2 * SCALING + 4 * (LIMBS + PRODUCT) + 3 * REDUCTION)
        case Kernel.TENSOR_SUMS:
            words = 4 * (LIMBS + PRODUCT) * terms + 3 * REDUCTION * lines
        case Kernel.SQUARE_PARTS:
            words = lines * (4 * SCALING + 8 * LIMBS + 6 * PRODUCT + 3 * REDUCTION + 6 * SUM)
    return passes, WORD * N * rows + passes * tables, int(N * words)


def needed_on_arrival(form: Form, count: int) -> list[tuple[str, int, int, int]]:
    """Return what makes residues of ciphertexts as they come: each kernel's name, and what `needed` returns of it."""
    level, N = len(form.primes), form.degree
    drawn, unpacked = count * level * N, count * form.polynomials * level * N
    nodes, buffers = (count * part for part in stream_parts(level, N))
    seeds, roots = SEED_BYTES * count * form.seeded, ROOT_BYTES * buffers
    table = WORD * LAYOUT_COLUMNS * form.polynomials * level
    found = [
        ("unpack", count * form.bytes - seeds + WORD * unpacked + table, UNPACKING * unpacked),
        ("roots", seeds + roots, 2 * COMPRESSION * buffers),
        ("expand", roots + WORD * drawn + nodes, COMPRESSION * nodes + (SCALING + SUM) * drawn),
        ("redraw", nodes, MARKING * nodes),
    ]
    kernels = arrival_kernels(form.seeded)
    return [(name, 1, moved, instructions) for name, moved, instructions in found if name in kernels]


def _given(step: Step, column: int) -> int:
    """Return how many lines name something in a column."""
    return int(np.count_nonzero(step.table[:, column] != NONE))
