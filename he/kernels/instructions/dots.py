"""Sums over lists of rows: inner products, multiples, extensions; instructions, as in `lanes`.

Lists are addresses of rows in memory; what they are multiplied with may be packed to fewer bytes a word.
"""

import itertools
from collections.abc import Callable
from operator import floordiv, mod

from llvmlite import ir

from he.kernels.instructions.lanes import below, ordered, reduced, times
from he.kernels.instructions.multiply import (
    BYTES,
    LANES,
    WORDS,
    Sum,
    add_product,
    add_raised,
    before_raised,
    carried,
    divided,
    nothing,
    splats,
    words,
)
from intnn.machine.host import features
from intnn.machine.simd import (
    I8,
    I64,
    Builder,
    Value,
    call,
    concatenate,
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
        for total, row in zip(sums, (out_y, out_z), strict=True):
            store(b, reduced(b, total, p, inverse), row, BYTES * k)


def add_products(
    b: Builder, x: Value, y: Value, z: Value, offset: Value, width: Value, count: Value, sums: Value, start: Value
) -> None:
    """Add products x_i y_i and x_i z_i to four vectors, the low and high halves of both sums; they are 0 at the start.

    x, y and z are lists of addresses of rows; ``offset`` is that of the words. x is packed to ``width`` bytes a word.
    """
    before = load_sums(b, sums, 2, start)
    octets = b.mul(b.lshr(offset, I64(3)), width)

    def body(i: Value, sums: list[Sum]) -> list[Sum]:
        for table, shift in ((x, octets), (y, offset), (z, offset)):
            ask(b, table, i, shift)
        left, right = listed_packed(b, x, i, offset, width), [listed(b, table, i, offset) for table in (y, z)]
        return added(b, sums, [left], right)

    store_sums(b, add_up(b, count, before, body), sums)


def finish_products(
    b: Builder, sums: Value, out_y: Value, out_z: Value, start: Value, prime: Value, inverse: Value
) -> None:
    """Add sums of at most 28 products, divided by 2**52 modulo p, to what two places hold: 0 at the start."""
    p, inverse = splats(b, prime, inverse)
    for total, out in zip(load_sums(b, sums, 2), (out_y, out_z), strict=True):
        before = b.select(start, words(0), load(b, WORDS, out))
        store(b, below(b, b.add(reduced(b, total, p, inverse), before), p), out)


def permuted_dot_pair(
    b: Builder,
    x: Value,
    y: Value,
    z: Value,
    offset: Value,
    width: Value,
    count: Value,
    asks: Value,
    addend: Value,
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
    """`dot_pair`, plus ``addend`` w to the first, permuted: vectors change their places, and lanes within a vector.

    For each vector, ``places`` has its place, a multiple of 64 bytes, plus the number of one of eight ``orders``. r is
    2**52 modulo p. ``asks`` is whether to `ask` for what comes next, and ``past`` whether vectors are stored past the
    caches, in rows that begin at a line.
    """
    p, inverse, w, r, r_quotient = splats(b, prime, inverse, w, r, r_quotient)
    factor = times(b, w, r, r_quotient, p)
    for k, sums in enumerate(_two_dots(b, x, y, z, offset, width, count, asks)):
        sums[0] = add_product(b, sums[0], load(b, WORDS, b.add(addend, offset), BYTES * k), factor)
        target = load(b, I64, b.add(places, b.lshr(offset, I64(3))), 8 * k)
        order = load(b, WORDS, b.add(orders, b.shl(b.and_(target, I64(7)), I64(6))))
        for total, row in zip(sums, (out_y, out_z), strict=True):
            value, place = ordered(b, reduced(b, total, p, inverse), order), b.add(row, b.and_(target, I64(-64)))
            with b.if_else(past) as (then, otherwise):
                with then:
                    store_past(b, value, place)
                with otherwise:
                    store(b, value, place)


def _two_dots(
    b: Builder, x: Value, y: Value, z: Value, offset: Value, width: Value, count: Value, asks: Value
) -> list[list[Sum]]:
    """Compute both sums for two vectors; ``asks`` is whether to `ask` for the next ones."""
    octets = b.mul(b.lshr(offset, I64(3)), width)

    def body(i: Value, sums: list[Sum]) -> list[Sum]:
        with b.if_then(asks):
            for table, shift in ((x, offset), (y, octets), (z, octets)):
                ask(b, table, i, shift, lines=2)
        following: list[Sum] = []
        for k in range(2):
            left = [listed(b, x, i, offset, k=k)]
            right = [listed_packed(b, table, i, offset, width, k) for table in (y, z)]
            following += added(b, sums[2 * k : 2 * k + 2], left, right)
        return following

    sums = add_up(b, count, [nothing()] * 4, body)
    return [sums[:2], sums[2:]]


def added(b: Builder, sums: list[Sum], x: list[Value], y: list[Value]) -> list[Sum]:
    """Add the products of every x with every y to as many sums, in `add_up`."""
    return [add_raised(b, total, *pair) for total, pair in zip(sums, itertools.product(x, y), strict=True)]


def load_sums(b: Builder, address: Value, count: int, start: Value = None) -> list[Sum]:
    """Load so many sums that `store_sums` has stored; if at the ``start``, nothing."""
    halves = [load(b, WORDS, address, BYTES * i) for i in range(2 * count)]
    return _as_sums(halves if start is None else [b.select(start, words(0), half) for half in halves])


def store_sums(b: Builder, sums: list[Sum], address: Value) -> None:
    """Store the halves of sums, one vector behind the other."""
    for i, half in enumerate(itertools.chain.from_iterable(sums)):
        store(b, half, address, BYTES * i)


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
        octets = vector(I8, BYTES)
        order, is_there = _spread(b, width, BYTES)
        spread = call(b, "llvm.x86.avx512.permvar.qi.512", octets, load(b, octets, address), order)
        return b.bitcast(b.select(is_there, spread, constant(I8, [0] * BYTES)), WORDS)
    if "avx2" in features():
        return _listed_in_pairs(b, address, width)
    result = words(0)
    for lane in range(LANES):
        word = load(b, I64, b.add(address, b.mul(width, I64(lane))))
        result = b.insert_element(result, word, ir.IntType(32)(lane))
    mask = b.sub(b.shl(I64(1), b.mul(width, I64(8))), I64(1))
    return b.and_(result, splat(b, mask, LANES))


def _listed_in_pairs(b: Builder, address: Value, width: Value) -> Value:
    """Bytes move within 16 of them only (``vpshufb``), in which two words lie whole; one of the order 128 is a 0."""
    pair, four = vector(I8, 16), vector(I8, 32)
    order, is_there = _spread(b, width, 16)
    order = concatenate(b, [b.select(is_there, order, constant(I8, [128] * 16))] * 2)
    pairs = [load(b, pair, b.add(address, b.mul(width, I64(first)))) for first in range(0, LANES, 2)]
    halves = [
        call(b, "llvm.x86.avx2.pshuf.b", four, concatenate(b, pairs[i : i + 2]), order) for i in range(0, len(pairs), 2)
    ]
    return b.bitcast(concatenate(b, halves), WORDS)


def _spread(b: Builder, width: Value, count: int) -> tuple[Value, Value]:
    """Say where each of so many bytes of words comes from, and if it does, if words of ``width`` bytes lie together."""
    narrow = splat(b, b.trunc(width, I8), count)
    word, octet = (constant(I8, [function(lane, 8) for lane in range(count)]) for function in (floordiv, mod))
    return b.add(b.mul(word, narrow), octet), b.icmp_unsigned("<", octet, narrow)


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

    def body(i: Value, sums: list[Sum]) -> list[Sum]:
        place = b.add(load(b, I64, b.add(x, b.shl(i, I64(3)))), offset)
        values = [load(b, WORDS, place, BYTES * k) for k in range(TILE_VECTORS)]
        place = b.add(w, b.mul(i, I64(8 * TILE_ROWS)))
        weights = [splat(b, load(b, I64, place, 8 * r), LANES) for r in range(TILE_ROWS)]
        return added(b, sums, weights, values)

    sums = add_up(b, count, [nothing()] * (TILE_ROWS * TILE_VECTORS), body)
    for r in range(TILE_ROWS):
        place = b.add(out, b.mul(row, I64(r)))
        for k in range(TILE_VECTORS):
            total = b.add(reduced(b, sums[TILE_VECTORS * r + k], p, inverse), load(b, WORDS, place, BYTES * k))
            store(b, below(b, total, p), place, BYTES * k)


def column_tile(b: Builder, x: Value, w: Value, count: Value, low: Value, high: Value) -> None:
    """Store the low and high halves of eight sums of products: vectors x [count, 8] with numbers w [count, 8]."""

    def body(i: Value, sums: list[Sum]) -> list[Sum]:
        values, weights = b.add(x, b.mul(i, I64(LANES * BYTES))), b.add(w, b.mul(i, I64(BYTES)))
        following: list[Sum] = []
        for r, total in enumerate(sums):
            value, weight = load(b, WORDS, values, BYTES * r), splat(b, load(b, I64, weights, 8 * r), LANES)
            following.append(add_raised(b, total, value, weight))
        return following

    for r, total in enumerate(add_up(b, count, [nothing()] * LANES, body)):
        for half, place in zip(carried(b, total), (low, high), strict=True):
            store(b, half, place, BYTES * r)


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
    """Store two vectors of sums of x_i factor_i, plus multiples times q, modulo p; factors and q are held times 2**52.

    Unless they are ``finished``, they are below 8 p.
    """
    p, inverse, q = splats(b, prime, inverse, q)

    def body(i: Value, sums: list[Sum]) -> list[Sum]:
        row, factor = b.add(x, b.mul(i, stride)), splat(b, load(b, I64, b.add(factors, b.shl(i, I64(3)))), LANES)
        return added(b, sums, [load(b, WORDS, row, BYTES * k) for k in range(2)], [factor])

    for k, total in enumerate(add_up(b, count, [nothing()] * 2, body)):
        total = add_product(b, total, load(b, WORDS, multiples, BYTES * k), q)
        store(b, (reduced if finished else divided)(b, total, p, inverse), out, BYTES * k)


def add_up(b: Builder, count: Value, start: list[Sum], body: Callable[[Value, list[Sum]], list[Sum]]) -> list[Sum]:
    """Do what `loop` says for sums, to each of which ``body`` adds one product by `add_raised`."""
    start = [before_raised(b, total, count) for total in start]

    def halves(i: Value, values: list[Value]) -> list[Value]:
        return list(itertools.chain.from_iterable(body(i, _as_sums(values))))

    return _as_sums(loop(b, count, list(itertools.chain.from_iterable(start)), halves))


def _as_sums(halves: list[Value]) -> list[Sum]:
    """Put low and high halves together, which take turns."""
    return [Sum(*halves[i : i + 2]) for i in range(0, len(halves), 2)]


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
