"""The register tile: a few rows of sums for a few vectors of channels, from bytes in to bytes out.

The tile is emitted as LLVM instructions, for any instruction set. All its operands are addresses or numbers;
`intnn.compiled.words` describes the tables behind the addresses.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from intnn.compiled import words as at
from intnn.machine.host import instruction_set
from intnn.machine.simd import (
    I8,
    I32,
    I64,
    Builder,
    InstructionSet,
    Value,
    call,
    clip,
    concatenate,
    constant,
    load,
    splat,
    store,
    vector,
)

Vectors = list[Value]


def tile(columns: int, single: bool) -> Any:
    """A Numba function that evaluates one tile of ``columns`` vectors.

    The tile has one row if it is ``single``, and else as many rows as the instruction set has registers for. The
    function's arguments are int64: the addresses of the input, of the output, of the rows' places, of the layer's
    words, of the instructions, of the strip's weights and of its channels; and the number of lanes to store.
    """

    def typing(_context: Any, x: Any, y: Any, places: Any, words: Any, instructions: Any, weights: Any, channels: Any,
               valid: Any) -> Any:  # fmt: skip
        def codegen(context: Any, builder: Builder, _signature: Any, args: Any) -> Value:
            isa = instruction_set()
            Tile(builder, isa, columns, 1 if single else isa.rows[columns], *args).emit()
            return context.get_dummy_value()

        return types.void(x, y, places, words, instructions, weights, channels, valid), codegen

    return intrinsic(typing)


class Tile:
    """The emitter of one tile; it holds nothing but what its parts share."""

    def __init__(self, builder: Builder, isa: InstructionSet, columns: int, rows: int, *addresses: Value):
        self.builder, self.isa, self.columns, self.rows = builder, isa, columns, rows
        self.x, self.y, self.places, self.words, self.instructions, self.weights, self.channels, self.valid = addresses
        self.int32s = vector(I32, isa.lanes)
        self.int64s = vector(I64, isa.lanes)
        self.bytes = vector(I8, isa.lanes)

    def emit(self) -> None:
        """Emit the sums, then rescaling, table and stores as the layer's words ask."""
        b = self.builder
        sums = self.sums()
        outputs = [b.add(self.y, b.sext(load(b, I32, self.places, 8 * m + 4), I64)) for m in range(self.rows)]
        rescale = self.word(at.RESCALE)
        with b.if_else(self.equals(rescale, at.RAW)) as (raw, narrow):
            with raw:
                size = 4 * self.isa.lanes
                for i, value in enumerate(sums):
                    address = b.add(outputs[i // self.columns], I64(size * (i % self.columns)))
                    store(b, value, address)
            with narrow:
                table, is_bytes = self.word(at.TABLE), self.word(at.TABLE_IS_BYTES)
                address = b.add(self.instructions, table)
                has_table = b.icmp_signed("!=", table, I64(at.NONE))
                values = self.where(self.equals(rescale, at.NARROW), self.rescale_narrow, sums)
                values = self.where(self.equals(rescale, at.WIDE), self.rescale_wide, values)
                gathers = b.and_(has_table, self.equals(is_bytes, 0))
                values = self.where(gathers, lambda v: self.gather(address, v), values)
                narrowed = [b.trunc(v, self.bytes) for v in values]
                if self.isa.lookup is not None:
                    lookup = self.isa.lookup
                    looks_up = b.and_(has_table, self.equals(is_bytes, 1))
                    narrowed = self.where(looks_up, lambda v: lookup(b, address, v), narrowed)
                self.store_bytes(narrowed, outputs)

    def sums(self) -> Vectors:
        """Emit the sums: biases plus the products over all groups."""
        b, isa = self.builder, self.isa
        groups = self.word(at.GROUPS)
        offsets = b.add(self.instructions, self.word(at.OFFSETS))
        inputs = [b.add(self.x, b.sext(load(b, I32, self.places, 8 * m), I64)) for m in range(self.rows)]
        biases = self.channel_words(0)

        before = b.block
        head, body, after = (b.append_basic_block(f"groups.{part}") for part in ("head", "body", "after"))
        b.branch(head)
        b.position_at_end(head)
        group = b.phi(I64)
        sums = [b.phi(self.int32s) for _ in range(self.rows * self.columns)]
        group.add_incoming(I64(0), before)
        for i, value in enumerate(sums):
            value.add_incoming(biases[i % self.columns], before)
        b.cbranch(b.icmp_signed("<", group, groups), body, after)

        b.position_at_end(body)
        offset = b.sext(load(b, I32, b.add(offsets, b.shl(group, I64(2)))), I64)
        panel = b.add(self.weights, b.mul(group, I64(4 * isa.lanes * self.columns)))
        weights = [isa.weights(b, load(b, self.int32s, panel, 4 * isa.lanes * n)) for n in range(self.columns)]
        following: Vectors = []
        for m in range(self.rows):
            x = isa.activations(b, load(b, I32, b.add(inputs[m], offset)))
            row = sums[m * self.columns : (m + 1) * self.columns]
            following += [isa.dot(b, value, x, w) for value, w in zip(row, weights, strict=True)]
        end = b.block
        group.add_incoming(b.add(group, I64(1)), end)
        for value, next_value in zip(sums, following, strict=True):
            value.add_incoming(next_value, end)
        b.branch(head)
        b.position_at_end(after)
        return sums

    def rescale_narrow(self, sums: Vectors) -> Vectors:
        """Emit (clip(sum) multiplier + half) >> shift, where every product fits 32 bits and the clipping saturates."""
        b, lanes = self.builder, self.isa.lanes
        factors, low, high = (self.channel_words(part) for part in (1, 2, 3))
        shift, half = (splat(b, b.trunc(self.word(w), I32), lanes) for w in (at.SHIFT, at.HALF))
        result = []
        for i, value in enumerate(sums):
            n = i % self.columns
            product = b.mul(clip(b, value, low[n], high[n]), factors[n])
            result.append(b.ashr(b.add(product, half), shift))
        return result

    def rescale_wide(self, sums: Vectors) -> Vectors:
        """Emit clip((sum multiplier + half) >> shift) with products of 64 bits, even and odd lanes apart."""
        b, lanes = self.builder, self.isa.lanes // 2
        pairs = vector(I64, lanes)
        thirty_two, low_half = constant(I64, [32] * lanes), constant(I64, [0xFFFFFFFF] * lanes)

        def split(value: Value) -> tuple[Value, Value]:
            pair = b.bitcast(value, pairs)
            return b.ashr(b.shl(pair, thirty_two), thirty_two), b.ashr(pair, thirty_two)

        factors = [split(f) for f in self.channel_words(1)]
        low, high = (splat(b, b.trunc(self.word(w), I32), 2 * lanes) for w in (at.LOW, at.HIGH))
        shift, half = (splat(b, self.word(w), lanes) for w in (at.SHIFT, at.HALF))
        result = []
        for i, value in enumerate(sums):
            products = (b.mul(v, f) for v, f in zip(split(value), factors[i % self.columns], strict=True))
            even, odd = (b.ashr(b.add(p, half), shift) for p in products)
            merged = b.or_(b.and_(even, low_half), b.shl(odd, thirty_two))
            result.append(clip(b, b.bitcast(merged, self.int32s), low, high))
        return result

    def gather(self, table: Value, index: Vectors) -> Vectors:
        """Emit table[index] for a table of int32."""
        b, lanes = self.builder, self.isa.lanes
        pointers = vector(ir.PointerType(), lanes)
        every, nothing = constant(ir.IntType(1), [1] * lanes), constant(I32, [0] * lanes)
        name, start = f"llvm.masked.gather.v{lanes}i32.v{lanes}p0", splat(b, table, lanes)
        two = constant(I64, [2] * lanes)
        result = []
        for i in index:
            addresses = b.inttoptr(b.add(start, b.shl(b.sext(i, self.int64s), two)), pointers)
            result.append(call(b, name, self.int32s, addresses, I32(4), every, nothing))
        return result

    def store_bytes(self, values: Vectors, outputs: Vectors) -> None:
        """Emit the stores, row by row and in this order; nothing behind a row's valid lanes is written."""
        b, size = self.builder, self.columns * self.isa.lanes
        rows = [concatenate(b, values[m * self.columns : (m + 1) * self.columns]) for m in range(self.rows)]
        with b.if_else(self.equals(self.valid, size)) as (full, partial):
            with full:
                for row, address in zip(rows, outputs, strict=True):
                    store(b, row, address)
            with partial:
                limit = splat(b, b.trunc(self.valid, I8), size)
                mask = b.icmp_signed("<", constant(I8, list(range(size))), limit)
                for row, address in zip(rows, outputs, strict=True):
                    pointer = b.inttoptr(address, ir.PointerType())
                    call(b, f"llvm.masked.store.v{size}i8.p0", ir.VoidType(), row, pointer, I32(1), mask)

    def channel_words(self, part: int) -> Vectors:
        """One part of the strip's channels: 0 for biases, 1 for multipliers, 2 and 3 for the limits of the sums."""
        b, size = self.builder, 4 * self.isa.lanes
        return [load(b, self.int32s, self.channels, size * (part * self.columns + n)) for n in range(self.columns)]

    def where(self, condition: Value, change: Callable[[Vectors], Vectors], values: Vectors) -> Vectors:
        """Emit ``change(values)`` under the condition, and ``values`` otherwise."""
        b = self.builder
        before = b.block
        with b.if_then(condition):
            changed = change(values)
            inside = b.block
        result = []
        for old, new in zip(values, changed, strict=True):
            merged = b.phi(old.type)
            merged.add_incoming(old, before)
            merged.add_incoming(new, inside)
            result.append(merged)
        return result

    def word(self, index: int) -> Value:
        """The word of the layer at ``index``."""
        return load(self.builder, I64, self.words, 8 * index)

    def equals(self, value: Value, number: int) -> Value:
        """Whether a word equals a number, as one bit."""
        return self.builder.icmp_signed("==", value, I64(number))
