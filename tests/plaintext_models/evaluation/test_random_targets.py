"""Cards of models whose answers are random, or whose own gradients lead nowhere."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from plaintext_models.attacks.ball.auto import apgd
from plaintext_models.attacks.ball.pgd import pgd
from plaintext_models.attacks.black_box.square import square
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.target import Target
from plaintext_models.data import datasets
from plaintext_models.determinism import deterministic
from plaintext_models.evaluation.card import Effort
from plaintext_models.evaluation.judge import judge
from plaintext_models.evaluation.runner import evaluate

SMALL = Effort(10, 15, 1, 12, 2, 60, 20, 9)
N, BALL = 40, Ball("linf", 0.15)


class Coins(nn.Module):
    """A network whose hidden units are 1 with the probability σ(4 a), else 0.

    Backwards a coin passes the gradient of its probability, or, "published", a gradient drawn at random.
    """

    def __init__(self, net, backward):
        super().__init__()
        self.net, self.backward = net.eval(), backward

    def forward(self, images):
        chance = torch.sigmoid(4 * self.net[0](images.flatten(1)))
        if self.backward == "off":
            return self.net[1](chance)
        coin = torch.bernoulli(chance).detach()
        if self.backward == "probability":
            return self.net[1](coin + chance - chance.detach())
        noise = torch.randn_like(images).detach()
        return self.net[1](coin) + (noise * (images - images.detach())).flatten(1).sum(1)[:, None] * torch.arange(10)


@pytest.fixture(autouse=True)
def one_thread():
    with deterministic(0):
        yield


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


@pytest.fixture(scope="module")
def net(digits):
    with deterministic(0):
        net = nn.Sequential(nn.Linear(64, 96), nn.Linear(96, 10))
        trained = Coins(net, "probability").train()
        optimiser = torch.optim.Adam(net.parameters(), 1e-2)
        images, labels = torch.from_numpy(digits.train_images), torch.from_numpy(digits.train_labels)
        for _ in range(15):
            for batch in torch.randperm(len(images)).split(64):
                optimiser.zero_grad()
                nn.functional.cross_entropy(trained(images[batch]), labels[batch]).backward()
                optimiser.step()
    return net


@pytest.fixture(scope="module")
def examples(digits):
    return torch.from_numpy(digits.test_images[:N]), torch.from_numpy(digits.test_labels[:N])


def coins(net, backward):
    return Target(Coins(net, backward).eval(), stochastic=backward != "off")


def test_a_surrogate_finds_what_the_published_gradient_hides(net, examples):
    published, through, off = (coins(net, backward) for backward in ("published", "probability", "off"))
    alone = evaluate(published, *examples, BALL, effort=SMALL)
    card = evaluate(published, *examples, BALL, surrogates=(through,), effort=SMALL)
    twin = evaluate(published, *examples, BALL, randomness_off=off, effort=SMALL)
    assert card.verdict.count < alone.verdict.count - N // 4
    assert card.one_draw.count < alone.one_draw.count - N // 4
    assert twin.verdict.count < alone.verdict.count - N // 4
    assert "surrogate beats own gradients" in {finding.name for finding in card.findings}
    assert {"surrogate"} <= {entry.kind for entry in card.entries}
    assert not {"surrogate"} & {entry.kind for entry in alone.entries}
    honest = evaluate(through, *examples, BALL, surrogates=(through,), effort=SMALL)
    assert "surrogate beats own gradients" not in {finding.name for finding in honest.findings}


def test_one_draw_and_majority_are_two_columns(examples):
    images, labels = examples[0], torch.zeros_like(examples[1])

    def wrong(rate):
        def answers(batch):
            right = nn.functional.one_hot(torch.zeros(len(batch), dtype=torch.int64), 10).float()
            flat = 0 * batch.flatten(1).sum(1, keepdim=True)
            return flat + torch.where(torch.rand(len(batch), 1) < rate, right.roll(1, 1), right)

        return Target(answers, stochastic=True)

    for rate in (0.2, 0.8):
        card = evaluate(wrong(rate), images, labels, BALL, effort=replace(SMALL, draws=40))
        assert card.draws == 40
        assert card.clean.value == card.verdict.value == (rate < 0.5)
        for share in (card.one_draw, card.entries[0].one_draw):
            assert abs(share.value - (1 - rate)) < 0.26  # four deviations
    certain = evaluate(Target(lambda x: x.flatten(1)[:, :10]), *examples, BALL, effort=SMALL)
    assert certain.draws == 1
    assert certain.one_draw == certain.verdict
    assert all(entry.one_draw == entry.robust for entry in certain.entries)


@pytest.mark.parametrize(("attack", "steps"), [(pgd, 20), (apgd, 20), (square, 150)])
def test_attacks_do_not_stop_at_the_first_lucky_draw(net, examples, attack, steps):
    images, labels = examples
    target, goal, results = coins(net, "probability"), Goal(labels), []
    for draws in (1, 9):
        found = attack(target, images, goal, BALL, steps=steps, draws=draws)
        torch.manual_seed(0)
        results.append(judge(target, images, goal, found.x_adv, BALL, draws=60).chance.mean())
    assert results[1] > results[0] + 0.02


def test_every_image_is_attacked_and_none_is_taken_back(net, examples):
    images, labels = examples
    target = coins(net, "probability")
    found = pgd(target, images, Goal(labels), Ball("linf", 0.01), steps=3, draws=3)
    assert (found.x_adv != images).flatten(1).any(1).all()
    assert not found.success.all()
    assert (found.queries >= 3).all()
