"""Batches of an attack are what the attack does with each."""

from functools import partial

import pytest
import torch

from plaintext_models.attacks.ball.pgd import fgsm
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.batches import in_batches
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.target import Target


@pytest.mark.parametrize("batch_size", [1, 33, 100, 1000])
def test_an_attack_without_chance_is_the_same_in_batches(net, held_out, batch_size):
    images, labels = held_out
    whole = fgsm(Target(net), images, Goal(labels), Ball("linf", 0.1))
    parts = in_batches(fgsm, Target(net), images, Goal(labels), ball=Ball("linf", 0.1), batch_size=batch_size)
    torch.testing.assert_close(parts.x_adv, whole.x_adv)
    assert torch.equal(parts.success, whole.success)
    assert torch.equal(parts.iterations, whole.iterations)


def test_targets_are_split_with_their_images(net, held_out, capsys):
    images, labels = held_out
    goal = Goal(labels, (labels + 1) % 10)
    result = in_batches(fgsm, Target(net), images, goal, ball=Ball("linf", 0.3), batch_size=40, progress=True)
    assert torch.equal(result.success, goal.reached(net(result.x_adv)))


def test_a_batch_holds_an_image(net, held_out):
    with pytest.raises(ValueError, match="`batch_size` must lie in"):
        in_batches(fgsm, Target(net), held_out[0], Goal(held_out[1]), ball=Ball("linf", 0.1), batch_size=0)


@pytest.mark.parametrize("batch_size", [2, 5, 100])
def test_what_does_not_fit_is_not_cut(net, held_out, batch_size):
    images, labels = (part[:5] for part in held_out)
    for count in (3, 7):
        with pytest.raises(
            ValueError, match=rf"`images` must be .* with one label each .* got \(5, .* and \({count},\)"
        ):
            in_batches(fgsm, Target(net), images, Goal([0] * count), ball=Ball("linf", 0.1), batch_size=batch_size)
        ball = Ball("linf", [0.1] * count)
        with pytest.raises(ValueError, match=f"`radius` must be one for all images or one each, got {count} for 5"):
            in_batches(fgsm, Target(net), images, Goal(labels), ball=ball, batch_size=batch_size)


def test_radii_inside_of_a_partial_are_split(net, held_out):
    images, labels = (part[:6] for part in held_out)
    ball = Ball("linf", [0.3, 0.0] * 3)
    whole = fgsm(Target(net), images, Goal(labels), ball)
    for size in (2, 4, 6):
        parts = in_batches(partial(fgsm, ball=ball), Target(net), images, Goal(labels), batch_size=size)
        torch.testing.assert_close(parts.x_adv, whole.x_adv)
    with pytest.raises(ValueError, match="`radius` must be one for all images or one each, got 6 for 5"):
        in_batches(partial(fgsm, ball=ball), Target(net), images[:5], Goal(labels[:5]), batch_size=2)


def test_what_is_no_attack(net, held_out):
    images, labels = (part[:5] for part in held_out)
    given = Target(net), images, Goal(labels)
    with pytest.raises(TypeError, match="`attack` must be a function, got str"):
        in_batches("pgd", *given, batch_size=2)
    with pytest.raises(TypeError, match=r"`attack\(\.\.\.\)` must be an AttackResult, got Tensor"):
        in_batches(lambda _target, images, _goal: images, *given, batch_size=2)
