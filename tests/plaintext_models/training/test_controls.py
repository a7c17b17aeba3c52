"""Trainings beside adversarial training: on noise, at hidden layers, and through what turns an image."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from plaintext_models.attacks.ball.rotation import turned
from plaintext_models.nets.mlp import mlp
from plaintext_models.training.loop import Batch
from plaintext_models.training.noise import noisy
from plaintext_models.training.places import perturbed
from plaintext_models.training.turned import anticipating


def batch(count=6):
    images = torch.rand(count, 1, 2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return Batch(images, images, torch.arange(count) % 4, 0, 10, torch.Generator().manual_seed(2))


def network():
    torch.manual_seed(0)
    return mlp((1, 2, 3), 4, (5,)).double()


def test_noise_has_a_mean_of_0_and_its_radius():
    given = batch(2000)
    signs, uniform = (noisy(shape, 0.2)(given) - given.images for shape in ("signs", "uniform"))
    assert torch.allclose(signs.abs(), torch.tensor(0.2).double())
    assert uniform.abs().max() <= 0.2 + 1e-7
    assert uniform.var().item() == pytest.approx(0.2**2 / 3, rel=0.05)  # 12,000 elements
    for noise, deviation in ((signs, 0.2), (uniform, 0.2 / math.sqrt(3))):
        assert abs(noise.mean().item()) < 5 * deviation / math.sqrt(noise.numel())  # five deviations


def test_at_the_input_it_is_adversarial_training_by_one_step():
    module, given = network(), batch()
    leaf = given.images.clone().requires_grad_()
    (slope,) = torch.autograd.grad(functional.cross_entropy(module(leaf), given.labels), leaf)
    losses = [functional.cross_entropy(module(x), given.labels) for x in (given.images, leaf + 0.1 * slope.sign())]
    found = perturbed(module, 0, 0.1, clean=0.3)(torch.empty(0), given)
    assert torch.allclose(found, 0.3 * losses[0] + 0.7 * losses[1])


@pytest.mark.parametrize("place", [1, 2, 3])
def test_at_a_hidden_layer_its_inputs_move_and_all_weights_learn(place):
    module, given, seen = network(), batch(), []
    module[place].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    perturbed(module, place, 0.1)(torch.empty(0), given).backward()
    undisturbed, disturbed, again = seen
    assert torch.equal(undisturbed, again)
    moved = (disturbed - undisturbed).abs()
    assert moved.max().item() == pytest.approx(0.1)
    assert bool(((moved < 1e-12) | (moved > 0.1 - 1e-12)).all())  # or where a unit that does not answer has no gradient
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in module.parameters())


def test_the_same_units_are_dropped_for_the_step_and_for_the_loss():
    torch.manual_seed(0)
    module, masks = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(6, 4)).double(), []
    module[1].register_forward_hook(lambda _, inputs, output: masks.append((output == 0) & (inputs[0] != 0)))
    perturbed(module, 0, 0.1)(torch.empty(0), batch())
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_turning_is_learnt_through():
    module, given = network(), batch()
    anticipating(module, 0.2, clean=0)(torch.empty(0), given).backward()
    learnt = module[1].weight.grad[0, 0].item()

    def loss(change):
        with torch.no_grad():
            module[1].weight[0, 0] += change
        leaf = given.images.clone().requires_grad_()
        (slope,) = torch.autograd.grad(functional.cross_entropy(module(leaf), given.labels), leaf)
        value = functional.cross_entropy(module(turned(given.images, slope, 0.2)), given.labels).item()
        with torch.no_grad():
            module[1].weight[0, 0] -= change
        return value

    # A central difference of float64: its error is of the order of the step's square.
    assert learnt == pytest.approx((loss(1e-5) - loss(-1e-5)) / 2e-5, rel=1e-4)


def test_refuses():
    with pytest.raises(ValueError, match="`shape` must be one of signs, uniform, got 'normal'"):
        noisy("normal", 0.1)
    with pytest.raises(ValueError, match="`place` must lie in"):
        perturbed(network(), 4, 0.1)
