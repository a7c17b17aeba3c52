"""Runs the CUDA kernels on residues against plain integers in Numba's simulator, and prints the outcomes as JSON.

Not a test by itself; `tests.intnn.cuda_simulation` says why this is a process of its own.
"""

import json
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
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
from intnn.machine.cuda.launch import run
from tests.intnn.cuda_simulation import prepare

N, R = 64, 1 << 52
PRIMES = ntt_primes((30, 40, 50, 50), N)
TABLES = device_tables(chain(N, PRIMES))
UNWRITTEN = (1 << 64) - 1  # no residue
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=3, deadline=None, database=None)


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


@few
@given(seeds)
def forward(seed):
    """Transforms alone; of another prime's residues; and subtracted from a row, times a factor."""
    rng = np.random.default_rng(seed)
    x = residues(rng, PRIMES)
    held, w = memory(x, free=3), int(rng.integers(PRIMES[1]))
    run(
        transform.forward(
            TABLES,
            held,
            table((1, 4, 1, NONE, NONE, 0), (3, 5, 1, 3, NONE, 0), (0, 6, 1, 0, 1, 1)),
            scales((1, PRIMES[0]), (w, PRIMES[1])),
        )
    )
    p = PRIMES[1]
    lifted = [[reference.centred(a, PRIMES[j]) % p for a in integers(x[j])] for j in (3, 0)]
    assert written(held, 4) == reference.forward(integers(x[1]), p)
    assert written(held, 5) == reference.forward(lifted[0], p)
    rest = reference.forward(lifted[1], p)
    assert written(held, 6) == [(a - b) * w % p for a, b in zip(integers(x[1]), rest, strict=True)]


@few
@given(seeds)
def inverse(seed):
    rng = np.random.default_rng(seed)
    x, p = residues(rng, PRIMES), PRIMES[2]
    w = int(rng.integers(p))
    held = memory(x, free=1)
    run(transform.inverse(TABLES, held, table((2, 4, 2, 0)), scales((w, p))))
    assert written(held, 4) == [a * N * w % p for a in reference.inverse(integers(x[2]), p)]


def passes():
    """Rings with up to six stages before the last blocks, against the CPU's kernels, there and back."""
    for bits in range(6, 13):
        degree = 1 << bits
        primes = ntt_primes((30, 50), degree)
        assert [*transform.passes(degree)] == [bits - transform.block_bits(degree)] * (bits > 6)
        tables, x = chain(degree, primes), residues(np.random.default_rng(bits), primes, degree)
        device, inverses = device_tables(tables), scales(*((pow(degree, -1, p), p) for p in primes))
        held, expected = memory(x, free=4), x.copy()
        run(transform.forward(device, held, table((0, 2, 0, NONE, NONE, 0), (1, 3, 1, NONE, NONE, 0)), inverses))
        for j, row in enumerate(expected):
            evaluate.forward(tables.tables, row, j)
        assert np.array_equal(held.copy_to_host()[2:4], expected)
        run(transform.inverse(device, held, table((2, 4, 0, 0), (3, 5, 1, 1)), inverses))
        assert np.array_equal(held.copy_to_host()[4:], x)


