"""The arithmetic of residues on a GPU: 64-bit words and their products; plain integers in Numba's simulator.

A product with a constant w takes w and floor(w 2**64 / p), as Shoup has it, and any word x: so words may grow where
`lanes` must reduce them.

A sum of products is held as three words. Factors of 50 bits are two *limbs* of 25, a + 2**25 b; the words are the sums
of products of limbs a, of a + b, and of limbs b, as Karatsuba has it: three instructions multiply and add, which is
what the GPU's multipliers are slowest at, and nothing is carried for thousands of terms. The second word may wrap
around, for what is taken from it is the coefficient of 2**25, which fits. A sum is reduced once, as Montgomery has it.
"""

# ruff: noqa: ARG001  (an intrinsic's arguments are types, of which some say nothing)

from collections.abc import Sequence
from typing import Any

import numpy as np

from intnn.machine.cuda.intrinsics import SIMULATED

LIMB = 25  # bits
_LIMB_MASK, _HALF_MASK, _MASK = (1 << LIMB) - 1, (1 << 32) - 1, (1 << 64) - 1


def in_limbs(x: np.ndarray) -> np.ndarray:
    """Split numbers below 2**50: uint64 of the same shape, with a limb in either half of each word."""
    low, high = x & np.uint64(_LIMB_MASK), x >> np.uint64(LIMB)
    result: np.ndarray = low | high << np.uint64(32)
    return result


if SIMULATED:
    from ctypes import c_uint64

    def address_of(array: Any) -> int:
        """Return the address of an array's first word."""
        return int(array._ary.ctypes.data)

    def word_at(address: Any, k: Any) -> Any:
        """Read the k-th word from an address on."""
        return c_uint64.from_address(int(address) + 8 * int(k)).value

    def pair_at(pairs: Any, line: Any) -> tuple[Any, Any]:
        """Read both words of one of many pairs, uint64 [..., 2]."""
        pair = pairs.reshape((-1, 2))[line]
        return pair[0], pair[1]

    def times(x: Any, w: Any, quotient: Any, p: Any) -> Any:
        """Multiply any word x with w modulo p; the result is below 2 p."""
        return int(x) * int(w) - (int(x) * int(quotient) >> 64) * int(p)

    def lazy_times(x: Any, w: Any, quotient: Any, p: Any) -> Any:
        """Multiply any word x with w modulo p, in fewer instructions; the result is below 4 p."""
        (low, high), (q_low, q_high) = ((int(y) & _HALF_MASK, int(y) >> 32) for y in (x, quotient))
        return int(x) * int(w) - (high * q_high + (high * q_low >> 32) + (low * q_high >> 32)) * int(p)

    def limbs(x: Any) -> tuple[Any, Any, Any]:
        """Split x, below 2**50, into two limbs; the word between them is what they add up to."""
        low, high = int(x) & _LIMB_MASK, int(x) >> LIMB
        return low, low + high, high

    def given_limbs(word: Any) -> tuple[Any, Any, Any]:
        """Read the limbs that `in_limbs` has put into a word; the word between them is what they add up to."""
        low, high = int(word) & _LIMB_MASK, int(word) >> 32
        return low, low + high, high

    def word_of(rows: Any, row: Any, k: Any) -> Any:
        """Read word k of a row of uint64 [rows, N], of less than 2**32 rows."""
        return rows[row, k]

    def madd(sums: Any, x: Any, y: Any) -> Any:
        """Add the product of two numbers, which are given as limbs, to a sum."""
        return tuple(int(total) + a * b & _MASK for total, a, b in zip(sums, x, y, strict=True))

    def carried(sums: Any) -> Any:
        """Carry what a sum has beyond limbs; one below 2**114 has room for what is carried."""
        low, both, high = map(int, sums)
        middle = (both - low - high & _MASK) + (low >> LIMB)
        low, middle, high = low & _LIMB_MASK, middle & _LIMB_MASK, high + (middle >> LIMB) & _MASK
        return low, low + middle + high & _MASK, high

    def reduced(sums: Any, p: Any, inverse: Any, one: Any) -> Any:
        """Divide a carried sum by 2**52 modulo p; the result is below p.

        ``inverse`` is -1 / p modulo 2**64, ``one`` floor(2**64 / p).
        """
        low, both, high = map(int, sums)
        middle = both - low - high & _MASK
        total = low + (middle << LIMB) + (high << 2 * LIMB) << 12  # over 2**64, as it is over 2**52
        total = total + (total & _MASK) * int(inverse) % (1 << 64) * int(p) >> 64
        return below(times(total, 1, one, p), p)

    def below(x: Any, limit: Any) -> Any:
        """Take the lesser of x and x - limit as unsigned numbers: x modulo ``limit`` where x < 2 limit."""
        return x - limit if x >= limit else x

    def add_share(total: Any, x: Any, share: Any) -> Any:
        """Add x share to a float, rounding twice."""
        return total + float(x) * share

