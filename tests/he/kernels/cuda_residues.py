"""Checks of the CUDA kernels on residues against plain integers, wherever `cuda.to_device` and launches lead.

That is Numba's simulator (`tests.he.kernels.cuda_simulation`), with small blocks, or a machine that executes their PTX
(`tests.ptx_machine`), with those of a GPU. Each check is tried with the largest numbers too: residues and factors, as
kernels hold them, of p - 1.
"""

from fractions import Fraction
from functools import cache

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numba import cuda

from he.kernels import reference
from he.kernels.cuda import matrices, rows, sums, transform
from he.kernels.cuda.columns import NONE
from he.kernels.cuda.tables import device_tables, with_quotients
from he.kernels.cuda.words import address_of
from he.kernels.passes import evaluate
from he.kernels.tables.chain import chain
from he.kernels.tables.extension import extension
from he.ring.primes import ntt_primes
from he.ring.slots import automorphism
from intnn.machine.cuda.intrinsics import SIMULATED
from intnn.machine.cuda.launch import run

N = 64 if SIMULATED else 1024
R = 1 << 52
PRIMES = ntt_primes((20, 30, 50, 50), N)
BITS = range(6, 13) if SIMULATED else range(10, 17)  # of degrees of rings, with all numbers of stages
UNWRITTEN = (1 << 64) - 1  # no residue
LARGEST = -1  # in place of a seed
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=3, deadline=None, database=None)


class Largest:
    """A generator that draws the largest numbers, always."""

    def integers(self, low, high=None, size=None, dtype=np.int64):
        most = (low if high is None else high) - 1
        return np.int64(most) if size is None else np.full(size, most, dtype)

    def permutation(self, count):
        return np.arange(count)[::-1]


def generator(seed):
    return Largest() if seed == LARGEST else np.random.default_rng(seed)


@cache
def device():
    return device_tables(chain(N, PRIMES))


def lowered(p, *held):
    """What numbers stand for that kernels hold times 2**52."""
    return [[int(a) * pow(R, -1, p) % p for a in row] for row in held]


def residues(rng, primes, degree=N):
    """A row for each prime, with the least and the largest residue, and rows behind them that hold no residues."""
    result = np.stack([rng.integers(0, p, degree, np.uint64) for p in primes])
    result[:, 0], result[:, 1] = 0, np.array(primes, np.uint64) - np.uint64(1)
    return result


def memory(*parts, free=0):
    return cuda.to_device(np.concatenate([*parts, np.full((free, parts[0].shape[1]), UNWRITTEN, np.uint64)]))


def table(*lines):
    return cuda.to_device(np.array(lines, np.int64).view(np.uint64))


def numbers(*lines):
    return cuda.to_device(sums.weighted(np.array(lines, np.int64)))


def named(*lines):
    return cuda.to_device(sums.named(np.array(lines, np.int64)))


def scales(*pairs):
    return cuda.to_device(with_quotients(pairs))


def integers(row):
    return [int(x) for x in row]


def written(array, row):
    return integers(array.copy_to_host()[row])


def lifted(row, origin, prime):
    return [reference.centred(a, origin) % prime for a in integers(row)]


