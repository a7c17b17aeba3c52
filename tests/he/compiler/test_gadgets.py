"""Gadgets by cost: the best of all, within the bytes that keys may have, and never noisier."""

import re
from dataclasses import replace
from itertools import product
from math import inf, log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.compiler import gadgets as gadgets_module
from he.compiler.fit import Fit
from he.compiler.gadgets import MOST_KINDS, NEAR, WORTH_TIME, choose_gadgets, expected_units, worthwhile
from he.program.recorder import Recorder
from he.readers import cost as costs
from he.readers.cost import cost, units_of
from he.readers.key_switching import key_switch_norm
from he.readers.work import Switches
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


def choose(program, max_key_bytes=None, noisier_bits=0):
    return choose_gadgets(cost(program, PARAMETERS), PARAMETERS, max_key_bytes, noisier_bits)


def noisier_bits(gadget):
    return log2(key_switch_norm(gadget) / key_switch_norm(replace(gadget, specials=1)))


def all_choices(program, most=0):
    """Every choice of gadgets of at most so many kinds, and no noisier than by these bits, with its cost."""
    levels = sorted({level for levels in cost(program, PARAMETERS).uses.values() for level in levels})
    able = [
        [n for n in range(1, 9 - level) if noisier_bits(Gadget.of(PARAMETERS, level, n)) <= most] for level in levels
    ]
    for numbers in product(*able):
        if len(set(numbers)) <= MOST_KINDS:
            chosen = dict(zip(levels, numbers, strict=True))
            gadgets = Gadgets.of(PARAMETERS, [chosen.get(level, 1) for level in range(1, 8)])
            yield cost(program, PARAMETERS, gadgets=gadgets)


@settings(max_examples=25)
@given(programs(), st.sampled_from([0, 2, inf]))
def test_no_choice_costs_much_less_and_the_cheapest_has_no_shorter_keys(program, most):
    found = cost(program, PARAMETERS, gadgets=choose(program, noisier_bits=most))
    choices = list(all_choices(program, most))
    switched = sum(found.units.values()) - sum(cost(program_of([]), PARAMETERS).units.values())
    least = min(spent.total for spent in choices)
    assert least <= found.total * (1 + 1e-12) <= least + (NEAR - 1) * switched + 1e-9
    assert found.key_bytes <= min(spent.key_bytes for spent in choices if spent.total <= least * (1 + 1e-12))
    assert found.uses == cost(program, PARAMETERS).uses


@settings(max_examples=25)
@given(programs(), st.floats(0, 1))
def test_keys_fit_and_what_cannot_is_refused(program, share):
    sizes = [spent.key_bytes for spent in all_choices(program)]
    limit = int(min(sizes) + share * (max(sizes) - min(sizes)))
    try:
        found = choose(program, max_key_bytes=limit)
    except ParameterError as refusal:
        told = re.fullmatch(r"`max_key_bytes` must be at least (\d+) for this program, got (\d+); .*", str(refusal))
        assert int(told[1]) > int(told[2]) == limit
        limit = int(told[1])
        found = choose(program, max_key_bytes=limit)
        assert cost(program, PARAMETERS, gadgets=found).key_bytes == limit
    assert cost(program, PARAMETERS, gadgets=found).key_bytes <= limit
    assert choose(program, max_key_bytes=max(sizes)) == choose(program)


@given(programs(), st.sampled_from([0, 1, 4, inf]))
def test_no_switch_adds_more_noise_than_may_be(program, most):
    gadgets = choose(program, noisier_bits=most)
    for level in range(1, PARAMETERS.levels + 1):
        assert noisier_bits(gadgets.at(level)) <= most


UNEVEN = Parameters("ckks", 1024, (50, 50, 50, 30, 30, 50), scale_bits=30, security="insecure")


def rotations_at_level_3():
    recorder = Recorder()
    value = recorder.switch_modulus(recorder.switch_modulus(recorder.input(0)))
    return recorder.program(512, [recorder.add([recorder.rotate(value, step) for step in range(9)])])


def test_special_primes_that_are_too_short_are_not_taken():
    spent = cost(rotations_at_level_3(), UNEVEN)
    quiet, noisy = (choose_gadgets(spent, UNEVEN, noisier_bits=bits) for bits in (0, inf))
    assert quiet.at(3).specials == 1  # 100 bits by 80, or 150 by 110
    assert noisy.at(3).specials == 3


