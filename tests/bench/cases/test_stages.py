"""The stages as commands, timed: one row for each, with the answers of the network in the clear."""

import pytest
from typer.testing import CliRunner

from bench.__main__ import app
from bench.cases import stages
from bench.harness.rows import read


def test_every_stage_has_a_row_and_the_answers_are_right(tmp_path):
    arguments = ["stages", "--network", "digits-square-cnn", "--images", "1", "--runs", "1"]
    result = CliRunner(env={"COLUMNS": "80"}).invoke(app, [*arguments, "--json", str(tmp_path / "s.json")])
    assert result.exit_code == 0, result.output
    rows = [envelope.row for envelope in read(tmp_path / "s.json")]
    assert [row["stage"] for row in rows] == ["prepare", "keygen", "encrypt", "evaluate", "decrypt"]
    assert rows[-1]["wrong"] == 0
    assert {row["requests"] for row in rows} == {1}
    for row in rows:
        assert row["cpu_seconds"] > 0
        assert row["written_bytes"] > 0
    assert "digits-square-cnn, images: 1, requests: 1" in result.stdout


def test_a_stage_that_fails_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"the stage evaluate failed: .*there must be"):
        stages._run("evaluate", tmp_path)


def test_there_is_a_job_for_each_number_of_images():
    options = stages.StagesOptions(images=(1, 100))
    assert [job.images for job in stages.jobs(options)] == [1, 100]
