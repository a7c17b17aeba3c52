"""What attacks cost, against what others have found for the same parameters."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.functional.rlwe.estimate import _log2_delta, primal
from he.ring.params import MAX_MODULUS_BITS


def test_it_is_near_what_the_lattice_estimator_documents():
    """For N = 1024, q = 2^27, secret and error 3, it has block 374 and 136.7 bits, by a slightly better attack."""
    found = primal(1024, 27, 3.0, 3.0, samples=1024)
    assert 374 <= found.block <= 374 * 1.03
    assert 136.7 <= found.bits <= 136.7 + 2.5
    assert str(found) == (
        f"{found.bits:.0f} bits (uSVP with MATZOV's cost: block {found.block}, dimension {found.dimension})"
    )


@pytest.mark.parametrize("N", [2048, 4096, 8192, 16384])
def test_the_guidelines_for_128_bits_are_near_128_bits(N):
    """Those of 2018 by other costs, with ternary secrets; those of 2024 by these, and rounded down."""
    ternary = math.sqrt(2 / 3)
    assert abs(primal(N, MAX_MODULUS_BITS["128-2018"][N], ternary, 3.19).bits - 128) < 3
    assert 127.5 < primal(N, MAX_MODULUS_BITS["128"][N], ternary, 3.19).bits < 131


@settings(max_examples=15)
@given(
    st.integers(200, 1200), st.integers(12, 40), st.floats(0.8, 4), st.floats(1, 6), st.sampled_from([0.3, 1, 3])
)  # fmt: skip
def test_the_smallest_block_and_the_best_dimension_are_found(N, log2_q, secret, error, share):
    """By trying all numbers of equations."""
    available = int(share * N)
    found = primal(N, log2_q, secret, error, available)

    def margin(block: int, m: int) -> float:
        d, growth = N + m + 1, _log2_delta(block)
        longest = (2 * block - d) * growth + (m * log2_q + N * math.log2(error / secret)) / d
        return longest - math.log2(block) / 2 - math.log2(error)

    assert margin(found.block, found.dimension - N - 1) >= 0
    if found.block > 50:
        assert max(margin(found.block - 1, m) for m in range(1, available + 1)) < 0


@given(st.sampled_from([1024, 2048, 4096]), st.integers(20, 60), st.floats(1, 6))
def test_more_noise_costs_more_and_a_larger_modulus_less(N, log2_q, error):
    block = primal(N, log2_q, error, error).block
    assert primal(N, log2_q, 2 * error, 2 * error).block >= block
    assert primal(N, log2_q + 1, error, error).block <= block
    assert primal(2 * N, log2_q, error, error).block > block
