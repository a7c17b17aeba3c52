"""The stages of a transform and of its inverse, on vectors of eight residues: instructions, as in `lanes`.

Everything here comes in two kinds. For a prime below 2**46 residues are *loose*: 64 of them fit into 52 bits, so that
sums grow over several stages before anything is subtracted; and as multiplications read 52 bits only, the bits above
may be anything. Larger primes leave room for four residues, and every sum is brought down at once.
"""

from typing import NamedTuple

from llvmlite import ir

from he.kernels.instructions.lanes import below, times
from he.kernels.instructions.multiply import BYTES, LANES, MASK, WORDS, rest, splats, times_loosely, words
from intnn.machine.simd import I64, Builder, Value, constant, load, splat, store

LOOSE_BITS = 46  # of a prime
BIAS = 16  # times p: added to what enters a loose forward transform, so that differences stay positive for 16 stages
LARGEST = 35  # times p, of what leaves one: what had entered was below 3 p, and there are at most 16 stages
CHUNK = 64  # residues whose last stages are done in registers
_PAIRS_OF_FOUR = [(0, 2, 0), (1, 3, 0), (0, 1, 1), (2, 3, 2)]  # forward: two vectors, and which of three twiddles


# Butterflies of the forward transform. Inputs and outputs are below 4 p; loose ones between 0 and 64 p.


def _cooley_tukey(
    b: Builder, x: Value, y: Value, w: Value, quotient: Value, p: Value, loose: bool
) -> tuple[Value, Value]:
    if loose:
        t = times_loosely(b, y, w, quotient, p, start=b.sub(words(0), p))  # from -p to p
        return b.add(x, t), b.sub(x, t)
    two = b.add(p, p)
    x, t = below(b, x, two), times(b, y, w, quotient, p)
    return b.add(x, t), b.add(b.sub(x, t), two)


def forward_4(b: Builder, x: Value, stride: Value, *numbers: Value, loose: bool) -> None:
    """Do two stages on four vectors, ``stride`` bytes apart.

    The numbers are three twiddles with their quotients, of the first stage and of both blocks in the second, and p.
    """
    *twiddles, p = splats(b, *numbers)
    places = _places(b, x, stride)
    _two_stages(b, [load(b, WORDS, place) for place in places], places, twiddles, p, loose)


def lift_forward_4(b: Builder, x: Value, out: Value, stride: Value, *numbers: Value, loose: bool) -> None:
    """Do what `forward_4` says to x plus a shift, for any x < 2**52, from one place to another.

    The numbers are those of `forward_4`, with the quotient of 1 and the shift before p.
    """
    *twiddles, one, shift, prime = numbers
    *twiddles, one, shift, p = splats(b, *twiddles, one, _biased(b, shift, prime, loose), prime)
    v = [b.add(rest(b, load(b, WORDS, place), one, p), shift) for place in _places(b, x, stride)]
    _two_stages(b, v, _places(b, out, stride), twiddles, p, loose)


def lift(b: Builder, x: Value, out: Value, one: Value, shift: Value, prime: Value, *, loose: bool) -> None:
    """Store x + shift as a forward transform takes it, for any x < 2**52; ``one`` is the quotient of 1."""
    p, one, shift = splats(b, prime, one, _biased(b, shift, prime, loose))
    store(b, b.add(rest(b, load(b, WORDS, x), one, p), shift), out)


def lift_columns(
    b: Builder,
    x: Value,
    step: Value,
    last: Value,
    out: Value,
    one: Value,
    shift: Value,
    prime: Value,
    *,
    loose: bool,
) -> None:
    """Store the first eight words of eight rows as a forward transform takes them, transposed.

    Rows are ``step`` bytes apart, and the one with the number ``last`` stands for those behind it as well. ``shift`` is
    a multiple of p that makes words positive, and leaves them below 2**52; ``one`` is the quotient of 1.
    """
    p, one, shift, bias = splats(b, prime, one, shift, _biased(b, I64(0), prime, loose))
    rows = []
    for i in range(LANES):
        there = b.select(b.icmp_signed("<", last, I64(i)), last, I64(i))
        rows.append(load(b, WORDS, b.add(x, b.mul(there, step))))
    for i, column in enumerate(_transposed(b, rows)):
        store(b, b.add(rest(b, b.add(column, shift), one, p), bias), out, BYTES * i)


def _biased(b: Builder, shift: Value, prime: Value, loose: bool) -> Value:
    return b.add(shift, b.mul(prime, I64(BIAS))) if loose else shift


def _two_stages(b: Builder, v: list[Value], places: list[Value], twiddles: list[Value], p: Value, loose: bool) -> None:
    """Do two stages on four vectors, and store them."""
    for i, j, block in _PAIRS_OF_FOUR:
        w, quotient = twiddles[2 * block : 2 * block + 2]
        v[i], v[j] = _cooley_tukey(b, v[i], v[j], w, quotient, p, loose)
    for value, place in zip(v, places, strict=True):
        store(b, value, place)


