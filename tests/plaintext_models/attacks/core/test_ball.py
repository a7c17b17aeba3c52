"""The ball validates in its constructor, and cannot be changed."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from plaintext_models.attacks.core.ball import MEASURES, NORMS, Ball, require_norm
from plaintext_models.attacks.core.norms import within_norm


@pytest.mark.parametrize("norm", MEASURES)
@pytest.mark.parametrize("radius", [0, 0.5, 3])
def test_holds_norm_and_radius(norm, radius):
    ball = Ball(norm, radius)
    assert (ball.norm, ball.radius) == (norm, radius)
    assert ball == Ball(norm, radius)
    with pytest.raises(FrozenInstanceError):
        ball.radius = 1


def test_refuses():
    with pytest.raises(ValueError, match="`norm` must be one of l0, l1, l2, linf, got 'l3'"):
        Ball("l3", 1)
    for radius in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="`radius` must be a number from 0, got"):
            Ball("l2", radius)


def test_names_the_norms_that_an_attack_has():
    assert [within_norm(Ball(norm, 1)) for norm in NORMS] == list(NORMS)
    with pytest.raises(ValueError, match="`norm` must be one of l1, l2, linf, got 'l0'"):
        within_norm(Ball("l0", 1))
    with pytest.raises(ValueError, match="`norm` must be one of linf, l2, got 'l1'"):
        within_norm(Ball("l1", 1), ("linf", "l2"))
    require_norm("l0", ("l0",))


def test_numbers_beyond_all_floats():
    for radius in (10**400, -(10**400), [0.1, 10**5000]):
        with pytest.raises(ValueError, match=r"`radius` must be a number from 0, got -?inf"):
            Ball("linf", radius)
    for norm in (["l2"], np.array(["l2", "l1"]), None, np.array([0.1, 0.2])):
        with pytest.raises(ValueError, match="`norm` must be one of l0, l1, l2, linf, got"):
            Ball(norm, 1)


def test_at_most():
    assert Ball("l2", 3).at_most(2) == Ball("l2", 2)
    assert Ball("l2", [1, 3]).at_most(2) == Ball("l2", [1, 2])
    assert Ball("l2", [1, 2]).at_most(2) == Ball("l2", [1, 2])
