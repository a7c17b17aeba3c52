"""GPU instructions that Numba has no name for, written as inline assembly.

Operands that hold four 8-bit integers are int32 words, the first integer in the lowest byte. The PTX ISA describes the
instructions and the layouts of fragments in its sections "dp4a", "Matrix fragments for mma.m16n8k32" and "cp.async".
"""

# ruff: noqa: ARG001  (an intrinsic's arguments are types, of which some say nothing)

from typing import Any

from llvmlite import ir
from numba import int32, int64, types, void
from numba.cuda.extending import intrinsic

WORD = ir.IntType(32)
PAIR, FOUR = types.UniTuple(int32, 2), types.UniTuple(int32, 4)


def _asm(builder: Any, text: str, results: list[Any], operands: list[Any], effects: str = "") -> Any:
    """Emit ``text`` with its results and operands in registers; ``effects`` is "memory", "convergent" or none."""
    result: Any = ir.VoidType()
    if results:
        result = results[0] if len(results) == 1 else ir.LiteralStructType(results)
    letters = ["l" if operand.type.width == 64 else "r" for operand in operands]
    memory = effects == "memory"
    constraints = ["=r"] * len(results) + letters + ["~{memory}"] * memory
    signature = ir.FunctionType(result, [operand.type for operand in operands])
    call = builder.asm(signature, text, ",".join(constraints), operands, side_effect=memory)
    if not memory:  # else the optimiser must assume that memory changes
        call.attributes.add("readnone")
    if effects == "convergent":
        call.attributes.add("convergent")
    return call


def _parts(builder: Any, value: Any, count: int) -> list[Any]:
    return [builder.extract_value(value, i) for i in range(count)]


def _four(context: Any, builder: Any, words: list[Any]) -> Any:
    result = ir.Constant(context.get_value_type(FOUR), ir.Undefined)
    for i, word in enumerate(words):
        result = builder.insert_value(result, word, i)
    return result


def _address(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """A pointer to element ``index`` of a contiguous array of words."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index], inbounds=True)


def dp4a(a_type: str, b_type: str) -> Any:
    """An instruction (a, b, c) -> c + the dot product of four by four integers, each of type "s8" or "u8"."""
    text = f"dp4a.{a_type[0]}32.{b_type[0]}32 $0, $1, $2, $3;"

    @intrinsic
    def dot(_context, a, b, c):  # type: ignore[no-untyped-def]
        def codegen(_target, builder, _signature, args):  # type: ignore[no-untyped-def]
            return _asm(builder, text, [WORD], list(args))

        return int32(int32, int32, int32), codegen

    return dot


def mma(a_type: str, b_type: str) -> Any:
    """A warp's instruction (a, b, c) -> c + a b: a is 16 x 32, b is 32 x 8 integers "s8" or "u8", c is 16 x 8 int32."""
    text = f"mma.sync.aligned.m16n8k32.row.col.s32.{a_type}.{b_type}.s32 {{$0,$1,$2,$3}}, "
    text += "{$4,$5,$6,$7}, {$8,$9}, {$10,$11,$12,$13};"

    @intrinsic
    def product(_context, a, b, c):  # type: ignore[no-untyped-def]
        def codegen(target, builder, _signature, args):  # type: ignore[no-untyped-def]
            operands = [word for value, count in zip(args, (4, 2, 4), strict=True)
                        for word in _parts(builder, value, count)]  # fmt: skip
            result = _asm(builder, text, [WORD] * 4, operands, "convergent")
            return _four(target, builder, _parts(builder, result, 4))

        return FOUR(FOUR, PAIR, FOUR), codegen

    return product


@intrinsic
def load4(_context, words, index):  # type: ignore[no-untyped-def]
    """Read four words from ``index`` on, a multiple of four, in one access."""

    def codegen(target, builder, signature, args):  # type: ignore[no-untyped-def]
        pointer = _address(target, builder, signature.args[0], *args)
        vector = builder.load(builder.bitcast(pointer, ir.VectorType(WORD, 4).as_pointer()), align=16)
        return _four(target, builder, [builder.extract_element(vector, WORD(i)) for i in range(4)])

    return FOUR(words, int64), codegen


@intrinsic
def store4(_context, words, index, values):  # type: ignore[no-untyped-def]
    """Write four words from ``index`` on, a multiple of four, in one access."""

    def codegen(target, builder, signature, args):  # type: ignore[no-untyped-def]
        pointer = _address(target, builder, signature.args[0], *args[:2])
        vector = ir.Constant(ir.VectorType(WORD, 4), ir.Undefined)
        for i, word in enumerate(_parts(builder, args[2], 4)):
            vector = builder.insert_element(vector, word, WORD(i))
        builder.store(vector, builder.bitcast(pointer, ir.VectorType(WORD, 4).as_pointer()), align=16)
        return target.get_dummy_value()

    return void(words, int64, FOUR), codegen


@intrinsic
def copy4(_context, shared, to, source, start, size):  # type: ignore[no-untyped-def]
    """Start copying ``size`` bytes, 16 or 0, of four words to shared memory; the other bytes become zero."""

    def codegen(target, builder, signature, args):  # type: ignore[no-untyped-def]
        pointer = _address(target, builder, signature.args[0], *args[:2])
        near = builder.ptrtoint(builder.addrspacecast(pointer, WORD.as_pointer(3)), WORD)
        far = builder.ptrtoint(_address(target, builder, signature.args[2], *args[2:4]), ir.IntType(64))
        _asm(builder, "cp.async.cg.shared.global [$0], [$1], 16, $2;", [], [near, far, args[4]], "memory")
        return target.get_dummy_value()

    return void(shared, int64, source, int64, int32), codegen


@intrinsic
def commit(_context):  # type: ignore[no-untyped-def]
    """Close the group of the copies that this thread has started."""

    def codegen(target, builder, _signature, _args):  # type: ignore[no-untyped-def]
        _asm(builder, "cp.async.commit_group;", [], [], "memory")
        return target.get_dummy_value()

    return void(), codegen


def wait_for(pending: int) -> Any:
    """An instruction that waits until at most ``pending`` of this thread's groups of copies are still under way."""

    @intrinsic
    def wait(_context):  # type: ignore[no-untyped-def]
        def codegen(target, builder, _signature, _args):  # type: ignore[no-untyped-def]
            _asm(builder, f"cp.async.wait_group {pending};", [], [], "memory")
            return target.get_dummy_value()

        return void(), codegen

    return wait
