"""An encrypted service under attack: its answers are the network's, and so are its weaknesses."""

import numpy as np
import pytest
import torch

from bench.peers.oracle import encrypted_oracle
from he import compile_approximate, compile_exact
from he.testing import square_graph, table_network
from intnn import Dense, Flatten, IntDomain, IntNetwork
from plaintext_models.attacks.black_box.square import square
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.target import PROBED
from plaintext_models.bridge.twin import integer_oracle
from plaintext_models.data import datasets
from plaintext_models.zoo import shipped


@pytest.fixture(scope="module")
def images():
    """Beyond the range as well, and just between two integers."""
    x = np.random.default_rng(0).uniform(-0.5, 1.5, (10, 5)).astype(np.float32)
    x[0] = [0, 0.5, 1, np.nextafter(np.float32(0.5), np.float32(0)), 0.25]
    return torch.from_numpy(x)


def test_exact_answers_are_the_networks_own(images):
    network = table_network()
    target, asked = encrypted_oracle(compile_exact(network, images=4, security="insecure"))
    assert not target.stochastic
    assert torch.equal(target.logits(images), integer_oracle(network).logits(images))
    assert (asked.requests, asked.images) == (3, 10)
    assert asked.seconds > 0
    with pytest.raises(TypeError, match="answers queries only"):
        target.gradient(images, lambda logits: logits[:, 0])


def test_a_client_is_told_the_scale(images):
    layers = (Dense(np.array([[1, -2, 3, 0, 1], [2, 2, 0, -1, 1]]), np.zeros(2, int)),)
    network = IntNetwork((5,), IntDomain(-3, 4), layers, 2.5)
    circuit = compile_exact(network, images=16, security="insecure")
    target, asked = encrypted_oracle(circuit)
    assert torch.equal(target.logits(images), integer_oracle(network).logits(images))
    assert asked.requests == 1


def test_approximate_answers_are_within_the_bound_and_stochastic():
    graph = square_graph()
    circuit = compile_approximate(graph, images=4, security="insecure")
    target, asked = encrypted_oracle(circuit)
    assert target.stochastic
    images = torch.from_numpy(np.random.default_rng(0).uniform(size=(10, *graph.input_shape)))
    error = target.logits(images).numpy() - graph.logits(images.numpy())
    assert np.abs(error).max() <= circuit.output_bound
    assert (asked.requests, asked.images) == (3, 10)


def test_a_query_attack_works_on_ciphertexts():
    """On a digits network, and with the images, the success and the counts of the same attack in the clear."""
    network, digits = shipped.load("digits-table-mlp"), datasets.load("digits")
    images, labels = (torch.from_numpy(part[:16]) for part in (digits.test_images, digits.test_labels))
    target, asked = encrypted_oracle(compile_exact(network, images=16, security="insecure"))
    arguments = {"ball": Ball("linf", 0.3), "steps": 6}
    result = square(target, images, Goal(labels), **arguments)
    clear = square(integer_oracle(network), images, Goal(labels), **arguments)
    assert all(torch.equal(value, getattr(clear, name)) for name, value in vars(result).items())
    assert result.success.double().mean() >= 0.3
    # the clean images, two probes, and the verdict are not the attack's
    assert asked.images == int(result.queries.sum()) + 16 + 2 * PROBED + 16


def test_inputs_without_a_positive_integer_are_prepared_as_well():
    network = IntNetwork((1, 1, 2), IntDomain(-3, 0), (Flatten(), Dense(np.array([[1, 2]]), np.zeros(1, int))))
    target, _ = encrypted_oracle(compile_exact(network, images=4, security="insecure"))
    images = torch.tensor([[[[-1.0, -2.4]]], [[[0.3, -9.0]]]])
    assert target.logits(images).tolist() == [[-5.0], [-6.0]]
