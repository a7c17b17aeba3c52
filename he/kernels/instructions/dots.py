"""Sums over lists of rows: inner products, multiples, extensions; instructions, as in `lanes`.

Lists are addresses of rows in memory; what they are multiplied with may be packed to fewer bytes a word.
"""

from collections.abc import Callable
from operator import floordiv, mod

from llvmlite import ir

from he.kernels.instructions.lanes import (
    BYTES,
    LANES,
    WORDS,
    below,
    divided,
    madd,
    ordered,
    reduced,
    splats,
    times,
    words,
)
from intnn.machine.host import features
from intnn.machine.simd import (
    I8,
    I64,
    Builder,
    Value,
    call,
    constant,
    load,
    prefetch,
    splat,
    store,
    store_past,
    vector,
)

MAX_ADDED = 16  # numbers, at once
AHEAD = 1024  # bytes between what is read of a row and what is asked for
TILE_ROWS, TILE_VECTORS = 4, 2  # of a matrix product's sums, which stay in 16 of 32 registers


def add_all(b: Builder, x: Value, offset: Value, count: Value, out: Value, prime: Value) -> None:
    """Store the sum of at most `MAX_ADDED` numbers below p modulo p; x lists addresses, ``offset`` is added to each."""
    (p,) = splats(b, prime)
    (total,) = loop(b, count, [words(0)], lambda i, sums: [b.add(sums[0], listed(b, x, i, offset))])
    multiple = MAX_ADDED
    while multiple > 1:
        multiple //= 2
        total = below(b, total, b.mul(p, words(multiple)))
    store(b, total, out)


def dot_pair(
    b: Builder,
    x: Value,
    y: Value,
    z: Value,
    offset: Value,
    width: Value,
    count: Value,
    out_y: Value,
    out_z: Value,
    prime: Value,
    inverse: Value,
) -> None:
    """Store two vectors of the sums of at most 28 products x_i y_i / 2**52 and x_i z_i / 2**52 modulo p.

    x, y and z are lists of addresses of rows; ``offset`` is that of the words. y and z are packed to ``width`` bytes a
    word.
    """
    p, inverse = splats(b, prime, inverse)
    for k, sums in enumerate(_two_dots(b, x, y, z, offset, width, count, ir.IntType(1)(1))):
        for (low, high), row in zip(sums, (out_y, out_z), strict=True):
            store(b, reduced(b, low, high, p, inverse), row, BYTES * k)


