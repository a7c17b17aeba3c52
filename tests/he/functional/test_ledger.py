"""The span of keys: its dimension is that over the rationals, whatever is asked for and in whatever order."""

import copy
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from he.functional import ledger
from he.functional.errors import BudgetError
from he.functional.ledger import Span, known_share, secret_prime
from he.kernels import reference
from he.kernels.passes import span as kernels
from he.ring.primes import is_prime
from tests.he.functional.ranks import rank, requests

PRIME = 1152921504606847009  # the least of 61 bits
MERSENNE = (1 << 61) - 1  # the largest
PRIMES = st.sampled_from([PRIME, 1152921504606847067, MERSENNE])


@given(requests(), PRIMES)
@example((2, [np.array([[32767, -32767], [32767, -32767]]), np.array([[-32767, 32766]])]), PRIME)
def test_the_dimension_is_that_over_the_rationals(asked, prime):
    n, batches = asked
    span, seen, added = Span.empty(n, prime), [], []
    for y in batches:
        before = span
        span, new = span.grown(y, n)
        seen += y.tolist()
        added += list(new)
        assert span.rank == rank(seen) == before.rank + len(new)
        assert (span is before) == (not len(new))
    again = Span.empty(n, prime)
    for vector in added:
        again = again.extended(vector[None])
    written = Span.empty(n, prime).extended(span.basis())
    for y in batches:
        assert again.grown(y, n)[0] is again  # what was added is all that was
        assert written.grown(y, n)[0] is written
    assert again.rank == written.rank == span.rank


def test_all_vectors_lie_in_the_span_of_all():
    whole = Span.whole(3, PRIME)
    assert whole.rank == 3
    assert whole.grown(np.array([[1, 2, 3]]), 3)[0] is whole
    assert whole.extended(np.eye(3, dtype=np.uint64)) is whole
    assert whole.basis().tolist() == np.eye(3).tolist()


@given(requests(), st.integers(0, 7), st.randoms())
def test_no_way_of_asking_gets_more_than_the_budget(asked, most, random):
    """All vectors at once, in any order, one by one, or as combinations of each other."""
    n, batches = asked
    most = min(most, n)
    rows = [row for y in batches for row in y.tolist()]
    combined = [[a - b for a, b in zip(random.choice(rows), random.choice(rows), strict=True)] for _ in range(4)]
    combined = [row for row in combined if max(map(abs, row)) <= 32767]
    span = Span.empty(n, secret_prime())
    issued = []
    parts = [rows, combined, *([row] for row in random.sample(rows, len(rows))), *([row] for row in combined)]
    for part in filter(None, parts):
        is_within = rank([*issued, *part]) <= most
        if is_within:
            span, _ = span.grown(np.array(part), most)
            issued += part
        else:
            with pytest.raises(BudgetError, match=f"more than {most} directions of the data, {span.rank} of which"):
                span.grown(np.array(part), most)
        assert span.rank == rank(issued) <= most


