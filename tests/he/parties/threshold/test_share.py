"""What is computed with a share, against plain integers, for any secret."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.parties.threshold.share import KeyShare
from he.ring.gadget import Gadget
from he.ring.params import Parameters
from tests.he.parties.threshold.owners import product, whole
from tests.vectors.document import coefficients, transformed

PARAMETERS = Parameters("ckks", 1024, (30, 25, 40), scale_bits=20, security="insecure", owners=2)
PRIMES, N = PARAMETERS.primes, PARAMETERS.poly_modulus_degree


def share_of(secret):
    return KeyShare(PARAMETERS, np.array([transformed([int(c) % p for c in secret], p) for p in PRIMES], np.uint64))


def rows_of(transformed_rows, primes=PRIMES):
    return [np.array(coefficients(row.tolist(), p), object) for row, p in zip(transformed_rows, primes, strict=True)]


@st.composite
def secrets(draw):
    """Two ternary secrets, and numbers for whatever else is drawn."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    weights = draw(st.sampled_from([(1, 1, 1), (0, 1, 0), (1, 0, 1), (0, 1, 8)]))
    chances = np.array(weights) / sum(weights)
    return [rng.choice([-1, 0, 1], N, p=chances).astype(object) for _ in range(2)], rng


@settings(max_examples=6, deadline=None)
@given(drawn=secrets())
def test_shares_with_one_mask_add_up_to_an_encryption_under_the_sum(drawn):
    (s_1, s_2), rng = drawn
    mask = np.array([rng.integers(0, p, N, np.uint64) for p in PRIMES])
    total = sum(np.array(rows_of(share_of(s).masked(mask)), object) for s in (s_1, s_2))
    under = [(row + product(a, s_1 + s_2, p)) % p for row, a, p in zip(total, rows_of(mask), PRIMES, strict=True)]
    error = whole(under, PRIMES).astype(float)
    assert np.abs(error).max() <= 2 * 21
    assert error.var() == pytest.approx(21, rel=0.3)


@settings(max_examples=6, deadline=None)
@given(
    drawn=secrets(), element=st.sampled_from([None, 1, 3, 2 * N - 1, 5]), group=st.sampled_from([(0,), (1,), (0, 1)])
)
def test_terms_and_products_are_those_of_plain_integers(drawn, element, group):
    (secret, _), rng = drawn
    share = share_of(secret)
    gadget = Gadget.of(PARAMETERS, 2)
    found = rows_of(share.term(gadget, group, element))
    for j, p in enumerate(PRIMES):
        expected = np.zeros(N, object)
        if j in group:
            expected = PRIMES[-1] * image(secret, element, p) % p
        assert np.array_equal(found[j], expected)
    other = np.array([rng.integers(0, p, N, np.uint64) for p in PRIMES[:2]])
    times = rows_of(share.times(other), PRIMES[:2])
    for row, a, p in zip(times, rows_of(other, PRIMES[:2]), PRIMES[:2], strict=True):
        assert np.array_equal(row, product(a, secret, p))
    sums, negative = share.added(other, other), share.negated(np.vstack([other, other[:1] % PRIMES[-1]]))
    assert np.array_equal(sums, 2 * other % np.array(PRIMES[:2], np.uint64)[:, None])
    assert not (share.added(other, negative[:2])).any()


def image(secret, element, p):
    """What a key of this element encrypts."""
    if element is None:
        return secret
    if element == 1:
        return product(secret, secret, p)
    result = np.zeros(N, object)
    for i, c in enumerate(secret):
        place = i * element % (2 * N)
        result[place % N] += c if place < N else -c
    return result