def add_products(
    b: Builder, x: Value, y: Value, z: Value, offset: Value, width: Value, count: Value, sums: Value, start: Value
) -> None:
    """Add products x_i y_i and x_i z_i to four vectors, the low and high halves of both sums; they are 0 at the start.

    x, y and z are lists of addresses of rows; ``offset`` is that of the words. x is packed to ``width`` bytes a word.
    """
    before = [b.select(start, words(0), load(b, WORDS, sums, BYTES * i)) for i in range(4)]
    octets = b.mul(b.lshr(offset, I64(3)), width)

    def body(i: Value, sums: list[Value]) -> list[Value]:
        for table, shift in ((x, octets), (y, offset), (z, offset)):
            ask(b, table, i, shift)
        left, right = listed_packed(b, x, i, offset, width), [listed(b, table, i, offset) for table in (y, z)]
        return [madd(b, "lhlh"[i], total, left, right[i // 2]) for i, total in enumerate(sums)]

    for i, total in enumerate(loop(b, count, before, body)):
        store(b, total, sums, BYTES * i)


def finish_products(
    b: Builder, sums: Value, out_y: Value, out_z: Value, start: Value, prime: Value, inverse: Value
) -> None:
    """Add sums of at most 28 products, divided by 2**52 modulo p, to what two places hold: 0 at the start."""
    p, inverse = splats(b, prime, inverse)
    for i, out in enumerate((out_y, out_z)):
        low, high = (load(b, WORDS, sums, BYTES * (2 * i + half)) for half in range(2))
        before = b.select(start, words(0), load(b, WORDS, out))
        store(b, below(b, b.add(reduced(b, low, high, p, inverse), before), p), out)


def permuted_dot_pair(
    b: Builder,
    x: Value,
    y: Value,
    z: Value,
    offset: Value,
    width: Value,
    count: Value,
    asks: Value,
    added: Value,
    w: Value,
    r: Value,
    r_quotient: Value,
    places: Value,
    orders: Value,
    past: Value,
    out_y: Value,
    out_z: Value,
    prime: Value,
    inverse: Value,
) -> None:
    """`dot_pair`, plus ``added`` w to the first, permuted: vectors change their places, and lanes within a vector.

    For each vector, ``places`` has its place, a multiple of 64 bytes, plus the number of one of eight ``orders``. r is
    2**52 modulo p. ``asks`` is whether to `ask` for what comes next, and ``past`` whether vectors are stored past the
    caches, in rows that begin at a line.
    """
    p, inverse, w, r, r_quotient = splats(b, prime, inverse, w, r, r_quotient)
    factor = times(b, w, r, r_quotient, p)
    for k, sums in enumerate(_two_dots(b, x, y, z, offset, width, count, asks)):
        addend, (low, high) = load(b, WORDS, b.add(added, offset), BYTES * k), sums[0]
        sums[0] = madd(b, "l", low, addend, factor), madd(b, "h", high, addend, factor)
        target = load(b, I64, b.add(places, b.lshr(offset, I64(3))), 8 * k)
        order = load(b, WORDS, b.add(orders, b.shl(b.and_(target, I64(7)), I64(6))))
        for (low, high), row in zip(sums, (out_y, out_z), strict=True):
            value, place = ordered(b, reduced(b, low, high, p, inverse), order), b.add(row, b.and_(target, I64(-64)))
            with b.if_else(past) as (then, otherwise):
                with then:
                    store_past(b, value, place)
                with otherwise:
                    store(b, value, place)


def _two_dots(
    b: Builder, x: Value, y: Value, z: Value, offset: Value, width: Value, count: Value, asks: Value
) -> list[list[tuple[Value, Value]]]:
    """Compute the low and high halves of both sums, for two vectors; ``asks`` is whether to `ask` for the next ones."""
    octets = b.mul(b.lshr(offset, I64(3)), width)

    def body(i: Value, sums: list[Value]) -> list[Value]:
        with b.if_then(asks):
            for table, shift in ((x, offset), (y, octets), (z, octets)):
                ask(b, table, i, shift, lines=2)
        following: list[Value] = []
        for k in range(2):
            left = listed(b, x, i, offset, k=k)
            for table in (y, z):
                right = listed_packed(b, table, i, offset, width, k)
                low, high = sums[len(following) : len(following) + 2]
                following += [madd(b, "l", low, left, right), madd(b, "h", high, left, right)]
        return following

    sums = loop(b, count, [words(0)] * 8, body)
    return [[(sums[i], sums[i + 1]), (sums[i + 2], sums[i + 3])] for i in (0, 4)]


def ask(b: Builder, addresses: Value, i: Value, offset: Value, lines: int = 1) -> None:
    """Have lines of the i-th row of a list fetched that lie `AHEAD` bytes behind what is read at ``offset``.

    Processors do so by themselves, but for a few rows at a time, and not where the next page of a row begins.
    """
    soon = b.add(b.add(load(b, I64, b.add(addresses, b.shl(i, I64(3)))), offset), I64(AHEAD))
    for line in range(lines):
        prefetch(b, b.add(soon, I64(BYTES * line)))


def listed(b: Builder, addresses: Value, i: Value, offset: Value, k: int = 0) -> Value:
    """Load the k-th eight words at ``offset`` bytes behind the i-th address of a list."""
    return load(b, WORDS, b.add(load(b, I64, b.add(addresses, b.shl(i, I64(3)))), offset), BYTES * k)


def listed_packed(b: Builder, addresses: Value, i: Value, offset: Value, width: Value, k: int = 0) -> Value:
    """Load the same of words of ``width`` bytes, at most 7; 64 bytes behind the last word may be read as well."""
    offset = b.mul(b.add(b.lshr(offset, I64(3)), I64(LANES * k)), width)
    address = b.add(load(b, I64, b.add(addresses, b.shl(i, I64(3)))), offset)
    if "avx512vbmi" in features():
        octets, narrow = vector(I8, BYTES), b.trunc(width, I8)
        word, octet = (constant(I8, [function(lane, 8) for lane in range(BYTES)]) for function in (floordiv, mod))
        order = b.add(b.mul(word, splat(b, narrow, BYTES)), octet)
        spread = call(b, "llvm.x86.avx512.permvar.qi.512", octets, load(b, octets, address), order)
        is_there = b.icmp_unsigned("<", octet, splat(b, narrow, BYTES))
        return b.bitcast(b.select(is_there, spread, constant(I8, [0] * BYTES)), WORDS)
    result = words(0)
    for lane in range(LANES):
        word = load(b, I64, b.add(address, b.mul(width, I64(lane))))
        result = b.insert_element(result, word, ir.IntType(32)(lane))
    mask = b.sub(b.shl(I64(1), b.mul(width, I64(8))), I64(1))
    return b.and_(result, splat(b, mask, LANES))


def combine(
    b: Builder, x: Value, offset: Value, w: Value, quotients: Value, step: Value, count: Value, out: Value, prime: Value
) -> None:
    """Store the sum of x_i w_i; x lists addresses, and constants with their quotients are ``step`` bytes apart."""
    (p,) = splats(b, prime)
    two = b.add(p, p)

    def body(i: Value, sums: list[Value]) -> list[Value]:
        value = load(b, WORDS, b.add(load(b, I64, b.add(x, b.shl(i, I64(3)))), offset))
        place = b.mul(i, step)
        factor, quotient = (splat(b, load(b, I64, b.add(table, place)), LANES) for table in (w, quotients))
        return [below(b, b.add(sums[0], times(b, value, factor, quotient, p)), two)]

    (total,) = loop(b, count, [words(0)], body)
    store(b, below(b, total, p), out)


def matrix_tile(
    b: Builder, x: Value, offset: Value, w: Value, count: Value, out: Value, row: Value, prime: Value, inverse: Value
) -> None:
    """Add to four rows of two vectors the sums of at most 28 products x_i w_i / 2**52 modulo p.

    ``x`` lists addresses, ``offset`` is added to each; ``w`` is words [i, 4]; rows lie ``row`` bytes apart at ``out``.
    """
    p, inverse = splats(b, prime, inverse)

    def body(i: Value, sums: list[Value]) -> list[Value]:
        place = b.add(load(b, I64, b.add(x, b.shl(i, I64(3)))), offset)
        values = [load(b, WORDS, place, BYTES * k) for k in range(TILE_VECTORS)]
        weights = b.add(w, b.mul(i, I64(8 * TILE_ROWS)))
        following: list[Value] = []
        for r in range(TILE_ROWS):
            weight = splat(b, load(b, I64, weights, 8 * r), LANES)
            for value in values:
                low, high = sums[len(following) : len(following) + 2]
                following += [madd(b, "l", low, value, weight), madd(b, "h", high, value, weight)]
        return following

    sums = loop(b, count, [words(0)] * (2 * TILE_ROWS * TILE_VECTORS), body)
    for r in range(TILE_ROWS):
        place = b.add(out, b.mul(row, I64(r)))
        for k in range(TILE_VECTORS):
            low, high = sums[2 * (TILE_VECTORS * r + k) :][:2]
            total = b.add(reduced(b, low, high, p, inverse), load(b, WORDS, place, BYTES * k))
            store(b, below(b, total, p), place, BYTES * k)


def column_tile(b: Builder, x: Value, w: Value, count: Value, low: Value, high: Value) -> None:
    """Store the low and high halves of eight sums of products: vectors x [count, 8] with numbers w [count, 8]."""

    def body(i: Value, sums: list[Value]) -> list[Value]:
        values, weights = b.add(x, b.mul(i, I64(LANES * BYTES))), b.add(w, b.mul(i, I64(BYTES)))
        following: list[Value] = []
        for r in range(LANES):
            value, weight = load(b, WORDS, values, BYTES * r), splat(b, load(b, I64, weights, 8 * r), LANES)
            before = sums[2 * r : 2 * r + 2]
            following += [madd(b, part, total, value, weight) for part, total in zip("lh", before, strict=True)]
        return following

    for i, total in enumerate(loop(b, count, [words(0)] * (2 * LANES), body)):
        store(b, total, high if i % 2 else low, BYTES * (i // 2))


def fractions(b: Builder, x: Value, stride: Value, inverses: Value, count: Value, out: Value) -> None:
    """Store the sum of x_i / q_i, rounded to an integer; ``inverses`` are floats 1 / q_i."""
    doubles = vector(ir.DoubleType(), LANES)

    def body(i: Value, sums: list[Value]) -> list[Value]:
        value = b.sitofp(load(b, WORDS, b.add(x, b.mul(i, stride))), doubles)
        share = splat(b, load(b, ir.DoubleType(), b.add(inverses, b.shl(i, I64(3)))), LANES)
        return [b.fadd(sums[0], b.fmul(value, share))]

    half = ir.Constant(doubles, [0.5] * LANES)
    (total,) = loop(b, count, [half], body)
    store(b, b.fptosi(total, WORDS), out)


def extend(
    b: Builder,
    x: Value,
    stride: Value,
    factors: Value,
    count: Value,
    multiples: Value,
    q: Value,
    out: Value,
    prime: Value,
    inverse: Value,
    *,
    finished: bool = True,
) -> None:
    """Store the sum of x_i factor_i, plus multiples times q, modulo p; factors and q are held times 2**52.

    Unless it is ``finished``, it is below 8 p.
    """
    p, inverse, q = splats(b, prime, inverse, q)

    def body(i: Value, sums: list[Value]) -> list[Value]:
        value = load(b, WORDS, b.add(x, b.mul(i, stride)))
        factor = splat(b, load(b, I64, b.add(factors, b.shl(i, I64(3)))), LANES)
        return [madd(b, "l", sums[0], value, factor), madd(b, "h", sums[1], value, factor)]

    low, high = loop(b, count, [words(0)] * 2, body)
    v = load(b, WORDS, multiples)
    low, high = madd(b, "l", low, v, q), madd(b, "h", high, v, q)
    store(b, (reduced if finished else divided)(b, low, high, p, inverse), out)


def loop(
    b: Builder, count: Value, start: list[Value], body: Callable[[Value, list[Value]], list[Value]]
) -> list[Value]:
    """Repeat ``body`` ``count`` times, each time with the results of the time before; return the last results."""
    before = b.block
    head, inside, after = (b.append_basic_block(f"loop.{part}") for part in ("head", "inside", "after"))
    b.branch(head)
    b.position_at_end(head)
    i = b.phi(I64)
    values = [b.phi(value.type) for value in start]
    i.add_incoming(I64(0), before)
    for value, first in zip(values, start, strict=True):
        value.add_incoming(first, before)
    b.cbranch(b.icmp_signed("<", i, count), inside, after)
    b.position_at_end(inside)
    following = body(i, values)
    i.add_incoming(b.add(i, I64(1)), b.block)
    for value, next_value in zip(values, following, strict=True):
        value.add_incoming(next_value, b.block)
    b.branch(head)
    b.position_at_end(after)
    return values
