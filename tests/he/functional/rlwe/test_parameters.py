"""Parameters of the lattice scheme: the conditions of the proof and of exactness, for all instances."""

import math
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from he.functional.instance import Instance
from he.functional.rlwe import parameters as module
from he.functional.rlwe.parameters import KAPPA, MOST, QUARTER, parameters
from he.ring.params import MAX_MODULUS_BITS, RING_DEGREES, ParameterError
from he.ring.primes import is_prime, ntt_primes
from intnn import IntDomain

SIGMA_SQUARED = Fraction(16, 5) ** 2
BASE = Fraction(32, 5) ** 2
LARGEST = Instance("rlwe", 1 << 16, IntDomain(-128, 255), 32767)


@st.composite
def instances(draw: st.DrawFn) -> Instance:
    lo = draw(st.integers(-128, 254))
    hi = draw(st.integers(lo + 1, 255))
    length = draw(st.sampled_from([1, 2, 32, 64, 784, 1 << 16]) | st.integers(1, 4096))
    return Instance("rlwe", length, IntDomain(lo, hi), draw(st.sampled_from([1, 127, 32767])))


@settings(max_examples=50)
@given(instances())
@example(LARGEST)
@example(Instance("rlwe", 1, IntDomain(0, 1), 1))
def test_deviations_are_no_smaller_than_the_proof_asks(instance):
    p, l = parameters(instance), instance.length  # noqa: E741 - the paper's letter
    s1, s2, s3 = (BASE * law.multiple for law in (p.secrets, p.masks, p.errors))
    assert s1 >= 2 * l * instance.width**2 * SIGMA_SQUARED
    assert s2 >= 2 * (l + 2) * p.N**2 * SIGMA_SQUARED * s1 * KAPPA
    assert s3 >= 2 * s2
    # Whatever samples are compared, the secret is smooth to whoever has keys: 2 exp(-2 pi^2 t^2) below 2^-144.
    conditional = SIGMA_SQUARED * (1 - SIGMA_SQUARED * l * instance.width**2 / s1)
    assert 2 * math.exp(-2 * math.pi**2 * float(conditional)) < 2**-144
    assert float(s1) < 1.2 * float(2 * l * instance.width**2 * SIGMA_SQUARED) or p.secrets.multiple < 1000


@settings(max_examples=50)
@given(instances())
@example(LARGEST)
@example(Instance("rlwe", 1, IntDomain(0, 1), 1))
def test_the_modulus_is_within_the_guidelines_and_holds_the_noise(instance):
    p = parameters(instance)
    assert p.modulus.bit_length() <= sum(q.bit_length() for q in p.primes) <= p.limit == MAX_MODULUS_BITS["128"][p.N]
    assert p.estimate.bits > 128
    assert len(set(p.primes)) == len(p.primes)
    for q in p.primes:
        assert is_prime(q)
        assert q % (2 * p.N) == 1
        assert q < 2**50
    assert p.kept in (len(p.primes), len(p.primes) - 1)
    assert p.results == 2 * instance.bound + 1
    assert p.reach <= p.tolerance <= MOST < 0.5
    assert p.tolerance >= QUARTER
    assert (2 * p.tolerance) ** p.checked <= 2**-64
    for samples in (1, 63, 64, 65, p.N):
        kept = p.coefficients(samples)
        assert kept % 64 == 0
        assert max(samples, p.checked) <= kept <= p.N


@settings(max_examples=50)
@given(instances())
@example(LARGEST)
def test_kernels_can_hold_all_numbers(instance):
    p = parameters(instance)
    assert p.secrets.bound < 2**31
    assert p.masks.bound < 2**60
    assert p.errors.bound < 2**58
    assert p.errors.bound + instance.magnitude * max(p.primes) < 2**60
    assert p.key_bound < 2**60
    assert instance.length * instance.key_limit * 2 * p.secrets.bound < 2**63


@settings(max_examples=30)
@given(instances())
def test_no_smaller_ring_would_do(instance):
    """In the ring before, the noise would be too much for a modulus as large as it may be, and no prime dropped."""
    p = parameters(instance)
    smaller = [N for N in RING_DEGREES if N < p.N]
    for N in smaller:
        s2_squared = 2 * (p.length + 2) * N**2 * float(SIGMA_SQUARED) * p.secrets.variance * KAPPA
        deviation = p.key_norm * math.sqrt(2 * N * p.secrets.variance * s2_squared + 2 * s2_squared)
        assert 1.3 * 9.5 * deviation * p.results > MOST * 2 ** MAX_MODULUS_BITS["128"][N]


def test_bounds_are_those_of_the_formulas():
    p = parameters(Instance("rlwe", 64, IntDomain(0, 16)))
    s1, s2, s3 = (law.deviation for law in (p.secrets, p.masks, p.errors))
    assert p.key_norm == 127 * 8
    assert p.key_bound == math.ceil(9.5 * s1 * 127 * 8)
    t = 64 * math.log(2)
    squares = s1**2 * (p.N + 2 * math.sqrt(p.N * t) + 2 * t)
    assert p.noise_bound == pytest.approx(9.5 * 127 * 8 * math.sqrt(2 * squares * s2**2 + s3**2) + p.results / 2)
    assert p.kept == 1
    assert p.rounding_bound == pytest.approx(9.5 * 127 * 8 * math.sqrt((1 + squares) / 12))
    steps = p.noise_bound / (p.modulus / p.results) + p.rounding_bound / (p.primes[0] / p.results)
    assert p.reach == pytest.approx(steps)


def test_mnist_fits_two_primes():
    for hi, bits in ((15, 92), (255, 100)):
        p = parameters(Instance("rlwe", 784, IntDomain(0, hi)))
        assert p.N == 4096
        assert len(p.primes) == 2
        assert p.modulus.bit_length() <= bits


def test_where_no_ring_holds_the_modulus_is_said(monkeypatch):
    monkeypatch.setattr(module, "RING_DEGREES", (1024, 2048))
    monkeypatch.setattr(module, "_derived", module._derived.__wrapped__)
    assert parameters(Instance("rlwe", 1, IntDomain(0, 1), 1)).N == 2048
    with pytest.raises(ParameterError, match=r"no ring up to N=2048 holds the modulus for vectors of 784 elements"):
        parameters(Instance("rlwe", 784, IntDomain(0, 15)))


def test_where_primes_are_too_small_others_are_taken(monkeypatch):
    """Primes of a size may be smaller than its powers of two promise."""
    instance = Instance("rlwe", 1, IntDomain(0, 1), 1)
    usual = parameters(instance)
    assert usual.N == 2048

    def small_in_small_rings(bits, N):
        return ntt_primes(tuple(size - 4 for size in bits) if N == 2048 else bits, N)

    monkeypatch.setattr(module, "ntt_primes", small_in_small_rings)
    monkeypatch.setattr(module, "MAX_MODULUS_BITS", {"128": MAX_MODULUS_BITS["128"] | {2048: 37}})
    monkeypatch.setattr(module, "_derived", module._derived.__wrapped__)
    assert parameters(instance).N == 4096


def test_it_explains_itself():
    p = parameters(Instance("rlwe", 784, IntDomain(0, 255)))
    told = p.explain()
    assert str(p) in told
    assert str(p.estimate) in str(p)
    for part in (
        "784 elements", "an interval of width 255", "y within +-127", f"{p.results} inner products", "N=4096",
        f"s2 = 2^{math.log2(p.masks.deviation):.2f}", f"refused beyond {p.tolerance:.3f}", f"{p.checked} coefficients",
        "allow 106 bits at N=4096", "selective",
    ):  # fmt: skip
        assert part in told
