"""The stages of a transform and of its inverse, on vectors of eight residues: instructions, as in `lanes`."""

from llvmlite import ir

from he.kernels.lanes import BYTES, LANES, WORDS, below, splats, times, words
from intnn.kernels.simd import I64, Builder, Value, constant, load, splat, store, vector

# Butterflies of the forward transform. Inputs and outputs are below 4 p.


def _cooley_tukey(
    b: Builder, x: Value, y: Value, w: Value, quotient: Value, p: Value, two: Value
) -> tuple[Value, Value]:
    x, y = below(b, x, two), times(b, y, w, quotient, p)
    return b.add(x, y), b.add(b.sub(x, y), two)


def forward_4(
    b: Builder, x: Value, stride: Value, w0: Value, q0: Value, w1: Value, q1: Value, w2: Value, q2: Value, prime: Value
) -> None:
    """Two stages on four vectors, ``stride`` bytes apart: w0 in the first, w1 and w2 in the second."""
    p, w0, q0, w1, q1, w2, q2 = splats(b, prime, w0, q0, w1, q1, w2, q2)
    places = [x]
    for _ in range(3):
        places.append(b.add(places[-1], stride))
    v = [load(b, WORDS, place) for place in places]
    _two_stages(b, v, places, w0, q0, w1, q1, w2, q2, p)


def _two_stages(
    b: Builder,
    v: list[Value],
    places: list[Value],
    w0: Value,
    q0: Value,
    w1: Value,
    q1: Value,
    w2: Value,
    q2: Value,
    p: Value,
) -> None:
    """Two stages on four vectors, which are then stored."""
    two = b.add(p, p)
    v[0], v[2] = _cooley_tukey(b, v[0], v[2], w0, q0, p, two)
    v[1], v[3] = _cooley_tukey(b, v[1], v[3], w0, q0, p, two)
    v[0], v[1] = _cooley_tukey(b, v[0], v[1], w1, q1, p, two)
    v[2], v[3] = _cooley_tukey(b, v[2], v[3], w2, q2, p, two)
    for value, place in zip(v, places, strict=True):
        store(b, value, place)


def lift_forward_4(
    b: Builder,
    x: Value,
    out: Value,
    stride: Value,
    w0: Value,
    q0: Value,
    w1: Value,
    q1: Value,
    w2: Value,
    q2: Value,
    one: Value,
    shift: Value,
    prime: Value,
) -> None:
    """`forward_4` of x + shift, for any x < 2**52, from one place to another; ``one`` is the quotient of 1."""
    p, w0, q0, w1, q1, w2, q2, one, shift = splats(b, prime, w0, q0, w1, q1, w2, q2, one, shift)
    unit = words(1)
    v, places = [], [out]
    for i in range(4):
        v.append(b.add(times(b, load(b, WORDS, x), unit, one, p), shift))
        if i < 3:
            x = b.add(x, stride)
            places.append(b.add(places[-1], stride))
    _two_stages(b, v, places, w0, q0, w1, q1, w2, q2, p)


# The last three stages act within a vector of eight; two vectors at once fill the lanes. Their twiddles are one, two
# and four numbers for each vector, neighbours in the table.
_SPLIT = {
    4: [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15],
    2: [0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15],
    1: [0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15],
}
_NATURAL = list(range(2 * LANES))


def _moved(b: Builder, low: Value, high: Value, before: list[int], after: list[int]) -> tuple[Value, Value]:
    """Two vectors that hold sixteen residues in one order, in another."""
    order = [before.index(i) for i in after]
    halves = (constant(ir.IntType(32), half) for half in (order[:LANES], order[LANES:]))
    first, second = (b.shuffle_vector(low, high, half) for half in halves)
    return first, second


