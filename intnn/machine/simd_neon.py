"""Arm's dot-product extensions: ``usdot`` where the processor has it, else ``sdot`` on parts of the activations."""

from intnn.machine.simd import I8, I32, Builder, InstructionSet, Value, call, constant, splat, vector

LANES = 4
WORDS = vector(I32, LANES)
BYTES = vector(I8, 4 * LANES)


def broadcast(builder: Builder, word: Value) -> Value:
    """A vector with the word in every lane."""
    return builder.bitcast(splat(builder, word, LANES), BYTES)


def as_bytes(builder: Builder, words: Value) -> Value:
    """The same bits as a vector of bytes."""
    return builder.bitcast(words, BYTES)


def dot_mixed(builder: Builder, sums: Value, x: Value, w: Value) -> Value:
    """The sums of ``usdot``, which multiplies unsigned by signed bytes."""
    return call(builder, "llvm.aarch64.neon.usdot.v4i32.v16i8", WORDS, sums, x, w)


def halved(builder: Builder, word: Value) -> tuple[Value, Value]:
    """The low seven bits of the bytes, and their highest bit: both parts fit signed bytes."""
    low = builder.and_(word, I32(0x7F7F7F7F))
    high = builder.and_(builder.lshr(word, I32(7)), I32(0x01010101))
    return broadcast(builder, low), broadcast(builder, high)


def dot_signed(builder: Builder, sums: Value, x: tuple[Value, Value], w: Value) -> Value:
    """The sums of two ``sdot``: x = low + 128 high, so that no correction by the weights' sums is needed."""
    zero = constant(I32, [0] * LANES)
    low, high = (
        call(builder, "llvm.aarch64.neon.sdot.v4i32.v16i8", WORDS, start, part, w)
        for start, part in zip((sums, zero), x, strict=True)
    )
    return builder.add(low, builder.shl(high, constant(I32, [7] * LANES)))


NEON_I8MM = InstructionSet(
    "Arm i8mm", frozenset({"neon", "i8mm"}), LANES, {1: 8, 2: 8, 4: 4}, broadcast, as_bytes, dot_mixed
)
NEON_DOTPROD = InstructionSet(
    "Arm dotprod", frozenset({"neon", "dotprod"}), LANES, {1: 8, 2: 4, 4: 4}, halved, as_bytes, dot_signed
)
