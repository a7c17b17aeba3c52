"""Short runs on the images that promise most: as much found, with fewer forwards."""

import pytest
import torch

from plaintext_models.attacks.ball.adaptive import LEAD, SURE, _Hunt, adaptive
from plaintext_models.attacks.ball.auto import apgd_targeted
from plaintext_models.attacks.ball.pgd import pgd
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.target import Target


@pytest.mark.parametrize(("norm", "radius"), [("linf", 0.08), ("l2", 0.6), ("l1", 2.0)])
def test_it_finds_what_nine_targets_find_for_a_third(net, held_out, norm, radius):
    images, labels = held_out[0][:25], held_out[1][:25]
    target, goal, ball = Target(net), Goal(labels), Ball(norm, radius)
    many, few = apgd_targeted(target, images, goal, ball), adaptive(target, images, goal, ball)
    assert few.success.sum() >= many.success.sum() - 1
    assert 3 * few.queries.sum() < many.queries.sum()


def test_the_hopeless_are_dropped_and_the_near_are_not(net, held_out):
    images, labels = held_out
    target, goal = Target(net), Goal(labels)
    found = adaptive(target, images, goal, Ball("linf", 0.05), forwards=1000, steps=2)
    attacked = target.logits(images).argmax(1) == labels
    a_run = LEAD + 2 + 1
    least = int(found.queries[attacked & ~found.success].min())
    assert least == 3 + SURE * a_run
    assert least < found.queries.max() <= 1000
    margins = target.logits(images).topk(2, 1).values.diff(dim=1).squeeze(1).abs()
    long = found.queries > least
    assert 0 < long.sum() < attacked.sum()
    assert margins[long].mean() < margins[attacked & ~long & ~found.success].mean()


def test_a_run_in_which_nothing_gains_gives_nothing_up(net, held_out, monkeypatch):
    """Images fall by leaps: one was lost as soon as the few that were left had gained nothing in one run."""
    runs = []

    def scripted(hunt, rows, steps, *, first):  # gains in the second run alone
        runs.append(steps)
        hunt.near = torch.full((1, 10), -1.0 if first else -0.5, dtype=torch.float64)
        hunt.queries[rows] += steps

    monkeypatch.setattr(_Hunt, "run", scripted)
    images, labels = held_out
    right = (Target(net).logits(images).argmax(1) == labels).nonzero()[0]
    adaptive(Target(net), images[right], Goal(labels[right]), Ball("linf", 0.05))
    assert len(runs) == 2 + SURE  # as long as that gain counts


@pytest.mark.parametrize("forwards", [1, 5, 30, 100])
def test_the_most_forwards_are_kept_to(net, held_out, forwards):
    images, labels = held_out[0][:30], held_out[1][:30]
    found = adaptive(Target(net), images, Goal(labels), Ball("linf", 0.05), forwards=forwards)
    assert found.queries.max() <= forwards
    targets = Goal(labels, (labels + 1) % 10)
    found = adaptive(Target(net), images, targets, Ball("linf", 0.3), forwards=max(forwards, 30))
    assert torch.equal(found.success, net(found.x_adv).argmax(1) == targets.targets)
    assert forwards < 100 or found.success.any()


def test_numbers_are_checked(net, held_out):
    for wrong in ({"steps": 0}, {"forwards": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            adaptive(Target(net), held_out[0], Goal(held_out[1]), Ball("linf", 0.1), **wrong)


def test_targets_are_reached_as_often_as_by_many_restarts(net, held_out):
    images, labels = held_out
    target, ball = Target(net), Ball("linf", 0.2)
    goal = Goal(labels, (labels + 3) % 10)
    many = pgd(target, images, goal, ball, steps=50, restarts=3)
    few = adaptive(target, images, goal, ball)
    assert 0 < many.success.sum() < len(images)
    assert few.success.sum() >= many.success.sum()


def test_the_first_run_goes_towards_the_target(net, held_out):
    images, labels = held_out
    goal = Goal(labels, (labels + 3) % 10)
    found = adaptive(Target(net), images, goal, Ball("linf", 0.3), forwards=11, steps=10)
    assert found.success.sum() > 0.5 * len(images)
