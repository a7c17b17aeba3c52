"""Plans hold every gradient, leave a budget, and refuse what does not fit."""

import math
from dataclasses import fields, replace
from fractions import Fraction

import pytest

from he.ring.params import ParameterError
from he.training.exact.plan import ExactLevels, ExactPlan
from intnn.training.squares.plan import SquarePlan
from tests.he.training.exact.made import SQUARES, plan

WIDE = SquarePlan(1437, 33, 16, 10, 7, 31, 31, 144, 77, Fraction(1, 15), Fraction(1, 10))


def test_a_network_of_digits_is_secure_at_16384():
    made = ExactPlan(WIDE)
    assert made.parameters.poly_modulus_degree == 16384
    assert made.parameters.security_bits == 128
    assert len(made.moduli) == 3


@pytest.mark.parametrize("made", [plan(), ExactPlan(WIDE)])
def test_gradients_are_known_by_their_residues_and_levels_fall(made):
    assert 2 * made.squares.bounds.gradient < math.prod(made.moduli)
    assert 2 * made.squares.bounds.gradient >= math.prod(made.moduli[1:])  # none is left over
    assert made.parameters.t == max(made.moduli)
    assert [parameters.t for parameters in made.each] == list(made.moduli)
    *levels, budget = (getattr(made.levels, field.name) for field in fields(ExactLevels))
    assert levels == sorted(levels, reverse=True)
    assert levels[0] == made.parameters.levels > levels[-1] >= 1
    assert budget >= 1


def test_other_numbers_have_other_digests():
    others = [replace(SQUARES, first_rate=Fraction(1, 14)), replace(SQUARES, unit=61), replace(SQUARES, seed=1)]
    digests = {ExactPlan(of, "insecure", 1024).digest for of in (SQUARES, *others)}
    assert len(digests) == 4
    assert plan().digest in digests


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="`squares` must have an even number of hidden units, got 3"):
        ExactPlan(replace(SQUARES, hidden=3), "insecure", 1024)
    with pytest.raises(ValueError, match="`squares` must have at most 512 samples at N=1024, got 513"):
        ExactPlan(replace(SQUARES, samples=513), "insecure", 1024)
    with pytest.raises(ValueError, match="`squares` must have at most 512 weights at N=1024, got"):
        ExactPlan(replace(SQUARES, features=300), "insecure", 1024)
    with pytest.raises(TypeError, match="`squares` must be a SquarePlan"):
        ExactPlan(None)
    with pytest.raises(ParameterError, match=r"no parameters hold gradients of \d+ bits at N of"):
        ExactPlan(SQUARES, "128", 1024)


def test_sums_that_have_no_room_beside_the_levels_primes_are_refused(monkeypatch):
    monkeypatch.setattr("he.training.exact.plan._MOST_LEVELS", 8)
    monkeypatch.setattr("he.training.exact.plan.most_terms", lambda N, data, auxiliary, t: SQUARES.features - 1)
    with pytest.raises(ParameterError, match="no parameters hold gradients"):
        ExactPlan(SQUARES, "insecure", 1024)
    monkeypatch.setattr("he.training.exact.plan.most_terms", lambda N, data, auxiliary, t: SQUARES.features)
    assert ExactPlan(SQUARES, "insecure", 1024).parameters == plan().parameters
