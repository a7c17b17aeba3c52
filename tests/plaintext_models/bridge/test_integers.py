"""Integer twins: the answers of their module, on the integers of its own quantiser."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from intnn import QuantConfig
from plaintext_models.bridge.export import to_network
from plaintext_models.bridge.integers import integer_twin
from plaintext_models.data import datasets
from plaintext_models.determinism import deterministic
from plaintext_models.nets.layers import SumPool2d
from plaintext_models.nets.mlp import mlp, table_mlp
from plaintext_models.training.loop import train
from plaintext_models.training.qat.quantiser import InputQuantiser

SIZES = QuantConfig(input_bits=3, activation_bits=5, table_points=1025)


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


@pytest.mark.parametrize(("bits", "top"), [(None, 7), (2, 3)])
def test_a_trained_network_keeps_its_answers(digits, bits, top):
    with deterministic(0):
        module = mlp((1, 8, 8), 10, (24,), input_bits=bits)
    train(module, digits, epochs=5, batch_size=64, learning_rate=1e-2, seed=0, progress=False)
    images = torch.from_numpy(digits.train_images)
    network = integer_twin(module, images, SIZES, "twin")
    assert (network.name, network.input_domain.hi) == ("twin", top)
    levels = np.floor(digits.test_images.astype(np.float64) * top + 0.5)
    assert np.array_equal(network.quantise_input(digits.test_images), levels)
    with torch.no_grad():
        answers = module(torch.from_numpy(digits.test_images)).argmax(1).numpy()
    assert (network.predict(network.quantise_input(digits.test_images)) == answers).mean() > 0.95


def test_what_stands_in_front_is_a_part_of_the_twin(digits):
    module = nn.Sequential(SumPool2d(2), nn.Flatten(), nn.Linear(16, 10)).eval()  # a linear classifier
    images = torch.from_numpy(digits.train_images)
    network = integer_twin(module, images, SIZES)
    assert network.input_shape == (1, 8, 8)
    assert network.layers[0].area == 4


def test_a_network_of_tables_is_its_own_twin(digits):
    with deterministic(0):
        module = table_mlp((1, 8, 8), 10, hidden=4, points=57, input_bits=2)
    images = torch.from_numpy(digits.test_images)
    assert integer_twin(module, images, SIZES).fingerprint == to_network(module).fingerprint


def rounded_chain(kind=nn.Sequential, quantiser=InputQuantiser, again=lambda layer: layer):
    with deterministic(0):
        same = nn.ReLU()
        layers = nn.Linear(64, 16), same, nn.Linear(16, 16), again(same), nn.Linear(16, 10)
        return kind(quantiser(2), nn.Flatten(), *layers).eval()


def test_a_layer_that_comes_twice_is_there_twice(digits):
    images = torch.from_numpy(digits.train_images)
    once, twice = (integer_twin(rounded_chain(again=again), images, SIZES) for again in (deepcopy, lambda layer: layer))
    assert once.fingerprint == twice.fingerprint


class Negated(nn.Sequential):
    def forward(self, x):
        return -super().forward(x)


class Inverted(InputQuantiser):
    def forward(self, images):
        return super().forward(1 - images)


def test_what_something_else_than_its_layers_decides_is_refused(digits):
    images = torch.from_numpy(digits.train_images)
    hooked, rounding_hooked = rounded_chain(), rounded_chain()
    for layer in (hooked, rounding_hooked[0]):
        layer.register_forward_hook(lambda *seen: 3 - seen[-1])
    for module in (rounded_chain(Negated), rounded_chain(quantiser=Inverted), hooked, rounding_hooked):
        with pytest.raises((TypeError, ValueError), match="`module` must"):
            integer_twin(module, images, SIZES)
