"""The robustness command, with little effort; and the models that it evaluates."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from bench.__main__ import app
from bench.cases import robustness
from bench.cases.registry import CASES
from bench.harness.rows import read
from plaintext_models import datasets
from plaintext_models.attacks.target import Target
from plaintext_models.evaluation.suite import ascend
from plaintext_models.training import deterministic


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


@pytest.fixture
def short(monkeypatch):
    """Models that are trained for a moment."""
    hurried = {
        name: replace(recipe, epochs=3 if recipe.steps else 2, steps=min(recipe.steps, 2))
        for name, recipe in robustness.MODELS.items()
    }
    monkeypatch.setattr(robustness, "MODELS", hurried)


def invoke(*arguments):
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, ["robustness", *map(str, arguments)])


def test_rows_table_and_pictures(tmp_path, short):
    pytest.importorskip("matplotlib")
    arguments = ("--quick", "--model", "digits-mlp", "--images", 30, "--radius", 0.1, "--cache", tmp_path / "cache")
    result = invoke(*arguments, "--json", tmp_path / "r.json", "--plot-dir", tmp_path / "plots")
    assert result.exit_code == 0, result.output
    rows = [envelope.row for envelope in read(tmp_path / "r.json")]
    verdict = next(row for row in rows if row["kind"] == "verdict")
    assert verdict["n"] == 30
    for row in rows:
        assert row["model"] == "digits-mlp"
        if row["n"]:
            assert row["accuracy"] == row["right"] / row["n"]
            assert row["low"] <= row["accuracy"] <= row["high"]
        if row["kind"] not in ("point", "flag", "left out", "verdict", "curve", "nearest"):
            assert verdict["accuracy"] <= row["accuracy"]
            assert row["seconds"] >= 0
            assert row["queries"] >= 0
            assert row["seed"] == 0
    assert {row["kind"] for row in rows} >= {"clean", "one step", "white box", "transfer", "nearest", "point"}
    for word in ("verdict", "PGD-20", "Square-300", "transfer from model 1", "radius"):
        assert word in result.output
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {"curve.png", "confidences.png", "examples.png"}
    again = invoke(*arguments, "--json", tmp_path / "again.json")
    assert again.exit_code == 0, again.output
    others = [envelope.row for envelope in read(tmp_path / "again.json")]
    assert [row["right"] for row in others] == [row["right"] for row in rows]


def test_adversarial_training_helps(digits):
    images, labels = torch.from_numpy(digits.test_images), torch.from_numpy(digits.test_labels)
    rights = {}
    for name in ("digits-mlp", "digits-pgd-mlp"):
        recipe = robustness.MODELS[name]
        module = robustness.trained(name, digits, report=lambda _: None)
        target, generator = Target(module), torch.Generator().manual_seed(0)
        with deterministic(0):
            moved = ascend(target, images, labels, norm="linf", radius=0.1, steps=20, generator=generator)
        rights[name] = [float((target.logits(part).argmax(1) == labels).double().mean()) for part in (images, moved)]
        assert recipe.dataset == "digits"
    assert min(clean for clean, _ in rights.values()) > 0.95
    assert rights["digits-pgd-mlp"][1] > rights["digits-mlp"][1] + 0.3


def test_a_cached_state_is_used_and_a_foreign_one_refused(tmp_path, digits, short):
    told = []
    first = robustness.trained("digits-mlp", digits, cache=tmp_path, report=told.append)
    second = robustness.trained("digits-mlp", digits, cache=tmp_path, report=told.append)
    assert told == ["training digits-mlp"]
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"no state")
    with pytest.raises(ValueError, match="delete it"):
        robustness.trained("digits-mlp", digits, cache=tmp_path, report=told.append)


def test_the_network_for_mnist_takes_its_images():
    class Shape:
        input_shape, classes = (1, 28, 28), 10

    module = robustness.mnist_cnn(Shape)
    assert module(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert sum(isinstance(layer, nn.Conv2d) for layer in module) == 2


def test_every_model_can_be_named():
    model = next(field for field in CASES["robustness"].options.declared() if field.name == "model")
    assert set(model.option.choices()) == set(robustness.MODELS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--images", 0), "--images"),
        (("--images", 10**6), "--images"),
        (("--radius", -1), "radius"),
        (("--json", "rows.txt"), "rows.txt"),
        (("--model", "mnist-cnn", "--data", "/nowhere"), "MNIST"),
    ],
)
def test_bad_arguments_are_a_line(arguments, message):
    result = invoke("--model", "digits-mlp", *arguments)
    assert result.exit_code == 2
    assert message in result.output
