"""Autoencoders in front of networks, and detectors made of them, beside closed forms."""

import pytest
import torch
from scipy.spatial.distance import jensenshannon

from plaintext_models.attacks.core.target import Target
from plaintext_models.defences.contractive import Contractive, contractive
from plaintext_models.defences.magnet import TEMPERATURE, MagNet, magnet
from plaintext_models.defences.threshold import Either, Thresholded, held_out
from plaintext_models.nets.autoencoder import Autoencoder
from plaintext_models.nets.mlp import mlp


@pytest.fixture
def pair():
    torch.manual_seed(0)
    return Autoencoder((1, 4, 4), 5).eval(), Target(mlp((1, 4, 4), 3, [8]).eval(), bounds=(-1.0, 1.0))


def test_the_contraction_is_the_jacobians_norm(pair):
    images = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    jacobian = torch.stack([torch.autograd.functional.jacobian(pair[0].code, image[None])[0] for image in images])
    assert torch.allclose(pair[0].contraction(images), jacobian.square().flatten(1).sum(1), atol=1e-6)


def test_the_penalty_contracts(digits):
    images = torch.from_numpy(digits.test_images)
    free, tight = (
        float(contractive(digits, 0, weight=weight).autoencoder.contraction(images).mean().detach())
        for weight in (0.0, 1e-2)
    )
    assert tight < free / 2


def test_a_stack_has_the_gradients_of_both(pair):
    images = 2 * torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(1)) - 1
    stack = Contractive(pair[0]).wrap(pair[1])
    leaf = images.clone().requires_grad_()
    expected = pair[1].logits(2 * pair[0]((leaf + 1) / 2) - 1)[:, 0]
    (slope,) = torch.autograd.grad(expected.sum(), leaf)
    found, logits = stack.gradient(images, lambda z: z[:, 0])
    assert torch.allclose(found, slope, atol=1e-6)
    assert torch.allclose(logits[:, 0], expected, atol=1e-6)


def test_scores_of_magnet(pair):
    images = 2 * torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(1)) - 1
    both, unit = MagNet(pair[0]), (images + 1) / 2
    with torch.no_grad():
        reformed = pair[0](unit)
        assert torch.allclose(both.moved(pair[1], images), (unit - reformed).abs().mean((1, 2, 3)))
        answers = [(pair[1].logits(x) / TEMPERATURE).softmax(1).double() for x in (images, 2 * reformed - 1)]
        found = both.divergence(pair[1], images)
    assert found.tolist() == pytest.approx((jensenshannon(*answers, axis=1) ** 2).tolist(), abs=1e-6)


def test_either_detector_turns_away():
    small, large = Thresholded(lambda x: x[:, 0], 0.5), Thresholded(lambda x: x[:, 1], 100.0)
    images = torch.tensor([[0.4, 99.0], [0.6, 99.0], [0.4, 101.0], [0.6, 101.0]])
    assert (Either((small, large))(images) > 0).tolist() == [False, True, True, True]


def test_detectors_turn_away_their_share_of_what_they_did_not_see(digits):
    part = held_out(digits)
    assert len(part.train_labels) + len(part.test_labels) == len(digits.train_labels)
    clean = torch.from_numpy(part.test_images)
    both, target = magnet(part, 0), Target(mlp(digits.input_shape, 10, [16]).eval())
    detector = both.detector(target, clean, 0.1)
    with torch.no_grad():
        turned_away = (detector(clean) > 0).double().mean()
        noise = torch.rand(clean.shape, generator=torch.Generator().manual_seed(0))
        assert (detector(noise) > 0).double().mean() > 0.9
    assert 0.04 < turned_away <= 0.1
