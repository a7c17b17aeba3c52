"""What C puts in front of networks, and trains them on, beside definitions and another library."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from torch.nn import functional

from plaintext_models.data.subsets import first
from plaintext_models.defences.additive import Additive
from plaintext_models.defences.adversaries import image_generator
from plaintext_models.defences.components import by_elements, by_images, components
from plaintext_models.defences.downsampling import Downsampling
from plaintext_models.defences.multi_task import MultiTask
from plaintext_models.nets.autoencoder import ConvolutionalAutoencoder, TiedAutoencoder
from plaintext_models.training.loop import Batch
from plaintext_models.zoo.registry import RECIPES


def images_of(seed, count, *shape):
    return torch.from_numpy(np.random.default_rng(seed).random((count, *shape)))


@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(2, 12))
def test_both_ways_find_the_same_components(seed, count, side):
    images = images_of(seed, count, 1, 1, side)
    one, two = by_elements(images), by_images(images)
    assert len(one.variances) == len(two.variances) == min(count - 1, side)
    assert one.variances.numpy() == pytest.approx(two.variances.numpy(), rel=1e-6, abs=1e-9)
    for found in (one, two):
        assert (found.axes @ found.axes.T).numpy() == pytest.approx(np.eye(len(found.axes)), abs=1e-5)
    others = images_of(seed + 1, 3, 1, 1, side)
    assert one(others).numpy() == pytest.approx(two(others).numpy(), abs=1e-5)


@pytest.mark.parametrize(("count", "side"), [(40, 9), (9, 40)])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_components_are_those_of_another_library(count, side, share):
    images = images_of(count, count, 1, 1, side)
    found, theirs = components(images, share), PCA(share, svd_solver="full").fit(images.flatten(1).numpy())
    assert len(found.variances) == theirs.n_components_
    assert found.variances.numpy() == pytest.approx(theirs.explained_variance_)
    back = theirs.inverse_transform(theirs.transform(images.flatten(1).numpy()))
    assert found(images).flatten(1).numpy() == pytest.approx(back)


def test_all_components_lose_nothing_and_a_share_is_refused():
    images = images_of(0, 20, 1, 2, 3)
    assert torch.allclose(components(images, 1.0)(images), images)
    with pytest.raises(ValueError, match="`share`"):
        components(images, 0)


def test_noise_is_uniform_and_drawn_from_its_generator():
    images, generator = torch.full((50, 1, 8, 8), 0.5), torch.Generator().manual_seed(0)
    moved = Additive(0.3, generator)(images) - images
    assert moved.abs().max() <= 0.3 + 1e-6
    assert float(moved.var()) == pytest.approx(0.3**2 / 3, rel=0.1)
    assert torch.equal(moved, Additive(0.3, generator.manual_seed(0))(images) - images)
    with pytest.raises(ValueError, match="`magnitude`"):
        Additive(-1, generator)


def test_downsampling_forgets_what_a_smaller_image_lacks():
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(Downsampling(1.0)(images), images, atol=1e-6)
    flat = torch.full((1, 1, 8, 8), 0.7)
    assert torch.allclose(Downsampling(0.5)(flat), flat, atol=1e-5)
    small = functional.interpolate(images, 4, mode="bicubic", antialias=True)
    assert torch.allclose(
        Downsampling(0.5)(images), functional.interpolate(small, 8, mode="bicubic", antialias=True), atol=1e-6
    )
    checkered = (torch.arange(8)[:, None] + torch.arange(8)) % 2 * torch.ones(1, 1, 1, 1)
    assert (Downsampling(0.5)(checkered) - 0.5).abs()[..., 2:-2, 2:-2].max() < 0.05
    with pytest.raises(ValueError, match="`share`"):
        Downsampling(0)


def test_the_decoder_has_the_encoders_weights():
    module, images = TiedAutoencoder((1, 2, 3), 4), torch.rand(5, 1, 2, 3)
    code = torch.sigmoid(module.encoder(images.flatten(1)))
    expected = torch.sigmoid(code @ module.encoder.weight + module.bias).reshape(images.shape)
    assert torch.allclose(module(images), expected, atol=1e-6)
    assert sum(part.numel() for part in module.parameters()) == 4 * 6 + 4 + 6


@pytest.mark.parametrize("side", [7, 8])
def test_convolutions_give_back_any_size(side):
    images = torch.rand(2, 3, side, side)
    found = ConvolutionalAutoencoder(3)(images)
    assert found.shape == images.shape
    assert 0 <= found.min() <= found.max() <= 1


def test_two_tasks_share_all_but_the_outputs(digits):
    images, labels = torch.rand(3, 1, 2, 2), torch.arange(3)
    batch, outputs = Batch(images, images, labels, 0, 1, torch.Generator()), torch.randn(3, 4 + 4)
    drawn = functional.binary_cross_entropy(outputs[:, 4:].sigmoid(), images.flatten(1))
    expected = functional.cross_entropy(outputs[:, :4], labels) + 0.5 * drawn
    assert MultiTask(0.5).loss(4)(outputs, batch).item() == pytest.approx(expected.item(), rel=1e-5)
    with pytest.raises(ValueError, match="plain training"):
        MultiTask(0.5).train(RECIPES["digits-pgd-mlp"], first(digits, 100))


def test_a_generator_makes_what_it_is_told_to(digits):
    images, labels = (torch.from_numpy(part) for part in (digits.train_images, digits.train_labels))
    some = labels < 2
    found = image_generator(images[some], labels[some], 2, steps=150, seed=0)
    wanted = torch.arange(100) % 2
    made = found.drawn(wanted, torch.Generator().manual_seed(1))
    assert made.shape == (100, 1, 8, 8)
    means = torch.stack([images[labels == kind].mean(0) for kind in (0, 1)])
    nearest = (made[:, None] - means).square().flatten(2).sum(2).argmin(1)
    assert (nearest == wanted).double().mean() > 0.9
