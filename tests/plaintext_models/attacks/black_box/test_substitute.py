"""Substitutes: what they cost, and that they stand in."""

import pytest
import torch
from torch import nn

from plaintext_models.attacks.black_box.substitute import substitute
from plaintext_models.attacks.core.goal import Goal, conclude, spread, start
from plaintext_models.attacks.core.losses import margin
from plaintext_models.attacks.core.target import Target
from tests.plaintext_models.attacks.soundness import require_repeatable, require_sound, success_rate


def factory():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 48), nn.ReLU(), nn.Dropout(0.1), nn.Linear(48, 10))


def stride(target, images, goal):
    """One step along the sign of the gradient, as far as 0.3."""
    active, queries, iterations = start(target, images, goal)
    gradient, _ = target.gradient(images, lambda logits: margin(logits, goal.labels))
    moved = images + 0.3 * spread(active, images) * gradient.sign()
    return conclude(target, images, moved, goal, queries + 1, iterations + 1)


class Oracle:
    """Answers, and counts how often."""

    def __init__(self, net):
        self.net, self.asked = net, 0

    def __call__(self, images):
        self.asked += len(images)
        return self.net(images)


@pytest.mark.parametrize(
    ("rounds", "limit", "queries"), [(1, None, 40), (3, None, 160), (4, 100, 100), (2, 40, 40), (3, 1000, 160)]
)
def test_counts_its_queries(net, seen, rounds, limit, queries):
    oracle = Oracle(net)
    made = substitute(Target.oracle(oracle), seen[0][:40], factory, rounds=rounds, limit=limit, epochs=1)
    assert made.queries == queries
    assert oracle.asked == queries + 40 + 2 * 8  # the check and its probes
    assert len(made.agreement) == rounds


def test_is_deterministic_and_leaves_torch_alone(net, seen):
    made = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        made.append(substitute(Target.oracle(net), seen[0][:50], factory, rounds=2, limit=80, epochs=3))
        assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(*(one.target.logits(seen[0]) for one in made))
    assert made[0].agreement == made[1].agreement


@pytest.mark.parametrize("probabilities", [False, True])
def test_stands_in_for_the_oracle(net, seen, held_out, probabilities):
    made = substitute(Target.oracle(net), seen[0][:100], factory, probabilities=probabilities)
    assert made.target.differentiable
    images, labels = held_out
    with torch.no_grad():
        alike = made.target.logits(images).argmax(1) == net(images).argmax(1)
    assert alike.double().mean() > 0.7  # a tenth is chance
    goal = Goal(labels)
    result = require_repeatable(lambda: made.attack(images, goal, stride))
    require_sound(Target.oracle(net), images, goal, result, norm="linf", radius=0.3)
    assert not result.queries.any()
    assert success_rate(result, result.iterations > 0) > 0.6


def test_learns_from_the_labels_alone(net, seen):
    """The oracle's logits may be of any scale; only their order is used."""
    one, two = (
        substitute(Target.oracle(answers), seen[0][:50], factory, rounds=2, epochs=2)
        for answers in (net, lambda images: 7 * net(images) + 1)
    )
    assert torch.equal(one.target.logits(seen[0]), two.target.logits(seen[0]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rounds": 0}, "`rounds`"),
        ({"epochs": 0}, "`epochs`"),
        ({"batch_size": 0}, "`batch_size`"),
        ({"limit": 399}, "`limit`"),
        ({"step": -1}, "`step` must be a number from 0, got -1"),
    ],
)
def test_refuses(net, seen, arguments, message):
    with pytest.raises(ValueError, match=message):
        substitute(Target.oracle(net), seen[0], factory, **arguments)


@pytest.mark.parametrize(
    ("made", "error", "message"),
    [
        (5, TypeError, "`factory` must be a function, got int"),
        (factory(), TypeError, "`factory` must be a function that makes a module, got a module"),
        (lambda: 5, TypeError, r"`factory\(\)` must be a Module, got int"),
        (
            lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 3)),
            ValueError,
            r"logits \(64, 10\), got \(64, 3\)",
        ),
    ],
)
def test_factories_that_are_none(net, seen, made, error, message):
    with pytest.raises(error, match=message):
        substitute(Target.oracle(net), seen[0], made)
