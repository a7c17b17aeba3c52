"""Products of 52-bit numbers in eight lanes: what all other instructions here are made of.

There are three ways. Sums are the same by all, and so are residues once they are below their prime; before, they may
differ by it. ``vpmadd52`` adds the low or the high half of a product to a lane, where the processor has it
(AVX512-IFMA). Where it has AVX2 and a fused multiplication and addition of floats, that adds a product of 104 bits to
another float before it rounds to 53 bits; so the high half comes from adding 2**104, whose last bit is worth 2**52, and
what is left of the product is exact (N. Emmart, F. Zheng and C. Weems, "Faster Modular Exponentiation Using Double
Precision Floating Point Arithmetic on the GPU", ARITH 2018). Elsewhere LLVM multiplies in 128 bits.

Floats must be rounded to the nearest, as every processor does unless it is told otherwise: by ``fesetround``, for a
thread. Then products by floats are wrong, and a client refuses an encrypted answer made of them.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir

from intnn.machine.host import features
from intnn.machine.simd import I64, Builder, Value, call, constant, splat, vector

LANES = 8
BYTES = 8 * LANES
WORDS = vector(I64, LANES)
MASK = (1 << 52) - 1

_DOUBLES = vector(ir.DoubleType(), LANES)
_WHOLE = 1.5 * 2**52  # a float's last bit is worth 1 here, and stays so if less than 2**51 is added or subtracted
_HIGH = 2.0**104  # and 2**52 here, if less than 2**104 is added


def words(value: int) -> Value:
    """Put a known number into every lane."""
    return constant(I64, [value] * LANES)


def splats(b: Builder, *numbers: Value) -> list[Value]:
    """Put each of some numbers into every lane of a vector of its own."""
    return [splat(b, number, LANES) for number in numbers]


class Sum(NamedTuple):
    """A sum of products, low + high 2**52; ``low`` may be negative, and of any size below 2**63."""

    low: Value
    high: Value


def nothing() -> Sum:
    """Begin a sum."""
    return Sum(words(0), words(0))


def add_product(b: Builder, total: Sum, x: Value, y: Value) -> Sum:
    """Add the product of the low 52 bits of x and of y. ``low`` grows by less than 2**52."""
    return add_raised(b, before_raised(b, total, I64(1)), x, y)


def add_raised(b: Builder, total: Sum, x: Value, y: Value) -> Sum:
    """Add what `add_product` adds, to a sum that `before_raised` has made ready for it."""
    if by_floats():
        high, low = _halves(b, _float(b, x), _float(b, y))
        low = b.bitcast(b.fadd(low, _doubles(_WHOLE)), WORDS)
        return Sum(b.add(total.low, low), b.add(total.high, b.bitcast(high, WORDS)))
    return Sum(madd(b, "l", total.low, x, y), madd(b, "h", total.high, x, y))


def before_raised(b: Builder, total: Sum, count: Value) -> Sum:
    """Make a sum ready for so many products by `add_raised`, which adds halves that are raised by constants.

    Those are the bits of floats: they are taken off once for all products, modulo 2**64.
    """
    if by_floats():
        low, high = (splat(b, b.mul(count, I64(_bits_of(raised))), LANES) for raised in (_WHOLE, _HIGH))
        return Sum(b.sub(total.low, low), b.sub(total.high, high))
    return total


def carried(b: Builder, total: Sum) -> Sum:
    """Leave the low 52 bits in ``low``, where they are not negative."""
    return Sum(b.and_(total.low, words(MASK)), b.add(total.high, b.ashr(total.low, words(52))))


def divided(b: Builder, total: Sum, p: Value, inverse: Value) -> Value:
    """Divide a sum of at most 28 products by 2**52 modulo p; the result is below 8 p.

    ``inverse`` is -1 / p modulo 2**52. The sum is below 28 products of p and 2**50: the quotient is below 28 p / 4 + p.
    """
    low, high = carried(b, total)
    if by_floats():
        low = _float(b, low)
        m = _halves(b, low, _float(b, inverse))[1]
        negative = b.fcmp_ordered("<", m, _doubles(0.0))
        m = b.select(negative, b.fadd(m, _doubles(2.0**52)), m)
        multiple = _fma(b, m, _float(b, p), low)  # of 2**52, so that nothing is rounded
        return _whole(b, b.fmul(multiple, _doubles(2.0**-52)), high)
    zero = words(0)
    m = madd(b, "l", zero, low, inverse)
    # low + the low half of m p is 0 or 2**52.
    carry = b.zext(b.icmp_unsigned("!=", low, zero), WORDS)
    return b.add(madd(b, "h", high, m, p), carry)


def times_loosely(b: Builder, x: Value, w: Value, quotient: Value, p: Value, start: Value = None) -> Value:
    """Compute x w modulo p, below 2 p, plus ``start``, modulo 2**52; of x and of the result only 52 bits count.

    ``quotient`` is floor(w 2**52 / p), for w below p.
    """
    if by_floats():
        result = _times_by_floats(b, _float(b, x), _float_below(b, w), quotient, p)
        return _whole(b, result, p if start is None else b.add(start, p))
    zero = words(0)
    q = madd(b, "h", zero, x, quotient)
    complement = b.sub(words(1 << 52), p)  # adds -q p modulo 2**52: one instruction for product and difference
    return madd(b, "l", madd(b, "l", zero if start is None else start, x, w), q, complement)


def rest(b: Builder, x: Value, one: Value, p: Value) -> Value:
    """Reduce the low 52 bits of x to their rest modulo p, or that plus p; ``one`` is the quotient of 1."""
    if by_floats():
        x = _float(b, x)
        return _whole(b, _fma(b, _quotient(b, x, one), _scaled(b, p), x), p)
    q = madd(b, "h", words(0), x, one)
    return b.and_(madd(b, "l", x, q, b.sub(words(1 << 52), p)), words(MASK))


def madd(b: Builder, part: str, total: Value, x: Value, y: Value) -> Value:
    """Add the "l"ow or "h"igh 52 bits of the product of the low 52 bits of x and y to ``total``: no floats."""
    if "avx512ifma" in features():
        return call(b, f"llvm.x86.avx512.vpmadd52{part}.uq.512", WORDS, total, x, y)
    wide = vector(ir.IntType(128), LANES)
    mask = words(MASK)
    product = b.mul(*(b.zext(b.and_(v, mask), wide) for v in (x, y)))
    if part == "h":
        product = b.lshr(product, constant(ir.IntType(128), [52] * LANES))
    return b.add(total, b.and_(b.trunc(product, WORDS), mask))


# By floats. What is computed with them is exact, but for what is said to be rounded.


def by_floats() -> bool:
    """Say whether floats multiply faster than integers do."""
    return "avx512ifma" not in features() and {"avx2", "fma"} <= features()


def _halves(b: Builder, x: Value, y: Value) -> tuple[Value, Value]:
    """Split the product of floats below 2**52: 2**104 + high 2**52, where high is rounded, and low, at most 2**51."""
    high = _fma(b, x, y, _doubles(_HIGH))
    return high, _fma(b, x, y, b.fsub(_doubles(_HIGH), high))


def _times_by_floats(b: Builder, x: Value, w: Value, quotient: Value, p: Value) -> Value:
    """Compute x w - q p, between -p and p, for x below 2**52: the quotient q is right but for less than 1.

    x w / p and x (quotient + 1/2) / 2**52 differ by at most x / 2**53, which is less than 1/2, and rounding adds at
    most 1/2. With h for the rounded product x w, h - q p is an integer below 2**51, and so exact.
    """
    product = b.fmul(x, w)
    lost = _fma(b, x, w, b.fneg(product))
    return b.fadd(_fma(b, _quotient(b, x, quotient), _scaled(b, p), product), lost)


def _quotient(b: Builder, x: Value, quotient: Value) -> Value:
    """Compute -2**52 times x (quotient + 1/2) / 2**52, rounded to an integer."""
    half_more = b.fsub(_raised_below(b, quotient), _doubles(2.0**52 - 0.5))
    return b.fsub(_doubles(_HIGH), _fma(b, x, half_more, _doubles(_HIGH)))


def _scaled(b: Builder, p: Value) -> Value:
    return b.fmul(_float_below(b, p), _doubles(2.0**-52))


def _float(b: Builder, x: Value) -> Value:
    """Make floats of the low 52 bits of integers."""
    return b.fsub(_raised(b, x), _doubles(2.0**52))


def _float_below(b: Builder, x: Value) -> Value:
    """Make floats of integers below 2**52."""
    return b.fsub(_raised_below(b, x), _doubles(2.0**52))


def _raised(b: Builder, x: Value) -> Value:
    """Make floats of the low 52 bits of integers, plus 2**52."""
    return _raised_below(b, b.and_(x, words(MASK)))


def _raised_below(b: Builder, x: Value) -> Value:
    """Make floats of integers below 2**52, plus 2**52: they are the bits of such a float's fraction."""
    return b.bitcast(b.or_(x, _bits(2.0**52)), _DOUBLES)


def _whole(b: Builder, x: Value, more: Value) -> Value:
    """Make integers of whole floats, at most 2**51 in magnitude, plus ``more``."""
    return b.add(b.bitcast(b.fadd(x, _doubles(_WHOLE)), WORDS), b.sub(more, _bits(_WHOLE)))


def _fma(b: Builder, x: Value, y: Value, z: Value) -> Value:
    """Compute x y + z, rounded once."""
    return call(b, f"llvm.fma.v{LANES}f64", _DOUBLES, x, y, z)


def _doubles(value: float) -> Value:
    return ir.Constant(_DOUBLES, [value] * LANES)


def _bits(value: float) -> Value:
    """Put the bits of a float into every lane."""
    return words(_bits_of(value))


def _bits_of(value: float) -> int:
    return int(np.float64(value).view(np.int64))
