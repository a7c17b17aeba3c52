"""Arithmetic modulo t on int64 arrays against Python's integers, at the ends of what it takes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from he.ring.arithmetic import centred, matrix_product, product
from he.ring.plain_moduli import SIZES, largest_modulus, least_modulus, moduli
from he.ring.primes import is_prime

MODULI = (2, 3, 65537, 2**31 - 1, 2**31, 2**32 + 15, 281474976317441, 2**50 - 1, 2**50 - 27)


@st.composite
def operands(draw, count):
    t = draw(st.sampled_from(MODULI))
    ends = st.sampled_from([0, 1, -1, t // 2, t // 2 + 1, -(t // 2), t - 1, 1 - t])
    return t, draw(st.lists(st.integers(1 - t, t - 1) | ends, min_size=count, max_size=count))


@given(operands(20))
def test_products_are_those_of_integers(found):
    t, numbers = found
    a, b = np.array(numbers).reshape(2, -1)
    assert product(a, b, t).tolist() == [int(x) * int(y) % t for x, y in zip(a, b, strict=True)]
    assert product(a, int(b[0]), t).tolist() == [int(x) * int(b[0]) % t for x in a]


@given(operands(24))
def test_matrix_products_are_those_of_integers(found):
    t, numbers = found
    a, b = centred(np.array(numbers[:12]).reshape(3, 4), t), centred(np.array(numbers[12:]).reshape(4, 3), t)
    assert matrix_product(a, b, t).tolist() == (a.astype(object) @ b % t).tolist()


@pytest.mark.parametrize("t", MODULI[2:])
@pytest.mark.parametrize("sign", [1, -1])
def test_matrix_products_are_exact_where_all_terms_are_as_large_as_they_get(t, sign):
    a = np.full((1, 1 << 16), t // 2)
    assert matrix_product(a, sign * a.T, t).tolist() == [[sign * (t // 2) ** 2 * (1 << 16) % t]]


@given(operands(5))
def test_centred_numbers_are_congruent_and_around_zero(found):
    t, numbers = found
    for given_as in (np.array(numbers), np.array([n + t**7 for n in numbers], object)):
        result = centred(given_as, t)
        assert result.dtype == np.int64
        assert all(-(t // 2) <= r <= t // 2 and (r - n) % t == 0 for r, n in zip(result.tolist(), numbers, strict=True))


def test_moduli_have_slots_in_every_ring_and_come_by_size():
    assert [least_modulus(2 ** (bits - 2)).bit_length() for bits in range(2, 49)] == [
        next(size for size in SIZES if size >= bits) for bits in range(2, 49)
    ]
    for bits in SIZES[1:]:
        first = next(moduli(bits))
        assert first % 65536 == 1
        assert is_prime(first)
        assert least_modulus(first // 2) == first
    assert least_modulus(largest_modulus() // 2 + 1) is None
    assert least_modulus(32768) == 65537
    assert least_modulus(32769) == 786433
    some = [t for t, _ in zip(moduli(26), range(10), strict=False)]
    assert len(set(some)) == 10
    assert some == sorted(some, reverse=True)
