"""What explains adversarial images: lines through them, agreement of models, and how sure they are."""

import math

import pytest
import torch
from torch import nn

from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.target import Target
from plaintext_models.evaluation.agreement import agreement
from plaintext_models.evaluation.confidence import confidence, rubbish
from plaintext_models.evaluation.trace import along, straightness


def test_the_logits_of_a_linear_model_are_straight_along_a_line():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).double()
    target, images = Target(module.eval()), torch.rand(5, 1, 2, 2, dtype=torch.float64)
    goal = Goal(torch.tensor([0, 1, 2, 0, 1]))
    points = [-2.0, -1.0, 0.0, 1.0, 2.0]
    logits = along(target, images, goal, points)
    assert torch.equal(logits[2], target.logits(images))
    losses = torch.stack([nn.functional.cross_entropy(one, goal.labels) for one in logits])
    assert bool((losses.diff() > 0).all())
    assert straightness(logits) == pytest.approx(1)
    bent = torch.tensor(points).double().square()[:, None, None].expand(5, 2, 3)
    assert straightness(bent) == pytest.approx(0)


def test_agreement_is_counted():
    labels, others = torch.tensor([0, 0, 0, 0, 1, 2]), torch.tensor([0, 1, 1, 2, 0, 1])
    answers = torch.tensor([0, 1, 2, 0, 0, 2])
    found = agreement(answers, others, labels)
    assert (found.on_mistakes.count, found.on_mistakes.n) == (2, 5)
    assert (found.both_wrong.count, found.both_wrong.n) == (2, 3)


def test_confidence_is_of_the_images_that_count():
    logits = torch.tensor([[0.0, math.log(3)], [5.0, 0.0], [math.log(9), 0.0]])
    assert confidence(logits, torch.tensor([True, False, True])) == pytest.approx((0.75 + 0.9) / 2)
    assert math.isnan(confidence(logits, torch.zeros(3, dtype=torch.bool)))
    assert confidence(logits[:1], torch.tensor([True]), torch.sigmoid) == pytest.approx(0.75)


def test_rubbish_is_what_a_model_is_sure_of():
    sure, unsure = (Target(lambda x, z=z: x.new_tensor(z).expand(len(x), 3)) for z in ([3.0, 0, 0], [0.1, 0, 0]))
    share, mean = rubbish(sure, (1, 2, 2), 50, torch.Generator().manual_seed(0))
    assert (share.count, share.n) == (50, 50)
    assert mean == pytest.approx(math.exp(3) / (math.exp(3) + 2))
    share, mean = rubbish(unsure, (1, 2, 2), 50, torch.Generator().manual_seed(0))
    assert share.count == 0
    assert math.isnan(mean)
