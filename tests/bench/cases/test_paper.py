"""Published results measured again: the command, its rows, and its errors."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from bench.__main__ import app
from bench.cases import paper
from bench.cases.options import PaperOptions
from bench.harness.case import Silent
from bench.harness.rows import read
from bench.papers.attacked import CLEAN, COLUMNS, ONE_DRAW, PUBLISHED, Attacked
from bench.papers.columns import Column
from bench.papers.experiment import Experiment, Measured, Order, Printed, Setting
from bench.papers.fitted import Fitted
from bench.papers.registry import EXPERIMENTS
from bench.papers.steps import OneStep
from bench.papers.store import making
from bench.tables import documents
from plaintext_models.evaluation.card import Effort
from plaintext_models.evaluation.judge import Share
from plaintext_models.zoo.registry import RECIPES

RECIPE = replace(RECIPES["digits-mlp"], epochs=2)
LITTLE = Effort(2, 2, 1, 2, 1, 5, 2, 2)


def lines(_):
    return (
        Setting("penalty", Attacked(RECIPE, 0.05, "T23"), {PUBLISHED: Printed(0.5, 0.01)}),
        Setting("squeezed", Attacked(RECIPE, 0.05, "T28")),
        Setting("noise", Attacked(RECIPE, 0.05, "T24")),
    )


SHORT = Experiment(lines, COLUMNS, (Order("penalty", "squeezed", CLEAN),), smaller="everything")


@pytest.fixture
def short(monkeypatch):
    """An experiment of moments under a known identifier."""
    monkeypatch.setattr(paper, "EXPERIMENTS", {**EXPERIMENTS, "T23": SHORT})
    monkeypatch.setattr(paper, "QUICK", LITTLE)


def invoke(*arguments):
    return CliRunner(env={"COLUMNS": "80"}).invoke(app, ["paper", *map(str, arguments)])


def test_rows_are_kept_and_taken_again(tmp_path, short, monkeypatch):
    keep, file = tmp_path / "keep", tmp_path / "rows.json"
    arguments = ("T23", "--quick", "--seeds", 2, "--images", 20, "--keep", keep, "--json", file, "--processes", 1)
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    rows = [envelope.row for envelope in read(file)]
    assert [row["setting"] for row in rows] == ["penalty", "squeezed", "noise"]
    for row in rows:
        names = [column.name for column in COLUMNS if column.name != ONE_DRAW or row["setting"] == "noise"]
        assert [figure["column"]["name"] for figure in row["figures"]] == names
        for figure in row["figures"]:
            assert figure["ours"]["low"] <= figure["ours"]["value"] <= figure["ours"]["high"]
            if figure["column"]["unit"] == "%":
                assert [len(bytes.fromhex(run["which"])) for run in figure["runs"]] == [3, 3]  # a bit an image
                assert figure["ours"]["value"] == pytest.approx(sum(run["count"] for run in figure["runs"]) / 40)
            else:
                assert figure["ours"]["value"] == pytest.approx(sum(figure["runs"]) / 2)
        assert row["seeds"] == [0, 1]
        assert len(set(row["digests"])) == 2
    attacked = rows[0]["figures"][1]
    assert attacked["difference"] == pytest.approx(attacked["ours"]["value"] - 0.5)
    assert rows[1]["figures"][1]["difference"] is None
    for word in ("50.0 ± 1.0", "adaptive", "20 images, 2 seeds from 0", "penalty higher than squeezed", "everything"):
        assert word in result.output
    assert max(len(line) for line in result.output.splitlines() if "[" in line) <= 80
    assert len(list(keep.glob("*.json"))) == 6
    again = invoke(*arguments, "--report", tmp_path / "report")
    assert again.exit_code == 0
    assert f"Report written to {tmp_path / 'report'}" in again.output.replace("\n", "")
    assert {path.name for path in (tmp_path / "report").iterdir()} == {"report.md", "report.html"}
    assert [envelope.row for envelope in read(file)] == rows


def test_some_settings_may_be_chosen(tmp_path, short):
    file = tmp_path / "rows.json"
    arguments = ("--seeds", 2, "--images", 20, "--keep", tmp_path, "--json", file, "--processes", 1)
    found = {}
    for chosen in (("penalty", "squeezed"), ("penalty",), ()):
        result = invoke("T23", *arguments, *(word for name in chosen for word in ("--setting", name)))
        assert result.exit_code == 0, result.output
        found[chosen] = {row["setting"]: row for row in (envelope.row for envelope in read(file))}
        assert list(found[chosen]) == list(chosen or ("penalty", "squeezed", "noise"))
        assert ("penalty higher than squeezed" in result.output) == ("squeezed" in found[chosen])
    assert found[("penalty",)]["penalty"] == {**found[()]["penalty"], "said_higher": [], "left_out": 2}
    assert len(list(tmp_path.glob("*.json"))) == 6 + 1  # each run was made once
    (job,) = paper.jobs(PaperOptions(("S18",), setting=("ResNet",), data=Path("/nowhere")))  # the others need MNIST
    assert [setting.name for setting in job.settings] == ["ResNet"]
    result = invoke("T23", "--setting", "penaly", *arguments)
    assert result.exit_code == 2
    said = " ".join(result.output.split())
    assert "`--setting` must name settings of T23, penalty; squeezed; noise; got penaly" in said


def test_nothing_is_attacked_of_what_can_be_measured_so(tmp_path, monkeypatch):
    trainings = {"one": Fitted(RECIPE), "other": Fitted(replace(RECIPE, epochs=1))}
    some = tuple(Setting(name, OneStep(how), {"error": Printed(0.5)}) for name, how in trainings.items())
    orders = (Order("other", "one", "error"), Order("other", "one", "error FGSM"))
    mixed = Experiment(lambda _: (*some, Setting("attacked", Failing())), (Column("error"),), orders)
    monkeypatch.setattr(paper, "EXPERIMENTS", {**EXPERIMENTS, "A2": mixed})
    file = tmp_path / "rows.json"
    result = invoke("A2", "C14", "--clean", "--seeds", 2, "--keep", tmp_path, "--json", file, "--processes", 1)
    assert result.exit_code == 0, result.output
    rows = [envelope.row for envelope in read(file)]
    assert [(row["setting"], row["images"], row["clean"]) for row in rows] == [("one", 0, True), ("other", 0, True)]
    dataset = paper.loaded("digits", None)
    for row, how in zip(rows, trainings.values(), strict=True):
        (figure,) = row["figures"]
        for seed, run in enumerate(figure["runs"]):
            given = making(dataset, seed, keep=tmp_path, report=lambda _: None)
            wrong = (
                how.fit(given).module(torch.from_numpy(dataset.test_images)).argmax(1).numpy() != dataset.test_labels
            )
            assert (run["count"], run["n"]) == (wrong.sum(), 360)
    assert [row["said_higher"] for row in rows] == [[], [["error", "one", "error"]]]
    assert "all test images, none attacked, 2 of 3 settings, 2 seeds" in result.output
    assert "A2: 0 of 2 printed accuracies within a point; the others by one, error -" in result.output
    assert "C14 is left out: nothing of it is measured without an attack" in result.output


def test_processes_keep_the_runs_that_one_keeps(tmp_path):
    stored = []
    for processes in (1, 2):
        keep = tmp_path / str(processes)
        result = invoke("T28", "--seeds", 2, "--images", 5, "--keep", keep, "--processes", processes)
        assert result.exit_code == 0, result.output
        runs = {path.name: json.loads(path.read_text()) for path in keep.glob("*.json")}
        stored.append({name: (run["digest"], run["figures"]) for name, run in runs.items()})
        trainings = {path.name: path.read_bytes() for path in keep.glob("*.arrays")}
        stored[-1] |= trainings
    assert stored[0] == stored[1]
    assert len(stored[0]) > 4


class Failing:
    """A subject whose training fails."""

    dataset = "digits"

    def measure(self, run):
        raise FloatingPointError("the loss must stay finite, got NaN or infinity in step 7 of 9")


@pytest.mark.parametrize("figure", [Share(0, 0), 0.5, Share(1, 2)])
def test_shares_and_numbers_have_their_own_columns(figure):
    run = paper.Kept("", Measured({"a": figure}), 0.0, None)
    setting = lines(True)[0]
    for unit in ("%", "", "nats"):
        fits = isinstance(figure, Share) == (unit == "%")
        if isinstance(figure, Share) and not figure.n:
            assert paper._figure(Column("a", unit), setting, [run]) is None
        elif fits:
            assert paper._figure(Column("a", unit), setting, [run]).ours.value == 0.5
        else:
            with pytest.raises(ValueError, match="`a` must be a"):
                paper._figure(Column("a", unit), setting, [run])


def test_what_is_compared_by_ratio_is_positive():
    column, setting = Column("a", "nats", by_ratio=True), lines(True)[0]
    assert paper._figure(column, setting, [paper.Kept("", Measured({"a": 0.5}), 0.0, None)]).ours.value == 0.5
    with pytest.raises(ValueError, match=r"`a` is compared by ratio and must be positive, got 0\.0"):
        paper._figure(column, setting, [paper.Kept("", Measured({"a": 0.0}), 0.0, None)])


def test_a_loss_that_is_no_number_is_one_line_with_its_step(tmp_path, monkeypatch):
    failing = Experiment(lambda _: (Setting("one", Attacked(RECIPE, 0.1)),), COLUMNS)
    monkeypatch.setattr(paper, "EXPERIMENTS", {**EXPERIMENTS, "T23": failing})
    monkeypatch.setattr(Attacked, "measure", Failing.measure)
    result = invoke("T23", "--keep", tmp_path, "--processes", 1)
    assert result.exit_code == 2
    said = " ".join(result.output.split())
    assert "T23, one, seed 0: the loss must stay finite, got NaN or infinity in step 7 of 9" in said
    assert "kept" not in said  # nothing was finished


def test_figures_without_a_column_are_refused(tmp_path, short, monkeypatch):
    monkeypatch.setattr(paper, "EXPERIMENTS", {**EXPERIMENTS, "T23": replace(SHORT, columns=COLUMNS[1:], orders=())})
    monkeypatch.setattr(Attacked, "measure", lambda *_: Measured({CLEAN: Share(1, 2)}))
    result = invoke("T23", "--keep", tmp_path, "--processes", 1)
    assert result.exit_code == 2
    assert "`columns` of T23 must name clean" in " ".join(result.output.split())


def test_unknown_identifiers_list_the_known_ones():
    result = invoke("T99")
    assert result.exit_code == 2
    for identifier in (*documents.PUBLISHED, *documents.DOCUMENTS, "all"):
        assert identifier in result.output


def test_a_document_is_all_of_it_and_nothing_is_measured_twice():
    assert [job.identifier for job in paper.jobs(PaperOptions(("T25", "T23", "T25")))] == ["T25", "T23"]
    thesis = [identifier for identifier in documents.PUBLISHED if identifier.startswith("T")]
    assert paper.chosen(("T25", "T")) == ("T25", *(one for one in thesis if one != "T25"))
    assert paper.chosen(("all",)) == tuple(documents.PUBLISHED)
    with pytest.raises(ValueError, match="MNIST"):
        paper.jobs(PaperOptions(("all",), data=Path("/nowhere")))


@pytest.mark.parametrize(("clean", "flags"), [(False, "--full"), (True, "--full --clean")])
def test_what_has_no_quick_version_says_so(tmp_path, monkeypatch, clean, flags):
    monkeypatch.setattr(paper, "loaded", None)
    (job,) = paper.jobs(PaperOptions(("M33",), clean=clean, keep=tmp_path))
    said = []
    monkeypatch.setattr(Silent, "say", lambda _, line: said.append(line))
    assert paper.measure(job, Silent()) == ()
    assert said == [f"M33 is left out, being large: python -m bench paper M33 {flags}"]


def test_images_are_chosen_only_where_some_are_attacked():
    result = invoke("A2", "--clean", "--images", 5)
    assert result.exit_code == 2
    assert "`--images` must be left out with `--clean`" in " ".join(result.output.split())


def test_missing_data_names_the_remedy(tmp_path):
    result = invoke("A2", "--data", "/nowhere", "--keep", tmp_path)
    assert result.exit_code == 2
    assert "MNIST" in result.output
