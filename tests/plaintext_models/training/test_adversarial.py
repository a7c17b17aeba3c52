"""Adversarial training: what the hook makes of batches, and that it helps."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from plaintext_models.attacks.ball.ascend import ascend
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.target import Target
from plaintext_models.determinism import deterministic
from plaintext_models.nets.mlp import mlp
from plaintext_models.training.adversarial import attacked, mixed
from plaintext_models.training.loop import Batch, cross_entropy
from plaintext_models.zoo.make import make
from plaintext_models.zoo.registry import RECIPES


def batch(step, steps=20):
    images = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    return Batch(images, images, torch.arange(6), step, steps, torch.Generator().manual_seed(2))


@pytest.mark.parametrize(
    ("ramp", "step", "radius"),
    [(0.5, 0, 0.0), (0.5, 5, 0.1), (0.5, 10, 0.2), (0.5, 19, 0.2), (0, 0, 0.2), (1, 5, 0.05)],
)
def test_the_radius_grows_as_stated(ramp, step, radius):
    module = mlp((1, 8, 8), 10, [16]).eval()
    given = batch(step)
    moved = attacked(module, Ball("linf", 0.2), steps=3, ramp=ramp)(given)
    largest = float((moved - given.images).abs().max())
    assert largest == pytest.approx(radius, abs=1e-6)  # float32 sums; some element is at the surface
    assert moved.min() >= 0
    assert moved.max() <= 1


@pytest.mark.parametrize(("step", "radius"), [(0, None), (9, None), (10, 0.0), (14, 0.08), (19, 0.18)])
def test_nothing_is_attacked_before_it_begins(step, radius):
    module = mlp((1, 8, 8), 10, [16]).eval()
    given = batch(step)
    moved = attacked(module, Ball("linf", 0.2), steps=3, ramp=0.5, begin=0.5)(given)
    if radius is None:
        assert moved is given.images
    else:
        assert float((moved - given.images).abs().max()) == pytest.approx(radius, abs=1e-6)


def test_a_batch_that_was_not_attacked_has_one_loss():
    calls = []
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    module.register_forward_hook(lambda *_: calls.append(1))
    given = batch(0)
    logits = module(given.images)
    loss = mixed(module, cross_entropy, 0.5)
    assert torch.equal(loss(logits, given), cross_entropy(logits, given))
    assert len(calls) == 1
    loss(logits, replace(given, images=given.images.clone()))
    assert len(calls) == 2


def test_a_module_is_attacked_in_evaluation_mode_and_goes_on_in_its_own():
    modes = []

    class Spy(nn.Module):
        def forward(self, x):
            modes.append(self.training)
            return x

    module = nn.Sequential(Spy(), mlp((1, 8, 8), 10, [16])).train()
    attacked(module, Ball("l2", 0.2), steps=2)(batch(3))
    assert modes
    assert not any(modes)
    assert module.training
    assert all(part.training for part in module.modules())


def test_refuses():
    module = mlp((1, 8, 8), 10, [16])
    with pytest.raises(ValueError, match="`steps` must lie in"):
        attacked(module, Ball("linf", 0.1), steps=0)
    with pytest.raises(ValueError, match="`ramp` must be from 0 to 1, got 2"):
        attacked(module, Ball("linf", 0.1), steps=1, ramp=2)
    with pytest.raises(ValueError, match="`begin` must be from 0 to 1, got 2"):
        attacked(module, Ball("linf", 0.1), steps=1, begin=2)


def test_adversarial_training_helps(digits):
    images, labels = torch.from_numpy(digits.test_images), torch.from_numpy(digits.test_labels)
    rights = {}
    for name in ("digits-mlp", "digits-pgd-mlp"):
        target, generator = Target(make(RECIPES[name], digits)), torch.Generator().manual_seed(0)
        with deterministic(0):
            moved = ascend(target, images, Goal(labels), Ball("linf", 0.1), steps=20, generator=generator)
        rights[name] = [float((target.logits(part).argmax(1) == labels).double().mean()) for part in (images, moved)]
    assert min(clean for clean, _ in rights.values()) > 0.95
    assert rights["digits-pgd-mlp"][1] > rights["digits-mlp"][1] + 0.3
