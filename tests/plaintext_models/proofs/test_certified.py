"""Interval bounds in torch: what a ball holds stays inside them, and of integers they are those of `intnn`."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from intnn import certify, real_ball
from plaintext_models.bridge.export import to_network
from plaintext_models.data import datasets
from plaintext_models.determinism import deterministic
from plaintext_models.nets.cnn import cnn, pooled_cnn, table_cnn
from plaintext_models.nets.layers import SumPool2d
from plaintext_models.nets.mlp import mlp, table_mlp
from plaintext_models.nets.resnet import resnet
from plaintext_models.proofs.certified import certified, worst_logits
from plaintext_models.proofs.schedule import Schedule
from plaintext_models.training.loop import Batch, train

SHAPE = (1, 10, 10)


def chain(*layers):
    return nn.Sequential(*layers, nn.Linear(9, 4))


NETWORKS = {
    "rounded": lambda: mlp(SHAPE, 4, (12, 6), input_bits=2),
    "tanh": lambda: mlp(SHAPE, 4, (12,), "tanh"),
    "squares": lambda: cnn(SHAPE, 4, channels=3, kernel=3, stride=2, padding=1, hidden=(5,), activation="square"),
    "one activation twice": lambda: chain(nn.Flatten(), nn.Linear(100, 9), same := nn.Tanh(), nn.Linear(9, 9), same),
    "maxima": lambda: pooled_cnn(SHAPE, 4, channels=(3, 4), hidden=6),
    "sums": lambda: nn.Sequential(SumPool2d(2), nn.Flatten(), nn.Linear(25, 4, bias=False)),
    "table": lambda: table_mlp(SHAPE, 4, hidden=9, points=57, input_bits=2),
    "even table": lambda: table_cnn(SHAPE, 4, channels=3, kernel=3, points=57, input_bits=2, even=True),
}


def built(name, seed=0):
    with deterministic(seed):
        return NETWORKS[name]().eval(), torch.rand(3, *SHAPE)


@pytest.mark.parametrize("name", NETWORKS)
def test_no_image_of_the_ball_is_worse(name):
    module, images = built(name)
    labels, radius = torch.tensor([0, 1, 3]), 0.1
    with torch.no_grad():
        worst = worst_logits(module, images, labels, radius)
        for seed in range(40):
            generator = torch.Generator().manual_seed(seed)
            moves = torch.rand(images.shape, generator=generator).round() * 2 - 1 if seed else torch.zeros_like(images)
            logits = module((images + radius * moves).clamp(0, 1))
            assert (logits - logits.gather(1, labels[:, None]) <= worst + 1e-4).all()
        assert worst.gather(1, labels[:, None]).abs().max() < 1e-5


@pytest.mark.parametrize("name", NETWORKS)
def test_a_ball_without_a_radius_has_the_logits_themselves(name):
    module, images = built(name)
    labels = torch.tensor([2, 1, 0])
    with torch.no_grad():
        logits = module(images)
        difference = logits - logits.gather(1, labels[:, None])
        assert torch.allclose(worst_logits(module, images, labels, 0.0), difference, atol=1e-4)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 99), st.sampled_from(["table", "even table"]), st.sampled_from([0.05, 0.2, 0.3]))
def test_bounds_on_integers_are_the_margins_that_are_proved(seed, name, radius):
    module, images = built(name, seed)
    network, labels = to_network(module), torch.tensor([0, 3, 1])
    ball = real_ball(network, images.numpy(), float(np.float32(radius)))
    proved = certify(network, ball, labels.numpy(), "intervals")
    with torch.no_grad():
        worst = worst_logits(module, images, labels, float(np.float32(radius))) / module.log_temperature.exp()
    assert np.array_equal(-worst.round().long().numpy(), proved.margins)


def test_what_intervals_cannot_go_through_is_refused():
    for module in (resnet(SHAPE, 4), nn.Sequential(nn.Flatten(), nn.Softplus(), nn.Linear(100, 4)), nn.ReLU()):
        with pytest.raises(TypeError, match="`module` must be a chain of"):
            certified(module, Schedule(0.1))


class Negated(nn.Sequential):
    def forward(self, x):
        return -super().forward(x)


def test_what_something_else_than_its_layers_decides_is_refused():
    with pytest.raises(TypeError, match="`module` must be a chain of"):
        certified(Negated(nn.Flatten(), nn.Linear(100, 4)), Schedule(0.1))
    reflected = nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")
    with pytest.raises(ValueError, match="`module` must pad with zeros"):
        certified(nn.Sequential(reflected, nn.Flatten(), nn.Linear(100, 4)), Schedule(0.1))
    for place in ("rounded", "table"):
        module, _ = built(place)
        module.register_forward_hook(lambda *seen: -seen[-1])
        with pytest.raises(ValueError, match="must have no forward hooks"):
            certified(module, Schedule(0.1))


def test_the_radius_grows_and_the_clean_loss_fades():
    schedule = Schedule(0.4, warm=0.25, ramp=0.5, clean=0.2)
    assert [schedule.at(share)[0] for share in (0, 0.25, 0.5, 0.75, 1)] == pytest.approx([0, 0, 0.2, 0.4, 0.4])
    assert [schedule.at(share)[1] for share in (0, 0.25, 0.5, 0.75, 1)] == pytest.approx([1, 1, 0.6, 0.2, 0.2])
    assert Schedule(0.4, warm=0.5, ramp=0.0).at(0.5) == pytest.approx((0.4, 0.3))
    for numbers in ({"radius": -1}, {"radius": 1, "warm": 0.6}, {"radius": 1, "clean": 1.5}):
        with pytest.raises(ValueError, match="must be"):
            Schedule(**numbers)


def test_the_loss_is_both_losses_weighted():
    module, images = built("tanh")
    labels = torch.tensor([0, 1, 3])
    loss, halfway = certified(module, Schedule(0.2, warm=0, ramp=1, clean=0)), (5, 10)
    batch = Batch(images, images, labels, *halfway, torch.Generator())
    logits = module(images)
    worst = worst_logits(module, images, labels, 0.1)
    expected = [nn.functional.cross_entropy(scores, labels) for scores in (logits, worst)]
    assert torch.isclose(loss(logits, batch), sum(expected) / 2)


def test_training_for_proofs_proves_more():
    digits = datasets.load("digits")
    images, labels = torch.from_numpy(digits.test_images), torch.from_numpy(digits.test_labels)
    proved = []
    for radius in (0.0, 0.1):
        with deterministic(0):
            module = mlp((1, 8, 8), 10, (32,))
        loss = certified(module, Schedule(radius, clean=0.1))
        train(module, digits, epochs=6, batch_size=64, learning_rate=2e-2, seed=0, loss=loss, progress=False)
        with torch.no_grad():
            worst = worst_logits(module, images, labels, 0.1)
        worst[torch.arange(len(labels)), labels] = -1.0
        proved.append((worst.amax(1) < 0).double().mean().item())
    assert proved[1] > proved[0] + 0.2
