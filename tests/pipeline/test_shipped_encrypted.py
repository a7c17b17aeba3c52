"""The whole line on real images: a shipped network, encrypted inference, and the plain answer beside it."""

import os

import numpy as np
import pytest

from he import compile_approximate, compile_exact, run_encrypted, simulate
from he.parties.threshold.together import Together
from intnn import IntNetwork
from plaintext_models.data import datasets
from plaintext_models.zoo import shipped

TABLES = ("digits-table-mlp", "digits-table-cnn")
MNIST_TABLES = ("mnist-table-mlp", "mnist-table-cnn")
with_mnist = pytest.mark.skipif(
    datasets.DATA_VARIABLE not in os.environ, reason="needs MNIST's files: set INTNN_DATA to their folder"
)


def held_out(name: str, count: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """A network's held-out images, as it takes them, and their labels."""
    model, dataset = shipped.load(name), datasets.load(shipped.record(name).dataset)
    images = dataset.test_images[:count]
    quantised = model.quantise_input(images) if isinstance(model, IntNetwork) else images.astype(np.float64)
    return quantised, dataset.test_labels[:count]


@pytest.mark.parametrize("name", TABLES)
def test_simulated_logits_of_the_whole_split_are_exact(name: str) -> None:
    model = shipped.load(name)
    images, labels = held_out(name)
    logits = simulate(compile_exact(model, images=None), images)
    assert np.array_equal(logits, model.logits(images))
    assert (logits.argmax(axis=1) == labels).mean() >= 0.96


@pytest.mark.parametrize("name", TABLES)
def test_a_few_encrypted_images_are_exact(name: str) -> None:
    model = shipped.load(name)
    images, _ = held_out(name, 8)
    assert np.array_equal(run_encrypted(compile_exact(model, images=8), images), model.logits(images))


def test_a_few_encrypted_images_are_within_the_bound() -> None:
    model = shipped.load("digits-square-cnn")
    images, _ = held_out("digits-square-cnn", 4)
    circuit = compile_approximate(model, images=4)
    error = np.abs(run_encrypted(circuit, images) - model.logits(images)).max()
    assert error <= circuit.output_bound <= 0.1  # half of what `compile_approximate` promises by default


@pytest.mark.parametrize("name", [*TABLES, *(pytest.param(name, marks=with_mnist) for name in MNIST_TABLES)])
def test_simulated_logits_of_encrypted_networks_are_exact(name: str) -> None:
    images, _ = held_out(name, 1000)
    circuit = compile_exact(shipped.load(name), weights="encrypted", images=None)
    assert np.array_equal(simulate(circuit, images), shipped.load(name).logits(images))


@pytest.mark.parametrize("name", ["digits-table-cnn", pytest.param("mnist-table-cnn", marks=with_mnist)])
def test_encrypted_images_under_encrypted_networks_of_two_owners_are_exact(name: str) -> None:
    images, _ = held_out(name, 4)
    circuit = compile_exact(shipped.load(name), weights="encrypted", threshold=40, images=4)
    assert np.array_equal(Together.of(circuit).predict(images), shipped.load(name).logits(images))


def test_encrypted_images_under_a_float_network_of_two_owners_are_within_the_bound() -> None:
    model = shipped.load("digits-square-cnn")
    images, _ = held_out("digits-square-cnn", 4)
    circuit = compile_approximate(model, weights="encrypted", threshold=8, images=4)
    assert np.abs(Together.of(circuit).predict(images) - model.logits(images)).max() <= circuit.output_bound


@pytest.mark.slow
@pytest.mark.parametrize("name", [*TABLES, *(pytest.param(name, marks=with_mnist) for name in MNIST_TABLES)])
def test_a_hundred_encrypted_images_under_encrypted_networks_are_exact(name: str) -> None:
    images, _ = held_out(name, 100)
    circuit = compile_exact(shipped.load(name), weights="encrypted", images=16)
    assert np.array_equal(run_encrypted(circuit, images), shipped.load(name).logits(images))


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_every_encrypted_digit_is_exact(name: str) -> None:
    model = shipped.load(name)
    images, labels = held_out(name)
    logits = run_encrypted(compile_exact(model, images=None), images)
    assert np.array_equal(logits, model.logits(images))
    assert (logits.argmax(axis=1) == labels).mean() >= 0.96


@pytest.mark.slow
@with_mnist
@pytest.mark.parametrize("name", ["mnist-table-mlp", "mnist-table-cnn"])
def test_encrypted_mnist_is_exact(name: str) -> None:
    model = shipped.load(name)
    images, _ = held_out(name, 64)
    assert np.array_equal(run_encrypted(compile_exact(model, images=16), images), model.logits(images))


@pytest.mark.slow
@with_mnist
def test_encrypted_mnist_is_within_the_bound() -> None:
    model = shipped.load("mnist-square-cnn")
    images, _ = held_out("mnist-square-cnn", 16)
    circuit = compile_approximate(model, images=8)
    assert np.abs(run_encrypted(circuit, images) - model.logits(images)).max() <= circuit.output_bound
