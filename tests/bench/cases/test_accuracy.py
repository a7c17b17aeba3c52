"""The accuracy command: experiments that fit their data, and figures that belong to the runs."""

import dataclasses

import numpy as np
import pytest
from typer.testing import CliRunner

from bench.__main__ import app
from bench.cases import accuracy
from bench.cases.experiments import EXPERIMENTS
from bench.cases.registry import CASES
from bench.harness.case import Silent
from bench.harness.rows import read
from intnn import IntClassifier
from intnn.training.plan import plan
from plaintext_models.data import datasets

SHAPES = {"digits": (1, 8, 8), "mnist": (1, 28, 28), "cifar10": (3, 32, 32)}


def test_every_experiment_has_a_name_on_the_command_line():
    network = next(field for field in CASES["accuracy"].options.declared() if field.name == "network")
    assert set(network.option.choices()) == set(EXPERIMENTS)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiments_fit_their_data(name):
    recipe = EXPERIMENTS[name]
    images = np.stack([np.zeros(SHAPES[recipe.dataset]), np.ones(SHAPES[recipe.dataset])]).astype(np.float32)
    inputs = recipe.inputs(images)
    assert (inputs.min(), inputs.max()) == (recipe.domain.lo, recipe.domain.hi)
    plan(tuple(recipe.options["layers"]), inputs.shape[1:], recipe.domain, 10)
    IntClassifier(**recipe.options)


def test_rows_tell_what_the_runs_reached(tmp_path):
    arguments = ["accuracy", "--seeds", "2", "--epochs", "2", "--json", str(tmp_path / "a.json")]
    result = CliRunner(env={"COLUMNS": "140"}).invoke(app, arguments)
    assert result.exit_code == 0, result.output
    (envelope,) = read(tmp_path / "a.json")
    row = envelope.row
    assert (row["network"], row["n_test"], row["epochs"], row["seeds"]) == ("digits-mlp", 360, 2, [0, 1])
    assert row["mean_accuracy"] == pytest.approx(np.mean(row["accuracies"]))
    digits, recipe = datasets.load("digits"), EXPERIMENTS["digits-mlp"]
    model = IntClassifier(random_state=1, epochs=2, **{**recipe.options, "input_domain": recipe.domain})
    model.fit(recipe.inputs(digits.train_images), digits.train_labels)
    assert model.score(recipe.inputs(digits.test_images), digits.test_labels) == row["accuracies"][1]
    assert "digits-mlp" in result.output


def test_labels_of_the_test_part_do_not_reach_the_model():
    digits = datasets.load("digits")
    shuffled = dataclasses.replace(digits, test_labels=np.roll(digits.test_labels, 1))
    honest, blind = (
        accuracy.train_from_seeds("digits-mlp", data, [0], 1, Silent()).mean_accuracy for data in (digits, shuffled)
    )
    # Guessing has 10 %; with wrong labels the model cannot do better than by the repeats in their order.
    assert honest > 0.5
    assert blind < 0.3


@pytest.mark.parametrize(("arguments", "message"), [
    (["--seeds", "0"], "`--seeds` must be at least 1"),
    (["--epochs", "0"], "`--epochs` must be at least 1, got 0"),
    (["--network", "cifar10-cnn", "--data", "/nowhere"], "does not hold CIFAR-10"),
])  # fmt: skip
def test_bad_options_are_refused_with_a_reason(arguments, message):
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["accuracy", *arguments])
    assert result.exit_code == 2
    assert message in result.output
