"""What hiding a network stops: rows that the referee has seen."""

import pytest
from typer.testing import CliRunner

from bench.__main__ import app
from bench.harness.rows import read

FIELDS = {
    "network", "sees", "attack", "radius", "n_images", "broken", "interval", "median_queries", "requests", "seconds",
    "seed",
}  # fmt: skip


def run(*arguments):
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, ["secrecy", *map(str, arguments)])


def test_answers_alone_are_enough_to_break_what_noise_does_not(tmp_path):
    result = run("--images", 8, "--radius", 0.3, "--steps", 30, "--json", tmp_path / "s.json")
    assert result.exit_code == 0, result.output
    rows = [envelope.row for envelope in read(tmp_path / "s.json")]
    assert all(set(row) == FIELDS for row in rows)
    by_sight = {row["sees"]: row for row in rows}
    assert by_sight["decrypted answers"]["broken"] >= 6 > by_sight["nothing"]["broken"]
    assert by_sight["the weights"]["broken"] >= 6
    assert by_sight["decrypted answers"]["requests"] >= 4  # the check, the verdict, and the attack's own
    assert by_sight["the weights"]["requests"] == by_sight["nothing"]["requests"] == 0
    for row in rows:
        low, high = row["interval"]
        assert low <= row["broken"] / 8 <= high
    assert "decrypted answers" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--images", 0), "`--images` must lie in [1, 360], got 0"),
        (("--model", "digits-square-cnn"), "`--model` must be one of digits-table-cnn, digits-table-mlp"),
        (("--model", "digits-transformer"), "`--model` must be one of digits-table-cnn, digits-table-mlp"),
        (("--radius", -1, "--images", 1), "`radius` must be"),
    ],
)
def test_bad_arguments_name_the_remedy(arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
