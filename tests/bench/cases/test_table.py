"""The table's command, on real encryption of a few digits."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from bench.__main__ import app
from bench.cases import table
from bench.cases.options import TableOptions
from bench.harness.rows import read
from bench.tables.rows import Row
from tests.vectors.generate import FOLDER, untimed

# What a row must have, by name: the benchmark's contract with whoever reads its JSON.
FIELDS = {
    "row",
    "path",
    "dataset",
    "network",
    "n_images",
    "plain_seconds_per_image",
    "encrypted_seconds_per_image",
    "encrypt_s",
    "evaluate_s",
    "decrypt_s",
    "keygen_s",
    "accuracy_plain",
    "accuracy_encrypted",
    "exact_mismatches",
    "security_bits",
    "poly_modulus_degree",
    "coeff_modulus_bits",
    "ciphertext_bytes_in",
    "ciphertext_bytes_out",
    "evaluation_key_bytes",
    "engine",
    "threads",
    "peak_rss_bytes",
    "seal_rotate_ms",
    "measured",
    "source",
}


ROWS = ("--row", "inference")  # the others are measured in `test_functional` and `test_heads`


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[dict], Path]:
    folder = tmp_path_factory.mktemp("table")
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(table, "NETWORKS", {"exact": ("table-mlp",), "ckks": ("square-cnn",)})  # the quicker ones
    arguments = ["table", *ROWS, "--images", "3", "--json", str(folder / "t.json"), "--plot", str(folder / "t.png")]
    result = CliRunner(env={"COLUMNS": "120"}).invoke(app, arguments)
    monkeypatch.undo()
    assert result.exit_code == 0, result.output
    rows = [dict(envelope.row) for envelope in read(folder / "t.json")]
    return result.output, rows, folder / "t.png"


def test_every_row_has_every_field(run: tuple[str, list[dict], Path]) -> None:
    _, rows, _ = run
    assert len(rows) == 2
    assert all(set(row) >= FIELDS for row in rows)


def test_rows_are_what_they_were(run: tuple[str, list[dict], Path]) -> None:
    _, rows, _ = run
    expected = json.loads((FOLDER / "rows.json").read_text("utf-8"))
    assert [untimed(row) for row in rows] == expected


def test_measured_rows_are_complete_and_consistent(run: tuple[str, list[dict], Path]) -> None:
    _, rows, _ = run
    assert [row["network"] for row in rows] == ["digits-table-mlp", "digits-square-cnn"]
    for row in rows:
        assert row["measured"]
        missing = [name for name in FIELDS - {"exact_mismatches"} if row[name] is None]
        assert missing == []
        assert row["n_images"] == 3
        assert row["security_bits"] == 128
        assert row["engine"] == "rns"
        assert row["seal_evaluate_s"] > 0
        parts = row["encrypt_s"] + row["evaluate_s"] + row["decrypt_s"]
        assert row["encrypted_seconds_per_image"] == pytest.approx(parts)
        assert row["plain_seconds_per_image"] < row["encrypted_seconds_per_image"]
        assert row["accuracy_plain"] == row["accuracy_encrypted"]
        assert row["exact_mismatches"] == (0 if row["path"] == "exact" else None)
        assert row["prediction_mismatches"] == 0


def test_published_figures_of_every_row_are_printed(run: tuple[str, list[dict], Path]) -> None:
    for published in ("300 s", "10 min", "10 years"):
        assert published in run[0]


def test_picture_is_a_png(run: tuple[str, list[dict], Path]) -> None:
    assert run[2].read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "0"], "`--images` must lie in [1, 360]"),
        (["--images", "361"], "`--images` must lie in [1, 360]"),
        (["--dataset", "mnist", "--data", "{folder}"], "does not hold MNIST"),
        (["--seed", "-1"], "`--seed` must be at least 0, got -1"),
        (["--plot", "{folder}/t.json"], "`--plot` must name a .png, .svg or .pdf file, got"),
        (["--plot", "{folder}"], "`--plot` must name a .png, .svg or .pdf file, got the folder"),
        (["--plot", "/proc/nowhere/t.png"], "No such file or directory"),
    ],
)
def test_bad_arguments_name_the_remedy(arguments: list[str], message: str, tmp_path: Path) -> None:
    arguments = [a.format(folder=tmp_path) for a in arguments]
    result = CliRunner().invoke(app, ["table", *arguments, "--json", str(tmp_path / "t.json")])
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "t.json").exists()


def test_interrupt_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> Row:
        raise KeyboardInterrupt

    monkeypatch.setattr(table, "measure", interrupt)
    result = CliRunner().invoke(app, ["table", "--json", str(tmp_path / "t.json")])
    assert result.exit_code == 130
    assert list(tmp_path.iterdir()) == []


def test_jobs_choose_by_seed_and_never_repeat() -> None:
    options = (TableOptions(path="exact", images=50, seed=seed) for seed in (1, 1, 2))
    first, again, other = (table.jobs(chosen)[0].picked for chosen in options)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len(set(first)) == 50
