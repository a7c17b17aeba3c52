"""Encrypted networks beside plain ones: rows of both, exact where they have to be."""

import dataclasses

import pytest
from typer.testing import CliRunner

from bench.__main__ import app
from bench.harness.rows import read
from bench.report.encrypted_networks import EncryptedNetworkRow


def run(*arguments):
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, ["encrypted-networks", *map(str, arguments)])


def test_rows_of_a_network_with_plain_and_with_encrypted_weights_of_one_and_of_two_owners(tmp_path):
    result = run("--network", "digits-table-cnn", "--images", 2, "--json", tmp_path / "e.json")
    assert result.exit_code == 0, result.output
    plain, encrypted, joint = [envelope.row for envelope in read(tmp_path / "e.json")]
    assert set(plain) == {field.name for field in dataclasses.fields(EncryptedNetworkRow)}
    assert [row["weights"] for row in (plain, encrypted, joint)] == ["plain", "encrypted", "encrypted"]
    assert [row["owners"] for row in (plain, encrypted, joint)] == [1, 1, 2]
    assert plain["largest_error"] == encrypted["largest_error"] == joint["largest_error"] == 0
    assert plain["opening_ms"] is encrypted["opening_ms"] is None
    assert (joint["threshold"], joint["opening_ms"] > 0) == (40, True)
    assert plain["ratio"] == 1
    assert [row["ratio"] for row in (encrypted, joint)] == pytest.approx(
        [row["ms"] / plain["ms"] for row in (encrypted, joint)]
    )
    assert plain["ciphertexts"] == 0 < encrypted["ciphertexts"]
    assert encrypted["network_bytes"] > 10**6
    assert "digits-table-cnn" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--images", 361), "`--images` must be at most 360 for digits-table-mlp, got 361"),
        (("--images", 1), "`--images` must be at least 2"),
        (("--network", "digits-transformer"), "`--network` must be one of"),
    ],
)
def test_bad_arguments_name_the_remedy(arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
