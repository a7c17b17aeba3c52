"""Integer twins: the answers of their module, on the integers of its own quantiser."""

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
