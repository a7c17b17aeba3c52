"""What a kernel must know of an instruction set: vectors of 32-bit lanes and a dot product of bytes.

An instruction set emits LLVM instructions. It is chosen when a kernel is compiled, by the features of the processor
that Numba compiles for. So one source serves all processors, and a compiled kernel never asks which one it runs on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

Value = Any  # an llvmlite value; the package has no type stubs
Builder = Any

I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
LINE = 64  # bytes of a cache's line


@dataclass(frozen=True, eq=False)
class InstructionSet:
    """How to multiply bytes on a kind of processor.

    Attributes:
        name: The name that the processor's vendor gives it.
        features: All processor features that it needs, by LLVM's names.
        lanes: The number of 32-bit lanes of a vector.
        rows: The rows of a register tile with 1, 2 and 4 vectors of output channels: all sums, one weight vector per
            column and one activation vector must fit the registers.
        activations: Turns four unsigned bytes, as one i32, into the first operand of ``dot``.
        weights: Turns <lanes x i32>, four signed bytes each, into the second operand of ``dot``.
        dot: Turns sums, activations and weights into sums: every lane gains its four products of bytes, modulo 2**32.
        lookup: Turns the address of 256 bytes and vectors x of <lanes x i8> into vectors table[x]; None where a gather
            of 32-bit words is as fast.
    """

    name: str
    features: frozenset[str]
    lanes: int
    rows: Mapping[int, int]
    activations: Callable[[Builder, Value], Value]
    weights: Callable[[Builder, Value], Value]
    dot: Callable[[Builder, Value, Value, Value], Value]
    lookup: Callable[[Builder, Value, list[Value]], list[Value]] | None = None


def vector(element: Any, lanes: int) -> Any:
    """The type <lanes x element>."""
    return ir.VectorType(element, lanes)


def splat(builder: Builder, scalar: Value, lanes: int) -> Value:
    """A vector with ``scalar`` in every lane."""
    undefined = ir.Constant(vector(scalar.type, lanes), ir.Undefined)
    first = builder.insert_element(undefined, scalar, I32(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(vector(I32, lanes), [0] * lanes))


def constant(element: Any, values: list[int]) -> Value:
    """A vector constant."""
    return ir.Constant(vector(element, len(values)), values)


def concatenate(builder: Builder, parts: list[Value]) -> Value:
    """One vector from several of one length; their number is a power of two."""
    while len(parts) > 1:
        size = parts[0].type.count
        order = constant(I32, list(range(2 * size)))
        pairs = zip(parts[::2], parts[1::2], strict=True)
        parts = [builder.shuffle_vector(a, b, order) for a, b in pairs]
    return parts[0]


def extract(builder: Builder, whole: Value, start: int, size: int) -> Value:
    """``size`` lanes of a vector from ``start`` on."""
    return builder.shuffle_vector(whole, whole, constant(I32, list(range(start, start + size))))


def call(builder: Builder, name: str, result: Any, *arguments: Value) -> Value:
    """Call one of LLVM's own functions."""
    kind = ir.FunctionType(result, [a.type for a in arguments])
    function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    return builder.call(function, arguments)


def load(builder: Builder, kind: Any, address: Value, offset: int = 0) -> Value:
    """Load from an address plus ``offset``, which need not be aligned."""
    return builder.load(builder.inttoptr(builder.add(address, I64(offset)), ir.PointerType()), typ=kind, align=1)


def store(builder: Builder, value: Value, address: Value, offset: int = 0) -> None:
    """Store to an address plus ``offset``, which need not be aligned."""
    builder.store(value, builder.inttoptr(builder.add(address, I64(offset)), ir.PointerType()), align=1)


def store_past(builder: Builder, value: Value, address: Value) -> None:
    """Store a whole line, at a multiple of its size, past the caches: it is not read first, and takes nobody's place.

    Other threads see it once they are told of it behind a `fence`.
    """
    instruction = builder.store(value, builder.inttoptr(address, ir.PointerType()), align=LINE)
    instruction.set_metadata("nontemporal", builder.module.add_metadata([I32(1)]))


def fence(builder: Builder) -> None:
    """Let what was stored past the caches come before what is stored from now on."""
    if builder.module.triple.startswith("x86_64"):  # other processors do not tell such stores from others
        call(builder, "llvm.x86.sse.sfence", ir.VoidType())


def prefetch(builder: Builder, address: Value) -> None:
    """Ask the processor for the line of an address, to be read soon."""
    read, near, data = I32(0), I32(3), I32(1)
    call(builder, "llvm.prefetch.p0", ir.VoidType(), builder.inttoptr(address, ir.PointerType()), read, near, data)


def clip(builder: Builder, value: Value, low: Value, high: Value) -> Value:
    """min(max(value, low), high), lane by lane."""
    value = builder.select(builder.icmp_signed("<", value, low), low, value)
    return builder.select(builder.icmp_signed(">", value, high), high, value)
