"""The estimate of a gradient from losses alone, against the gradient of the expected loss in closed form."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional

from plaintext_models.stochastic.binarised import Binarised
from plaintext_models.stochastic.reinforce import estimated_gradient, reinforced
from plaintext_models.training.loop import Batch, minimise

SAMPLES = 40_000


def expected_loss(network, x, label):
    """The mean loss of one image over all states of three units."""
    a = network[0](x)
    p = torch.sigmoid(a)
    total = torch.zeros(())
    for bits in itertools.product((0.0, 1.0), repeat=3):
        h = torch.tensor(bits)
        weight = torch.where(h > 0, p, 1 - p).prod()
        total = total + weight * functional.cross_entropy(network[2](h)[None], label[None])
    return total


def network():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(2, 3), Binarised("reinforce"), nn.Linear(3, 4))


def test_the_estimate_is_the_gradient_on_average():
    module, x, label = network(), torch.tensor([0.4, -0.7]), torch.tensor(2)
    expected_loss(module, x, label).backward()
    exact = [p.grad.clone() for p in module[0].parameters()]
    module.zero_grad()
    images, labels = x.expand(SAMPLES, -1), label.expand(SAMPLES)
    batch = Batch(images, images, labels, 0, 1, torch.Generator())
    loss = reinforced(module)
    loss(module(images), batch).backward()
    for parameter, gradient in zip(module[0].parameters(), exact, strict=True):
        # the deviation of an estimate is below 1, so four of the mean of so many are below 0.02
        assert torch.allclose(parameter.grad, gradient, atol=0.02)
    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(expected_loss(module, leaf, label), leaf)
    assert torch.allclose(estimated_gradient(module, images, labels).mean(0), slope, atol=0.02)


def test_units_learn_from_losses_alone():
    module = network()
    with torch.no_grad():
        module[2].weight.copy_(torch.tensor([[6.0, 0, 0], [0, 6, 0], [0, 0, 6], [0, 0, 0]]))
        module[2].bias.zero_()
    module[2].requires_grad_(False)
    images = torch.tensor([[1.0, 0], [0, 1], [-1, -1]]).repeat(40, 1)
    labels = torch.tensor([0, 1, 2]).repeat(40)
    before = module[0].weight.clone()
    records = minimise(
        module,
        images,
        labels,
        epochs=200,
        batch_size=60,
        learning_rate=0.5,
        seed=0,
        loss=reinforced(module),
        progress=False,
    )
    assert not torch.equal(before, module[0].weight)
    assert records[-1].accuracy > 0.9


def test_the_loss_needs_an_answer_first():
    module = network()
    batch = Batch(torch.zeros(1, 2), torch.zeros(1, 2), torch.tensor([0]), 0, 1, torch.Generator())
    with pytest.raises(ValueError, match="call the module first"):
        reinforced(module)(torch.zeros(1, 4), batch)
