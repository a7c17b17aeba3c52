"""Eight residues at a time, by 52-bit multiplication: the instructions that the kernels are made of.

Residues are below 2**52 in vectors of eight 64-bit lanes; primes are below 2**50, so that sums of four residues fit.

A product with a constant w takes w and floor(w 2**52 / p), as Shoup has it (D. Harvey, "Faster arithmetic for
number-theoretic transforms", J. Symb. Comput. 60, 2014); its result is below 2 p. A sum of products of two variables is
reduced as Montgomery has it, with 2**52 for R: one factor of each is stored times 2**52.
"""

from llvmlite import ir

from he.kernels.instructions.multiply import (
    BYTES,
    LANES,
    MASK,
    WORDS,
    Sum,
    add_product,
    divided,
    nothing,
    splats,
    times_loosely,
    words,
)
from intnn.machine.host import features
from intnn.machine.simd import I8, I32, I64, Builder, Value, call, concatenate, extract, load, splat, store, vector

MANTISSA = 52  # bits of a float64


def below(b: Builder, x: Value, limit: Value) -> Value:
    """Take x - limit, or x where that is negative: x modulo ``limit`` where x < 2 limit. Both are below 2**63."""
    less = b.sub(x, limit)
    if "avx512f" in features():
        return call(b, f"llvm.umin.v{LANES}i64", WORDS, x, less)
    return b.select(b.icmp_signed("<", less, words(0)), x, less)


def times(b: Builder, x: Value, w: Value, quotient: Value, p: Value) -> Value:
    """Multiply x with w modulo p, for any x < 2**52; the result is below 2 p."""
    return b.and_(times_loosely(b, x, w, quotient, p), words(MASK))


def reduced(b: Builder, total: Sum, p: Value, inverse: Value, below_p: int = 8) -> Value:
    """Divide a sum by 2**52 modulo p as `divided` has it; the result is below p.

    ``below_p`` is a power of two: what is `divided` is known to be below so many times p.
    """
    result = divided(b, total, p, inverse)
    while below_p > 1:
        below_p //= 2
        result = below(b, result, b.mul(p, words(below_p)))
    return result


# Elementwise.


def scale(b: Builder, x: Value, out: Value, w: Value, quotient: Value, prime: Value) -> None:
    """Store x w modulo p, below p, for any x < 2**52."""
    p, w, quotient = splats(b, prime, w, quotient)
    store(b, below(b, times(b, load(b, WORDS, x), w, quotient, p), p), out)


def scale_difference(
    b: Builder, x: Value, y: Value, out: Value, w: Value, quotient: Value, prime: Value, *, loose: int = 1
) -> None:
    """Store (x - y) w modulo p, for x below p, and the low 52 bits of y below ``loose`` p."""
    p, w, quotient = splats(b, prime, w, quotient)
    difference = b.add(b.sub(load(b, WORDS, x), load(b, WORDS, y)), b.mul(p, words(loose)))
    store(b, below(b, times(b, difference, w, quotient, p), p), out)


def add(b: Builder, x: Value, y: Value, out: Value, prime: Value) -> None:
    """Store x + y modulo p, for both below p."""
    (p,) = splats(b, prime)
    store(b, below(b, b.add(load(b, WORDS, x), load(b, WORDS, y)), p), out)


def add_multiple(b: Builder, x: Value, out: Value, w: Value, quotient: Value, prime: Value) -> None:
    """Add x w modulo p to ``out``, for any x < 2**52."""
    p, w, quotient = splats(b, prime, w, quotient)
    multiple = below(b, times(b, load(b, WORDS, x), w, quotient, p), p)
    store(b, below(b, b.add(load(b, WORDS, out), multiple), p), out)


def tensor(
    b: Builder,
    c: Value,
    d: Value,
    component: Value,
    out: Value,
    out_component: Value,
    prime: Value,
    inverse: Value,
    r: Value,
    r_quotient: Value,
) -> None:
    """Multiply c0 + c1 s with d0 + d1 s and store three components; ``r`` is 2**52 modulo p."""
    p, inverse, r, r_quotient = splats(b, prime, inverse, r, r_quotient)
    c0, c1 = load(b, WORDS, c), load(b, WORDS, b.add(c, component))
    d0, d1 = (times(b, load(b, WORDS, at), r, r_quotient, p) for at in (d, b.add(d, component)))

    def sum_of(*pairs: tuple[Value, Value]) -> Value:
        total = nothing()
        for x, y in pairs:
            total = add_product(b, total, x, y)
        return reduced(b, total, p, inverse, 2)  # two products are below 4 p p, less than 2**52 p

    for i, value in enumerate((sum_of((c0, d0)), sum_of((c0, d1), (c1, d0)), sum_of((c1, d1)))):
        store(b, value, b.add(out, b.mul(out_component, I64(i))))


def merge(
    b: Builder, x: Value, y: Value, w: Value, out_sum: Value, out_difference: Value, prime: Value, inverse: Value
) -> None:
    """Store x + y w and x - y w modulo p; w is held times 2**52."""
    p, inverse = splats(b, prime, inverse)
    first, second = load(b, WORDS, x), montgomery(b, load(b, WORDS, y), load(b, WORDS, w), p, inverse)
    store(b, below(b, b.add(first, second), p), out_sum)
    store(b, below(b, b.sub(b.add(first, p), second), p), out_difference)


