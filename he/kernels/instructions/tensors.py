"""Sums of products of ciphertexts: instructions, as in `lanes`."""

from he.kernels.instructions.dots import add_up, listed, listed_packed, load_sums, store_sums
from he.kernels.instructions.lanes import below, reduced
from he.kernels.instructions.multiply import BYTES, WORDS, Sum, add_raised, before_raised, nothing, splats, words
from intnn.machine.simd import I64, Builder, Value, load, prefetch, store

COLUMNS = 3  # sums at once: their 18 vectors, the factors and the prime stay in 32 registers


def evaluations(b: Builder, d: Value, component: Value, out: Value, prime: Value) -> None:
    """Store eight words each of d0, d1 and (d0 + d1) modulo p; d1 is ``component`` bytes behind d0."""
    (p,) = splats(b, prime)
    d0, d1 = load(b, WORDS, d), load(b, WORDS, b.add(d, component))
    for i, value in enumerate((d0, d1, below(b, b.add(d0, d1), p))):
        store(b, value, out, BYTES * i)


def tensor_sums(
    b: Builder,
    x: Value,
    half: Value,
    following: Value,
    ahead: Value,
    width: Value,
    place: Value,
    y: Value,
    step: Value,
    count: Value,
    out: Value,
    column: Value,
    component: Value,
    start: Value,
    prime: Value,
    inverse: Value,
    *,
    columns: int,
) -> None:
    """Store sums of products (c0 + c1 s)(d0 + d1 s) / 2**52 modulo p: eight words of three rows, for some columns.

    Three products make one: the middle row is (c0 + c1)(d0 + d1) without the other two (A. Karatsuba and Y. Ofman,
    "Multiplication of Many-Digital Numbers by Automatic Computers", 1962).

    Args:
        b: Where instructions go.
        x: The address of a list of addresses of rows, which are packed: of c0, and ``half`` bytes further of c1. Those
            of the next term are ``following`` bytes further, and ``ahead`` bytes further those of rows that are
            needed soon.
        half: See ``x``.
        following: See ``x``.
        ahead: See ``x``.
        width: The bytes of a packed word.
        place: The bytes from an unpacked row's beginning to the words.
        y: The address of what `evaluations` stores, for one column behind the other; those of the next term are
            ``step`` bytes further.
        step: See ``y``.
        count: The number of terms, so many that `reduced` takes their sum.
        out: The address of the words of the first column's first row; columns and components are so many bytes apart.
        column: See ``out``.
        component: See ``out``.
        start: Whether the rows hold nothing yet. If not, sums are added to what they hold.
        prime: p.
        inverse: -1 / p modulo 2**52.
        columns: The number of columns, at most `COLUMNS`.
    """
    p, inverse = splats(b, prime, inverse)
    octets = b.mul(b.lshr(place, I64(3)), width)

    def body(i: Value, sums: list[Sum]) -> list[Sum]:
        term, at = b.add(x, b.mul(i, following)), b.add(y, b.mul(i, step))
        halves = [term, b.add(term, half)]
        for address in halves:
            prefetch(b, b.add(load(b, I64, b.add(address, ahead)), octets))
        c = [listed_packed(b, address, I64(0), place, width) for address in halves]
        c.append(below(b, b.add(*c), p))
        d = [load(b, WORDS, at, BYTES * k) for k in range(3 * columns)]
        return [add_raised(b, *term) for term in zip(sums, c * columns, d, strict=True)]

    sums = add_up(b, count, [nothing()] * (3 * columns), body)
    for k in range(columns):
        low, high, whole = (reduced(b, total, p, inverse) for total in sums[3 * k : 3 * k + 3])
        middle = below(b, b.sub(b.add(whole, p), low), p)
        middle = below(b, b.sub(b.add(middle, p), high), p)
        for i, total in enumerate((low, middle, high)):
            target = b.add(out, b.add(b.mul(column, I64(k)), b.mul(component, I64(i))))
            before = b.select(start, words(0), load(b, WORDS, target))
            store(b, below(b, b.add(total, before), p), target)


def add_tensors(
    b: Builder, c0: Value, c1: Value, d0: Value, d1: Value, offset: Value, width: Value, count: Value, sums: Value,
    start: Value,
) -> None:  # fmt: skip
    """Add products (c0 + c1 s)(d0 + d1 s) to six vectors, the low and high halves of three sums; 0 at the start.

    All four are lists of addresses of rows; ``offset`` is that of the words. Those of c are packed to ``width`` bytes a
    word. The middle sum gets two products for every term.
    """
    before = load_sums(b, sums, 3, start)

    def body(i: Value, sums: list[Sum]) -> list[Sum]:
        c = [listed_packed(b, table, i, offset, width) for table in (c0, c1)]
        d = [listed(b, table, i, offset) for table in (d0, d1)]
        following = list(sums)
        for x, y in ((0, 0), (0, 1), (1, 0), (1, 1)):
            following[x + y] = add_raised(b, following[x + y], c[x], d[y])
        return following

    before[1] = before_raised(b, before[1], count)  # its second products
    store_sums(b, add_up(b, count, before, body), sums)


def finish_tensors(
    b: Builder, sums: Value, out: Value, component: Value, start: Value, prime: Value, inverse: Value
) -> None:
    """Add three sums, divided by 2**52 modulo p, to what three places hold: 0 at the start.

    The places are ``component`` bytes apart. The sums are of so many products that `reduced` takes them.
    """
    p, inverse = splats(b, prime, inverse)
    for i, total in enumerate(load_sums(b, sums, 3)):
        target = b.add(out, b.mul(component, I64(i)))
        before = b.select(start, words(0), load(b, WORDS, target))
        store(b, below(b, b.add(reduced(b, total, p, inverse), before), p), target)
