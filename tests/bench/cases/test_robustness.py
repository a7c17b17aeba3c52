"""The robustness command, with little effort; and the models that it evaluates."""

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from bench.__main__ import app
from bench.cases import robustness
from bench.cases.registry import CASES
from bench.harness.rows import read
from plaintext_models.zoo.registry import RECIPES, of_kind


@pytest.fixture
def short(monkeypatch):
    """Models that are trained for a moment."""
    monkeypatch.setattr(robustness, "RECIPES", {name: replace(RECIPES[name], epochs=2) for name in of_kind("attacked")})


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


@pytest.mark.parametrize(("defence", "kind"), [("T24", "randomness off"), ("T28", "joint")])
def test_a_defence_is_attacked_as_it_is(tmp_path, short, defence, kind):
    little = (
        "--quick",
        "--model",
        "digits-mlp",
        "--images",
        30,
        "--radius",
        0.01,
        "--defence",
        defence,
        "--json",
        tmp_path / "r.json",
    )
    result = invoke(*little)
    assert result.exit_code == 0, result.output
    rows = [envelope.row for envelope in read(tmp_path / "r.json")]
    assert {row["model"] for row in rows} == {f"digits-mlp, {defence}"}
    assert kind in {row["kind"] for row in rows}
    assert "transfer from model 2" in {row["name"] for row in rows}  # the bare network, and the rival


def test_every_model_can_be_named():
    model = next(field for field in CASES["robustness"].options.declared() if field.name == "model")
    assert set(model.option.choices()) == set(of_kind("attacked"))


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
