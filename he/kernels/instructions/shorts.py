"""Register tiles of matrix products of 16-bit integers, summed modulo 2**32; instructions, as in `lanes`.

Integers lie in pairs, two to a lane of 32 bits: a lane gains two products at once (``vpdpwssd``, or ``vpmaddwd`` and an
addition).
"""

from he.kernels.instructions.dots import loop
from intnn.machine.host import features
from intnn.machine.simd import (
    I16,
    I32,
    I64,
    Builder,
    Value,
    call,
    concatenate,
    constant,
    extract,
    load,
    splat,
    store,
    vector,
)

LANES, VECTORS = 16, 4
#: The columns of a tile, and its rows: all sums stay in registers.
COLUMNS, ROWS = LANES * VECTORS, 4 if "avx512f" in features() else 1
_PAIRS, _BYTES, _STEP = vector(I32, LANES), 4 * LANES, 4 * COLUMNS


def add_products(b: Builder, total: Value, x: Value, y: Value) -> Value:
    """Add to every lane the two products of its pairs of x and y, modulo 2**32."""
    if "avx512vnni" in features():
        return call(b, "llvm.x86.avx512.vpdpwssd.512", _PAIRS, total, x, y)
    if "avx2" in features():
        quads, half = vector(I16, LANES), vector(I32, LANES // 2)
        halves = [
            call(b, "llvm.x86.avx2.pmadd.wd", half, *(b.bitcast(extract(b, v, at, LANES // 2), quads) for v in (x, y)))
            for at in (0, LANES // 2)
        ]
        return b.add(total, concatenate(b, halves))
    half = constant(I32, [16] * LANES)
    upper, lower = (b.mul(*(b.ashr(shifted(v), half) for v in (x, y))) for shifted in (_same, lambda v: b.shl(v, half)))
    return b.add(total, b.add(upper, lower))


def _same(x: Value) -> Value:
    return x


def tile(b: Builder, rows: Value, step: Value, last: Value, panel: Value, count: Value, out: Value) -> None:
    """Store the inner products of some rows with a panel of columns, int32 [ROWS, COLUMNS].

    Args:
        b: What writes instructions.
        rows: The address of the first row's pairs.
        step: The bytes from one row to the next.
        last: The number of the last row that there is; it stands for those behind it as well.
        panel: The address of a panel, int16 [count, COLUMNS, 2].
        count: The pairs of a row.
        out: The address of the results.
    """
    places = []
    for r in range(ROWS):
        there = b.select(b.icmp_signed("<", last, I64(r)), last, I64(r))
        places.append(b.add(rows, b.mul(there, step)))

    def body(i: Value, sums: list[Value]) -> list[Value]:
        place = b.add(panel, b.mul(i, I64(_STEP)))
        columns = [load(b, _PAIRS, place, _BYTES * v) for v in range(VECTORS)]
        pairs = [splat(b, load(b, I32, b.add(row, b.shl(i, I64(2)))), LANES) for row in places]
        return [
            add_products(b, sums[VECTORS * r + v], column, pair)
            for r, pair in enumerate(pairs)
            for v, column in enumerate(columns)
        ]

    zero = constant(I32, [0] * LANES)
    for n, total in enumerate(loop(b, count, [zero] * (ROWS * VECTORS), body)):
        store(b, total, out, _BYTES * n)
