"""AVX512-VNNI: one instruction multiplies and adds 64 pairs of bytes, another looks up in tables of 128 bytes."""

from llvmlite import ir

from intnn.machine.simd import I8, I32, Builder, InstructionSet, Value, call, concatenate, extract, splat, vector

LANES = 16
WORDS = vector(I32, LANES)
BYTES = vector(I8, 4 * LANES)


def activations(builder: Builder, word: Value) -> Value:
    """A vector with the word in every lane; a broadcast from memory costs no arithmetic unit."""
    return splat(builder, word, LANES)


def weights(_builder: Builder, words: Value) -> Value:
    """The words as they are."""
    return words


def dot(builder: Builder, sums: Value, x: Value, w: Value) -> Value:
    """The sums of ``vpdpbusd``, which multiplies unsigned by signed bytes; sums wrap, they do not saturate."""
    return call(builder, "llvm.x86.avx512.vpdpbusd.512", WORDS, sums, x, w)


def lookup(builder: Builder, table: Value, index: list[Value]) -> list[Value]:
    """The bytes table[index]: ``vpermi2b`` reads 128 bytes by the index's low seven bits, its sign chooses the half."""
    quarters = [
        builder.load(builder.inttoptr(builder.add(table, table.type(64 * i)), ir.PointerType()), typ=BYTES, align=1)
        for i in range(4)
    ]
    undefined = ir.Constant(index[0].type, ir.Undefined)
    result = []
    for start in range(0, len(index), 4):
        parts = index[start : start + 4]
        whole = concatenate(builder, parts + [undefined] * (4 - len(parts)))
        low, high = (
            call(builder, "llvm.x86.avx512.vpermi2var.qi.512", BYTES, quarters[half], whole, quarters[half + 1])
            for half in (0, 2)
        )
        is_high = builder.icmp_signed("<", whole, ir.Constant(BYTES, [0] * 64))
        values = builder.select(is_high, high, low)
        result += [extract(builder, values, LANES * i, LANES) for i in range(len(parts))]
    return result


AVX512_VNNI = InstructionSet(
    "AVX512-VNNI",
    frozenset({"avx512f", "avx512bw", "avx512vnni", "avx512vbmi"}),
    LANES,
    {1: 8, 2: 4, 4: 4},
    activations,
    weights,
    dot,
    lookup,
)