def split(
    b: Builder, x: Value, y: Value, w: Value, out_sum: Value, out_difference: Value, prime: Value, inverse: Value
) -> None:
    """Store x + y and (x - y) w modulo p; w is held times 2**52."""
    p, inverse = splats(b, prime, inverse)
    first, second = load(b, WORDS, x), load(b, WORDS, y)
    store(b, below(b, b.add(first, second), p), out_sum)
    difference = b.sub(b.add(first, p), second)
    store(b, montgomery(b, difference, load(b, WORDS, w), p, inverse), out_difference)


def subtract_product(b: Builder, x: Value, y: Value, w: Value, out: Value, prime: Value, inverse: Value) -> None:
    """Store x - y w modulo p; w is held times 2**52."""
    p, inverse = splats(b, prime, inverse)
    product = montgomery(b, load(b, WORDS, y), load(b, WORDS, w), p, inverse)
    store(b, below(b, b.sub(b.add(load(b, WORDS, x), p), product), p), out)


def noisy(b: Builder, uniform: Value, x: Value, out: Value, half: Value) -> None:
    """Store floats as integers, rounded at random, plus a binomial error.

    The error is how many of the lowest ``half`` bits of a word are set, less how many of the next as many are. Those
    above them are a fraction, and a float plus that fraction is rounded down.
    """
    doubles, word, (count,) = vector(ir.DoubleType(), LANES), load(b, WORDS, uniform), splats(b, half)
    mask, twice = b.sub(b.shl(words(1), count), words(1)), b.add(count, count)
    first, second = (
        call(b, f"llvm.ctpop.v{LANES}i64", WORDS, b.and_(bits, mask)) for bits in (word, b.lshr(word, count))
    )
    # The bits of a float from 1 to 2 are those of 1.0 and, below them, of its fraction.
    fraction = b.lshr(b.shl(b.lshr(word, twice), twice), words(64 - MANTISSA))
    raised = b.bitcast(b.or_(fraction, words(1023 << MANTISSA)), doubles)
    value = b.fadd(load(b, doubles, x), b.fsub(raised, ir.Constant(doubles, [1.0] * LANES)))
    whole = b.fptosi(call(b, f"llvm.floor.v{LANES}f64", doubles, value), WORDS)
    store(b, b.sub(b.add(whole, first), second), out)


def montgomery(b: Builder, x: Value, w: Value, p: Value, inverse: Value) -> Value:
    """Multiply x and w and divide by 2**52 modulo p, for x below 2 p and w below p; the result is below p."""
    return reduced(b, add_product(b, nothing(), x, w), p, inverse, 2)


def ordered(b: Builder, x: Value, order: Value) -> Value:
    """Take the lanes of x that another vector names, in its order."""
    if "avx512f" in features():
        return call(b, "llvm.x86.avx512.permvar.di.512", WORDS, x, order)
    if "avx2" in features():
        return _ordered_by_halves(b, x, order)
    result = x
    for i in range(LANES):
        lane = ir.IntType(32)(i)
        result = b.insert_element(result, b.extract_element(x, b.extract_element(order, lane)), lane)
    return result


def _ordered_by_halves(b: Builder, x: Value, order: Value) -> Value:
    """Words move within a half only (``vpermd``, which moves halves of words): each is taken from both halves."""
    half, first = vector(I32, LANES), b.shl(order, words(1))
    places = b.bitcast(b.or_(first, b.shl(b.add(first, words(1)), words(32))), vector(I32, 2 * LANES))
    halves = [extract(b, b.bitcast(x, vector(I32, 2 * LANES)), start, LANES) for start in (0, LANES)]
    lower, upper = (
        concatenate(
            b,
            [call(b, "llvm.x86.avx2.permd", half, source, extract(b, places, start, LANES)) for start in (0, LANES)],
        )
        for source in halves
    )
    is_lower = b.icmp_signed("<", order, words(LANES // 2))
    return b.select(is_lower, b.bitcast(lower, WORDS), b.bitcast(upper, WORDS))


def unpack(b: Builder, x: Value, order: Value, shifts: Value, mask: Value, out: Value) -> None:
    """Store eight words of a mask's bits that lie without gaps from x on, of which 64 bytes are read.

    ``order`` is the address of 64 bytes, the places of those that the words lie in; ``shifts`` of the bits before them.
    """
    if "avx512vbmi" in features():
        octets = vector(I8, BYTES)
        spread = call(b, "llvm.x86.avx512.permvar.qi.512", octets, load(b, octets, x), load(b, octets, order))
        value = b.bitcast(spread, WORDS)
    else:
        value = words(0)
        for lane in range(LANES):
            place = b.zext(load(b, I8, order, LANES * lane), I64)
            value = b.insert_element(value, load(b, I64, b.add(x, place)), ir.IntType(32)(lane))
    store(b, b.and_(b.lshr(value, load(b, WORDS, shifts)), splat(b, mask, LANES)), out)