def _places(b: Builder, first: Value, stride: Value) -> list[Value]:
    """List four addresses, ``stride`` bytes apart."""
    places = [first]
    for _ in range(3):
        places.append(b.add(places[-1], stride))
    return places


# The last stages act on eight vectors at once: on whole vectors as long as blocks are longer than one; then these are
# transposed, so that a vector has one residue from each of eight blocks, with a twiddle of its own in every lane.


def _transposed(b: Builder, v: list[Value]) -> list[Value]:
    """Transpose eight vectors of eight."""

    def mixed(x: Value, y: Value, order: list[int]) -> Value:
        return b.shuffle_vector(x, y, constant(ir.IntType(32), order))

    result = []
    for singles in ([0, 8, 2, 10, 4, 12, 6, 14], [1, 9, 3, 11, 5, 13, 7, 15]):
        rows = [mixed(v[i], v[i + 1], singles) for i in range(0, LANES, 2)]
        even, odd = [0, 1, 4, 5, 8, 9, 12, 13], [2, 3, 6, 7, 10, 11, 14, 15]
        halves = [(mixed(rows[0], rows[1], pairs), mixed(rows[2], rows[3], pairs)) for pairs in (even, odd)]
        result.append([mixed(*half, pairs) for pairs in (even, odd) for half in halves])
    return [row for pair in zip(*result, strict=True) for row in pair]


class _Twiddle(NamedTuple):
    w: Value
    quotient: Value


class _Twiddles(NamedTuple):
    """The twiddles of the k-th chunk, from the addresses of tables that `roots.arranged` made."""

    w: Value
    quotients: Value
    k: Value

    def of_blocks(self, b: Builder, stage: int, i: int) -> _Twiddle:
        """Load the twiddle of the chunk's i-th block in stage 0, 1 or 2, on blocks of eight, four and two vectors."""
        place = b.shl(self.k, I64(stage + 3))
        w, quotient = (splat(b, load(b, I64, b.add(table, place), 8 * i), LANES) for table in self[:2])
        return _Twiddle(w, quotient)

    def of_lanes(self, b: Builder, stage: int, i: int) -> _Twiddle:
        """Load the twiddles of every lane's i-th block in the last three stages, on blocks within lanes."""
        place = b.shl(self.k, I64(stage + 6))
        w, quotient = (load(b, WORDS, b.add(table, place), BYTES * i) for table in self[:2])
        return _Twiddle(w, quotient)


