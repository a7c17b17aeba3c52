"""Batches of an attack are what the attack does with each."""

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
