"""Outputs are checked and tried before anything is measured; what is refused names its option and the remedy."""

import sys
from pathlib import Path

import pytest

from bench.harness.case import Output
from bench.harness.output import check, try_out, write_report

OPTIONS = {"rows": "--json", "picture": "--plot", "lines": "--record", "pictures": "--plot-dir", "kept": "--keep"}
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a file system that takes no files")


def output(writes, path):
    return Output(OPTIONS[writes], writes, path)


@pytest.mark.parametrize(
    ("writes", "name", "message"),
    [
        ("rows", "rows.png", "`--json` must name a .json file, got {}"),
        ("rows", "rows", "`--json` must name a .json file, got {}"),
        ("picture", "rows.json", "`--plot` must name a .png, .svg or .pdf file, got {}"),
        ("lines", "gpu.json", "`--record` must name a .jsonl file, got {}"),
        ("rows", "folder.json", "`--json` must name a .json file, got the folder {}"),
        ("pictures", "taken", "`--plot-dir` must name a folder, got the file {}"),
        ("kept", "taken", "`--keep` must name a folder, got the file {}"),
    ],
)
def test_a_path_of_another_kind_is_refused(tmp_path, writes, name, message):
    (tmp_path / "taken").write_text("a file")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole message is compared
        check(output(writes, tmp_path / name))
    assert str(error.value) == message.format(tmp_path / name)


@linux
def test_a_folder_that_takes_no_file_is_found_out_whatever_its_permissions_say():
    check(output("rows", Path("/proc/x.json")))
    with pytest.raises(OSError, match=r"^`--json` cannot be written to /proc/x\.json: No such file or directory; name"):
        try_out(output("rows", Path("/proc/x.json")))


@pytest.mark.parametrize("name", ["taken/x.json", "taken/deeper/x.json"])
def test_a_file_in_the_place_of_a_folder_is_said_to_be_one(tmp_path, name):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OSError, match=r"`--json` cannot be written to .*: a file is where a folder should be; name "):
        try_out(output("rows", tmp_path / name))


@pytest.mark.parametrize("does", [check, try_out])
def test_a_name_that_is_too_long_is_refused_with_its_option(tmp_path, does):
    with pytest.raises(OSError, match=r"`--json` cannot be written to .*: File name too long; name "):
        does(output("rows", tmp_path / ("x" * 300 + ".json")))


@pytest.mark.parametrize(("writes", "name"), [("rows", "r.json"), ("lines", "r.jsonl"), ("picture", "new/p.png")])
def test_a_trial_leaves_nothing_but_the_folder(tmp_path, writes, name):
    path = tmp_path / name
    try_out(output(writes, path))
    assert list(path.parent.iterdir()) == []
    path.write_text("what was there")
    try_out(output(writes, path))
    assert [found.name for found in path.parent.iterdir()] == [path.name]
    assert path.read_text() == "what was there"


def test_a_folder_of_pictures_is_made_and_stays_empty(tmp_path):
    try_out(output("pictures", tmp_path / "a" / "b"))
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_report_leaves_no_picture_of_the_one_before_and_touches_nothing_else(tmp_path):
    folder = tmp_path / "report"
    folder.mkdir()
    (folder / "mine.svg").write_bytes(b"mine")
    outside = tmp_path / "outside.svg"
    outside.write_bytes(b"outside")
    text = "![T1: a](a.svg)\n\n![T1: b](b.png)\n\n![](../outside.svg)\n\nsee ![](mine.svg)\n"
    first = {"report.md": text.encode(), "report.html": b"", "a.svg": b"1", "b.png": b"1"}
    assert set(write_report(folder, first)) == {folder / name for name in first}
    second = {"report.md": b"![T1: b](b.png)\n", "report.html": b"", "b.png": b"2"}
    write_report(folder, second)
    assert {path.name for path in folder.iterdir()} == {"mine.svg", *second}
    assert (folder / "b.png").read_bytes() == b"2"
    assert outside.read_bytes() == b"outside"
