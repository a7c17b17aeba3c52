"""Random noise: sound, and weak."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaintext_models.attacks.ball.noise import random_noise
from plaintext_models.attacks.core.ball import NORMS, Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.target import Target
from tests.plaintext_models.attacks.soundness import cases, in_ball, require_counted, require_repeatable, require_sound


@settings(max_examples=30)
@given(cases(), st.sampled_from(NORMS), st.floats(0, 5), st.integers(0, 9))
def test_is_sound(case, norm, radius, seed):
    arguments = {"ball": Ball(norm, radius), "draws": 5, "seed": seed}
    result = require_repeatable(lambda: random_noise(case.oracle, case.images, case.goal, **arguments))
    require_sound(case.oracle, case.images, case.goal, result, norm=norm, radius=radius)
    require_counted(case, case.oracle, lambda oracle: random_noise(oracle, case.images, case.goal, **arguments))
    assert torch.equal(result.queries, result.iterations)


@given(cases(), st.sampled_from(NORMS))
@settings(max_examples=10)
def test_nothing_moves_within_no_radius(case, norm):
    result = random_noise(case.oracle, case.images, case.goal, Ball(norm, 0), draws=2)
    assert torch.equal(result.x_adv, case.images)


def test_more_noise_fools_more(net, held_out):
    images, labels = held_out
    rates = [
        float(random_noise(Target(net), images, Goal(labels), Ball("linf", radius)).success.double().mean())
        for radius in (0.05, 0.2, 0.5)
    ]
    assert rates == sorted(rates)
    assert rates[-1] > 0.5


def test_another_seed_draws_other_points(net, held_out):
    images, labels = held_out
    one, two = (random_noise(Target(net), images, Goal(labels), Ball("linf", 0.4), seed=seed).x_adv for seed in (0, 1))
    assert not torch.equal(one, two)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"radius": -0.1}, "`radius` must be a number from 0, got -0.1"),
        ({"radius": float("inf")}, "`radius` must be a number from 0, got inf"),
        ({"radius": 0.1, "norm": "l0"}, "`norm` must be one of l1, l2, linf, got 'l0'"),
        ({"radius": 0.1, "draws": 0}, "`draws` must lie in"),
    ],
)
def test_refuses(net, held_out, arguments, message):
    with pytest.raises(ValueError, match=message):
        random_noise(Target(net), held_out[0], Goal(held_out[1]), **in_ball(**arguments))
