"""Gadgets by cost: the best of all, within the bytes that keys may have, and never noisier."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.compiler.gadgets import MOST_KINDS, choose_gadgets, is_no_noisier
from he.program.recorder import Recorder
from he.readers.cost import HOISTING, Prices, cost
from he.readers.key_switching import key_switch_norm
from he.ring.gadget import Gadget, Gadgets
from he.ring.params import ParameterError, Parameters

PARAMETERS = Parameters("ckks", 1024, (40,) * 8, scale_bits=30, security="insecure")


def program_of(switches):
    """At every level the sum of so many rotations, and a relinearised square where it says so."""
    recorder = Recorder()
    value, level = recorder.input(0), PARAMETERS.levels
    for below, rotations, multiplies in switches:
        for _ in range(level - below):
            value = recorder.switch_modulus(value)
        level = below
        if rotations:
            value = recorder.add([value, *(recorder.rotate(value, step) for step in range(1, rotations + 1))])
        if multiplies:
            value = recorder.relinearise(recorder.multiply(value, value))
    return recorder.program(512, [value])


@st.composite
def programs(draw):
    levels = sorted(draw(st.sets(st.integers(1, PARAMETERS.levels), min_size=1, max_size=3)), reverse=True)
    return program_of([(level, draw(st.integers(0, 5)), draw(st.booleans())) for level in levels])


def all_choices(program):
    """Every choice of gadgets that adds no noise, of at most so many kinds, with its cost."""
    levels = sorted({level for levels in cost(program, PARAMETERS).uses.values() for level in levels})
    able = [[n for n in range(1, 8) if is_no_noisier(PARAMETERS, level, n)] for level in levels]
    for numbers in product(*able):
        if len(set(numbers)) <= MOST_KINDS:
            chosen = dict(zip(levels, numbers, strict=True))
            gadgets = Gadgets.of(PARAMETERS, [chosen.get(level, 1) for level in range(1, 8)])
            yield cost(program, PARAMETERS, gadgets=gadgets)


@settings(max_examples=25)
@given(programs())
def test_no_choice_costs_less(program):
    found = cost(program, PARAMETERS, gadgets=choose_gadgets(program, PARAMETERS))
    least = min(spent.total for spent in all_choices(program))
    assert found.total == pytest.approx(least)
    assert found.total <= cost(program, PARAMETERS).total * (1 + 1e-12)
    assert found.uses == cost(program, PARAMETERS).uses


@settings(max_examples=25)
@given(programs(), st.floats(0, 1))
def test_keys_fit_and_what_cannot_is_refused(program, share):
    choices = list(all_choices(program))
    sizes = [spent.key_bytes for spent in choices]
    limit = int(min(sizes) + share * (max(sizes) - min(sizes)))
    found = cost(program, PARAMETERS, gadgets=choose_gadgets(program, PARAMETERS, HOISTING, limit))
    assert found.key_bytes <= limit
    assert choose_gadgets(program, PARAMETERS, HOISTING, max(sizes)) == choose_gadgets(program, PARAMETERS)
    if min(sizes):
        with pytest.raises(ParameterError, match=r"`max_key_bytes` must be at least \d+ for this program, got 0"):
            choose_gadgets(program, PARAMETERS, HOISTING, 0)


@given(programs())
def test_no_switch_adds_more_noise_than_with_one_special_prime(program):
    gadgets = choose_gadgets(program, PARAMETERS)
    for level in range(1, PARAMETERS.levels + 1):
        assert key_switch_norm(gadgets.at(level)) <= key_switch_norm(Gadget.of(PARAMETERS, level))


def test_special_primes_that_are_too_short_are_not_taken():
    parameters = Parameters("ckks", 1024, (50, 50, 30, 30, 50), scale_bits=30, security="insecure")
    assert is_no_noisier(parameters, 2, 1)
    assert not is_no_noisier(parameters, 2, 2)  # 100 bits by 80
    assert is_no_noisier(parameters, 1, 2)
    assert not is_no_noisier(parameters, 3, 3)  # there are two


def test_many_levels_take_long_digits_and_much_shorter_keys():
    program = program_of([(4, 8, True)])
    gadgets = choose_gadgets(program, PARAMETERS)
    assert gadgets.at(4).specials > 1
    spent, one = (cost(program, PARAMETERS, gadgets=g) for g in (gadgets, Gadgets.of(PARAMETERS)))
    assert spent.total < one.total
    assert spent.key_bytes < one.key_bytes / 2 < cost(program, PARAMETERS).key_bytes / 4


def test_prices_decide():
    """Where transforms cost nothing, what counts is products: with few digits keys have fewer."""
    program, prices = program_of([(4, 1, False)]), Prices(1e-9, 1.0, 1.0, hoists=True)
    costs = [
        cost(program, PARAMETERS, prices, gadgets=Gadgets.of(PARAMETERS, [1, 1, 1, n, 1, 1, 1])).total
        for n in range(1, 5)
    ]
    assert choose_gadgets(program, PARAMETERS, prices).at(4).specials == 1 + int(np.argmin(costs))
