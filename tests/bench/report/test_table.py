"""The table's head: what was measured on, in one line of at most 80 columns."""

import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from bench.report import table

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("processor", "threads", "line"),
    [
        ("Some [fast] CPU @ 2.40GHz", 8, "on Some [fast] CPU @ 2.40GHz, 8 threads"),
        ("arm64", 1, "on arm64, 1 thread"),
        ("x" * 100, 16, "on " + "x" * 62 + "..., 16 threads"),
    ],
)
def test_the_processor_and_the_threads_stand_under_the_title(monkeypatch, processor, threads, line):
    monkeypatch.setattr(table, "machine", lambda: {"processor": processor})
    monkeypatch.setattr(table, "available_threads", lambda: threads)
    page = StringIO()
    table.show(Console(file=page, width=80), [])
    title, about, *_ = page.getvalue().splitlines()
    assert title == "Table 3.1, measured here"
    assert about == line
    assert len(about) <= 80


def test_the_report_loads_no_torch():
    code = "import sys, bench.report.table; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "False\n"