@few
@given(seeds, st.sampled_from([1, 8]), st.integers(1, 40))
def combine(seed, tile, terms):
    """Sums of multiples of rows of the memory and of constants, more than one reduction of the CPU's adds."""
    rng = np.random.default_rng(seed)
    j = int(rng.integers(len(PRIMES)))
    p = PRIMES[j]
    x, constants = residues(rng, (p,) * 3), residues(rng, (p,) * 2)
    sources = rng.integers(-2, 3, terms)  # ~i names constant i
    weights, addends = rng.integers(0, p, (terms, tile)), rng.integers(0, p, (tile, 2))
    outs = [3 + t if t < 6 else NONE for t in range(tile)]
    line = [0, terms, j]
    for out, pair in zip(outs, addends.tolist(), strict=True):
        line += [out, *pair]
    raised = [[row, *(int(w) * R % p for w in ws)] for row, ws in zip(sources.tolist(), weights.tolist(), strict=True)]
    held = memory(x, free=6)
    run(rows.combine(TABLES, held, cuda.to_device(constants), table(line), numbers(*raised)))
    source = [integers(x[i]) if i >= 0 else integers(constants[~i]) for i in sources.tolist()]
    for t, out in enumerate(outs):
        if out != NONE:
            assert written(held, out) == [
                (sum(int(w[t]) * row[k] for w, row in zip(weights, source, strict=True)) + int(addends[t, 2 * k // N]))
                % p
                for k in range(N)
            ]


@few
@given(seeds, st.integers(1, 60))
def products(seed, terms):
    """Sums of products of two rows with one factor."""
    rng = np.random.default_rng(seed)
    j = int(rng.integers(len(PRIMES)))
    p = PRIMES[j]
    x, factors = residues(rng, (p,) * 4), residues(rng, (p,) * 3)
    lines = np.stack([rng.integers(0, 4, terms), rng.integers(0, 4, terms), rng.integers(0, 3, terms)], axis=1)
    held = memory(x, free=2)
    raised = np.array([[int(a) * R % p for a in row] for row in factors], np.uint64)
    run(rows.products(TABLES, held, cuda.to_device(raised), table((0, terms, 4, 5, j)), named(*lines.tolist())))
    for half in range(2):
        assert written(held, 4 + half) == [
            sum(int(x[line[half], k]) * int(factors[line[2], k]) for line in lines) % p for k in range(N)
        ]


@few
@given(seeds, st.booleans(), st.integers(1, 5))
def switch(seed, turned, digits):
    """Digits times a key; with a multiple of another row, permuted, for a rotation."""
    rng = np.random.default_rng(seed)
    j = int(rng.integers(len(PRIMES)))
    p, w = PRIMES[j], int(rng.integers(PRIMES[j]))
    x, key = residues(rng, (p,) * (digits + 1)), residues(rng, (p,) * (2 * digits))
    order = automorphism(N, 2 * N - 1 if turned else 5).astype(np.int32)
    added = (digits, w * R % p, 0) if turned else (NONE, 0, NONE)
    held = memory(x, free=2)
    raised = np.array([[int(a) * R % p for a in row] for row in key], np.uint64)
    terms = [(i, i, digits + i) for i in range(digits)]
    line = 0, digits, digits + 1, digits + 2, j, *added
    run(rows.switch(TABLES, held, cuda.to_device(raised), cuda.to_device(order[None]), table(line), named(*terms)))
    for half in range(2):
        sums = [
            sum(int(x[i, k]) * int(key[half * digits + i, k]) for i in range(digits))
            + (w * int(x[digits, k]) if turned and half == 0 else 0)
            for k in range(N)
        ]
        assert written(held, digits + 1 + half) == [sums[order[k] if turned else k] % p for k in range(N)]


@few
@given(seeds, st.integers(1, 3))
def extend(seed, sources):
    """From one to three primes to another: the centred value, whatever its fraction is."""
    rng = np.random.default_rng(seed)
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
    run(rows.extend(TABLES, held, table(line), numbers(*terms), cuda.to_device(constants.shares)))
    Q = int(np.prod([int(q) for q in given_by], dtype=object))
    for k, found in enumerate(written(held, sources)):
        fraction = sum(Fraction(int(y), q) for y, q in zip(parts[:, k], given_by, strict=True))
        value = int(fraction * Q) - int(fraction + Fraction(1, 2)) * Q  # random fractions are not close to one half
        assert abs(value) * 2 <= Q
        assert found == value % p


@few
@given(seeds)
def tensor(seed):
    rng = np.random.default_rng(seed)
    j = int(rng.integers(len(PRIMES)))
    p = PRIMES[j]
    x = residues(rng, (p,) * 4)
    held = memory(x, free=3)
    run(rows.tensor(TABLES, held, table((0, 1, 2, 3, 4, 5, 6, j))))
    x0, x1, y0, y1 = map(integers, x)
    columns = list(zip(x0, x1, y0, y1, strict=True))
    assert written(held, 4) == [a * c % p for a, _, c, _ in columns]
    assert written(held, 5) == [(a * d + b * c) % p for a, b, c, d in columns]
    assert written(held, 6) == [b * d % p for _, b, _, d in columns]


@few
@given(seeds, st.integers(1, 20))
def tensor_sums(seed, terms):
    rng = np.random.default_rng(seed)
    j = int(rng.integers(len(PRIMES)))
    p = PRIMES[j]
    x, factors = residues(rng, (p,) * 4), residues(rng, (p,) * 4)
    raised = np.array([[int(a) * R % p for a in row] for row in factors], np.uint64)
    chosen = rng.integers(0, 4, (terms, 4))
    held = memory(x, raised, free=3)
    lines = [(a, b, 4 + c, 4 + d) for a, b, c, d in chosen.tolist()]
    run(rows.tensor_sums(TABLES, held, table((0, terms, 8, 9, 10, j)), named(*lines)))
    for k in range(N):
        pairs = [((int(x[a, k]), int(x[b, k])), (int(factors[c, k]), int(factors[d, k]))) for a, b, c, d in chosen]
        expected = [
            sum(x0 * f0 for (x0, _), (f0, _) in pairs),
            sum(x0 * f1 + x1 * f0 for (x0, x1), (f0, f1) in pairs),
            sum(x1 * f1 for (_, x1), (_, f1) in pairs),
        ]
        assert [int(held.copy_to_host()[8 + i, k]) for i in range(3)] == [value % p for value in expected]


@few
@given(seeds)
def square_parts(seed):
    rng = np.random.default_rng(seed)
    j = int(rng.integers(len(PRIMES)))
    p, units = PRIMES[j], rng.integers(0, PRIMES[j], 2).tolist()
    x = residues(rng, (p,) * 4)
    held = memory(x, free=3)
    raised = scales(*((u * R, p) for u in units))
    run(rows.square_parts(TABLES, held, table((0, 1, 2, 3, 4, 5, 6, j, 0, 1)), raised))
    for k, (x0, x1, y0, y1) in enumerate(zip(*map(integers, x), strict=True)):
        u = units[2 * k // N]
        (a, b), (c, d) = (x0 + y0, x1 + y1), (x0 - y0, x1 - y1)
        expected = [(a * a + u * c * c) % p, 2 * (a * b + u * c * d) % p, (b * b + u * d * d) % p]
        assert [written(held, 4 + i)[k] for i in range(3)] == expected


@few
@given(seeds, st.integers(1, 3), st.integers(1, 9), st.integers(1, 6))
def matrix_products(seed, rows_of, terms, columns):
    """Sums of products of degree two, modulo two primes in any order; from the second result on."""
    rng = np.random.default_rng(seed)
    chosen, total = rng.permutation(len(PRIMES))[:2].tolist(), rows_of * columns
    primes = [PRIMES[j] for j in chosen]
    x, y = (residues(rng, primes * (2 * terms * count)).reshape(-1, 2, N) for count in (rows_of, columns))
    times_r = [[int(a) * R % primes[i % 2] for a in row] for i, row in enumerate(x.reshape(-1, N))]
    raised = memory(np.array(times_r, np.uint64))
    there = memory(y.reshape(-1, N))

    def addresses(held, *shape):
        return cuda.to_device(address_of(held) + 8 * N * np.arange(2 * np.prod(shape)).reshape(*shape, 2))

    left, right = addresses(raised, rows_of, terms, 2), addresses(there, terms, columns, 2)
    lines, held = matrices.lines(columns, min(1, total - 1), total), memory(x[0, :1], free=6 * total)
    lines[:, 3] = 1 + 6 * lines[:, 3]
    matrices.products(TABLES, left, right, held, cuda.to_device(lines), cuda.to_device(np.array(chosen)))(0)
    a, b = x.reshape(rows_of, terms, 2, 2, N).astype(object), y.reshape(terms, columns, 2, 2, N).astype(object)
    for number in range(min(1, total - 1), total):
        i, k = divmod(number, columns)
        c, d, first = a[i], b[:, k], 1 + 6 * (number - min(1, total - 1))
        expected = (c[:, 0] * d[:, 0], c[:, 0] * d[:, 1] + c[:, 1] * d[:, 0], c[:, 1] * d[:, 1])
        for part, products_of in enumerate(expected):
            for row, p in enumerate(primes):
                sums = products_of[:, row].sum(axis=0) % p
                assert written(held, first + 2 * part + row) == [int(word) for word in sums]


@few
@given(seeds)
def raised(seed):
    """Residues of two polynomials times 2**52, modulo the first three primes."""
    primes = PRIMES[:3]
    x = residues(np.random.default_rng(seed), primes * 2)
    held = memory(x)
    matrices.raised(TABLES, held.reshape(2, 3, N))(0)
    for row, given_row in enumerate(x):
        assert written(held, row) == [int(a) * R % primes[row % 3] for a in given_row]


CHECKS = (
    forward, inverse, passes, combine, products, switch, extend, tensor, tensor_sums, square_parts, matrix_products,
    raised,
)  # fmt: skip

if __name__ == "__main__":
    prepare()
    for check in CHECKS:
        check()
    print(json.dumps({check.__name__: True for check in CHECKS}))
