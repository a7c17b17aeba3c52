"""Adversarial examples of one network on another, against plain counting."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaintext_models.attacks.ball.noise import random_noise
from plaintext_models.attacks.ball.pgd import bim
from plaintext_models.attacks.black_box.square import square
from plaintext_models.attacks.black_box.transfer import clipped_after, cross_test, transfer_matrix, transferred
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.derived import widened
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.target import Target
from tests.plaintext_models.attacks.soundness import cases, require_repeatable, require_sound


def noise(target, images, goal):
    return random_noise(target, images, goal, Ball("linf", 0.5), draws=10)


def squares(target, images, goal):
    return square(target, images, goal, Ball("linf", 0.3), steps=100)


@settings(max_examples=30)
@given(cases(), st.randoms(use_true_random=False))
def test_what_is_transferred_is_sound(case, random):
    weights = case.model.second[:, torch.tensor(random.sample(range(case.model.second.shape[1]), 3))]
    goal = Goal(case.goal.labels % 3)
    other = Target.oracle(lambda images: torch.tanh(images.flatten(1) @ case.model.first) @ weights, bounds=case.bounds)
    result = require_repeatable(lambda: transferred(case.oracle, other, case.images, goal, noise))
    require_sound(other, case.images, goal, result, norm="linf", radius=0.5)
    assert not result.queries.any()


def test_a_matrix_is_what_counting_gives(net, rival, held_out):
    images, labels = held_out
    goal = Goal(labels)
    blind = Target.oracle(lambda images: torch.eye(10)[torch.full((len(images),), 3)])
    models = {"net": Target.oracle(net), "rival": Target.oracle(rival)}
    matrix = transfer_matrix(models, images, goal, squares, victims={**models, "blind": blind})
    assert matrix.sources == ("net", "rival")
    assert matrix.victims == ("net", "rival", "blind")
    right = {"net": net(images).argmax(1) == labels, "rival": rival(images).argmax(1) == labels, "blind": labels == 3}
    for row, source in enumerate(matrix.sources):
        found = squares(models[source], images, goal).x_adv
        for column, victim in enumerate(matrix.victims):
            both = right[source] & right[victim]
            assert matrix.counts[row, column] == both.sum()
            answers = ({**models, "blind": blind}[victim]).logits(found).argmax(1)
            assert matrix.rates[row, column] == (answers != labels)[both].double().mean()
    assert (matrix.rates[:, 2] == 0).all()
    assert (matrix.rates.diagonal() > 0.9).all()
    assert 0.3 < matrix.rates[0, 1] < matrix.rates[0, 0]


def test_the_rate_of_no_image_is_not_a_number(net, held_out):
    images, _ = held_out
    wrong = Goal((net(images).argmax(1) + 1) % 10)
    matrix = transfer_matrix({"net": Target(net)}, images, wrong, squares)
    assert matrix.counts.tolist() == [[0]]
    assert math.isnan(matrix.rates)


def test_two_models_on_each_others_examples(net, rival, held_out):
    images, labels = held_out
    goal, models = Goal(labels), (Target.oracle(net), Target.oracle(rival))
    test = cross_test(*models, images, goal, squares)
    sets = (images, *(squares(model, images, goal).x_adv for model in models))
    for row, part in enumerate(sets):
        answers = [model.logits(part).argmax(1) for model in models]
        assert test.accuracy[row].tolist() == [float((answer == labels).double().mean()) for answer in answers]
        assert test.agreement[row] == (answers[0] == answers[1]).double().mean()
    assert torch.equal(test.rates, transfer_matrix(dict(zip("ab", models, strict=True)), images, goal, squares).rates)
    assert test.accuracy[1, 0] < test.accuracy[1, 1] < test.accuracy[0, 1]


def test_a_model_against_itself(net, held_out):
    target = Target.oracle(net)
    test = cross_test(target, target, *(held_out[0], Goal(held_out[1])), squares)
    assert (test.rates == test.rates[0, 0]).all()
    assert (test.agreement == 1).all()


def test_refuses(net, held_out):
    images, goal = held_out[0], Goal(held_out[1])
    wide = Target(net, bounds=(-1, 1))
    for action in (
        lambda: transferred(Target(net), wide, images, goal, noise),
        lambda: transfer_matrix({"a": Target(net), "b": wide}, images, goal, noise),
        lambda: cross_test(Target(net), wide, images, goal, noise),
    ):
        with pytest.raises(ValueError, match=r"the same bounds, got \(0.0, 1.0\) and \(-1.0, 1.0\)"):
            action()
    with pytest.raises(ValueError, match="must name a model each"):
        transfer_matrix({}, images, goal, noise)


def test_arguments_of_another_kind(net, held_out):
    images, goal = held_out[0][:4], Goal(held_out[1][:4])
    model = Target(net)
    for models in ([model], model):
        with pytest.raises(TypeError, match=r"`sources` must be models by name, .* got"):
            transfer_matrix(models, images, goal, noise)
        with pytest.raises(TypeError, match=r"`victims` must be models by name, .* got"):
            transfer_matrix({"a": model}, images, goal, noise, victims=models)
    for action in (
        lambda attack: transfer_matrix({"a": model}, images, goal, attack),
        lambda attack: transferred(model, model, images, goal, attack),
        lambda attack: cross_test(model, model, images, goal, attack),
    ):
        with pytest.raises(TypeError, match="must be an AttackResult, got Tensor"):
            action(lambda _target, images, _goal: images)
        with pytest.raises(TypeError, match="`attack` must be a function, got str"):
            action("pgd")


def test_steps_that_are_clipped_in_the_end(net, held_out):
    images, labels = held_out
    target, goal, step = Target(net, levels=None), Goal(labels), 0.05
    attack = partial(bim, ball=Ball("linf", 10 * step), steps=10, step_size=step, leave=False)
    wide = attack(widened(target, (-1, 2)), images, goal)
    found = clipped_after(target, images, goal, attack, bounds=(-1, 2))
    require_sound(target, images, goal, replace(found, queries=0 * found.queries, iterations=0 * found.iterations))
    before = target.logits(images).argmax(1) != labels
    assert (wide.x_adv[~before] < 0).any()  # beyond the bounds
    assert torch.equal(found.x_adv[found.success & ~before], wide.x_adv.clamp(0, 1)[found.success & ~before])
    moved = wide.x_adv.clamp(0, 1)
    assert torch.equal(found.success, target.logits(moved).argmax(1) != labels)
    assert (found.queries[~before] == wide.queries[~before]).all()
    with pytest.raises(ValueError, match="`images` must be numbers from"):
        clipped_after(target, images, goal, attack, bounds=(0.2, 2))