def _pairs(stage: int) -> list[tuple[int, int, int]]:
    """List the butterflies among eight vectors in a stage: two places, and the block that they are in."""
    half = LANES // 2 >> stage
    return [(i, i + half, i // (2 * half)) for i in range(LANES) if i % (2 * half) < half]


def forward_last(
    b: Builder,
    x: Value,
    w: Value,
    quotients: Value,
    k: Value,
    prime: Value,
    *,
    stages: int,
    loose: bool,
    finished: bool,
) -> None:
    """Do all ``stages`` that are left, five or six, in the k-th chunk; if ``finished``, residues are below p then."""
    (p,) = splats(b, prime)
    twiddles = _Twiddles(w, quotients, k)
    v = [load(b, WORDS, x, BYTES * i) for i in range(LANES)]
    for find, kinds in ((twiddles.of_blocks, range(6 - stages, 3)), (twiddles.of_lanes, range(3))):
        for stage in kinds:
            for i, j, block in _pairs(stage):
                v[i], v[j] = _cooley_tukey(b, v[i], v[j], *find(b, stage, block), p, loose)
        v = _transposed(b, v)
    one = splat(b, load(b, I64, quotients), LANES)  # the first power is 1
    for i, value in enumerate(v):
        if finished:
            value = rest(b, value, one, p) if loose else below(b, value, b.add(p, p))
            value = below(b, value, p)
        store(b, value, x, BYTES * i)


def forward_8(
    b: Builder,
    x: Value,
    stride: Value,
    w: Value,
    quotients: Value,
    k: Value,
    out: Value,
    out_stride: Value,
    prime: Value,
    *,
    loose: bool,
) -> None:
    """Do three stages on eight vectors, ``stride`` bytes apart, of the k-th block in the first of these stages."""
    (p,) = splats(b, prime)
    twiddles = _Twiddles(w, quotients, k)
    v = [load(b, WORDS, b.add(x, b.mul(stride, I64(i)))) for i in range(LANES)]
    for stage in range(3):
        for i, j, block in _pairs(stage):
            v[i], v[j] = _cooley_tukey(b, v[i], v[j], *twiddles.of_blocks(b, stage, block), p, loose)
    for i, value in enumerate(v):
        store(b, value, b.add(out, b.mul(out_stride, I64(i))))


# Butterflies of the inverse transform.


class _Residues(NamedTuple):
    """A vector of numbers that are below ``bound`` p modulo 2**52; bits above may be anything."""

    vector: Value
    bound: int


class _Bounds(NamedTuple):
    """Bounds in multiples of p: what fits 52 bits, what passes leave in memory, and what may be transposed."""

    limit: int
    kept: int
    transposed: int


_BOUNDS = {True: _Bounds(64, 16, 8), False: _Bounds(4, 2, 2)}


def _lowered(b: Builder, x: _Residues, bound: int, p: Value) -> _Residues:
    """Reduce to the same number modulo p, below so many times p."""
    value, reached = x
    if reached > bound:
        value = b.and_(value, words(MASK))
    while reached > bound:
        half = 1 << (reached - 1).bit_length() - 1
        value, reached = below(b, value, b.mul(p, words(half))), half
    return _Residues(value, reached)


def _gentleman_sande(
    b: Builder, x: _Residues, y: _Residues, w: Value, quotient: Value, p: Value, limit: int
) -> tuple[_Residues, _Residues]:
    if x.bound + y.bound > limit:
        x, y = (_lowered(b, value, limit // 2, p) for value in (x, y))
    difference = b.add(b.sub(x.vector, y.vector), b.mul(p, words(y.bound)))
    total = _Residues(b.add(x.vector, y.vector), x.bound + y.bound)
    return total, _Residues(times_loosely(b, difference, w, quotient, p), 2)


def inverse_first(
    b: Builder, x: Value, out: Value, w: Value, quotients: Value, k: Value, prime: Value, *, stages: int, loose: bool
) -> None:
    """Do the first five or six stages in the k-th chunk, from one place, with residues below 2 p, to another."""
    (p,) = splats(b, prime)
    bounds, twiddles = _BOUNDS[loose], _Twiddles(w, quotients, k)
    v = [_Residues(load(b, WORDS, x, BYTES * i), 2) for i in range(LANES)]
    for find, kinds in ((twiddles.of_lanes, range(3)), (twiddles.of_blocks, range(6 - stages, 3))):
        lowered = [_lowered(b, value, bounds.transposed, p) for value in v]
        bound = max(value.bound for value in lowered)
        v = [_Residues(row, bound) for row in _transposed(b, [value.vector for value in lowered])]
        for stage in reversed(kinds):
            for i, j, block in _pairs(stage):
                v[i], v[j] = _gentleman_sande(b, v[i], v[j], *find(b, stage, block), p, bounds.limit)
    for i, value in enumerate(v):
        store(b, _lowered(b, value, bounds.kept, p).vector, out, BYTES * i)


def inverse_4(b: Builder, x: Value, stride: Value, *numbers: Value, loose: bool) -> None:
    """Do two stages on four vectors; the numbers are those of `forward_4`, for the inverse."""
    *twiddles, p = splats(b, *numbers)
    places = _places(b, x, stride)
    for value, place in zip(_inverse_4(b, places, twiddles, p, loose), places, strict=True):
        store(b, _lowered(b, value, _BOUNDS[loose].kept, p).vector, place)


def inverse_4_last(b: Builder, x: Value, stride: Value, *numbers: Value, loose: bool) -> None:
    """Do the last two stages, multiply with a number and add another; results are below p.

    The numbers are those of `inverse_4`, with the factor, its quotient and the addend before p.
    """
    *twiddles, factor, quotient, added, p = splats(b, *numbers)
    places = _places(b, x, stride)
    for value, place in zip(_inverse_4(b, places, twiddles, p, loose), places, strict=True):
        store(b, _finished(b, value.vector, factor, quotient, added, p), place)


def inverse_finish(b: Builder, x: Value, degree: Value, degree_quotient: Value, added: Value, prime: Value) -> None:
    """Multiply x by ``degree`` and add ``added``, in place; results are below p."""
    degree, degree_quotient, added, p = splats(b, degree, degree_quotient, added, prime)
    store(b, _finished(b, load(b, WORDS, x), degree, degree_quotient, added, p), x)


def _finished(b: Builder, x: Value, degree: Value, degree_quotient: Value, added: Value, p: Value) -> Value:
    return below(b, b.add(below(b, times(b, x, degree, degree_quotient, p), p), added), p)


def _inverse_4(b: Builder, places: list[Value], twiddles: list[Value], p: Value, loose: bool) -> list[_Residues]:
    limit, kept, _ = _BOUNDS[loose]
    v = [_Residues(load(b, WORDS, place), kept) for place in places]
    for i, j, block in _PAIRS_OF_FOUR[2:] + _PAIRS_OF_FOUR[:2]:
        w, quotient = twiddles[2 * block : 2 * block + 2]
        v[i], v[j] = _gentleman_sande(b, v[i], v[j], w, quotient, p, limit)
    return v
