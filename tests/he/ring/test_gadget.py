"""Gadgets: what they cut polynomials into, and which primes they take for that."""

from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from he.ring.gadget import Gadget
from he.ring.params import ParameterError, Parameters

PARAMETERS = Parameters("ckks", 1024, (40, 30, 31, 32, 33, 34, 41), scale_bits=30, security="insecure")


@st.composite
def gadgets(draw):
    level = draw(st.integers(1, PARAMETERS.levels))
    return Gadget.of(PARAMETERS, level, draw(st.integers(1, len(PARAMETERS.primes) - level)))


@given(gadgets())
def test_every_data_prime_is_in_one_digit_and_special_ones_are_above(gadget):
    assert [i for group in gadget.groups for i in group] == list(range(gadget.level))
    assert all(len(group) == gadget.specials for group in gadget.groups[:-1])
    assert 1 <= len(gadget.groups[-1]) <= gadget.specials
    assert gadget.primes == (*PARAMETERS.primes[: gadget.level], *PARAMETERS.primes[-gadget.specials :])
    assert len(set(gadget.primes)) == gadget.level + gadget.specials
    assert gadget.special_primes[-1] == PARAMETERS.primes[-1]
    assert gadget.factor == prod(gadget.special_primes)
    assert prod(gadget.moduli) == prod(PARAMETERS.primes[: gadget.level])
    assert [PARAMETERS.primes[i] for i in gadget.indices] == list(gadget.primes)


@given(gadgets(), st.data())
def test_digits_of_a_lower_level_are_the_first_ones(gadget, data):
    """So that a key serves it: what is left of it encrypts the same multiples."""
    level = data.draw(st.integers(1, gadget.level))
    lower = gadget.at(level)
    assert lower.special_primes == gadget.special_primes
    for below, group in zip(lower.groups, gadget.groups, strict=False):
        assert list(below) == [i for i in group if i < level]


@pytest.mark.parametrize(("level", "specials"), [(0, 1), (7, 1), (1, 0), (3, 5), (6, 2), (True, 1), (1, 2.0), (-1, 1)])
def test_no_other_primes_are_taken(level, specials):
    with pytest.raises(ParameterError, match=r"`level`|`specials`"):
        Gadget.of(PARAMETERS, level, specials)


@pytest.mark.parametrize("level", [0, 5, True, 1.0])
def test_a_gadget_has_no_higher_level(level):
    with pytest.raises(ParameterError, match="`level` must be an integer from 1 to 4"):
        Gadget.of(PARAMETERS, 4, 2).at(level)