@settings(max_examples=40)
@given(st.integers(1, 6), PRIMES, st.data())
def test_the_kernel_is_the_reference(n, prime, data):
    residues = st.sampled_from([0, 1, 2, prime - 1, prime - 2, prime // 2]) | st.integers(0, prime - 1)
    vectors = data.draw(st.lists(st.lists(residues, min_size=n, max_size=n), max_size=n + 2))
    rest, order, found = np.empty((len(vectors) + 1, n), np.uint64), np.arange(n), 0
    rows, places = [], list(range(n))
    for vector in vectors:
        found = kernels.absorb(rest, order, found, np.array(vector, np.uint64), kernels.modulus(prime))
        rows, places = reference.absorbed(rows, places, vector, prime)
        assert rest[:found, found:].tolist() == rows
        assert order.tolist() == places


@given(st.integers(1, 5), st.integers(1, 5), PRIMES, st.data())
def test_combinations_are_those_of_integers(n, keys, prime, data):
    element, weight = st.sampled_from([-32767, 32767, 0, 1]), st.sampled_from([0, 1, (1 << 61) - 1, 1 << 30])
    rows = data.draw(st.lists(st.lists(element, min_size=n, max_size=n), min_size=keys, max_size=keys))
    weights = data.draw(st.lists(weight | st.integers(0, (1 << 61) - 1), min_size=keys, max_size=keys))
    check_combination(np.array(rows), weights, prime)


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_largest_sums_do_not_wrap(sign):
    check_combination(np.full((1 << 16, 2), sign * 32767), [(1 << 61) - 1] * (1 << 16), MERSENNE)


def check_combination(y, weights, prime):
    out, sums = np.empty(y.shape[1], np.uint64), np.empty((2, y.shape[1]), np.int64)
    kernels.combine(y, np.array(weights, np.uint64), kernels.modulus(prime), sums, out)
    assert out.tolist() == [sum(w * a for w, a in zip(weights, column, strict=True)) % prime for column in y.T.tolist()]


def test_a_prime_that_is_known_would_give_a_direction_for_free():
    """Five small vectors whose determinant is a prime: independent over the rationals, but not modulo that prime."""
    base, digits, left = 1 << 12, [], PRIME
    for _ in range(4):
        left, digit = divmod(left, base)
        digits.append(digit)
    y = base * np.eye(5, dtype=np.int64) - np.eye(5, k=1, dtype=np.int64)
    y[4] = [*digits, left]  # times (1, base, base^2, ...), which all other rows are orthogonal to, it is the prime
    assert np.abs(y).max() <= 32767
    assert rank(y) == 5
    assert Span.empty(5, PRIME).grown(y, 5)[0].rank == 4
    assert Span.empty(5, secret_prime()).grown(y, 5)[0].rank == 5


def test_a_whole_batch_costs_one_combination_where_nothing_is_new(monkeypatch):
    rng = np.random.default_rng(0)
    y = rng.integers(-127, 128, (5, 20))
    span, _ = Span.empty(20, secret_prime()).grown(y, 5)
    drawn = []
    weights = ledger._weights
    monkeypatch.setattr(ledger, "_weights", lambda *shape: (drawn.append(shape), weights(*shape))[1])
    assert span.grown(rng.integers(-9, 10, (300, 5)) @ y, 5)[0] is span
    assert drawn == [(1, 300)]
    full, _ = span.grown(np.eye(20, dtype=np.int64), 20)
    drawn.clear()
    assert full.grown(rng.integers(-127, 128, (300, 20)), 20)[0] is full
    assert not drawn


def test_primes_are_of_61_bits_and_drawn_anew():
    drawn = [secret_prime() for _ in range(20)]
    assert all(prime.bit_length() == 61 and is_prime(prime) for prime in drawn)
    assert len(set(drawn)) == len(drawn)


def test_a_span_tells_nothing_of_its_prime_and_is_not_stored():
    span = Span.empty(3, PRIME)
    assert str(PRIME) not in repr(span)
    with pytest.raises(TypeError, match="cannot be pickled or copied; the authority's journal"):
        copy.copy(span)


@given(st.integers(1, 4), st.integers(1, 4), st.data())
def test_the_known_share_is_the_dimension_of_what_is_known(n, batch, data):
    def some_rows(length):
        row = st.lists(st.integers(-3, 3), min_size=length, max_size=length)
        return data.draw(st.lists(row, max_size=length))

    forward, gradient = some_rows(n), some_rows(batch)
    unit = np.eye(max(n, batch), dtype=int)
    known = [np.kron(unit[i, :batch], y) for i in range(batch) for y in forward]
    known += [np.kron(z, unit[j, :n]) for j in range(n) for z in gradient]
    share = known_share(rank(forward), n, rank(gradient), batch)
    assert share == Fraction(rank(known), batch * n)
