"""What instructions of PTX without memory compute, on numpy arrays with a value for each thread.

An instruction has one meaning for every type that it comes in. Where a result is undefined for the compiler, though a
GPU has one, `UNDEFINED` says for which operands.
"""

import operator
import re

import numpy as np

from tests.ptx_memory import RefusedError, demand

TYPES = {"pred": np.bool_, "f64": np.float64} | {
    f"{letter}{bits}": np.dtype(f"{'i' if letter == 's' else 'u'}{bits // 8}").type
    for letter in "bsu"
    for bits in (8, 16, 32, 64)
}
HALF = np.uint64(32)
LOW = np.uint64((1 << 32) - 1)


def _high(x, y):
    x0, x1, y0, y1 = x & LOW, x >> HALF, y & LOW, y >> HALF
    middle = x1 * y0 + (x0 * y0 >> HALF)
    return x1 * y1 + (middle >> HALF) + (x0 * y1 + (middle & LOW) >> HALF)


def _high_signed(x, y):
    high = _high(x.view(np.uint64), y.view(np.uint64)).view(np.int64)
    return high - np.where(x < 0, y, 0) - np.where(y < 0, x, 0)


def _shift(way):
    return lambda x, by: way(x, by.astype(x.dtype))  # NumPy's shifts by too much are those of PTX


def _insert(x, into, at, bits):
    at, end = at.astype(np.uint64), (at + bits).astype(np.uint64)
    mask = (np.uint64(1) << end) - (np.uint64(1) << at)
    return x << at & mask | into & ~mask


def _dot(left, right):
    """Four integers of 8 bits by four others, added to a sum."""

    def dot(x, y, total):
        x, y = (z.view(TYPES[f"{kind}8"]).reshape(-1, 4).astype(np.int32) for z, kind in ((x, left), (y, right)))
        return total + (x * y).sum(1, np.int32)

    return dot


def _permuted(x, y, places):
    """Four bytes of two words, by their places in both."""
    both, result = x.astype(np.uint64) | y.astype(np.uint64) << HALF, np.uint64(0)
    demand((places & np.uint32(0x8888) == 0).all(), "a byte's sign in place of the byte")
    for i in range(4):
        place = (places >> np.uint32(4 * i) & np.uint32(7)).astype(np.uint64)
        result = result | (both >> np.uint64(8) * place & np.uint64(255)) << np.uint64(8 * i)
    return result.astype(np.uint32)


def _quotient(x, y):
    return (x - _remainder(x, y)) // y


def _remainder(x, y):
    """With the sign of x, as quotients are rounded to zero."""
    demand((y != 0).all(), "a division by zero")
    if x.dtype.kind == "i":
        demand(not ((x == np.iinfo(x.dtype).min) & (y == -1)).any(), "a quotient that overflows")
    return np.fmod(x, y)


def _same(x):
    return x


#: Of operands and results of one type, by what precedes it in the opcode.
ALIKE = {
    "add": operator.add, "sub": operator.sub, "mul.lo": operator.mul, "and": operator.and_, "or": operator.or_,
    "xor": operator.xor, "not": operator.invert, "neg": operator.neg, "min": np.minimum, "max": np.maximum,
    "abs": np.abs, "mov": _same, "mul.rn": operator.mul, "div": _quotient, "rem": _remainder, "add.rn": operator.add,
    "cvta.to.global": _same,
}  # fmt: skip
COMPARED = {f"setp.{name}": getattr(operator, name) for name in ("eq", "ne", "lt", "le", "gt", "ge")}
#: All others, with the types of results and operands.
OTHERS = {
    **{f"shl.b{n}": (_shift(operator.lshift), f"b{n}", (f"b{n}", "u32")) for n in (32, 64)},
    **{f"shr.{s}{n}": (_shift(operator.rshift), f"{s}{n}", (f"{s}{n}", "u32")) for s in "usb" for n in (32, 64)},
    **{f"dp4a.{x}32.{y}32": (_dot(x, y), "s32", ("b32", "b32", "s32")) for x in "us" for y in "us"},
    "mul.hi.u64": (_high, "u64", ("u64", "u64")),
    "mul.hi.s64": (_high_signed, "s64", ("s64", "s64")),
    "prmt.b32": (_permuted, "b32", ("b32", "b32", "u32")),
    "bfi.b64": (_insert, "b64", ("b64", "b64", "u32", "u32")),
    "mul.wide.s32": (lambda x, y: x.astype(np.int64) * y.astype(np.int64), "s64", ("s32", "s32")),
    "mul.hi.u32": (
        lambda x, y: (x.astype(np.uint64) * y.astype(np.uint64) >> HALF).astype(np.uint32),
        "u32",
        ("u32", "u32"),
    ),
    "mul.wide.u32": (lambda x, y: x.astype(np.uint64) * y.astype(np.uint64), "u64", ("u32", "u32")),
    "mad.wide.u32": (lambda x, y, z: x.astype(np.uint64) * y.astype(np.uint64) + z, "u64", ("u32", "u32", "u64")),
}


def _too_far(x, by):
    return by >= 8 * x.itemsize


#: Where results are undefined, of operands that are not.
UNDEFINED = {"shl": _too_far, "shr": _too_far, "abs": lambda x: x == np.iinfo(x.dtype).min}


def meaning(opcode):
    """What an instruction without memory does, and the types of its result and operands."""
    name, _, kind = opcode.rpartition(".")
    if opcode in OTHERS:
        return OTHERS[opcode]
    if name in ALIKE and kind in TYPES:
        return ALIKE[name], kind, (kind,) * 3
    if name in COMPARED and kind in TYPES:
        return COMPARED[name], "pred", (kind, kind)
    if name == "selp" and kind in TYPES:
        return lambda x, y, chosen: np.where(chosen, x, y), kind, (kind, kind, "pred")
    converted = re.fullmatch(r"cvt(\.rn|\.rzi)?\.(\w+)\.(\w+)", opcode)
    if converted:
        return lambda x: x.astype(TYPES[converted[2]]), converted[2], (converted[3],)
    raise RefusedError(f"no instruction of this machine: {opcode}")
