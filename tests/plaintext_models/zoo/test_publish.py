"""The training command."""

import dataclasses

import pytest
from typer.testing import CliRunner

from intnn.network.network import IntNetwork
from plaintext_models.zoo import make, manifest, shipped
from plaintext_models.zoo import publish as command
from plaintext_models.zoo.registry import RECIPES, of_kind

NAME = "digits-table-mlp"


@pytest.fixture
def short(monkeypatch):
    """The registry with recipes of one epoch."""
    hurried = {name: dataclasses.replace(recipe, epochs=1) for name, recipe in RECIPES.items()}
    monkeypatch.setattr(command, "RECIPES", hurried)


def run(*arguments):
    return CliRunner().invoke(command.app, [*map(str, arguments)], env={"COLUMNS": "1000"})


def test_every_recipe_is_shipped():
    assert tuple(sorted(of_kind("shipped"))) == shipped.names()
    for name in of_kind("shipped"):
        recipe, record = RECIPES[name], shipped.record(name)
        assert (record.dataset, record.seed) == (recipe.dataset, recipe.seed)
        assert record.command == f"python -m plaintext_models.zoo.publish {name}"


@pytest.mark.parametrize("name", of_kind("shipped", "digits"))
def test_trains_the_same_file_twice(short, tmp_path, name):
    for out in (tmp_path / "a", tmp_path / "b"):
        result = run(name, "--out", out, "--quiet")
        assert result.exit_code == 0, result.output
        assert "not as shipped" in result.output
    first, second = (shipped.record(name, tmp_path / out) for out in "ab")
    assert first == second
    network = shipped.load(name, tmp_path / "a")
    assert type(network).__name__ == first.kind
    assert (network.name, first.test_images) == (name, 360)
    assert first.table_points == (
        (network.layers[2 if "mlp" in name else 1].lut.domain.size,) if isinstance(network, IntNetwork) else ()
    )


def test_adds_to_a_manifest(short, tmp_path):
    for name in ("digits-table-mlp", "digits-square-cnn"):
        assert run(name, "--out", tmp_path, "--quiet").exit_code == 0
    assert shipped.names(tmp_path) == ("digits-square-cnn", "digits-table-mlp")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "digits-square-cnn.npz",
        "digits-table-mlp.npz",
        manifest.FILE_NAME,
    ]


def test_validation_writes_nothing(short, tmp_path):
    result = run(NAME, "--validate", 300, "--out", tmp_path / "out", "--quiet")
    assert "of 300 right on digits (validation)" in result.output
    assert not (tmp_path / "out").exists()


def test_interruption_writes_nothing(short, tmp_path, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(make, "minimise", interrupt)
    assert run(NAME, "--out", tmp_path / "out", "--quiet").exit_code != 0
    assert not (tmp_path / "out").exists()


def test_a_damaged_manifest_is_left_alone(short, tmp_path):
    (tmp_path / manifest.FILE_NAME).write_text("{")
    result = run(NAME, "--out", tmp_path, "--quiet")
    assert result.exit_code == 2
    assert "must be a manifest of networks" in result.output
    assert [path.name for path in tmp_path.iterdir()] == [manifest.FILE_NAME]


def test_unknown_name():
    result = run("mnist-transformer")
    assert result.exit_code == 2
    assert "`NAME` must be one of digits-table-mlp" in result.output


def test_missing_data(tmp_path):
    result = run("mnist-table-mlp", "--data", tmp_path)
    assert result.exit_code == 2
    assert "does not hold MNIST" in result.output