def _few(b: Builder, table: Value, size: int) -> Value:
    """16 / (2 size) neighbours of a table, each in ``size`` lanes."""
    count = LANES // size
    few = load(b, vector(I64, count), table)
    return b.shuffle_vector(few, few, constant(ir.IntType(32), [i // size for i in range(LANES)]))


def _last(b: Builder, left: Value, right: Value, w: Value, quotients: Value, k: Value, p: Value) -> tuple[Value, Value]:
    """The last three stages on two blocks of eight, the k-th and the next, then residues below p.

    ``w`` and ``quotients`` are the addresses of the tables; block k has its twiddles at k, 2 k and 4 k.
    """
    two, arranged = b.add(p, p), _NATURAL
    for size, factor in ((4, 1), (2, 2), (1, 4)):
        place = b.mul(k, I64(8 * factor))
        left, right = _moved(b, left, right, arranged, _SPLIT[size])
        twiddles, their_quotients = (_few(b, b.add(table, place), size) for table in (w, quotients))
        left, right = _cooley_tukey(b, left, right, twiddles, their_quotients, p, two)
        arranged = _SPLIT[size]
    left, right = _moved(b, left, right, arranged, _NATURAL)
    return below(b, below(b, left, two), p), below(b, below(b, right, two), p)


def _twiddle(b: Builder, table: Value, k: Value, offset: int = 0) -> Value:
    return splat(b, load(b, I64, b.add(table, b.shl(k, I64(3))), 8 * offset), LANES)


def forward_16(b: Builder, x: Value, w: Value, quotients: Value, k: Value, prime: Value) -> None:
    """All stages that are left in a block of 16, the k-th of its size: without a way to memory and back."""
    (p,) = splats(b, prime)
    twiddle, quotient = _twiddle(b, w, k), _twiddle(b, quotients, k)
    left, right = _cooley_tukey(b, load(b, WORDS, x), load(b, WORDS, x, BYTES), twiddle, quotient, p, b.add(p, p))
    left, right = _last(b, left, right, w, quotients, b.shl(k, I64(1)), p)
    store(b, left, x)
    store(b, right, x, BYTES)


def forward_32(b: Builder, x: Value, w: Value, quotients: Value, k: Value, prime: Value) -> None:
    """All stages that are left in a block of 32, the k-th of its size."""
    (p,) = splats(b, prime)
    two, double = b.add(p, p), b.shl(k, I64(1))
    v = [load(b, WORDS, x, BYTES * i) for i in range(4)]
    for pair, place, offset in (((0, 2), k, 0), ((1, 3), k, 0), ((0, 1), double, 0), ((2, 3), double, 1)):
        twiddle, quotient = _twiddle(b, w, place, offset), _twiddle(b, quotients, place, offset)
        v[pair[0]], v[pair[1]] = _cooley_tukey(b, v[pair[0]], v[pair[1]], twiddle, quotient, p, two)
    eighth = b.shl(k, I64(2))
    v[:2] = _last(b, v[0], v[1], w, quotients, eighth, p)
    v[2:] = _last(b, v[2], v[3], w, quotients, b.add(eighth, I64(2)), p)
    for i, value in enumerate(v):
        store(b, value, x, BYTES * i)


# Butterflies of the inverse transform. Inputs and outputs are below 2 p.


def _gentleman_sande(
    b: Builder, x: Value, y: Value, w: Value, quotient: Value, p: Value, two: Value
) -> tuple[Value, Value]:
    return below(b, b.add(x, y), two), times(b, b.add(b.sub(x, y), two), w, quotient, p)


def _first(
    b: Builder, left: Value, right: Value, w: Value, quotients: Value, k: Value, p: Value
) -> tuple[Value, Value]:
    """The inverse's first three stages on two blocks of eight; arguments as for `_last`."""
    two, arranged = b.add(p, p), _NATURAL
    for size, factor in ((1, 4), (2, 2), (4, 1)):
        place = b.mul(k, I64(8 * factor))
        left, right = _moved(b, left, right, arranged, _SPLIT[size])
        twiddles, their_quotients = (_few(b, b.add(table, place), size) for table in (w, quotients))
        left, right = _gentleman_sande(b, left, right, twiddles, their_quotients, p, two)
        arranged = _SPLIT[size]
    left, right = _moved(b, left, right, arranged, _NATURAL)
    return left, right


def inverse_16(b: Builder, x: Value, out: Value, w: Value, quotients: Value, k: Value, prime: Value) -> None:
    """The inverse's stages within a block of 16, the k-th of its size, from one place to another."""
    (p,) = splats(b, prime)
    left, right = load(b, WORDS, x), load(b, WORDS, x, BYTES)
    left, right = _first(b, left, right, w, quotients, b.shl(k, I64(1)), p)
    twiddle, quotient = _twiddle(b, w, k), _twiddle(b, quotients, k)
    left, right = _gentleman_sande(b, left, right, twiddle, quotient, p, b.add(p, p))
    store(b, left, out)
    store(b, right, out, BYTES)


def inverse_32(b: Builder, x: Value, out: Value, w: Value, quotients: Value, k: Value, prime: Value) -> None:
    """The inverse's stages within a block of 32, the k-th of its size, from one place to another."""
    (p,) = splats(b, prime)
    two, double, eighth = b.add(p, p), b.shl(k, I64(1)), b.shl(k, I64(2))
    v = [load(b, WORDS, x, BYTES * i) for i in range(4)]
    v[:2] = _first(b, v[0], v[1], w, quotients, eighth, p)
    v[2:] = _first(b, v[2], v[3], w, quotients, b.add(eighth, I64(2)), p)
    for pair, place, offset in (((0, 1), double, 0), ((2, 3), double, 1), ((0, 2), k, 0), ((1, 3), k, 0)):
        twiddle, quotient = _twiddle(b, w, place, offset), _twiddle(b, quotients, place, offset)
        v[pair[0]], v[pair[1]] = _gentleman_sande(b, v[pair[0]], v[pair[1]], twiddle, quotient, p, two)
    for i, value in enumerate(v):
        store(b, value, out, BYTES * i)


def inverse_4(
    b: Builder, x: Value, stride: Value, w1: Value, q1: Value, w2: Value, q2: Value, w0: Value, q0: Value, prime: Value
) -> None:
    """Two stages on four vectors: w1 and w2 in the first, w0 in the second."""
    places, v, _ = _inverse_4(b, x, stride, w1, q1, w2, q2, w0, q0, prime)
    for value, place in zip(v, places, strict=True):
        store(b, value, place)


def inverse_4_last(
    b: Builder,
    x: Value,
    stride: Value,
    w1: Value,
    q1: Value,
    w2: Value,
    q2: Value,
    w0: Value,
    q0: Value,
    degree: Value,
    degree_quotient: Value,
    added: Value,
    prime: Value,
) -> None:
    """The last two stages, then times ``degree`` plus ``added``, below p."""
    places, v, p = _inverse_4(b, x, stride, w1, q1, w2, q2, w0, q0, prime)
    degree, degree_quotient, added = splats(b, degree, degree_quotient, added)
    for value, place in zip(v, places, strict=True):
        store(b, _finished(b, value, degree, degree_quotient, added, p), place)


def inverse_finish(b: Builder, x: Value, degree: Value, degree_quotient: Value, added: Value, prime: Value) -> None:
    """Multiply x by ``degree`` and add ``added``; below p, in place."""
    degree, degree_quotient, added, p = splats(b, degree, degree_quotient, added, prime)
    store(b, _finished(b, load(b, WORDS, x), degree, degree_quotient, added, p), x)


def _finished(b: Builder, x: Value, degree: Value, degree_quotient: Value, added: Value, p: Value) -> Value:
    return below(b, b.add(below(b, times(b, x, degree, degree_quotient, p), p), added), p)


def _inverse_4(
    b: Builder, x: Value, stride: Value, w1: Value, q1: Value, w2: Value, q2: Value, w0: Value, q0: Value, prime: Value
) -> tuple[list[Value], list[Value], Value]:
    p, w0, q0, w1, q1, w2, q2 = splats(b, prime, w0, q0, w1, q1, w2, q2)
    two = b.add(p, p)
    places = [x]
    for _ in range(3):
        places.append(b.add(places[-1], stride))
    v = [load(b, WORDS, place) for place in places]
    v[0], v[1] = _gentleman_sande(b, v[0], v[1], w1, q1, p, two)
    v[2], v[3] = _gentleman_sande(b, v[2], v[3], w2, q2, p, two)
    v[0], v[2] = _gentleman_sande(b, v[0], v[2], w0, q0, p, two)
    v[1], v[3] = _gentleman_sande(b, v[1], v[3], w0, q0, p, two)
    return places, v, p