def test_many_levels_take_long_digits_and_much_shorter_keys():
    program = program_of([(4, 8, True)])
    gadgets = choose(program)
    assert gadgets.at(4).specials > 1
    spent, one = (cost(program, PARAMETERS, gadgets=g) for g in (gadgets, Gadgets.of(PARAMETERS)))
    assert spent.total < one.total
    assert spent.key_bytes < one.key_bytes / 2 < cost(program, PARAMETERS).key_bytes / 4


def test_prices_decide(monkeypatch):
    """Where transforms cost nothing, what counts is products: with few digits keys have fewer."""
    program = program_of([(4, 1, False)])
    for name, price in {"TRANSFORM": 1e-9, "PRODUCT": 1.0, "STREAM": 1.0, "LOAD": 1.0}.items():
        monkeypatch.setattr(costs, name, price)
    each = [cost(program, PARAMETERS, gadgets=Gadgets.of(PARAMETERS, [1, 1, 1, n, 1, 1, 1])).total for n in range(1, 5)]
    assert choose(program).at(4).specials == 1 + int(np.argmin(each))


@settings(max_examples=25)
@given(programs())
def test_what_is_expected_is_the_best_gadget_at_every_level_or_usual_keys(program):
    spent = cost(program, PARAMETERS)
    best = [
        min(range(1, 9 - level), key=lambda n, level=level: alone(spent, level, n))
        for level in range(1, PARAMETERS.levels + 1)
    ]
    least = cost(program, PARAMETERS, gadgets=Gadgets.of(PARAMETERS, best)).total
    expected = least if least < WORTH_TIME * spent.total else spent.total
    assert expected_units(spent, PARAMETERS) == pytest.approx(expected)


def alone(spent, level, specials):
    """What a level costs with so many special primes, if they add no noise."""
    gadget = Gadget.of(PARAMETERS, level, specials)
    work = spent.switches.get(level, Switches()).work(gadget)
    return units_of(work, PARAMETERS) if noisier_bits(gadget) <= 0 else inf


@pytest.fixture
def no_keys_are_short(monkeypatch):
    monkeypatch.setattr(gadgets_module, "SHORT_KEYS", 0)


def fit_of(program, parameters, accepted):
    """A fit of which gadgets are accepted as it says."""
    return Fit(program, parameters, 1.0, 0.0, 1.0, place=None, states=None, bound_with=accepted, again=None)


@pytest.mark.usefixtures("no_keys_are_short")
@pytest.mark.parametrize("most", [inf, 12, 0, -inf])
def test_gadgets_are_worthwhile_where_bounds_hold_with_them(most):
    program, tried = program_of([(4, 8, True)]), []
    usual = cost(program, PARAMETERS)

    def accepted(gadgets):
        tried.append(gadgets)
        return 0.5 if len(tried) == 1 and most > 0 else None

    chosen = worthwhile(fit_of(program, PARAMETERS, accepted))
    assert (chosen is None) == (most <= 0)
    if chosen:
        assert chosen == (choose_gadgets(usual, PARAMETERS, noisier_bits=inf), 0.5)
    assert tried == list(dict.fromkeys(tried))  # none is tried twice


@pytest.mark.usefixtures("no_keys_are_short")
def test_less_noisy_gadgets_are_tried_in_their_turn():
    program, tried = rotations_at_level_3(), []

    def accepted(gadgets):
        tried.append(noisier_bits(gadgets.at(3)))
        return 0.5 if tried[-1] <= 0 else None

    worthwhile(fit_of(program, UNEVEN, accepted))
    assert len(tried) > 1
    assert tried == sorted(tried, reverse=True)


def test_short_keys_stay_as_they_are():
    assert worthwhile(fit_of(program_of([(4, 8, True)]), PARAMETERS, lambda gadgets: 1.0)) is None


@pytest.mark.usefixtures("no_keys_are_short")
def test_usual_keys_stay_where_they_are_as_good():
    shallow = program_of([(7, 3, True)])  # at the highest level there is one special prime
    assert worthwhile(fit_of(shallow, PARAMETERS, lambda gadgets: 1.0)) is None
    assert worthwhile(fit_of(program_of([]), PARAMETERS, lambda gadgets: 1.0)) is None  # no keys
