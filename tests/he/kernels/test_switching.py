"""Products of digits with keys, however they are read and stored: the integers, bit for bit."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from he.engines.rns.buffers import Buffers
from he.kernels.passes import switching
from he.kernels.tables.chain import chain
from he.kernels.tables.factors import Factors
from he.ring.primes import ntt_primes
from he.ring.slots import automorphism, permutation


@settings(max_examples=60)
@given(
    st.sampled_from([64, 128]),
    st.integers(20, 50),
    st.integers(1, 2 * switching.FOLLOWED),
    st.integers(0, 127),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_products_turned_are_sums_in_their_places(N, bits, digits, half, past, seed):
    """Of few digits, and of so many that their rows are asked for; kept in the caches, and stored past them."""
    rng, (p,), element = np.random.default_rng(seed), ntt_primes((bits,), N), (2 * half + 1) % (2 * N)
    table, w = chain(N, (p,)).tables, int(rng.integers(p))
    key, x, added = (rng.integers(0, p, shape, np.uint64) for shape in ((digits, 2, 1, N), (digits, N), N))
    factors, lists = Factors.packed(key, (p,)), np.empty((3, digits), np.int64)
    switching.list_addresses(x, factors.addresses, 0, lists)
    out = Buffers().empty(2, N)
    switching.permuted_products(table, added, w, lists, 0, permutation(N, element), past, *out)
    sums = (x[:, None].astype(object) * key[:, :, 0]).sum(axis=0) * pow(2, -52, p)
    sums[0] += added.astype(object) * w
    assert np.array_equal(out, (sums % p)[:, automorphism(N, element)])


def test_rotations_go_past_the_caches_where_they_are_large_and_begin_at_a_line():
    rows, N = 17, 8192
    memory = Buffers().empty(2 * rows * N + 1)
    assert 4 * memory.size < switching.KEPT < 8 * memory.size
    assert switching.is_past(memory[:-1].reshape(2, rows, N))
    assert not switching.is_past(memory[1:].reshape(2, rows, N))
    assert not switching.is_past(memory[: rows * N].reshape(2, rows, N // 2))
