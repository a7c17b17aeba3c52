"""The list of networks, attacks and defences is whole, and says where they come from."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.__main__ import app
from bench.harness.rows import read
from bench.tables.documents import ATTACKS
from plaintext_models.attacks import families
from plaintext_models.defences.registry import DEFENCES
from plaintext_models.zoo.registry import RECIPES

MEMBERS = {**families.WITHIN, **families.NEAREST}


def test_everything_is_listed(tmp_path):
    result = CliRunner(env={"COLUMNS": "80"}).invoke(app, ["models", "--json", str(tmp_path / "rows.json")])
    assert result.exit_code == 0, result.output
    rows = [envelope.row for envelope in read(tmp_path / "rows.json")]
    names = {kind: [row["name"] for row in rows if row["kind"] == kind] for kind in ("network", "attack", "defence")}
    assert names["network"] == list(RECIPES)
    assert names["attack"] == list(MEMBERS)
    assert [row["identifiers"] for row in rows if row["kind"] == "defence"] == [[name] for name in DEFENCES]
    assert "T23" in result.output
    assert all(len(line.rstrip()) <= 80 for line in result.output.splitlines() if not line.startswith("Rows"))


def test_one_kind_can_be_asked_for():
    result = CliRunner().invoke(app, ["models", "--kind", "defence"])
    assert "T33" in result.output
    assert "hop-skip-jump" not in result.output


def test_attacks_have_origins():
    assert set(ATTACKS) == set(MEMBERS)
    for origin in ATTACKS.values():
        assert bool(origin.identifiers) == bool(origin.section)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attacks_source_is_the_one_that_its_code_names(name):
    folder = Path(families.__file__).parent
    text = "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.py"))
    if name != "random-noise":  # a control, without a paper of its own
        assert ATTACKS[name].source.split("arXiv:")[1] in text
