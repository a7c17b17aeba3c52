"""What the parts of a key switch take, against counts by hand and against walks over digits and rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from he.readers.work import CACHED_BYTES, Switches, Work, decomposing, dividing, multiplying
from he.ring.gadget import Gadget
from he.ring.params import Parameters

PARAMETERS = Parameters("ckks", 1024, (30,) * 12, scale_bits=30, security="insecure")


@st.composite
def gadgets(draw):
    level = draw(st.integers(1, PARAMETERS.levels))
    return Gadget.of(PARAMETERS, level, draw(st.integers(1, len(PARAMETERS.primes) - level)))


@given(st.integers(1, PARAMETERS.levels))
def test_with_one_special_prime_every_residue_is_a_digit(level):
    gadget = Gadget.of(PARAMETERS, level)
    assert decomposing(gadget) == Work(transforms=level * (level + 1))
    assert multiplying(gadget) == Work(products=2 * level * (level + 1))
    assert dividing(gadget) == Work(transforms=2 * (level + 1))


def test_five_primes_and_two_special_ones():
    gadget = Gadget.of(PARAMETERS, 5, 2)  # digits of 2, 2 and 1 primes, and 7 rows
    # 5 rows back; two digits of three terms to 5 rows each, and one of two terms to 6.
    assert decomposing(gadget) == Work(transforms=5 + 5 + 5 + 6, products=3 * 5 + 3 * 5 + 2 * 6)
    assert multiplying(gadget) == Work(products=2 * 3 * 7)
    # Of two polynomials 2 special rows back, remainders of three terms to 5 rows, and these forward.
    assert dividing(gadget) == Work(transforms=2 * (2 + 5), products=2 * 3 * 5)


@given(gadgets())
def test_counts_are_those_of_a_walk(gadget):
    forward = [(g, row) for g, group in enumerate(gadget.groups) for row in gadget.indices if row not in group]
    terms = sum(len(gadget.groups[g]) + 1 for g, _ in forward) if gadget.specials > 1 else 0
    assert decomposing(gadget) == Work(gadget.level + len(forward), terms)
    assert multiplying(gadget).products == sum(2 for _ in gadget.groups for _ in gadget.primes)


def test_work_is_added_and_multiplied():
    assert Work(5, 7, 2) + Work(1, 1, 3) == Work(6, 8, 5)
    assert Work(2, 3, 1).times(4) == Work(8, 12, 4)
    with pytest.raises(AttributeError):
        Work(1, 2).transforms = 3


@given(gadgets(), st.lists(st.integers(0, 9), min_size=5, max_size=5))
def test_switches_are_the_sum_of_their_parts(gadget, counts):
    parts = [Switches(**{name: 1}) for name in ("decomposed", "multiplied", "shared", "divided", "extended")]
    total = Switches()
    for part, count in zip(parts, counts, strict=True):
        total += part.times(count)
    assert total == Switches(*counts)
    expected = Work()
    for part, count in zip(parts, counts, strict=True):
        expected += part.work(gadget).times(count)
    assert total.work(gadget) == expected
    assert parts[0].work(gadget) == decomposing(gadget)
    assert parts[3].work(gadget) == dividing(gadget)
    assert parts[4].work(gadget) == Work(products=gadget.level + gadget.specials)


@given(st.sampled_from([4096, 8192, 16384, 32768]), st.integers(1, 11))
def test_long_keys_that_are_read_again_come_from_memory(degree, level):
    parameters = Parameters("ckks", degree, (30,) * 12, scale_bits=30, security="insecure")
    long = 8 * degree * 2 * level * (level + 1) > CACHED_BYTES
    for specials in range(1, 13 - level):
        gadget = Gadget.of(parameters, level, specials)
        count = 2 * len(gadget.groups) * gadget.rows
        assert multiplying(gadget, shared=True) == (Work(streamed=count) if long else Work(products=count))
        assert multiplying(gadget) == Work(products=count)
