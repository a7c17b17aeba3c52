"""Residual networks and their denoising blocks, beside sums over positions that are written out."""

import math

import pytest
import torch
from torch import nn

from plaintext_models.nets.denoising import KINDS, Denoising, dot_product, gaussian, mean
from plaintext_models.nets.resnet import resnet


def maps(seed, channels=3):
    return torch.randn(2, channels, 3, 4, generator=torch.Generator().manual_seed(seed))


def positions(x):
    """[batch, positions, channels], as lists of tensors."""
    return x.flatten(2).mT


def test_the_gaussian_is_a_weighted_mean_of_all_positions():
    x, theta, phi = (positions(maps(seed)) for seed in range(3))
    found = positions(gaussian(maps(0), maps(1), maps(2)))
    for image in range(2):
        for i in range(12):
            weights = torch.stack([torch.exp(theta[image, i] @ phi[image, j] / math.sqrt(3)) for j in range(12)])
            expected = sum(weight * x[image, j] for j, weight in enumerate(weights)) / weights.sum()
            assert torch.allclose(found[image, i], expected, atol=1e-5)


def test_the_dot_product_weighs_by_likeness():
    x, found = positions(maps(0)), positions(dot_product(maps(0)))
    for image in range(2):
        for i in range(12):
            expected = sum((x[image, i] @ x[image, j]) * x[image, j] for j in range(12)) / 12
            assert torch.allclose(found[image, i], expected, atol=1e-5)


def test_means_are_of_what_there_is():
    x = maps(0)
    assert torch.allclose(mean(x)[..., 1, 1], x[..., :3, :3].mean((2, 3)), atol=1e-6)
    assert torch.allclose(mean(x)[..., 0, 0], x[..., :2, :2].mean((2, 3)), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_block_adds_what_is_denoised(kind):
    block, x = Denoising(3, kind), maps(0)
    with torch.no_grad():
        block.joined.weight.zero_()
        block.joined.bias.zero_()
    assert torch.equal(block(x), x)
    stages = resnet((1, 8, 8), 10, channels=(4, 6), blocks=2, denoise=kind)
    assert sum(isinstance(layer, Denoising) for layer in stages) == 2
    assert stages(torch.rand(2, 1, 8, 8)).shape == (2, 10)
    stages(torch.rand(2, 1, 8, 8)).sum().backward()
    assert all(parameter.grad is not None for parameter in stages.parameters())


def test_without_blocks_there_are_none():
    assert not any(isinstance(layer, Denoising) for layer in resnet((1, 8, 8), 10))
    first, *_ = resnet((1, 8, 8), 10)
    assert isinstance(first, nn.Conv2d)
    with pytest.raises(ValueError, match="`kind` must be one of gaussian, dot product, mean, median, got 'blur'"):
        Denoising(3, "blur")


def test_the_first_convolution_may_halve_the_sides():
    whole, halved = (resnet((3, 16, 16), 10, channels=(4, 6), halve=halve) for halve in (False, True))
    images = torch.rand(2, 3, 16, 16)
    assert whole[0](images).shape == (2, 4, 16, 16)
    assert halved[0](images).shape == (2, 4, 8, 8)
    assert halved(images).shape == (2, 10)
