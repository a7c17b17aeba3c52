"""The arithmetic of residues on a GPU: 64-bit words and their 128-bit products; plain integers in Numba's simulator.

A product with a constant w takes w and a quotient like floor(w 2**64 / p), as Shoup has it; see `lanes`, whose tables
serve here too: a quotient of 52 bits, shifted, is one of 64 that is below the true one by less than 2**12, which does
not show while x is below 2**52. Sums of products are held in 128 bits and reduced once, as Montgomery has it.
"""

# ruff: noqa: ARG001  (an intrinsic's arguments are types, of which some say nothing)

from typing import Any

from intnn.machine.cuda.intrinsics import SIMULATED

_SPARE = 12  # what is missing from 52 bits to 64
_MASK = (1 << 64) - 1

if SIMULATED:
    from ctypes import c_uint64

    def address_of(array: Any) -> int:
        """Return the address of an array's first word."""
        return int(array._ary.ctypes.data)

    def word_at(address: Any, k: Any) -> Any:
        """Read the k-th word from an address on."""
        return c_uint64.from_address(int(address) + 8 * int(k)).value

    def times(x: Any, w: Any, quotient: Any, p: Any) -> Any:
        """Multiply x with w modulo p, for any x < 2**52; the result is below 2 p."""
        return int(x) * int(w) - (int(x) * int(quotient) >> 64) * int(p)

    def madd(low: Any, high: Any, x: Any, y: Any) -> tuple[Any, Any]:
        """Add x y to the sum high 2**64 + low."""
        total = (int(high) << 64) + int(low) + int(x) * int(y)
        return total & _MASK, total >> 64

    def reduced(low: Any, high: Any, p: Any, inverse: Any, one: Any) -> Any:
        """Divide high 2**64 + low, below 2**115, by 2**52 modulo p; the result is below p.

        ``inverse`` is -1 / p modulo 2**64, ``one`` floor(2**64 / p).
        """
        total = (int(high) << 64) + int(low) << _SPARE
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
    from numba import float64, int64, types, uint64
    from numba.cuda.extending import intrinsic

    WORD, WIDE, FLOAT = ir.IntType(64), ir.IntType(128), ir.DoubleType()
    PAIR = types.UniTuple(uint64, 2)

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

    def _high(b: Any, x: Any, y: Any) -> Any:
        return _instruction(b, "mul.hi.u64 $0, $1, $2;", WORD, "=l,l,l", x, y)

    def _below(b: Any, x: Any, limit: Any) -> Any:
        return b.select(b.icmp_unsigned(">=", x, limit), b.sub(x, limit), x)

    def _times(b: Any, x: Any, w: Any, quotient: Any, p: Any) -> Any:
        return b.sub(b.mul(x, w), b.mul(_high(b, x, quotient), p))

    @intrinsic
    def times(_context, x, w, quotient, p):  # type: ignore[no-untyped-def]
        """Multiply x with w modulo p, for any x < 2**52; the result is below 2 p."""
        return uint64(uint64, uint64, uint64, uint64), lambda _target, b, _signature, args: _times(b, *args)

    @intrinsic
    def below(_context, x, limit):  # type: ignore[no-untyped-def]
        """Take the lesser of x and x - limit as unsigned numbers: x modulo ``limit`` where x < 2 limit."""
        return uint64(uint64, uint64), lambda _target, b, _signature, args: _below(b, *args)

    @intrinsic
    def madd(_context, low, high, x, y):  # type: ignore[no-untyped-def]
        """Add x y to the sum high 2**64 + low."""

        def codegen(target, b, _signature, args):  # type: ignore[no-untyped-def]
            low, high, x, y = args
            text = "mad.lo.cc.u64 $0, $2, $3, $4; madc.hi.u64 $1, $2, $3, $5;"
            both = ir.LiteralStructType([WORD, WORD])
            # "&": the first result is written before the last operands are read.
            sums = _instruction(b, text, both, "=&l,=l,l,l,l,l", x, y, low, high)
            result = ir.Constant(target.get_value_type(PAIR), ir.Undefined)
            for i in range(2):
                result = b.insert_value(result, b.extract_value(sums, i), i)
            return result

        return PAIR(uint64, uint64, uint64, uint64), codegen

    @intrinsic
    def reduced(_context, low, high, p, inverse, one):  # type: ignore[no-untyped-def]
        """Divide high 2**64 + low by 2**52 modulo p; the result is below p.

        ``inverse`` is -1 / p modulo 2**64, ``one`` floor(2**64 / p).
        """

        def codegen(_target, b, _signature, args):  # type: ignore[no-untyped-def]
            low, high, p, inverse, one = args
            # Twelve bits to the left: divided by 2**64, it is divided by 2**52.
            high = b.or_(b.shl(high, WORD(_SPARE)), b.lshr(low, WORD(64 - _SPARE)))
            low = b.shl(low, WORD(_SPARE))
            carry = b.zext(b.icmp_unsigned("!=", low, WORD(0)), WORD)  # low + the low half of m p is 0 or 2**64
            total = b.add(b.add(high, _high(b, b.mul(low, inverse), p)), carry)
            return _below(b, _times(b, total, WORD(1), one, p), p)

        return uint64(uint64, uint64, uint64, uint64, uint64), codegen

    @intrinsic
    def add_share(_context, total, x, share):  # type: ignore[no-untyped-def]
        """Add x share to a float, rounding twice; the compiler would make it one instruction that rounds once."""

        def codegen(_target, b, _signature, args):  # type: ignore[no-untyped-def]
            total, x, share = args
            product = _instruction(b, "mul.rn.f64 $0, $1, $2;", FLOAT, "=d,d,d", b.uitofp(x, FLOAT), share)
            return _instruction(b, "add.rn.f64 $0, $1, $2;", FLOAT, "=d,d,d", total, product)

        return float64(float64, uint64, float64), codegen
