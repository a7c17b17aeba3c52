"""The engines' command: complete rows, and figures that belong to what was evaluated."""

import pytest
from typer.testing import CliRunner

from bench.__main__ import app
from bench.cases import he, key_switching
from bench.harness.rows import read

FIELDS = {
    "work", "scheme", "poly_modulus_degree", "coeff_modulus_bits", "engine", "threads", "batch", "ms", "units",
    "ratio_to_seal", "accuracy", "n_images", "exact_mismatches", "evaluation_key_bytes", "peak_rss_bytes",
}  # fmt: skip


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(he, "RINGS", {4096: (34, 36, 36)})
    monkeypatch.setattr(he, "SCALE_BITS", 30)
    monkeypatch.setattr(he, "REPEATS", 1)
    monkeypatch.setattr(he, "SWITCHES", (key_switching.SwitchingJob(4096, (26,) * 4, 2, (1, 2)),))
    monkeypatch.setattr(key_switching, "SCALE_BITS", 20)
    monkeypatch.setattr(key_switching, "REPEATS", 1)


@pytest.mark.usefixtures("quick")
def test_rows_are_complete_and_consistent(tmp_path):
    arguments = ["he", "--network", "digits-square-cnn", "--images", "2", "--threads", "1", "--threads", "2"]
    result = CliRunner(env={"COLUMNS": "140"}).invoke(app, [*arguments, "--json", str(tmp_path / "h.json")])
    assert result.exit_code == 0, result.output
    rows = [envelope.row for envelope in read(tmp_path / "h.json")]
    assert all(set(row) >= FIELDS for row in rows)
    operations = [row for row in rows if not row["batch"] and row["engine"] in ("rns", "seal")]
    switches = [row for row in rows if not row["batch"] and row not in operations]
    assert [row["engine"] for row in switches] == 3 * ["rns, 1 special", "rns, 2 special"]
    one, two = ({row["evaluation_key_bytes"] for row in switches[i::2]} for i in range(2))
    assert len(one) == len(two) == 1
    assert max(two) < max(one)  # one digit of four primes for two of three
    assert all(row["ms"] > 0 and row["units"] > 0 and row["ratio_to_seal"] is None for row in switches)
    assert len(operations) == 2 * 5 * 2  # schemes, operations, engines
    for row in operations:
        assert row["ms"] > 0
        assert row["units"] > 0
        if row["engine"] == "seal":
            assert row["ratio_to_seal"] == 1
    seal, *ours, batch_on_one, batch = [row for row in rows if row["batch"]]
    assert (batch_on_one["threads"], batch["threads"]) == (1, 2)
    assert (seal["engine"], [row["threads"] for row in ours]) == ("seal", [1, 2])
    for row in ours:
        assert row["ratio_to_seal"] == pytest.approx(seal["ms"] / row["ms"])
        assert row["n_images"] == 2
    assert batch["n_images"] == 360  # those of the test part; the batch repeats them
    assert batch["batch"] > 4000
    assert batch["amortised_units"] == pytest.approx(batch["units"] / batch["batch"])
    assert batch["accuracy"] > 0.8
    assert "digits-square-cnn" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--network", "no-such"], "`--network` must be one of digits-square-cnn, digits-table-cnn"),
        (["--images", "0"], "must be at least 1"),
        (["--threads", "0"], "must be at least 1"),
        (["--threads", "99999"], "`--threads` must be at most 1024, got 99999"),
        (["--max-error", "0"], "`--max-error` must be positive"),
    ],
)
@pytest.mark.usefixtures("quick")
def test_bad_options_are_refused_with_a_reason(arguments, message):
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["he", "--network", "digits-square-cnn", *arguments])
    assert result.exit_code == 2
    assert message in result.output
