"""GPU instructions that Numba has no name for, written as inline assembly.

Operands that hold four 8-bit integers are int32 words, the first integer in the lowest byte. The PTX ISA describes the
instructions and the layouts of fragments in its sections "dp4a", "Matrix fragments for mma.m16n8k32", "cp.async",
"membar/fence" and "Asynchronous Warpgroup Level Matrix Instructions".
"""

# ruff: noqa: ARG001  (an intrinsic's arguments are types, of which some say nothing)

from typing import Any

from llvmlite import ir
from numba import int32, int64, types, void
from numba.cuda.extending import intrinsic

from intnn.machine.cuda.device import DeviceError

WORD = ir.IntType(32)
MAP_BYTES = 128  # of what `tensor_map` makes
PAIR, FOUR = types.UniTuple(int32, 2), types.UniTuple(int32, 4)


def _asm(builder: Any, text: str, results: list[Any], operands: list[Any], effects: str = "") -> Any:
    """Emit ``text`` with its results and operands in registers; ``effects`` names "memory", "convergent" or none."""
    result: Any = ir.VoidType()
    if results:
        result = results[0] if len(results) == 1 else ir.LiteralStructType(results)
    letters = ["l" if operand.type.width == 64 else "r" for operand in operands]
    memory = "memory" in effects
    constraints = ["=r"] * len(results) + letters + ["~{memory}"] * memory
    signature = ir.FunctionType(result, [operand.type for operand in operands])
    call = builder.asm(signature, text, ",".join(constraints), operands, side_effect=memory)
    if not memory:  # else the optimiser must assume that memory changes
        call.attributes.add("readnone")
    if "convergent" in effects:
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