@few
@example(LARGEST)
@given(seeds)
def forward(seed):
    """Transforms alone; of another prime's residues, which may be far larger; and subtracted from a row, and scaled."""
    rng, (*_, p, q) = generator(seed), PRIMES
    x = residues(rng, (*PRIMES, p, 4 * q))
    x[4, : N // 2] = 0  # from which multiples are subtracted that may be larger than 2 p
    held, w, v = memory(x, free=5), int(rng.integers(PRIMES[1])), int(rng.integers(q))
    alone = (4, 6, 2, NONE, NONE, 0), (5, 7, 3, NONE, NONE, 0)
    lines = table(*alone, (3, 8, 0, 3, NONE, 0), (0, 9, 1, 0, 1, 1), (2, 10, 3, 2, 3, 2))
    run(transform.forward(device(), held, lines, scales((1, PRIMES[0]), (w, PRIMES[1]), (v, q))))
    assert written(held, 6) == reference.forward(integers(x[4]), p)
    assert written(held, 7) == reference.forward(integers(x[5]), q)
    assert written(held, 8) == reference.forward(lifted(x[3], q, PRIMES[0]), PRIMES[0])
    for row, origin, j, factor in ((9, 0, 1, w), (10, 2, 3, v)):
        p = PRIMES[j]
        rest = reference.forward(lifted(x[origin], PRIMES[origin], p), p)
        assert written(held, row) == [(a - b) * factor % p for a, b in zip(integers(x[j]), rest, strict=True)]


@few
@example(LARGEST)
@given(seeds)
def inverse(seed):
    rng, p = generator(seed), PRIMES[2]
    x, w = residues(rng, (2 * p,)), int(rng.integers(p))
    held = memory(x, free=1)
    run(transform.inverse(device(), held, table((0, 1, 2, 0)), scales((w, p))))
    assert written(held, 1) == [a * N * w % p for a in reference.inverse(integers(x[0]), p)]


def passes():
    """Rings with up to six stages before the last blocks, against the CPU's kernels: as `forward`, and back."""
    for bits in BITS:
        degree = 1 << bits
        primes = ntt_primes((20, 50, 50), degree)
        assert [*transform.passes(degree)] == [bits - transform.block_bits(degree)] * (bits > transform.LARGE)
        x = residues(np.random.default_rng(bits), (*primes, primes[2]), degree)
        x[3] = primes[2] - 1
        _there_and_back(chain(degree, primes), x)


def _there_and_back(tables, x):
    """Rows for the three primes and another for the last: two alone, two of a prime that is not theirs; and back."""
    (small, p, q), degree = tables.primes, tables.N
    made, held = device_tables(tables), memory(x, free=6)
    factors = scales((pow(degree, -1, p), p), (pow(degree, -1, q), q), (p - 1, p))
    lines = (1, 4, 1, NONE, NONE, 0), (3, 5, 2, NONE, NONE, 0), (2, 6, 0, 2, NONE, 0), (2, 7, 1, 2, 1, 2)
    run(transform.forward(made, held, table(*lines), factors))
    expected = np.array([x[1], x[3], lifted(x[2], q, small), lifted(x[2], q, p)], np.uint64)
    for row, j in zip(expected, (1, 2, 0, 1), strict=True):
        evaluate.forward(tables.tables, row, j)
    expected[3] = [(b - a) % p for a, b in zip(integers(x[1]), integers(expected[3]), strict=True)]
    assert np.array_equal(held.copy_to_host()[4:8], expected)
    # Back from what has been transformed; and from a given row, where it is.
    run(transform.inverse(made, held, table((4, 8, 1, 0), (5, 9, 2, 1), (3, 3, 2, 1)), factors))
    found = held.copy_to_host()
    assert np.array_equal(found[8:], x[[1, 3]])
    evaluate.forward(tables.tables, found[3], 2)
    assert np.array_equal(found[3], x[3])


@few
@example(LARGEST, 8, 40)
@given(seeds, st.sampled_from([1, 8]), st.integers(1, 40))
def combine(seed, tile, terms):
    """Sums of multiples of rows of the memory and of constants, more than one reduction of the CPU's adds."""
    rng = generator(seed)
    j = int(rng.integers(len(PRIMES)))
    p = PRIMES[j]
    x, constants = residues(rng, (p,) * 3), residues(rng, (p,) * 2)
    sources = rng.integers(-2, 3, terms)  # ~i names constant i
    raised, addends = rng.integers(0, p, (terms, tile)), rng.integers(0, p, (tile, 2))
    weights = lowered(p, *raised)
    outs = [3 + t if t < 6 else NONE for t in range(tile)]
    line = [0, terms, j]
    for out, pair in zip(outs, addends.tolist(), strict=True):
        line += [out, *pair]
    named_rows = [[row, *ws] for row, ws in zip(sources.tolist(), raised.tolist(), strict=True)]
    held = memory(x, free=6)
    run(rows.combine(device(), held, cuda.to_device(constants), table(line), numbers(*named_rows)))
    source = [integers(x[i]) if i >= 0 else integers(constants[~i]) for i in sources.tolist()]
    for t, out in enumerate(outs):
        if out != NONE:
            assert written(held, out) == [
                (sum(w[t] * row[k] for w, row in zip(weights, source, strict=True)) + int(addends[t, 2 * k // N])) % p
                for k in range(N)
            ]


@few
@example(LARGEST, 60)
@given(seeds, st.integers(1, 60))
def products(seed, terms):
    """Sums of products of two rows with one factor."""
    rng = generator(seed)
    j = int(rng.integers(len(PRIMES)))
    p = PRIMES[j]
    x, raised = residues(rng, (p,) * 4), residues(rng, (p,) * 3)
    factors = lowered(p, *raised)
    lines = np.stack([rng.integers(0, 4, terms), rng.integers(0, 4, terms), rng.integers(0, 3, terms)], axis=1)
    held = memory(x, free=2)
    run(rows.products(device(), held, cuda.to_device(raised), table((0, terms, 4, 5, j)), named(*lines.tolist())))
    for half in range(2):
        assert written(held, 4 + half) == [
            sum(int(x[line[half], k]) * factors[line[2]][k] for line in lines) % p for k in range(N)
        ]


@few
@example(LARGEST, True, 5)
@given(seeds, st.booleans(), st.integers(1, 5))
def switch(seed, turned, digits):
    """Digits times a key; with a multiple of another row, permuted, for a rotation."""
    rng = generator(seed)
    j = int(rng.integers(len(PRIMES)))
    p, held_w = PRIMES[j], int(rng.integers(PRIMES[j]))
    x, raised = residues(rng, (p,) * (digits + 1)), residues(rng, (p,) * (2 * digits))
    (w,), *key = lowered(p, [held_w], *raised)
    order = automorphism(N, 2 * N - 1 if turned else 5).astype(np.int32)
    added = (digits, held_w, 0) if turned else (NONE, 0, NONE)
    held = memory(x, free=2)
    terms = [(i, i, digits + i) for i in range(digits)]
    line = 0, digits, digits + 1, digits + 2, j, *added
    run(rows.switch(device(), held, cuda.to_device(raised), cuda.to_device(order[None]), table(line), named(*terms)))
    for half in range(2):
        sums = [
            sum(int(x[i, k]) * key[half * digits + i][k] for i in range(digits))
            + (w * int(x[digits, k]) if turned and half == 0 else 0)
            for k in range(N)
        ]
        assert written(held, digits + 1 + half) == [sums[order[k] if turned else k] % p for k in range(N)]


@few
@example(LARGEST, 3)
@given(seeds, st.integers(1, 3))
def extend(seed, sources):
    """From one to three primes to another: the centred value, whatever its fraction is."""
    rng = generator(seed)
    given_by, p = PRIMES[:sources], PRIMES[3]
    constants = extension(given_by, (p,))
    x = residues(rng, given_by)
    parts = np.array(
        [
            [int(a) * int(hat) % q for a in row]
            for row, hat, q in zip(x, constants.hats["value"], given_by, strict=True)
        ],
        np.uint64,
    )
    terms = list(zip(range(sources), constants.factors[0].tolist(), strict=True))
    held = memory(parts, free=1)
    line = 0, sources, sources, 3, int(constants.modulus[0])
    run(rows.extend(device(), held, table(line), numbers(*terms), cuda.to_device(constants.shares)))
    Q = int(np.prod([int(q) for q in given_by], dtype=object))
    for k, found in enumerate(written(held, sources)):
        fraction = sum(Fraction(int(y), q) for y, q in zip(parts[:, k], given_by, strict=True))
        value = int(fraction * Q) - int(fraction + Fraction(1, 2)) * Q  # random fractions are not close to one half
        assert abs(value) * 2 <= Q
        assert found == value % p


@few
@example(LARGEST)
@given(seeds)
def tensor(seed):
    rng = generator(seed)
    j = int(rng.integers(len(PRIMES)))
    p = PRIMES[j]
    x = residues(rng, (p,) * 4)
    held = memory(x, free=3)
    run(rows.tensor(device(), held, table((0, 1, 2, 3, 4, 5, 6, j))))
    x0, x1, y0, y1 = map(integers, x)
    columns = list(zip(x0, x1, y0, y1, strict=True))
    assert written(held, 4) == [a * c % p for a, _, c, _ in columns]
    assert written(held, 5) == [(a * d + b * c) % p for a, b, c, d in columns]
    assert written(held, 6) == [b * d % p for _, b, _, d in columns]


@few
@example(LARGEST, 20)
@given(seeds, st.integers(1, 20))
def tensor_sums(seed, terms):
    rng = generator(seed)
    j = int(rng.integers(len(PRIMES)))
    p = PRIMES[j]
    x, raised = residues(rng, (p,) * 4), residues(rng, (p,) * 4)
    factors = lowered(p, *raised)
    chosen = rng.integers(0, 4, (terms, 4))
    held = memory(x, raised, free=3)
    lines = [(a, b, 4 + c, 4 + d) for a, b, c, d in chosen.tolist()]
    run(rows.tensor_sums(device(), held, table((0, terms, 8, 9, 10, j)), named(*lines)))
    found = [written(held, 8 + i) for i in range(3)]
    for k in range(N):
        pairs = [((int(x[a, k]), int(x[b, k])), (factors[c][k], factors[d][k])) for a, b, c, d in chosen]
        expected = [
            sum(x0 * f0 for (x0, _), (f0, _) in pairs),
            sum(x0 * f1 + x1 * f0 for (x0, x1), (f0, f1) in pairs),
            sum(x1 * f1 for (_, x1), (_, f1) in pairs),
        ]
        assert [row[k] for row in found] == [value % p for value in expected]


@few
@example(LARGEST)
@given(seeds)
def square_parts(seed):
    rng = generator(seed)
    j = int(rng.integers(len(PRIMES)))
    p, raised = PRIMES[j], rng.integers(0, PRIMES[j], 2).tolist()
    x = residues(rng, (p,) * 4)
    held = memory(x, free=3)
    (units,) = lowered(p, raised)
    run(rows.square_parts(device(), held, table((0, 1, 2, 3, 4, 5, 6, j, 0, 1)), scales(*((u, p) for u in raised))))
    found = [written(held, 4 + i) for i in range(3)]
    for k, (x0, x1, y0, y1) in enumerate(zip(*map(integers, x), strict=True)):
        u = units[2 * k // N]
        (a, b), (c, d) = (x0 + y0, x1 + y1), (x0 - y0, x1 - y1)
        expected = [(a * a + u * c * c) % p, 2 * (a * b + u * c * d) % p, (b * b + u * d * d) % p]
        assert [row[k] for row in found] == expected


@few
@example(LARGEST, 2, 9, 4)
@given(seeds, st.integers(1, 3), st.integers(1, 9), st.integers(1, 6))
def matrix_products(seed, rows_of, terms, columns):
    """Sums of products of degree two, modulo two primes in any order; from the second result on."""
    rng = generator(seed)
    chosen, total = rng.permutation(len(PRIMES))[:2].tolist(), rows_of * columns
    primes = [PRIMES[j] for j in chosen]
    x, y = (residues(rng, primes * (2 * terms * count)).reshape(-1, 2, N) for count in (rows_of, columns))
    raised = memory(x.reshape(-1, N))
    factors = np.array([lowered(primes[i % 2], row)[0] for i, row in enumerate(x.reshape(-1, N))], object)
    there = memory(y.reshape(-1, N))

    def addresses(held, *shape):
        return cuda.to_device(address_of(held) + 8 * N * np.arange(2 * np.prod(shape)).reshape(*shape, 2))

    left, right = addresses(raised, rows_of, terms, 2), addresses(there, terms, columns, 2)
    lines, held = matrices.lines(columns, min(1, total - 1), total), memory(x[0, :1], free=6 * total)
    lines[:, 3] = 1 + 6 * lines[:, 3]
    matrices.products(device(), left, right, held, cuda.to_device(lines), cuda.to_device(np.array(chosen)))(0)
    a, b = factors.reshape(rows_of, terms, 2, 2, N), y.reshape(terms, columns, 2, 2, N).astype(object)
    for number in range(min(1, total - 1), total):
        i, k = divmod(number, columns)
        c, d, first = a[i], b[:, k], 1 + 6 * (number - min(1, total - 1))
        expected = (c[:, 0] * d[:, 0], c[:, 0] * d[:, 1] + c[:, 1] * d[:, 0], c[:, 1] * d[:, 1])
        for part, products_of in enumerate(expected):
            for row, p in enumerate(primes):
                sums = products_of[:, row].sum(axis=0) % p
                assert written(held, first + 2 * part + row) == [int(word) for word in sums]


@few
@example(LARGEST)
@given(seeds)
def raised(seed):
    """Residues of two polynomials times 2**52, modulo the first three primes."""
    primes = PRIMES[:3]
    x = residues(generator(seed), primes * 2)
    held = memory(x)
    run(matrices.raised(device(), held.reshape(2, 3, N)))
    for row, given_row in enumerate(x):
        assert written(held, row) == [int(a) * R % primes[row % 3] for a in given_row]


CHECKS = (
    forward, inverse, passes, combine, products, switch, extend, tensor, tensor_sums, square_parts, matrix_products,
    raised,
)  # fmt: skip
