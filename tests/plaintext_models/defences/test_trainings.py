"""What defences make of a training, beside closed forms."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional

from plaintext_models.attacks.ball.ascend import ascend
from plaintext_models.attacks.ball.pgd import fgsm as one_step
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.target import Target
from plaintext_models.defences.adversarial import fgsm, pgd
from plaintext_models.defences.distillation import Distillation
from plaintext_models.defences.generator import Generator
from plaintext_models.defences.gradient_penalty import GradientPenalty
from plaintext_models.defences.logit_noise import LogitNoise
from plaintext_models.nets.denoising import Denoising
from plaintext_models.nets.mlp import mlp
from plaintext_models.training.adversarial import mixed
from plaintext_models.training.loop import Batch, cross_entropy
from plaintext_models.training.turned import anticipating
from plaintext_models.zoo.recipe import Hardening
from plaintext_models.zoo.registry import RECIPES

RECIPE = replace(RECIPES["digits-mlp"], epochs=2)


def batch(labels=None):
    images = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(6) % 3 if labels is None else labels
    return Batch(images, images / 2, labels, 1, 4, torch.Generator().manual_seed(2))


def test_the_penalty_is_the_squared_gradient():
    module, given = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).double(), batch()
    given = replace(given, images=given.images.double())
    logits = module(given.images)
    # of a linear network in closed form: (softmax - label) times the weights
    wrong = logits.softmax(1) - functional.one_hot(given.labels, 3)
    lengths = (wrong @ module[1].weight).square().sum(1)
    expected = functional.cross_entropy(logits, given.labels) + 0.7 * lengths.mean()
    value = GradientPenalty(0.7).loss(module)(logits, given)
    assert value.item() == pytest.approx(expected.item())
    ours = torch.autograd.grad(value, module[1].weight)[0]
    assert torch.allclose(ours, torch.autograd.grad(expected, module[1].weight)[0])


@pytest.mark.parametrize("loss", [GradientPenalty(0.5).loss, partial(anticipating, angle=0.1)])
def test_networks_with_attention_have_a_second_derivative(loss):
    module = nn.Sequential(nn.Conv2d(1, 4, 1), Denoising(4, "gaussian"), nn.Flatten(), nn.Linear(64, 3))
    loss(module)(torch.empty(0), batch()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in module.parameters())
    assert module[1].theta.weight.grad.any()


def test_without_weight_there_is_no_penalty(digits):
    plain, penalised = GradientPenalty(0.0).train(RECIPE, digits), GradientPenalty(3.0).train(RECIPE, digits)
    images = torch.from_numpy(digits.train_images[:200])
    labels = torch.from_numpy(digits.train_labels[:200])

    def steepness(module):
        slope, _ = Target(module).gradient(images, lambda z: functional.cross_entropy(z, labels, reduction="none"))
        return float(slope.square().sum())

    assert steepness(penalised) < steepness(plain)


def test_the_mixed_loss_weighs_both():
    module, given = mlp((1, 4, 4), 3, [8]), batch()
    logits = module(given.images)
    parts = [functional.cross_entropy(module(images), given.labels) for images in (given.clean, given.images)]
    value = mixed(module, cross_entropy, 0.25)(logits, given)
    assert value.item() == pytest.approx((0.25 * parts[0] + 0.75 * parts[1]).item())
    with pytest.raises(ValueError, match="`clean`"):
        mixed(module, cross_entropy, 1.5)


def test_one_step_from_the_image_is_the_fast_gradient_sign_method():
    module, given = mlp((1, 4, 4), 3, [8]).eval(), batch()
    goal, ball = Goal(given.labels), Ball("linf", 0.1)
    moved = ascend(Target(module), given.images, goal, ball, steps=1, generator=given.generator, random_start=False)
    found = one_step(Target(module), given.images, goal, ball)
    right = module(given.images).argmax(1) == given.labels
    assert torch.allclose(moved[found.success & right], found.x_adv[found.success & right])
    gradient, _ = Target(module).gradient(
        given.images, lambda z: functional.cross_entropy(z, given.labels, reduction="none")
    )
    assert torch.allclose(moved, (given.images + 0.1 * gradient.sign()).clamp(0, 1), atol=1e-6)


def test_adversarial_trainings_are_hardenings():
    assert fgsm(0.2).hardening == Hardening(Ball("linf", 0.2), 1, clean=0.5, random_start=False)
    assert pgd(0.2, 7, clean=0.3).hardening == Hardening(Ball("linf", 0.2), 7, clean=0.3)
    with pytest.raises(ValueError, match="`clean` must be from 0 to below 1, got 1"):
        pgd(0.2, clean=1.0)


def test_training_against_one_step_helps(digits):
    images, labels = torch.from_numpy(digits.test_images), torch.from_numpy(digits.test_labels)
    recipe = replace(RECIPE, epochs=10)
    goal, ball = Goal(labels), Ball("linf", 0.1)
    standing = [
        (~one_step(Target(module), images, goal, ball).success).double().mean()
        for module in (GradientPenalty(0).train(recipe, digits), fgsm(0.15).train(recipe, digits))
    ]
    assert standing[1] > standing[0] + 0.2


def test_a_student_learns_probabilities_at_the_temperature():
    logits, given = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), batch(torch.full((6, 3), 1 / 3))
    expected = -(logits / 5).log_softmax(1).mean()
    assert float(Distillation(5.0).loss(nn.Identity())(logits, given)) == pytest.approx(float(expected))
    with pytest.raises(ValueError, match="`temperature`"):
        Distillation(0)


def test_a_temperature_changes_no_class(digits):
    distillation, images = Distillation(10.0), torch.from_numpy(digits.test_images[:50])
    student = Target(distillation.train(RECIPE, digits))
    assert torch.equal(distillation.undone(student).logits(images), student.logits(images) / 10)


def test_noise_has_its_deviation_and_leaves_torchs_generator_alone():
    target, images = Target(lambda x: x.flatten(1)), torch.zeros(500, 1, 1, 4)
    before = torch.random.get_rng_state()
    noise = LogitNoise(0.5, torch.Generator().manual_seed(0)).wrap(target).logits(images)
    assert torch.equal(before, torch.random.get_rng_state())
    assert noise.std() == pytest.approx(0.5, rel=0.1)
    assert abs(noise.mean()) < 0.05
    with pytest.raises(ValueError, match="`deviation`"):
        LogitNoise(-1.0, torch.Generator())


def test_a_generator_learns_to_raise_the_loss_and_stays_in_its_ball(digits):
    module = GradientPenalty(0.0).train(replace(RECIPE, epochs=6), digits)
    hook = Generator(0.1).beside(module, 1, seed=0)
    images, labels = torch.from_numpy(digits.train_images[:64]), torch.from_numpy(digits.train_labels[:64])
    given = Batch(images, images, labels, 0, 100, torch.Generator().manual_seed(0))
    before = [one.clone() for parameter in module.parameters() for one in (parameter, parameter.grad)]
    made = [hook(given) for _ in range(60)]
    with torch.no_grad():
        losses = [functional.cross_entropy(module(moved), labels).item() for moved in (images, made[0], made[-1])]
    assert losses[2] > 2 * losses[0]
    assert losses[2] > losses[1]
    assert all((moved - images).abs().max() <= 0.1 + 1e-6 for moved in made)
    assert all(moved.min() >= 0 and moved.max() <= 1 for moved in made)
    after = [one for parameter in module.parameters() for one in (parameter, parameter.grad)]
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))
    assert not module.training
    with pytest.raises(ValueError, match="`radius`"):
        Generator(-0.1)