def _near(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """The 32-bit address in shared memory of a word of an array that lies there."""
    pointer = _address(context, builder, array_type, array, index)
    return builder.ptrtoint(builder.addrspacecast(pointer, WORD.as_pointer(3)), WORD)


def _plain(text: str) -> Any:
    """An instruction without operands."""

    @intrinsic
    def instruction(_context):  # type: ignore[no-untyped-def]
        def codegen(target, builder, _signature, _args):  # type: ignore[no-untyped-def]
            _asm(builder, text, [], [], "convergent memory")
            return target.get_dummy_value()

        return void(), codegen

    return instruction


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


def _store(count: int) -> Any:
    @intrinsic
    def store(_context, words, index, values):  # type: ignore[no-untyped-def]
        def codegen(target, builder, signature, args):  # type: ignore[no-untyped-def]
            pointer, kind = _address(target, builder, signature.args[0], *args[:2]), ir.VectorType(WORD, count)
            vector = ir.Constant(kind, ir.Undefined)
            for i, word in enumerate(_parts(builder, args[2], count)):
                vector = builder.insert_element(vector, word, WORD(i))
            builder.store(vector, builder.bitcast(pointer, kind.as_pointer()), align=4 * count)
            return target.get_dummy_value()

        return void(words, int64, types.UniTuple(int32, count)), codegen

    return store


store2, store4 = _store(2), _store(4)  # write words from an index on, a multiple of their number, in one access


@intrinsic
def copy4(_context, shared, to, source, start, size):  # type: ignore[no-untyped-def]
    """Start copying ``size`` bytes, 16 or 0, of four words to shared memory; the other bytes become zero."""

    def codegen(target, builder, signature, args):  # type: ignore[no-untyped-def]
        near = _near(target, builder, signature.args[0], *args[:2])
        far = builder.ptrtoint(_address(target, builder, signature.args[2], *args[2:4]), ir.IntType(64))
        _asm(builder, "cp.async.cg.shared.global [$0], [$1], 16, $2;", [], [near, far, args[4]], "memory")
        return target.get_dummy_value()

    return void(shared, int64, source, int64, int32), codegen


commit = _plain("cp.async.commit_group;")  # close the group of the copies that this thread has started


def wait_for(pending: int) -> Any:
    """An instruction that waits until at most ``pending`` of this thread's groups of copies are still under way."""
    return _plain(f"cp.async.wait_group {pending};")


def _on_sums(
    target: Any, builder: Any, array_type: Any, array: Any, count: int, text: str, operands: list[Any]
) -> None:
    """Emit ``text`` on the elements of an array of this thread, which are $0, $1, ... and stay in registers.

    The operands are numbered after twice as many: results come first, then the same registers as arguments.
    """
    data = target.make_array(array_type)(target, builder, array).data
    places = [builder.gep(data, [ir.Constant(ir.IntType(64), i)], inbounds=True) for i in range(count)]
    values = [builder.load(place) for place in places]
    letters = ["l" if operand.type.width == 64 else "r" for operand in operands]
    constraints = ["=r"] * count + [str(i) for i in range(count)] + letters + ["~{memory}"]
    signature = ir.FunctionType(ir.LiteralStructType([WORD] * count), [v.type for v in (*values, *operands)])
    results = builder.asm(signature, text, ",".join(constraints), [*values, *operands], side_effect=True)
    results.attributes.add("convergent")
    for place, value in zip(places, _parts(builder, results, count), strict=True):
        builder.store(value, place)


# A matrix in shared memory: lines of 128 bytes, swizzled, of which eight are 1024 bytes; the address is added.
_LINES = (1 << 62) | (1024 >> 4) << 32 | 1 << 16


def warpgroup_mma(columns: int, a_type: str, b_type: str) -> Any:
    """What four warps do at once: start (sums, shared, a, b, goes_on) -> sums or 0, + a bT.

    a is 64 x 128 and b ``columns`` x 128 integers "s8" or "u8" in shared memory, from these words on, in lines of 128
    bytes that are swizzled, on a border of 1024 bytes. ``sums`` are a thread's int32 [columns / 2], not to be touched
    until they are `settled`: for every eight columns two of row 16 w + l / 4, two of the row 8 below, columns
    2 (l % 4) and the next one, with warp w and lane l.
    """
    count = columns // 2
    sums = ",".join(f"${i}" for i in range(count))
    near, far, goes_on = (f"${2 * count + i}" for i in range(3))
    name = f"wgmma.mma_async.sync.aligned.m64n{columns}k32.s32.{a_type}.{b_type}"
    text = "{ .reg .pred first, next; .reg .b64 a, b; "
    text += f"setp.ne.b32 first, {goes_on}, 0; setp.eq.b32 next, {goes_on}, {goes_on}; wgmma.fence.sync.aligned; "
    for k in range(4):  # 32 bytes further along the lines
        text += f"add.s64 a, {near}, {2 * k}; add.s64 b, {far}, {2 * k}; "
        text += f"{name} {{{sums}}}, a, b, {'next' if k else 'first'}; "
    text += "wgmma.commit_group.sync.aligned; }"

    @intrinsic
    def start(_context, totals, shared, a, b, goes_on):  # type: ignore[no-untyped-def]
        def codegen(target, builder, signature, args):  # type: ignore[no-untyped-def]
            def lines(index: Any) -> Any:
                address = _near(target, builder, signature.args[1], args[1], index)
                sixteens = builder.and_(builder.lshr(address, WORD(4)), WORD(0x3FFF))
                return builder.or_(builder.zext(sixteens, ir.IntType(64)), ir.Constant(ir.IntType(64), _LINES))

            operands = [lines(args[2]), lines(args[3]), args[4]]
            _on_sums(target, builder, signature.args[0], args[0], count, text, operands)
            return target.get_dummy_value()

        return void(totals, shared, int64, int64, int32), codegen

    return start


def in_flight(pending: int) -> Any:
    """An instruction that waits until at most ``pending`` of a group's products are still under way."""
    return _plain(f"wgmma.wait_group.sync.aligned {pending};")


def settled(columns: int) -> Any:
    """An instruction (sums) that waits for all of a group's products, after which sums can be read."""

    @intrinsic
    def wait(_context, totals):  # type: ignore[no-untyped-def]
        def codegen(target, builder, signature, args):  # type: ignore[no-untyped-def]
            text = "wgmma.wait_group.sync.aligned 0;"
            _on_sums(target, builder, signature.args[0], args[0], columns // 2, text, [])
            return target.get_dummy_value()

        return void(totals), codegen

    return wait


# Barriers of shared memory: two words, which count arrivals and bytes. When both are complete, their phase ends, and
# the next one begins. The PTX ISA has them in "mbarrier", and copies that arrive at them in "cp.async.bulk".


def _on_barrier(text: str, numbers: int) -> Any:
    """An instruction (shared, index of a barrier, number) or one without the number; $0 is the address."""

    def codegen(target: Any, builder: Any, signature: Any, args: Any) -> Any:
        near = _near(target, builder, signature.args[0], *args[:2])
        _asm(builder, text, [], [near, *args[2:]], "convergent memory")
        return target.get_dummy_value()

    if numbers:

        @intrinsic
        def instruction(_context, shared, index, number):  # type: ignore[no-untyped-def]
            return void(shared, int64, int32), codegen

    else:

        @intrinsic
        def instruction(_context, shared, index):  # type: ignore[no-untyped-def]
            return void(shared, int64), codegen

    return instruction


init_barrier = _on_barrier(  # to so many arrivals; the copying unit knows it then
    "mbarrier.init.shared::cta.b64 [$0], $1; fence.mbarrier_init.release.cluster;", 1
)
expect_bytes = _on_barrier(  # arrive; so many bytes will come
    "mbarrier.arrive.expect_tx.shared::cta.b64 _, [$0], $1;", 1
)
arrive = _on_barrier("mbarrier.arrive.shared::cta.b64 _, [$0];", 0)
await_phase = _on_barrier(  # of this parity
    "{ .reg .pred over; again: mbarrier.try_wait.parity.shared::cta.b64 over, [$0], $1; @!over bra again; }", 1
)


@intrinsic
def acquire_map(_context, map_):  # type: ignore[no-untyped-def]
    """Have copies that this thread starts from now on read a map as it lies in memory.

    The copying unit reads maps past the caches that kernels read through, and may still have another map that lay at
    the same address. So the CUDA C++ Programming Guide demands this of every block that uses a map which was copied to
    global memory ("Using a tensor map in global memory").
    """

    def codegen(target, builder, signature, args):  # type: ignore[no-untyped-def]
        data = target.make_array(signature.args[0])(target, builder, args[0]).data
        text = f"fence.proxy.tensormap::generic.acquire.sys [$0], {MAP_BYTES};"
        _asm(builder, text, [], [builder.ptrtoint(data, ir.IntType(64))], "memory")
        return target.get_dummy_value()

    return void(map_), codegen


def copy_tile(rows: int) -> Any:
    """An instruction (shared, to, map, byte, row, barrier) that copies ``rows`` lines of 128 bytes, in swizzled order.

    They arrive at the barrier. What lies outside the matrix is zero. ``map`` is what `tensor_map` makes for as many
    rows, and the thread has had it by `acquire_map`.
    """
    text = "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [$0], [$1, {$2, $3}], [$4];"

    @intrinsic
    def copy(_context, shared, to, map_, byte, row, barrier):  # type: ignore[no-untyped-def]
        def codegen(target, builder, signature, args):  # type: ignore[no-untyped-def]
            near, at = (_near(target, builder, signature.args[0], args[0], index) for index in (args[1], args[5]))
            data = target.make_array(signature.args[2])(target, builder, args[2]).data
            operands = [near, builder.ptrtoint(data, ir.IntType(64)), args[3], args[4], at]
            _asm(builder, text, [], operands, "memory")
            return target.get_dummy_value()

        return void(shared, int64, map_, int32, int32, int64), codegen

    return copy


def tensor_map(array: Any, rows: int, row_bytes: int, box: int) -> Any:
    """What `copy_tile` needs to know of a matrix of bytes on the GPU, as an array there, which keeps the matrix.

    Args:
        array: The matrix, contiguous, on a border of 16 bytes.
        rows: The number of its rows.
        row_bytes: The bytes of a row, a multiple of 16.
        box: The rows that are copied at once, at most 256.

    Raises:
        DeviceError: The driver does not take it.
    """
    import numpy as np
    from cuda.bindings import driver  # type: ignore[import-untyped]  # comes with the extra
    from numba import cuda

    one = driver.cuuint32_t
    status, made = driver.cuTensorMapEncodeTiled(
        driver.CUtensorMapDataType.CU_TENSOR_MAP_DATA_TYPE_UINT8, 2, array.__cuda_array_interface__["data"][0],
        [driver.cuuint64_t(row_bytes), driver.cuuint64_t(rows)], [driver.cuuint64_t(row_bytes)],
        [one(128), one(box)], [one(1), one(1)],
        driver.CUtensorMapInterleave.CU_TENSOR_MAP_INTERLEAVE_NONE,
        driver.CUtensorMapSwizzle.CU_TENSOR_MAP_SWIZZLE_128B,
        driver.CUtensorMapL2promotion.CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
        driver.CUtensorMapFloatOOBfill.CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
    )  # fmt: skip
    if status != driver.CUresult.CUDA_SUCCESS:
        raise DeviceError(f"a matrix of {rows} x {row_bytes} bytes cannot be described to the GPU: {status.name}")
    there = cuda.to_device(np.array([int(word) for word in made.opaque], np.uint64))
    there.matrix = array  # its address is in the map, and nowhere else in a launch
    return there
