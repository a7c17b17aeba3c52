"""Published results measured again: rows, what is kept of them, and what is never taken for something else."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.__main__ import app
from bench.cases import paper, papers
from bench.cases.options import PaperOptions
from bench.cases.papers import EXPERIMENTS, Experiment, Order, Setting, digest
from bench.harness.rows import read
from bench.tables.documents import PUBLISHED
from plaintext_models.data import datasets
from plaintext_models.defences.registry import DEFENCES
from plaintext_models.evaluation.card import QUICK, Effort
from plaintext_models.zoo.registry import RECIPES

RECIPE = replace(RECIPES["digits-mlp"], epochs=2)
LITTLE = Effort(2, 2, 1, 2, 1, 5, 2, 1)


def lines(_):
    return Setting("penalty", RECIPE, "T23", 0.5), Setting("squeezed", RECIPE, "T28"), Setting("noise", RECIPE, "T24")


@pytest.fixture
def short(monkeypatch):
    """An experiment of moments under a known identifier."""
    short = {**EXPERIMENTS, "T23": Experiment(lines, 0.05, (Order("penalty", "squeezed", "clean"),))}
    monkeypatch.setattr(paper, "EXPERIMENTS", short)
    monkeypatch.setattr(paper, "QUICK", LITTLE)


def invoke(*arguments):
    return CliRunner(env={"COLUMNS": "80"}).invoke(app, ["paper", *map(str, arguments)])


def test_rows_are_kept_and_taken_again(tmp_path, short, monkeypatch):
    keep, file = tmp_path / "keep", tmp_path / "rows.json"
    arguments = ("T23", "--quick", "--seeds", 2, "--images", 20, "--keep", keep, "--json", file)
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    rows = [envelope.row for envelope in read(file)]
    assert [row["setting"] for row in rows] == ["penalty", "squeezed", "noise"]
    for row in rows:
        for share in ("clean", "attacked", "adaptive"):
            assert row[share]["low"] <= row[share]["value"] <= row[share]["high"]
        assert row["seeds"] == [0, 1]
        assert len(set(row["digests"])) == 2
    assert rows[0]["difference"] == pytest.approx(rows[0]["attacked"]["value"] - 0.5)
    assert rows[1]["difference"] is None
    for word in ("published", "adaptive", "20 images, 2 seeds from 0", "penalty better than squeezed"):
        assert word in result.output
    kept = sorted(keep.iterdir())
    assert len(kept) == 6
    stored = [json.loads(path.read_text()) for path in kept]
    assert {entry["digest"] for entry in stored} == {one for row in rows for one in row["digests"]}
    assert all({"seed", "command"} <= set(entry) for entry in stored)

    kept[0].unlink()  # as if the command had been stopped before its last run
    made, calls = paper.made, []
    monkeypatch.setattr(paper, "made", lambda *about: calls.append(about) or made(*about))
    again = invoke(*arguments)
    assert again.exit_code == 0, again.output
    assert len(calls) == 1
    assert [envelope.row for envelope in read(file)] == rows

    first = json.loads(kept[1].read_text())
    kept[1].write_text(json.dumps(first | {"digest": "0" * 64}))  # another recipe's under this name
    assert invoke(*arguments).exit_code == 0
    assert len(calls) == 2
    kept[1].write_text("{")
    damaged = invoke(*arguments)
    assert damaged.exit_code == 2
    assert "delete it to run anew" in " ".join(damaged.output.split())


def test_whatever_decides_about_a_run_is_in_its_digest(monkeypatch):
    digits = datasets.load("digits")
    setting = Setting("any", RECIPE, "T23")
    changed = [
        (setting, 0.1, QUICK, 20, 1),
        (setting, 0.1, QUICK, 21, 0),
        (setting, 0.2, QUICK, 20, 0),
        (setting, 0.1, LITTLE, 20, 0),
        (replace(setting, defence="T24"), 0.1, QUICK, 20, 0),
        (replace(setting, defence=None), 0.1, QUICK, 20, 0),
        (replace(setting, recipe=replace(RECIPE, epochs=3)), 0.1, QUICK, 20, 0),
    ]
    found = {digest(one, digits, *about) for one, *about in [(setting, 0.1, QUICK, 20, 0), *changed]}
    assert len(found) == 1 + len(changed)
    renamed = replace(setting, name="another", published=0.3)
    assert digest(renamed, digits, 0.1, QUICK, 20, 0) in found
    monkeypatch.setattr(papers, "code_digest", lambda _: "other code")
    assert digest(setting, digits, 0.1, QUICK, 20, 0) not in found


def test_unknown_identifiers_list_the_known_ones():
    result = invoke("T99")
    assert result.exit_code == 2
    for identifier in PUBLISHED:
        assert identifier in result.output


def test_every_published_result_has_an_experiment():
    assert set(EXPERIMENTS) == set(PUBLISHED)
    for experiment in EXPERIMENTS.values():
        for quick in (True, False):
            names = [setting.name for setting in experiment.settings(quick)]
            assert len(set(names)) == len(names)
            assert {name for order in experiment.orders for name in (order.better, order.worse)} <= set(names)
            assert {setting.defence for setting in experiment.settings(quick)} <= {None, *DEFENCES}


def test_all_is_everything_and_nothing_is_measured_twice():
    assert [job.identifier for job in paper.jobs(PaperOptions(("T25", "T23", "T25"), data=None))] == ["T25", "T23"]
    with pytest.raises(ValueError, match="MNIST"):
        paper.jobs(PaperOptions(("all",), data=Path("/nowhere")))


def test_missing_data_names_the_remedy(tmp_path):
    result = invoke("A2", "--data", "/nowhere", "--keep", tmp_path)
    assert result.exit_code == 2
    assert "MNIST" in result.output
