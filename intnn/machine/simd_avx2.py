"""AVX2, with or without the VNNI extension for 256-bit vectors.

Without the extension, ``vpmaddubsw`` would multiply bytes, but it saturates: 255 * 127 * 2 does not fit int16. So bytes
are widened to 16 bits and multiplied by ``vpmaddwd``, which is exact.
"""

from intnn.machine.simd import I16, I32, Builder, InstructionSet, Value, call, constant, splat, vector

LANES = 8
WORDS = vector(I32, LANES)
PAIRS = vector(I16, 2 * LANES)


def broadcast(builder: Builder, word: Value) -> Value:
    """A vector with the word in every lane."""
    return splat(builder, word, LANES)


def unchanged(_builder: Builder, words: Value) -> Value:
    """The words as they are."""
    return words


def dot_vnni(builder: Builder, sums: Value, x: Value, w: Value) -> Value:
    """The sums of ``vpdpbusd`` on 256 bits."""
    return call(builder, "llvm.x86.avx512.vpdpbusd.256", WORDS, sums, x, w)


def widened_activations(builder: Builder, word: Value) -> tuple[Value, Value]:
    """Unsigned bytes 0, 2 and 1, 3 of the word as 16-bit pairs in every lane."""
    even = builder.and_(word, I32(0x00FF00FF))
    odd = builder.and_(builder.lshr(word, I32(8)), I32(0x00FF00FF))
    return broadcast(builder, even), broadcast(builder, odd)


def widened_weights(builder: Builder, words: Value) -> tuple[Value, Value]:
    """Signed bytes 0, 2 and 1, 3 of every lane as 16-bit pairs."""
    pairs, eight = builder.bitcast(words, PAIRS), constant(I16, [8] * (2 * LANES))
    return builder.ashr(builder.shl(pairs, eight), eight), builder.ashr(pairs, eight)


def dot_pairs(builder: Builder, sums: Value, x: tuple[Value, Value], w: tuple[Value, Value]) -> Value:
    """The sums of two ``vpmaddwd``, of the even and of the odd bytes."""
    for xs, ws in zip(x, w, strict=True):
        products = call(builder, "llvm.x86.avx2.pmadd.wd", WORDS, builder.bitcast(xs, PAIRS), ws)
        sums = builder.add(sums, products)
    return sums


AVX_VNNI = InstructionSet(
    "AVX-VNNI", frozenset({"avx2", "avxvnni"}), LANES, {1: 6, 2: 4, 4: 2}, broadcast, unchanged, dot_vnni
)
AVX2 = InstructionSet(
    "AVX2", frozenset({"avx2"}), LANES, {1: 6, 2: 4, 4: 2}, widened_activations, widened_weights, dot_pairs
)
