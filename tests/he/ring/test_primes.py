import pytest
import tenseal.sealapi as sealapi
from hypothesis import example, given
from hypothesis import strategies as st

from he.ring.params import RING_DEGREES
from he.ring.primes import is_prime, ntt_primes

LIMIT = 100_000


def test_is_prime_equals_a_sieve_up_to_100000():
    sieve = [False, False] + [True] * (LIMIT - 2)
    for i in range(2, int(LIMIT**0.5) + 1):
        if sieve[i]:
            sieve[i * i :: i] = [False] * len(sieve[i * i :: i])
    assert [is_prime(n) for n in range(LIMIT)] == sieve
    assert sum(sieve) == 9592


# The smallest strong pseudoprimes to the first 4, 8 and 9 prime bases (OEIS A014233), and a Carmichael number.
@example(3215031751)
@example(341550071728321)
@example(1152921504606830593)  # SEAL's largest 60-bit prime for N = 4096
@example(561)
@given(st.integers(2, 2**61 - 1))
def test_is_prime_agrees_with_seal(n):
    assert is_prime(n) == sealapi.Modulus(n).is_prime()


def test_a_strong_pseudoprime_to_nine_bases_is_no_prime():
    assert 149491 * 747451 * 34233211 == 3825123056546413051
    assert not is_prime(3825123056546413051)


@given(st.sampled_from(RING_DEGREES), st.lists(st.integers(20, 60), min_size=1, max_size=12))
@example(32768, [20])  # there is no such prime
@example(16384, [30, 40, 30, 60, 40, 30, 60])
def test_the_chain_is_seals(N, bits):
    try:
        expected = [p.value() for p in sealapi.CoeffModulus.Create(N, bits)]
    except RuntimeError:  # "failed to find enough qualifying primes"
        with pytest.raises(ValueError, match=f"there are only .* bits ≡ 1 mod {2 * N}"):
            ntt_primes(tuple(bits), N)
    else:
        assert list(ntt_primes(tuple(bits), N)) == expected
