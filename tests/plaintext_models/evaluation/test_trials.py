"""A card's trials are values: named, in order, each with the images that it is tried on."""

import math
from dataclasses import replace

import torch

from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.target import Target
from plaintext_models.evaluation.card import Effort
from plaintext_models.evaluation.trials import Omission, Problem, Trial, trials, undecided

EFFORT = Effort(5, 8, 2, 6, 2, 20, 10, 3)
IMAGES = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
WEIGHTS = torch.randn(16, 10, generator=torch.Generator().manual_seed(1))


def answers(images):
    return images.flatten(1) @ WEIGHTS


def planned(target, ball, radii=(), classes=10, **rest):
    fields = {"transfer_from": (), "randomness_off": None, "surrogates": (), "detector": None, **rest}
    problem = Problem(target, IMAGES, torch.arange(3), ball, radii, EFFORT, classes=classes, **fields)
    return problem, list(trials(problem))


def names(items):
    return [item.name if isinstance(item, Trial) else item.reason for item in items]


def test_the_whole_card():
    rival = Target(answers)
    _, items = planned(Target(answers), Ball("linf", 0.1), (0.2,), transfer_from=(rival,), detector=lambda x: x.sum())
    assert names(items) == [
        "clean images",
        "FGSM",
        "PGD-5",
        "transfer from model 1",
        "DeepFool",
        "joint PGD, weight 0.1",
        "joint PGD, weight 1",
        "joint PGD, weight 10",
        "APGD, cross-entropy",
        "APGD, targeted DLR",
        "PGD-8 x 2, margin",
        "PGD-8 x 2, cross-entropy",
        "Square-20",
        "PGD-5 within 0.2",
        "PGD-5 within 1",
    ]
    roles = {item.role for item in items if isinstance(item, Trial)}
    assert roles == {None, "one step", "many steps", "other models", "queries"}


def test_surrogates_come_after_the_own_gradients_and_fill_in_the_curve():
    other = Target(answers, stochastic=True)
    _, items = planned(Target(answers, stochastic=True), Ball("linf", 0.1), (0.2,), surrogates=(other, other))
    everyone = ("", "surrogate 1, ", "surrogate 2, ")
    assert names(items)[-11:] == [
        "surrogate 1, APGD",
        "surrogate 1, PGD-8, margin",
        "surrogate 2, APGD",
        "surrogate 2, PGD-8, margin",
        "Square-4",
        *(f"{who}PGD-5 within {radius:g}" for radius in (0.2, 1) for who in everyone),
    ]
    assert {item.role for item in items if isinstance(item, Trial) and item.kind == "surrogate"} == {"other gradients"}
    _, items = planned(Target.oracle(answers), Ball("linf", 0.1), surrogates=(Target(answers),))
    assert "surrogate 1, PGD-8, margin" in names(items)
    assert names(items)[-1] == "surrogate 1, PGD-5 within 1"


def test_an_economical_card_has_the_adaptive_attack_in_place_of_the_long_ones():
    fields = {"transfer_from": (), "randomness_off": None, "surrogates": (), "detector": None, "classes": 10}
    for stochastic in (False, True):
        target, effort = Target(answers, stochastic=stochastic), replace(EFFORT, adaptive=60)
        problem = Problem(target, IMAGES, torch.arange(3), Ball("linf", 0.1), (), effort, **fields)
        found = names(trials(problem))
        assert ("adaptive, 60" in found) != stochastic
        assert ("APGD, cross-entropy" in found) == stochastic
        assert not any("x 2" in name for name in found)


def test_what_does_not_apply_is_left_out_with_a_reason():
    _, items = planned(Target.oracle(answers), Ball("linf", 0.1))
    assert names(items) == [
        "clean images",
        "attacks by gradients: the model answers queries only",
        "Square-20",
        "Square-4 within 1",
    ]
    _, items = planned(Target(answers, stochastic=True), Ball("l1", 1), randomness_off=Target(answers))
    assert names(items) == [
        "clean images",
        "FGSM",
        "PGD-5",
        "randomness off, cross-entropy",
        "randomness off, margin",
        "targeted APGD and PGD with restarts: the model is stochastic",
        "APGD, cross-entropy",
        "APGD, dlr",
        "Square: for Linf and L2, and images with pixels",
        "PGD-5 within 16",
    ]
    _, items = planned(Target(answers), Ball("l2", 1), classes=3)
    assert "targeted DLR: it needs 4 classes" in names(items)
    assert {"DeepFool", "DDN-10"} <= set(names(items))


def test_between_radii_only_what_is_not_known_is_tried():
    nearest = torch.tensor([0.0, 0.1, 0.3, math.inf])
    assert undecided(nearest, radius=0.2, other=0.05).tolist() == [False, True, False, False]
    assert undecided(nearest, radius=0.2, other=0.3).tolist() == [False, False, False, True]


def test_trials_are_values():
    ball = Ball("l2", 0.5)
    problem, items = planned(Target(answers), ball, (1.0,))
    assert len(names(items)) == len(set(names(items)))
    for item in items:
        assert isinstance(item, Trial | Omission)
        if isinstance(item, Trial):
            assert item.radius in (0, None, ball.radius, problem.box.radius)
            rows = item.rows(torch.tensor([0.0, 0.5, 0.7, math.inf]))
            assert rows.tolist() in ([True] * 4, [False, False, True, True], [False, False, False, True])
