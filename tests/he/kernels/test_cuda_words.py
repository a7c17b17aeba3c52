"""The arithmetic of residues on a GPU, as it is compiled, against plain integers, on any words that it may be given."""

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from hypothesis import given, settings
from hypothesis import strategies as st
from numba import cuda

from he.kernels.cuda import transform, words
from he.kernels.cuda.columns import MAX_PRODUCTS
from he.kernels.cuda.sums import CHUNK
from he.ring.primes import LARGEST_PRIME_BITS, ntt_primes
from tests.ptx import needs_compiler
from tests.ptx_machine import Machine

WORD = 1 << 64
LIMBS = 1 << words.LIMB
BOUND = 1 << LARGEST_PRIME_BITS  # of primes
some = settings(max_examples=200, deadline=None)


def products_kernel(given, found):
    """Of x, w, floor(w 2**64 / p) and p: both products modulo p."""
    i = cuda.grid(1)
    x, w, quotient, p = given[i, 0], given[i, 1], given[i, 2], given[i, 3]
    found[i, 0], found[i, 1] = words.times(x, w, quotient, p), words.lazy_times(x, w, quotient, p)


def sums_kernel(given, found):
    """Of a sum, two factors and p's constants: the sum plus their product, carried before, after or never, reduced."""
    i = cuda.grid(1)
    start = given[i, 0], given[i, 1], given[i, 2]
    x, y = words.limbs(given[i, 3]), words.given_limbs(given[i, 4])
    p, inverse, one = given[i, 5], given[i, 6], given[i, 7]
    total = words.carried(words.madd(start, x, y))
    found[i, 0] = words.reduced(total, p, inverse, one)
    found[i, 1] = words.reduced(words.carried(words.madd(words.carried(start), x, y)), p, inverse, one)
    found[i, 2], found[i, 3], found[i, 4] = total


def up_to(most):
    """Numbers to ``most``, often the largest."""
    return st.integers(0, most) | st.integers(max(0, most - 3), most)


@st.composite
def primes(draw):
    """Odd moduli as large as those of circuits may be, and the smallest."""
    return draw(
        st.sampled_from([BOUND - 1, (1 << 20) + 1]) | st.integers(1 << 18, BOUND // 2 - 1).map(lambda n: 2 * n + 1)
    )


@st.composite
def factors(draw):
    p = draw(primes())
    x, w = draw(up_to(WORD - 1)), draw(up_to(p - 1))
    return x, w, w * WORD // p, p


@st.composite
def sums(draw):
    """Three coefficients of powers of 2**25, which fit words, of a sum that leaves room for a product; and factors."""
    p = draw(primes())
    x, y = draw(up_to(p - 1)), draw(up_to(p - 1))
    low, middle = (
        draw(up_to(WORD // 2 - 1)),
        draw(up_to(CHUNK * 4 * (LIMBS - 1) ** 2 + LIMBS - 1 - 2 * (LIMBS - 1) ** 2)),
    )
    high = draw(up_to(((1 << 114) - 1 - x * y - low - middle * LIMBS) >> 2 * words.LIMB))
    return (low, middle, high), x, y, p


def launched(kernel, lines, width):
    memory = Machine(1 << 14)
    found = memory.to_device(np.zeros((len(lines), width), np.uint64))
    memory.launch(kernel, (1,), len(lines), (memory.to_device(np.array(lines, np.uint64)), found))
    return found.tolist()


@needs_compiler
@some
@given(st.lists(factors(), min_size=2, max_size=64))
def test_products_of_any_word(lines):
    for (x, w, _, p), (product, lazy) in zip(lines, launched(products_kernel, lines, 2), strict=True):
        assert product % p == lazy % p == x * w % p
        assert product < 2 * p
        assert lazy < 4 * p


@needs_compiler
@some
@given(st.lists(sums(), min_size=2, max_size=64))
def test_sums_up_to_what_three_words_hold(lines):
    given = [
        (
            low, (low + middle + high) % WORD, high, x, int(words.in_limbs(np.array([y], np.uint64))[0]),
            p, -pow(p, -1, WORD) % WORD, WORD // p,
        )
        for (low, middle, high), x, y, p in lines
    ]  # fmt: skip
    for ((low, middle, high), x, y, p), found in zip(lines, launched(sums_kernel, given, 5), strict=True):
        total = low + (middle << words.LIMB) + (high << 2 * words.LIMB) + x * y
        first, both, last = found[2:]
        assert first + ((both - first - last) % WORD << words.LIMB) + (last << 2 * words.LIMB) == total
        assert found[:2] == [total * pow(1 << 52, -1, p) % p] * 2


def test_the_largest_sums_fit_three_words():
    most = (LIMBS - 1) ** 2
    assert MAX_PRODUCTS * (BOUND - 1) ** 2 < 1 << 114
    assert 2 * CHUNK * 2 * most + LIMBS + (2 * CHUNK * most + LIMBS) // LIMBS < WORD  # the middle, before it is carried
    assert MAX_PRODUCTS // 2 % CHUNK == 0


@pytest.mark.parametrize("bits", [20, 30, 50])
def test_grown_residues_fit_words(bits):
    """Between reductions: of all stages forward, of a block's or a first pass's backward."""
    (p,) = ntt_primes((bits,), 1 << transform.LARGE)
    grown = 2 * BOUND + 4 * p * (transform.LARGE + transform.PASS_STAGES)  # from another prime's residue, or below 4 p
    top = ((WORD // p) >> 1) * p
    assert grown < 1 << 57 <= top <= WORD - p
    assert 2 * (4 * p << max(transform.LARGE, transform.PASS_STAGES)) <= 1 << 63  # x + (limit - y), both below limit
