"""Any processor: products of bytes in plain vector arithmetic, which LLVM lowers as well as it can."""

from intnn.machine.simd import I32, Builder, InstructionSet, Value, constant, splat, vector

LANES = 4
WORDS = vector(I32, LANES)


def activations(builder: Builder, word: Value) -> list[Value]:
    """Four vectors, each with one of the word's bytes, unsigned, in every lane."""
    return [splat(builder, builder.and_(builder.lshr(word, I32(8 * i)), I32(255)), LANES) for i in range(4)]


def weights(builder: Builder, words: Value) -> list[Value]:
    """Four vectors, each with one of the bytes of every lane, signed."""
    top = constant(I32, [24] * LANES)
    return [builder.ashr(builder.shl(words, constant(I32, [24 - 8 * i] * LANES)), top) for i in range(4)]


def dot(builder: Builder, sums: Value, x: list[Value], w: list[Value]) -> Value:
    """The sums plus four products of vectors."""
    for xs, ws in zip(x, w, strict=True):
        sums = builder.add(sums, builder.mul(xs, ws))
    return sums


GENERIC = InstructionSet("portable", frozenset(), LANES, {1: 4, 2: 2, 4: 2}, activations, weights, dot)
