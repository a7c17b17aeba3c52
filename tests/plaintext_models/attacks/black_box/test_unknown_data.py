"""From a pool of anything to adversarial examples, by a victim's answers alone."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from plaintext_models.attacks.ball.pgd import pgd
from plaintext_models.attacks.black_box.unknown_data import parting, without_data
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.target import Target


def factory():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def test_the_chain_fools_its_victim(net, seen, held_out):
    images, labels = held_out
    victim, goal = Target.oracle(net), Goal(labels)
    noise = torch.rand((200, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    pool = torch.cat([seen[0][:200], noise])
    attack = partial(pgd, ball=Ball("linf", 0.25), leave=False)
    found = without_data(victim, images, goal, attack, factory, pool, rounds=2, epochs=15)
    assert found.kept[:200].float().mean() > 0.8  # digits, not noise
    assert found.kept[200:].float().mean() < 0.5
    assert found.queries == 400 + found.substitute.queries
    assert found.substitute.queries == 2 * int(found.kept.sum())
    attacked = net(images).argmax(1) == labels
    assert found.result.success[attacked].float().mean() > 0.4
    assert ((found.result.x_adv - images).abs() <= 0.25 + 1e-6).all()


@given(st.lists(st.floats(-9, 0, width=32), min_size=1, max_size=30))
def test_the_split_is_the_best_of_all(values):
    numbers = torch.tensor(values, dtype=torch.float64)
    limit = parting(numbers)
    assert (numbers > limit).any()
    if numbers.unique().numel() == 1:
        return

    def between(limit):
        high, low = numbers[numbers > limit], numbers[numbers <= limit]
        return len(high) * len(low) * float(high.mean() - low.mean()) ** 2

    best = max(between(float(value)) for value in numbers if value < numbers.max())
    assert between(limit) == pytest.approx(best, rel=1e-6, abs=1e-9)


def test_a_pool_of_one_is_refused(net, held_out):
    with pytest.raises(ValueError, match="`pool` must have at least 2 images, got 1"):
        without_data(Target(net), held_out[0], Goal(held_out[1]), pgd, factory, held_out[0][:1])
