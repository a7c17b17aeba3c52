"""Register tiles of matrix products modulo 2**32; instructions, as in `lanes`."""

from he.kernels.instructions.dots import loop
from intnn.machine.host import features
from intnn.machine.simd import I32, I64, Builder, Value, constant, load, splat, store, vector

LANES, VECTORS = 16, 4
#: The keys of a tile, and its samples: all sums stay in registers.
KEYS, SAMPLES = LANES * VECTORS, 4 if "avx512f" in features() else 1
_WORDS, _BYTES, _ROW = vector(I32, LANES), 4 * LANES, 4 * KEYS


def tile(b: Builder, words: Value, row: Value, last: Value, factors: Value, count: Value, out: Value) -> None:
    """Store the inner products of some samples with a panel of keys, uint32 [SAMPLES, KEYS].

    Args:
        b: What writes instructions.
        words: The address of the first sample's words.
        row: The bytes from one sample to the next.
        last: The number of the last sample that there is; it stands for those behind it as well.
        factors: The address of a panel, uint32 [count, KEYS].
        count: The words of a sample.
        out: The address of the results.
    """
    rows = []
    for s in range(SAMPLES):
        there = b.select(b.icmp_signed("<", last, I64(s)), last, I64(s))
        rows.append(b.add(words, b.mul(there, row)))

    def body(i: Value, sums: list[Value]) -> list[Value]:
        place = b.add(factors, b.mul(i, I64(_ROW)))
        values = [load(b, _WORDS, place, _BYTES * v) for v in range(VECTORS)]
        scalars = [splat(b, load(b, I32, b.add(r, b.shl(i, I64(2)))), LANES) for r in rows]
        products = [b.mul(word, value) for word in scalars for value in values]
        return [b.add(total, product) for total, product in zip(sums, products, strict=True)]

    zero = constant(I32, [0] * LANES)
    for n, total in enumerate(loop(b, count, [zero] * (SAMPLES * VECTORS), body)):
        store(b, total, out, _BYTES * n)
