"""What IntClassifier trained goes to ciphertexts as it is."""

import numpy as np
import pytest

from he import Client, ParameterError, compile_exact, interface_bytes, prepare, simulate
from intnn import IntClassifier
from tests.he.conftest import Party


def blobs(classes=3, features=4, n=90):
    rng = np.random.default_rng(0)
    labels = np.arange(n) % classes
    centres = rng.integers(0, 4, (classes, features))
    return np.clip(centres[labels] + rng.integers(-1, 2, (n, features)), 0, 3), labels


def trained(**options):
    X, y = blobs()
    return IntClassifier((4,), input_domain=(0, 3), weight_bits=2, epochs=20, batch_size=16, **options).fit(X, y), X


def test_a_trained_network_is_compiled_and_agrees_in_every_bit():
    model, X = trained()
    circuit = compile_exact(model.network_, images=4, security="insecure")
    assert np.array_equal(simulate(circuit, X), model.network_.logits(X))
    party = Party(circuit)
    logits = party.ask(X[:4])
    assert np.array_equal(model.classes_[logits.argmax(axis=1)], model.predict(X[:4]))
    assert np.array_equal(logits, model.network_.logits(X[:4]))


def test_at_full_security_too():
    model, X = trained()
    circuit = compile_exact(model.network_)
    client = Client(interface_bytes(circuit.interface))
    session = prepare(circuit).session(client.evaluation_keys)
    assert np.array_equal(client.decrypt(session.evaluate(client.encrypt(X[:1]))), model.network_.logits(X[:1]))


def test_sums_too_wide_for_a_table_are_refused_with_what_to_do():
    rng = np.random.default_rng(0)
    model = IntClassifier((4,), epochs=1).fit(rng.integers(0, 256, (64, 40)), np.arange(64) % 2)
    with pytest.raises(ParameterError, match=r"layer 1: .* train with fewer weight bits, fewer input levels"):
        compile_exact(model.network_)
