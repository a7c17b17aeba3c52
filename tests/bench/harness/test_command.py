"""The one command, on a case of three lines: what it prints, writes and refuses."""

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated

import pytest
from typer.testing import CliRunner

from bench.harness import command
from bench.harness.case import Case, Option, Options
from bench.harness.command import application
from bench.harness.rows import read

MODULE = "tests_bench_a_case"


@dataclass(frozen=True)
class Asked(Options):
    counts: Annotated[tuple[int, ...], Option("How many.", least=1)] = (2,)
    kind: Annotated[str, Option("Which.", choices=lambda: ("plain", "odd"))] = "plain"
    loud: Annotated[bool, Option("Whether to say so.", flag="--loud")] = False
    json: Annotated[Path | None, Option("Rows.", writes="rows")] = None
    pictures: Annotated[Path | None, Option("Pictures.", writes="pictures")] = None
    keep: Annotated[Path | None, Option("Where finished work is kept.")] = None
    seed: Annotated[int, Option("Seed.", least=0, most=9)] = 7


@dataclass(frozen=True)
class Counted:
    count: int

    @property
    def title(self):
        return f"to {self.count}"


def jobs(options):
    return tuple(Counted(count) for count in options.counts)


def measure(job, report):
    report("counting", 0.5)
    report.say(f"counted to {job.count}")
    report.picture(f"{job.count}.png", b"picture")
    yield job


def show(console, rows):
    console.print(f"{len(rows)} rows")


@pytest.fixture
def module(monkeypatch):
    module = ModuleType(MODULE)
    module.jobs, module.measure, module.show = jobs, measure, show
    monkeypatch.setitem(sys.modules, MODULE, module)
    return module


def invoke(*arguments):
    app = application({"count": Case("count", "Count.", Asked, MODULE, extras=("bench",), schema=3)}, "A test.")
    return CliRunner(env={"COLUMNS": "80"}).invoke(app, ["count", *map(str, arguments)])


def test_rows_and_pictures_are_written_when_all_is_measured(module, tmp_path):
    result = invoke("--counts", 1, "--counts", 4, "--json", tmp_path / "r.json", "--pictures", tmp_path / "p")
    assert result.exit_code == 0, result.output
    assert "2 rows" in result.stdout
    assert "counted to 4" in result.stderr
    envelopes = read(tmp_path / "r.json")
    assert [envelope.row for envelope in envelopes] == [{"count": 1}, {"count": 4}]
    assert {(e.case, e.schema, e.seed) for e in envelopes} == {("count", 3, 7)}
    assert {path.name for path in (tmp_path / "p").iterdir()} == {"1.png", "4.png"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--counts", 2, "--counts", 0), "`--counts` must be at least 1, got 0"),
        (("--kind", "even"), "`--kind` must be one of plain, odd, got 'even'"),
        (("--seed", -1), "`--seed` must be at least 0, got -1"),
        (("--seed", 10), "`--seed` must be at most 9, got 10"),
        (("--json", "r.png"), "`--json` must name a .json file, got r.png"),
    ],
)
def test_what_cannot_be_measured_is_one_line_and_code_2(module, arguments, message):
    module.measure = None  # nothing is measured
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [f"error: {message}"]


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt, 130), (ValueError("no [figure]"), 2)])
def test_nothing_is_written_when_a_job_fails(module, tmp_path, error, code):
    def fail(job, report):
        if job.count == 1:
            return measure(job, report)
        raise error

    module.measure = fail
    (tmp_path / "r.json").write_text("what was there")
    result = invoke("--counts", 1, "--counts", 2, "--json", tmp_path / "r.json", "--pictures", tmp_path / "p")
    assert result.exit_code == code
    assert (tmp_path / "r.json").read_text() == "what was there"
    assert list((tmp_path / "p").iterdir()) == []
    assert ("interrupted; nothing was written" if code == 130 else "error: no [figure]") in result.stderr


@pytest.mark.parametrize(
    ("error", "begin"),
    [(KeyboardInterrupt, "interrupted; nothing was written"), (FloatingPointError("in step 7"), "error: in step 7")],
)
@pytest.mark.parametrize("finished", [0, 1])
def test_what_stops_a_command_says_where_finished_work_is_kept_if_there_is_any(
    module, tmp_path, error, begin, finished
):
    def stop(job, report):
        for number in range(finished):
            (tmp_path / f"{number}.json").write_text("{}")
        raise error

    module.measure = stop
    said = begin + f"; what was finished is kept in {tmp_path}" * finished
    for folder in (tmp_path, *([] if finished else [tmp_path / "not made"])):
        assert invoke("--keep", folder).stderr.splitlines()[-1] == said


def test_no_output_is_tried_before_all_are_checked(module, tmp_path):
    (tmp_path / "p").write_text("a file")
    result = invoke("--json", tmp_path / "new" / "r.json", "--pictures", tmp_path / "p")
    assert result.stderr.splitlines() == [f"error: `--pictures` must name a folder, got the file {tmp_path / 'p'}"]
    assert not (tmp_path / "new").exists()


def test_an_interrupt_between_two_outputs_says_what_was_written(module, tmp_path, monkeypatch):
    def interrupt(path, content):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "write_atomically", interrupt)
    result = invoke("--json", tmp_path / "r.json", "--pictures", tmp_path / "p")
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1] == f"interrupted; only {tmp_path / 'r.json'} was written"
    assert len(read(tmp_path / "r.json")) == 1


def test_a_missing_library_names_the_extras():
    case = Case("count", "Count.", Asked, "bench.no_such_module", extras=("he", "data"))
    with pytest.raises(ImportError, match=r"`count` needs `pip install '.\[he,data\]'`"):
        case.implementation()


@dataclass(frozen=True)
class Within(Options):
    radius: Annotated[float, Option("How far.")] = 0.1
    radii: Annotated[tuple[float, ...], Option("How far, several.")] = (0.25, 0.5)


@pytest.mark.parametrize(
    ("arguments", "radius", "radii"),
    [
        ((), 0.1, (0.25, 0.5)),
        (("--radius", "8/255", "--radii", "1e-3"), 8 / 255, (1e-3,)),
        (("--radii", "1/4", "--radii", 2), 0.1, (0.25, 2.0)),
    ],
)
def test_numbers_may_be_quotients(module, arguments, radius, radii):
    asked = []
    module.jobs = lambda options: asked.append(options) or ()
    app = application({"within": Case("within", "Within.", Within, MODULE, extras=("bench",), schema=1)}, "A test.")
    result = CliRunner().invoke(app, ["within", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    assert asked == [Within(radius, radii)]


@pytest.mark.parametrize("given", ["x", "1/0", "8/", "/", "1/2/3"])
def test_what_is_no_number_is_refused(module, given):
    app = application({"within": Case("within", "Within.", Within, MODULE, extras=("bench",), schema=1)}, "A test.")
    result = CliRunner(env={"COLUMNS": "120"}).invoke(app, ["within", "--radius", given])
    assert result.exit_code == 2
    assert f"must be a number or a quotient as 8/255, got {given}" in result.output
