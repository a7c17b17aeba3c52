"""Transforms and their tables: values at the roots, bit for bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from he.kernels import reference
from he.kernels.instructions.butterflies import BIAS, LARGEST, LOOSE_BITS
from he.kernels.passes import evaluate, switching
from he.kernels.passes.transform import lift_forward
from he.kernels.tables.chain import chain
from he.kernels.tables.roots import least_root, roots
from he.ring.slots import bit_reversal
from tests.he.kernels.residues import primes_of


@given(st.sampled_from([64, 128, 256, 512]), st.integers(20, 50), st.integers(0, 2**32))
def test_transforms_are_values_at_odd_powers_of_the_root(N, bits, seed):
    try:
        (prime,) = primes_of(N, [bits])
    except ValueError:
        return
    table, rng = chain(N, (prime,)), np.random.default_rng(seed)
    x = rng.integers(0, prime, N, dtype=np.uint64)
    x[:2] = 0, prime - 1
    y = x.copy()
    evaluate.forward(table.tables, y, 0)
    values = y.tolist()
    assert values == reference.forward(x.tolist(), prime)
    evaluate.inverse(table.tables, y, 0)
    assert np.array_equal(y, x)
    assert reference.inverse(values, prime) == x.tolist()


@pytest.mark.parametrize("bits", [46, 50])
@pytest.mark.parametrize("N", [2048, 4096, 8192, 16384, 32768, 65536])
def test_large_transforms_have_single_values_right_and_invert(N, bits):
    (prime,) = primes_of(N, [bits])
    table, rng = chain(N, (prime,)), np.random.default_rng(N)
    x = rng.integers(0, prime, N, dtype=np.uint64)
    x[: N // 2] = prime - 1
    y = x.copy()
    evaluate.forward(table.tables, y, 0)
    psi, order = int(roots(N, prime).forward[bit_reversal(N)[1]]), bit_reversal(N)
    for i in (0, 1, N // 2 + 3, N - 1):
        root, total = pow(psi, 2 * order[i] + 1, prime), 0
        for a in reversed(x.tolist()):
            total = (total * root + a) % prime
        assert int(y[i]) == total
    evaluate.inverse(table.tables, y, 0)
    assert np.array_equal(y, x)


@pytest.mark.parametrize("N", [1024, 65536])
def test_loose_residues_stay_below_what_is_read_of_them(N):
    """The worst is that all stages add: what enters is as large as it may be, and so are all products."""
    (prime,) = primes_of(N, [LOOSE_BITS])
    stages = N.bit_length() - 1
    assert stages <= BIAS  # differences stay positive
    assert BIAS + 3 + stages <= LARGEST
    assert (LARGEST + 1) * prime < 2**52  # the difference of `mod_down_row`
    assert switching.MAX_LOOSE * LARGEST * prime**2 // 2**52 + prime < 8 * prime  # what `reduced` brings down
    table, rng = chain(N, (prime,)).tables, np.random.default_rng(N)
    x, y, finished = rng.integers(0, 2**52, (3, N), np.uint64)
    one = int(table.constants[0]["one"])
    for out, is_finished in ((y, False), (finished, True)):
        lift_forward(x, one, prime - 1, table.forward[0], table.forward_quotients[0], prime, out, is_finished)
    y &= np.uint64(2**52 - 1)
    assert y.max() < LARGEST * prime
    assert np.array_equal(y % np.uint64(prime), finished)


@pytest.mark.parametrize("bits", [20, 30, 46, 50])
def test_tables_are_those_of_plain_integers(bits):
    N = 64
    (prime,) = primes_of(N, [bits])
    table, psi, order = roots(N, prime), reference.least_root(N, prime), bit_reversal(N)
    assert least_root(N, prime) == psi
    for root, values, quotients in (
        (psi, table.forward, table.forward_quotients),
        (pow(psi, -1, prime), table.inverse, table.inverse_quotients),
    ):
        expected = [pow(root, i, prime) for i in order]
        assert values.tolist() == expected
        assert quotients.tolist() == [(w << 52) // prime for w in expected]


@pytest.mark.parametrize(("N", "prime"), [(1024, (1 << 51) - 1), (1024, 12289)])
def test_primes_that_do_not_fit_are_refused(N, prime):
    if prime % (2 * N) == 1 and prime < 1 << 50:
        assert roots(N, prime).prime == prime
    else:
        with pytest.raises(ValueError, match="`prime` must be below"):
            roots(N, prime)
