"""What becomes of sums: requantisation and a table, in the arithmetic that their ranges allow."""

from dataclasses import dataclass

import numpy as np

from intnn.compiled import words
from intnn.compiled.fuse import INT32, FusedLayer, UnsupportedError
from intnn.layers.nodes import LutActivation, Requantise
from intnn.values.arrays import INT64, Array, IntArray, frozen
from intnn.values.domain import IntDomain

BYTE = IntDomain(0, 255)
EVERY_SUM = (frozen(np.array([INT32.lo])), frozen(np.array([INT32.hi])))
MAX_TABLE = 1 << 16  # points of a table that is gathered from; 256 KiB


@dataclass(frozen=True, eq=False)
class Epilogue:
    """How the sums of a fused layer become its outputs.

    Attributes:
        rescale: One of RAW, KEEP, NARROW and WIDE from `intnn.compiled.words`.
        shift: The number of bits by which the products of sums and multipliers are shifted to the right.
        half: The number added before the shift: the rounding term, less the offset of the outputs.
        limits: Where quotients saturate, less that offset; only WIDE reads it.
        saturation: int64 [channels] or [1] each, the least and the largest sum before saturation; only NARROW reads it.
        origin: The number to take from the biases, so that a table's index starts at zero.
        table: uint8 [256] or int32, the activation's values less the output's offset; None without a table.
    """

    rescale: int
    shift: int = 0
    half: int = 0
    limits: IntDomain = BYTE
    saturation: tuple[IntArray, IntArray] = EVERY_SUM
    origin: int = 0
    table: Array | None = None


def epilogue(fused: FusedLayer, offset: int, has_byte_tables: bool) -> Epilogue:
    """Choose the epilogue of a layer whose outputs are stored less ``offset``.

    Raises:
        UnsupportedError: A product, quotient or table is too large.
    """
    requantise, activation = fused.requantise, fused.activation
    if fused.gives_sums:
        return Epilogue(words.RAW)
    if requantise is not None:
        if activation is None:
            return _rescaling(fused, requantise, offset, fused.output.hull, None)
        domain = requantise.domain
        return _rescaling(fused, requantise, domain.lo, domain, _table(activation, domain, offset, has_byte_tables))
    if activation is not None:
        hull = fused.sums.hull
        return Epilogue(words.KEEP, origin=hull.lo, table=_table(activation, hull, offset, has_byte_tables))
    return Epilogue(words.NARROW, half=-offset)  # between layers; the multipliers are ones


def _rescaling(
    fused: FusedLayer, requantise: Requantise, base: int, limits: IntDomain, table: Array | None
) -> Epilogue:
    shift, factors = requantise.shift, requantise.multiplier
    half = (1 << shift >> 1) - (base << shift)  # (p + half) >> shift is the quotient less the base
    if not (INT32.contains_array(factors) and INT32.issuperset(limits) and abs(base) <= INT32.hi):
        raise UnsupportedError(f"{requantise} must have multipliers and limits of int32")
    channels = len(fused.linear.weight)
    sides = (side.reshape(channels, -1) for side in (fused.sums.lo, fused.sums.hi))
    lows, highs = (extreme(side, axis=1) for extreme, side in zip((np.min, np.max), sides, strict=True))

    # With steps of at most one the quotient meets every integer, and so saturates exactly where the sums do.
    if shift < 32 and factors.min() > 0 and factors.max() <= 1 << shift:
        rounding = 1 << shift >> 1
        least = -((rounding - (limits.lo << shift)) // factors)  # the least sum with a quotient of at least `lo`
        largest = ((limits.hi + 1 << shift) - rounding - 1) // factors
        least, largest = (np.clip(end, INT32.lo, INT32.hi) for end in (least, largest))
        ends = np.concatenate([np.clip(end, least, largest) * factors for end in (lows, highs)])
        if _fits(INT32, ends, half):
            return Epilogue(words.NARROW, shift, half, BYTE, (least, largest), 0, table)

    ends = np.concatenate([lows * factors, highs * factors])  # int32 squared: fits int64
    inside = IntDomain(int(INT64.min), int(INT64.max))
    quotients = [int(end) + half >> shift for end in (ends.min(), ends.max())]
    if not (_fits(inside, ends, half) and all(q in INT32 for q in quotients)):
        raise UnsupportedError(f"{requantise} must give int32 before it saturates")
    return Epilogue(words.WIDE, shift, half, IntDomain(limits.lo - base, limits.hi - base), table=table)


def _fits(domain: IntDomain, products: IntArray, half: int) -> bool:
    """Whether products, the rounding term and their sums lie in the domain."""
    reach = int(products.min()), int(products.max())
    return all(value in domain for value in (half, *reach, *(end + half for end in reach)))


def _table(activation: LutActivation, points: IntDomain, offset: int, has_byte_tables: bool) -> Array:
    """The activation's values by an index that starts at ``points.lo``."""
    if points.size > MAX_TABLE:
        raise UnsupportedError(f"a table must have at most {MAX_TABLE} points, got {points.size}")
    lut = activation.lut
    # Points outside the table's domain are never met: the network proved it.
    index = np.clip(points.values() - lut.domain.lo, 0, lut.domain.size - 1)
    values = (lut.table[index] - offset) & 255
    if points.size > 256 or not has_byte_tables:
        return values.astype(np.int32)
    return np.pad(values, (0, 256 - len(values))).astype(np.uint8)
