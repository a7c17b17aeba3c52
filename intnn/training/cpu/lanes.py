"""What a training step does with one vector of lanes beside its products: copies, activations, pooling, errors.

These instructions are emitted, since LLVM leaves loops over bytes scalar if their length is known only at run time.
Every function takes addresses and numbers, in one tuple of int64. Vectors may read and write behind the row that they
are meant for: rows are visited in ascending order, so that what lies behind is written later, and every array has slack
at its end.
"""

from collections.abc import Callable
from typing import Any

from numba.core import cgutils

from intnn.machine.emit import emitted
from intnn.machine.host import instruction_set
from intnn.machine.simd import I8, I32, I64, Builder, Value, clip, constant, load, splat, store, vector

FOLDED = 8  # how many int32s `fold` adds


def on_lanes(emit: Callable[..., None]) -> Any:
    """`emitted`, for a function whose second argument is the number of lanes of the processor's vectors."""
    return emitted(lambda builder, *numbers: emit(builder, instruction_set().lanes, *numbers))


def copy_8(b: Builder, _lanes: int, source: Value, target: Value) -> None:
    """Copy eight bytes."""
    store(b, load(b, I64, source), target)


def copy_16(b: Builder, _lanes: int, source: Value, target: Value) -> None:
    """Copy sixteen bytes."""
    store(b, load(b, vector(I8, 16), source), target)


def fold(b: Builder, _lanes: int, source: Value, target: Value) -> None:
    """Add `FOLDED` int32s at ``source`` to those at ``target``."""
    kind = vector(I32, FOLDED)
    store(b, b.add(load(b, kind, target), load(b, kind, source)), target)


def relu(
    b: Builder, lanes: int, sums: Value, values: Value, slopes: Value, early: Value, last: Value, left: Value
) -> None:
    """Turn sums (int32) into activations and slopes (bytes); `intnn.training.cpu.activations` explains the shifts."""
    early, last, left = (splat(b, b.trunc(number, I32), lanes) for number in (early, last, left))
    low, high, zero = (splat(b, I32(number), lanes) for number in (-256, 255, 0))
    z = b.ashr(b.add(b.ashr(load(b, vector(I32, lanes), sums), early), last), last)
    z = clip(b, b.shl(clip(b, z, low, high), left), low, high)
    rises = b.and_(b.icmp_signed(">", z, zero), b.icmp_signed("<", z, high))
    bytes_ = vector(I8, lanes)
    store(b, b.trunc(b.select(b.icmp_signed(">", z, zero), z, zero), bytes_), values)
    store(b, b.select(rises, splat(b, I8(64), lanes), splat(b, I8(0), lanes)), slopes)


def pool(
    b: Builder, lanes: int, x: Value, pixel: Value, row: Value, size: Value, shift: Value, offset: Value, out: Value
) -> None:
    """Sum bytes, less ``offset`` each, over size x size pixels, rescale, and store as bytes plus ``offset``."""
    kind = vector(I32, lanes)
    half = b.lshr(b.shl(I64(1), shift), I64(1))
    start = b.sub(half, b.mul(offset, b.mul(size, size)))
    total = cgutils.alloca_once_value(b, splat(b, b.trunc(start, I32), lanes))
    with cgutils.for_range(b, size) as u:
        line = b.add(x, b.mul(u.index, row))
        with cgutils.for_range(b, size) as v:
            here = load(b, vector(I8, lanes), b.add(line, b.mul(v.index, pixel)))
            b.store(b.add(b.load(total), b.zext(here, kind)), total)
    result = b.ashr(b.load(total), splat(b, b.trunc(shift, I32), lanes))
    result = b.add(result, splat(b, b.trunc(offset, I32), lanes))
    store(b, b.trunc(result, vector(I8, lanes)), out)


def spread(b: Builder, lanes: int, errors: Value, slopes: Value, out: Value) -> None:
    """Multiply errors (int8) by slopes (int8, in 1/64), round, saturate, and store the result plus 128."""
    kind, bytes_ = vector(I32, lanes), vector(I8, lanes)
    e, slope = (b.sext(load(b, bytes_, address), kind) for address in (errors, slopes))
    product = b.ashr(b.add(b.mul(e, slope), splat(b, I32(32), lanes)), splat(b, I32(6), lanes))
    value = clip(b, product, splat(b, I32(-127), lanes), splat(b, I32(127), lanes))
    store(b, b.trunc(b.add(value, splat(b, I32(128), lanes)), bytes_), out)


def interleave(b: Builder, lanes: int, rows: Value, row: Value, out: Value, flip: Value) -> None:
    """Write four rows of bytes side by side: out[lane, j] = rows[j, lane] xor flip."""
    byte, kind = splat(b, b.trunc(flip, I8), lanes), vector(I32, lanes)
    group = None
    for j in range(4):
        values = b.xor(load(b, vector(I8, lanes), b.add(rows, b.mul(row, I64(j)))), byte)
        values = b.shl(b.zext(values, kind), splat(b, I32(8 * j), lanes))
        group = values if group is None else b.or_(group, values)
    store(b, group, out)


def transpose(b: Builder, lanes: int, source: Value, target: Value, stride: Value) -> None:
    """Turn bytes [lane, 4] into [4, lane]: four lanes give sixteen bytes, and the next four go ``stride`` further."""
    whole = load(b, vector(I8, 4 * lanes), source)
    for quarter in range(lanes // 4):
        order = constant(I32, [16 * quarter + 4 * lane + j for j in range(4) for lane in range(4)])
        store(b, b.shuffle_vector(whole, whole, order), b.add(target, b.mul(stride, I64(quarter))))


def quantise(b: Builder, lanes: int, d: Value, e: Value, i: Value, first: Value, second: Value, shift: Value) -> None:
    """Shift errors (int32) to bytes by 1 to 31 bits, rounding at random as `ops.reference.quantise_errors` does."""
    kind = vector(I32, lanes)
    first, second, right, rest, start = (
        splat(b, b.trunc(number, I32), lanes) for number in (first, second, shift, b.sub(I64(32), shift), i)
    )
    positions = b.add(start, constant(I32, list(range(lanes))))
    draw = b.lshr(mix(b, lanes, b.add(mix(b, lanes, b.xor(positions, first)), second)), rest)
    value = load(b, kind, d)
    # This is floor((d + u) / 2**shift) for u < 2**shift. Only the low bits and u are added, so int32 is never left.
    whole = b.ashr(value, right)
    low = b.sub(value, b.shl(whole, right))
    value = b.add(whole, b.lshr(b.add(low, draw), right))
    store(b, b.trunc(clip(b, value, splat(b, I32(-127), lanes), splat(b, I32(127), lanes)), vector(I8, lanes)), e)


def mix(b: Builder, lanes: int, x: Value) -> Value:
    """`intnn.training.generator.mix`, lane by lane."""
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, None)):
        x = b.xor(x, b.lshr(x, splat(b, I32(shift), lanes)))
        if factor is not None:
            x = b.mul(x, splat(b, I32(factor), lanes))
    return x