else:
    from llvmlite import ir
    from numba import float64, int64, types, uint32, uint64
    from numba.cuda.extending import intrinsic

    HALF, WORD, FLOAT = ir.IntType(32), ir.IntType(64), ir.DoubleType()
    PAIR, SUM, LIMBS = types.UniTuple(uint64, 2), types.UniTuple(uint64, 3), types.UniTuple(uint32, 3)

    def address_of(array: Any) -> int:
        """Return the address of an array's first word."""
        return int(array.__cuda_array_interface__["data"][0])

    @intrinsic
    def word_at(_context, address, k):  # type: ignore[no-untyped-def]
        """Read the k-th word from an address on."""

        def codegen(_target, b, _signature, args):  # type: ignore[no-untyped-def]
            address, k = args
            return b.load(b.inttoptr(b.add(address, b.mul(k, WORD(8))), WORD.as_pointer()))

        return uint64(int64, int64), codegen

    def _instruction(b: Any, text: str, result: Any, letters: str, *operands: Any) -> Any:
        signature = ir.FunctionType(result, [operand.type for operand in operands])
        call = b.asm(signature, text, letters, operands, side_effect=False)
        call.attributes.add("readnone")
        return call

    def _tuple(target: Any, b: Any, kind: Any, values: Sequence[Any]) -> Any:
        result = ir.Constant(target.get_value_type(kind), ir.Undefined)
        for i, value in enumerate(values):
            result = b.insert_value(result, value, i)
        return result

    @intrinsic
    def pair_at(_context, pairs, line):  # type: ignore[no-untyped-def]
        """Read both words of one of many pairs, uint64 [..., 2], at once; kernels that read them do not write them."""

        def codegen(target, b, signature, args):  # type: ignore[no-untyped-def]
            first = b.ptrtoint(target.make_array(signature.args[0])(target, b, args[0]).data, WORD)
            address = b.add(first, b.mul(args[1], WORD(16)))
            both = ir.LiteralStructType([WORD, WORD])
            found = _instruction(b, "ld.global.nc.v2.u64 {$0, $1}, [$2];", both, "=l,=l,l", address)
            return _tuple(target, b, PAIR, [b.extract_value(found, i) for i in range(2)])

        return PAIR(pairs, uint64), codegen

    def _high(b: Any, x: Any, y: Any) -> Any:
        return _instruction(b, "mul.hi.u64 $0, $1, $2;", WORD, "=l,l,l", x, y)

    def _below(b: Any, x: Any, limit: Any) -> Any:
        return b.select(b.icmp_unsigned(">=", x, limit), b.sub(x, limit), x)

    def _about_high(b: Any, x: Any, y: Any) -> Any:
        """The high word of x y, less 2 at most: what the product of the low halves adds is left out."""
        (x0, x1), (y0, y1) = ([b.trunc(half, HALF) for half in (word, b.lshr(word, WORD(32)))] for word in (x, y))
        crossed = [_instruction(b, "mul.hi.u32 $0, $1, $2;", HALF, "=r,r,r", *pair) for pair in ((x1, y0), (x0, y1))]
        return b.add(_wide(b, x1, y1), b.add(*(b.zext(half, WORD) for half in crossed)))

    def _wide(b: Any, x: Any, y: Any) -> Any:
        return _instruction(b, "mul.wide.u32 $0, $1, $2;", WORD, "=l,r,r", x, y)

    def _rest(b: Any, x: Any, w: Any, multiple: Any, p: Any) -> Any:
        """Subtract a multiple of p from x w."""
        # As assembly: the optimiser would multiply with p and negate every product.
        negative = _instruction(b, "neg.s64 $0, $1;", WORD, "=l,l", p)
        return b.add(b.mul(x, w), b.mul(multiple, negative))

    def _times(b: Any, x: Any, w: Any, quotient: Any, p: Any) -> Any:
        return _rest(b, x, w, _high(b, x, quotient), p)

    @intrinsic
    def times(_context, x, w, quotient, p):  # type: ignore[no-untyped-def]
        """Multiply any word x with w modulo p; the result is below 2 p."""
        return uint64(uint64, uint64, uint64, uint64), lambda _target, b, _signature, args: _times(b, *args)

    @intrinsic
    def lazy_times(_context, x, w, quotient, p):  # type: ignore[no-untyped-def]
        """Multiply any word x with w modulo p, in fewer instructions; the result is below 4 p."""

        def codegen(_target, b, _signature, args):  # type: ignore[no-untyped-def]
            x, w, quotient, p = args
            return _rest(b, x, w, _about_high(b, x, quotient), p)

        return uint64(uint64, uint64, uint64, uint64), codegen

    @intrinsic
    def below(_context, x, limit):  # type: ignore[no-untyped-def]
        """Take the lesser of x and x - limit as unsigned numbers: x modulo ``limit`` where x < 2 limit."""
        return uint64(uint64, uint64), lambda _target, b, _signature, args: _below(b, *args)

    def _limbs(target: Any, b: Any, low: Any, high: Any) -> Any:
        return _tuple(target, b, LIMBS, [low, b.add(low, high), high])

    @intrinsic
    def limbs(_context, x):  # type: ignore[no-untyped-def]
        """Split x, below 2**50, into two limbs; the word between them is what they add up to."""

        def codegen(target, b, _signature, args):  # type: ignore[no-untyped-def]
            low = b.and_(b.trunc(args[0], HALF), HALF(_LIMB_MASK))
            return _limbs(target, b, low, b.trunc(b.lshr(args[0], WORD(LIMB)), HALF))

        return LIMBS(uint64), codegen

    @intrinsic
    def given_limbs(_context, word):  # type: ignore[no-untyped-def]
        """Read the limbs that `in_limbs` has put into a word; the word between them is what they add up to."""

        def codegen(target, b, _signature, args):  # type: ignore[no-untyped-def]
            return _limbs(target, b, b.trunc(args[0], HALF), b.trunc(b.lshr(args[0], WORD(32)), HALF))

        return LIMBS(uint64), codegen

    @intrinsic
    def word_of(_context, rows, row, k):  # type: ignore[no-untyped-def]
        """Read word k of a row of uint64 [rows, N], of less than 2**32 rows: one instruction finds its address."""

        def codegen(target, b, signature, args):  # type: ignore[no-untyped-def]
            rows, row, k = args
            array = target.make_array(signature.args[0])(target, b, rows)
            width = b.mul(b.extract_value(array.shape, 1), WORD(8))
            before = b.mul(*(b.zext(b.trunc(value, HALF), WORD) for value in (row, width)))
            column = b.gep(array.data, [k])  # the same for every row
            place = b.gep(b.bitcast(column, ir.IntType(8).as_pointer()), [before])
            return b.load(b.bitcast(place, WORD.as_pointer()))

        return uint64(rows, uint64, uint64), codegen

    @intrinsic
    def madd(_context, sums, x, y):  # type: ignore[no-untyped-def]
        """Add the product of two numbers, which are given as limbs, to a sum."""

        def codegen(target, b, _signature, args):  # type: ignore[no-untyped-def]
            operands = ([b.extract_value(one, i) for one in (*args[1:], args[0])] for i in range(3))
            made = [_instruction(b, "mad.wide.u32 $0, $1, $2, $3;", WORD, "=l,r,r,l", *three) for three in operands]
            return _tuple(target, b, SUM, made)

        return SUM(SUM, LIMBS, LIMBS), codegen

    def _coefficients(b: Any, sums: Any) -> list[Any]:
        low, both, high = (b.extract_value(sums, i) for i in range(3))
        return [low, b.sub(b.sub(both, low), high), high]

    @intrinsic
    def carried(_context, sums):  # type: ignore[no-untyped-def]
        """Carry what a sum has beyond limbs; one below 2**114 has room for what is carried."""

        def codegen(target, b, _signature, args):  # type: ignore[no-untyped-def]
            low, middle, high = _coefficients(b, args[0])
            middle = b.add(middle, b.lshr(low, WORD(LIMB)))
            high = b.add(high, b.lshr(middle, WORD(LIMB)))
            low, middle = (b.and_(word, WORD(_LIMB_MASK)) for word in (low, middle))
            return _tuple(target, b, SUM, [low, b.add(b.add(low, middle), high), high])

        return SUM(SUM), codegen

    @intrinsic
    def reduced(_context, sums, p, inverse, one):  # type: ignore[no-untyped-def]
        """Divide a carried sum by 2**52 modulo p; the result is below p.

        ``inverse`` is -1 / p modulo 2**64, ``one`` floor(2**64 / p).
        """

        def codegen(_target, b, _signature, args):  # type: ignore[no-untyped-def]
            sums, p, inverse, one = args
            first, middle, last = _coefficients(b, sums)
            # Twelve bits to the left: divided by 2**64, it is divided by 2**52.
            low = b.or_(b.or_(b.shl(first, WORD(12)), b.shl(middle, WORD(LIMB + 12))), b.shl(last, WORD(62)))
            carry = b.zext(b.icmp_unsigned("!=", low, WORD(0)), WORD)  # low + the low half of m p is 0 or 2**64
            total = b.add(b.add(b.lshr(last, WORD(2)), _high(b, b.mul(low, inverse), p)), carry)
            return _below(b, _times(b, total, WORD(1), one, p), p)

        return uint64(SUM, uint64, uint64, uint64), codegen

    @intrinsic
    def add_share(_context, total, x, share):  # type: ignore[no-untyped-def]
        """Add x share to a float, rounding twice; the compiler would make it one instruction that rounds once."""

        def codegen(_target, b, _signature, args):  # type: ignore[no-untyped-def]
            total, x, share = args
            product = _instruction(b, "mul.rn.f64 $0, $1, $2;", FLOAT, "=d,d,d", b.uitofp(x, FLOAT), share)
            return _instruction(b, "add.rn.f64 $0, $1, $2;", FLOAT, "=d,d,d", total, product)

        return float64(float64, uint64, float64), codegen
