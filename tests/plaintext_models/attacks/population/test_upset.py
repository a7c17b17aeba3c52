"""UPSET: perturbations in the ball that lead to every class."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.population.upset import upset
from tests.plaintext_models.attacks.soundness import (
    cases,
    in_ball,
    require_counted,
    require_repeatable,
    require_sound,
    success_rate,
)


@settings(max_examples=20)
@given(cases(), st.floats(0, 2), st.floats(0, 1), st.integers(0, 9))
def test_is_sound(case, radius, weight, seed):
    arguments = {
        "ball": Ball("linf", radius),
        "weight": weight,
        "hidden": 5,
        "epochs": 2,
        "batch_size": 2,
        "seed": seed,
    }
    made = upset(case.target, case.images, **arguments)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    assert torch.equal(upset(case.target, case.images, **arguments).perturbations, made.perturbations)
    assert torch.equal(torch.get_rng_state(), state)
    assert made.perturbations.shape == (case.model.second.shape[1], *case.images.shape[1:])
    assert made.perturbations.abs().max() <= radius * (1 + 1e-6)  # tanh times the radius, in float32
    result = require_repeatable(lambda: made.attack(case.oracle, case.images, case.goal))
    require_sound(case.oracle, case.images, case.goal, result, norm="linf", radius=radius)
    require_counted(case, case.oracle, lambda oracle: made.attack(oracle, case.images, case.goal))
    if not radius:
        assert torch.equal(result.x_adv, case.images)


@pytest.fixture(scope="module")
def made(net, seen):
    return upset(Target(net), seen[0], Ball("linf", 0.35))


def test_leads_to_every_class(made, net, held_out):
    images, labels = held_out
    for turn in (1, 5, 9):
        result = made.attack(Target.oracle(net), images, Goal(labels, (labels + turn) % 10))
        assert success_rate(result, result.queries > 0) > 0.65
        assert (result.queries <= 1).all()


def test_leads_to_some_class_on_another_network(made, rival, held_out):
    images, labels = held_out
    result = made.attack(Target.oracle(rival), images, Goal(labels))
    assert success_rate(result, result.queries > 0) > 0.95


def test_tries_every_class_but_the_label(made, held_out):
    images, labels = held_out
    stubborn = Target.oracle(lambda images: torch.eye(10)[torch.full((len(images),), 3)])
    result = made.attack(stubborn, images, Goal(labels))
    assert (result.queries[labels == 3] == 9).all()
    assert not result.success[labels == 3].any()


def test_weight_makes_perturbations_short(net, seen):
    long, short = (
        upset(Target(net), seen[0], Ball("linf", 0.5), weight=weight, epochs=5).perturbations for weight in (0, 1)
    )
    assert torch.linalg.vector_norm(short) < torch.linalg.vector_norm(long)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"radius": -1}, "`radius` must be a number from 0, got -1"),
        ({"radius": 1, "norm": "l2"}, "`norm` must be one of linf, got 'l2'"),
        ({"radius": 1, "hidden": 0}, "`hidden`"),
        ({"radius": 1, "epochs": 0}, "`epochs`"),
        ({"radius": 1, "weight": -1}, "`weight` must be a number from 0, got -1"),
    ],
)
def test_refuses(net, seen, arguments, message):
    with pytest.raises(ValueError, match=message):
        upset(Target(net), seen[0], **in_ball(**arguments))


def test_needs_gradients(net, seen):
    with pytest.raises(TypeError, match="answers queries only"):
        upset(Target.oracle(net), seen[0], Ball("linf", 1))
