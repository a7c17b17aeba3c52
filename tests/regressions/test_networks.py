"""Inputs that showed faults in networks, their exports and the classifier, and what is right."""

import copy
import os
import pickle
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from intnn import Dense, Graph, IntClassifier, IntDomain, IntNetwork, calibrate, quantise
from plaintext_models.bridge.export import to_graph
from plaintext_models.data import datasets
from tests.older_processors import output_on, with_older_processors

ROOT = Path(__file__).parents[2]


def digits():
    data = datasets.load("digits")
    images, held_out = (np.rint(a * 240).astype(np.int64) for a in (data.train_images, data.test_images))
    return images.reshape(len(images), -1), data.train_labels, held_out.reshape(len(held_out), -1), data.test_labels


def blobs():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    return np.clip(labels[:, None] * 80 + rng.integers(-20, 21, (60, 4)) + 40, 0, 255), labels


ELSEWHERE = """
import pickle
from pathlib import Path
model, x, logits, labels = pickle.loads(Path({path!r}).read_bytes())
print((model.network_.logits(x, "numba") == logits).all(), model.score(x, labels))
"""


@partial(with_older_processors, names=["AVX2"])
def test_a_pickled_classifier_answers_on_another_processor_as_it_did_here(isa, features, tmp_path):
    X, y, held_out, truth = digits()
    model = IntClassifier((24,), epochs=2).fit(X, y)
    here = model.score(held_out, truth)  # its network is compiled for this processor
    path = tmp_path / "model.pickle"
    path.write_bytes(pickle.dumps((model, held_out, model.network_.logits(held_out), truth)))
    printed = output_on(isa, features, ELSEWHERE.format(path=str(path)), tmp_path / "kernels")
    assert printed.split() == ["True", str(here)]


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x)), lambda x: x])
def test_the_weights_of_a_network_that_came_back_are_not_writeable(again):
    network = again(IntNetwork((1,), IntDomain(0, 1), (Dense([[1]], [0]),)))
    for array in (network.layers[0].weight, network.layers[0].bias, network.intervals[0].hi):
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.setflags(write=True)


class Negated(nn.Sequential):
    def forward(self, x):
        return -super().forward(x)


def test_a_subclass_of_sequential_is_not_exported_with_flipped_signs():
    module, x = Negated(nn.Linear(2, 2)), torch.randn(5, 2)
    np.testing.assert_allclose(to_graph(module, (2,)).forward(x.numpy()), module(x).detach(), rtol=1e-5)  # float32


def test_pruned_weights_are_those_that_the_module_computes_with():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 3))
    prune.l1_unstructured(module[0], "weight", 0.5)
    module.load_state_dict({key: value + 1 for key, value in module.state_dict().items()})
    with pytest.raises(ValueError, match=r"got module\.0\.weight recomputed; .*prune\.remove"):
        to_graph(module, (4,))
    x = torch.randn(5, 4)
    expected = module(x).detach()
    prune.remove(module[0], "weight")
    np.testing.assert_allclose(to_graph(module, (4,)).forward(x.numpy()), expected, rtol=1e-5)  # float32


def test_a_column_of_perfect_predictions_scores_one():
    X, y = blobs()
    model = IntClassifier((8,), epochs=4, batch_size=8).fit(X, y)
    p = model.predict(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert (model.score(X, p), model.score(X, p[:, None])) == (1.0, 1.0)
    for wrong in (p.astype(str), p[None], p[:-1], np.full(60, 1e300)):
        with pytest.raises(ValueError, match="`y` must hold"):
            model.score(X, wrong)


def test_the_kernels_are_imported_and_run_where_they_cannot_be_kept(tmp_path):
    tmp_path.joinpath("file").touch()
    program = """
import numpy as np
from intnn import Dense, IntDomain, IntNetwork
import he
network = IntNetwork((2,), IntDomain(0, 999), (Dense([[1, 2]], [3]),))
print(network.logits([[4, 5]], "numba"))
"""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "file" / "below"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "[[17]]\n"), result.stderr
    assert "NUMBA_CACHE_DIR" in result.stderr


def test_ranges_of_another_network_of_as_many_nodes_are_refused():
    small, large = (Graph((2,), (Dense(np.eye(2) * size, np.zeros(2)),)) for size in (1.0, 100.0))
    with pytest.raises(ValueError, match="`ranges` must be those of `graph`"):
        quantise(large, calibrate(small, np.ones((3, 2))))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": 64}, "`layers` must be a sequence"),
        ({"learning_rate": float("nan")}, "`learning_rate` must lie in"),
        ({"learning_rate": float("inf")}, "`learning_rate` must lie in"),
    ],
)
def test_parameters_that_are_none_are_named(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        IntClassifier(**options).fit(*blobs())


def test_raw_floats_are_not_rounded_by_a_scale_that_the_network_was_not_trained_with():
    X, y = blobs()
    model = IntClassifier((8,), scaling="minmax", epochs=2).fit(X / 7.0, y)
    with pytest.raises(ValueError, match="`scaling_`"):
        model.network_.quantise_input(X / 7.0)
    assert np.array_equal(model.network_.predict(model.scaling_(X / 7.0)), model.predict(X / 7.0))
