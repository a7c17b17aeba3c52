"""The start-up times: programs that run in processes of their own."""

import pytest
from typer.testing import CliRunner

from bench.__main__ import app
from bench.cases import times
from bench.cases.scripts import COMPILE_LIMIT, LARGE, Script, groups, scripts
from bench.harness.case import Silent
from bench.harness.rows import read
from plaintext_models.zoo import shipped


def test_every_shipped_network_is_compiled_in_both_packings():
    compiled = [script.what for script in scripts() if script.group == "compile"]
    pairs = [f"compile {n}, {p}" for n in shipped.names() for p in ("latency", "throughput")]
    assert compiled == [*pairs, *(f"compile {what}" for what in LARGE)]
    assert {script.limit for script in scripts() if script.group == "compile"} == {COMPILE_LIMIT}
    assert {script.group for script in scripts()} == set(groups())
    assert next(script.limit for script in scripts() if script.what == "all of he, warm files") == 0.5


def test_rows_have_medians_of_fresh_processes(monkeypatch, tmp_path):
    quick = (
        Script("import", "sleeping", "time.sleep(0.05)", "import time", limit=1.0),
        Script("import", "importing json, cold files", "import json", cold=True),
        Script("compile", "nothing", "pass", once=True),
    )
    monkeypatch.setattr(times, "scripts", lambda: quick)
    arguments = ["times", "--processes", "2", "--json", str(tmp_path / "t.json")]
    result = CliRunner(env={"COLUMNS": "80"}).invoke(app, arguments)
    assert result.exit_code == 0, result.output
    rows = [envelope.row for envelope in read(tmp_path / "t.json")]
    assert [(row["what"], row["limit"], row["processes"]) for row in rows] == [
        ("sleeping", 1.0, 2), ("importing json, cold files", None, 2), ("nothing", None, 1)
    ]  # fmt: skip
    assert 0.05 <= rows[0]["least"] <= rows[0]["seconds"] <= rows[0]["most"]
    assert "dropped from the file cache" in rows[1]["note"]
    assert "sleeping" in result.stdout


def test_a_process_that_fails_is_told():
    job = times.TimesJob(Script("import", "a module that is missing", "import no_such_module"), 1)
    with pytest.raises(ValueError, match="a fresh process failed: ModuleNotFoundError"):
        list(times.measure(job, Silent()))


def test_fresh_processes_find_no_kernels():
    script = Script(
        "answer", "the folder of kernels", "", "import os; print(os.listdir(os.environ['NUMBA_CACHE_DIR']))"
    )
    assert times._run(script.program, "", fresh=True).splitlines()[0] == "[]"
