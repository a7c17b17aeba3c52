"""How the rows of the meeting point look."""

from dataclasses import replace

import pytest
from rich.console import Console

from bench.report.meeting import MeetingRow, draw, show

ROW = MeetingRow(
    "certified", "digits", 57, 0.1, 100, 0.95, 94, 71, 70, 360, 250, 240, 49.8, 512.3, "BFV, N=16384", 12.0, 0
)
RANDOM = replace(ROW, defence="noise at the client", proved=None, certified=None, certified_by_intervals=None)
TOO_LARGE = replace(ROW, defence="undefended", units=None, encrypted_ms=None, parameters="does not fit")


def test_the_table_fits_80_columns():
    console = Console(width=80, record=True)
    show(console, [ROW, RANDOM, TOO_LARGE])
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    cells = {line.split("│")[1].strip(): line.split() for line in lines if line.startswith("│")}
    assert " ".join(cells["certified"]) == "│ certified │ 57 │ 95.0 │ 94 │ 71 [61, 79] │ 70 │ 49.8 │ 512 │"
    assert " ".join(cells["undefended"]).endswith("│ 70 │ │ │")


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_the_picture_names_every_defence_that_has_a_price(tmp_path, suffix):
    pytest.importorskip("matplotlib")
    path = tmp_path / f"meeting{suffix}"
    draw(path, [ROW, replace(ROW, points=113, encrypted_ms=900.0), RANDOM, TOO_LARGE])
    assert path.stat().st_size > 1000
    if suffix == ".svg":
        text = path.read_text()
        assert text.count("<!-- certified -->") == 1
        assert "<!-- noise at the client -->" in text
        assert "<!-- undefended -->" not in text
