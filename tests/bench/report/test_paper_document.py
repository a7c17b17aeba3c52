"""The report of published results: its texts name what they show, and every picture is drawn of what was measured."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from bench.harness.output import SHOWN
from bench.papers.columns import Column, Drawing, curve, histogram, matrix
from bench.papers.registry import EXPERIMENTS
from bench.papers.store import _write_arrays
from bench.report.intervals import Estimate
from bench.report.paper_document import report
from bench.report.paper_drawings import SEEN, _curve, _lines, pictures
from bench.report.paper_rows import Figure, PaperRow
from bench.tables.documents import PUBLISHED

CURVE, BARS = Drawing("accuracy under FGSM", "curve", "radius", "accuracy"), Drawing("sure", "histogram", "confidence")
MATRIX, LENGTH = Drawing("transfer", "matrix", "made by", "judged by"), Drawing("length", "curve", "radius", "L1")
LONG = Drawing("by epochs", "curve", "epoch", "accuracy")
COLUMNS = (
    Column("clean"),
    *curve(CURVE, "FGSM", (0.1, 0.2, 0.3)),
    *curve(CURVE, "BIM", (0.1, 0.2)),
    *curve(LENGTH, "L1", (0.1, 0.2), "pixels"),
    *curve(LONG, "epoch", range(13)),
    *histogram(BARS, "before", (0.0, 0.5)),
    *matrix(MATRIX, ("from A|B", "from C")),
)
RNG = np.random.default_rng(0)


def figure(column, value):
    share = column.unit == "%"
    ours = Estimate(value, max(0.0, value - 0.1), min(1.0, value + 0.1)) if share else Estimate(10 * value, None, None)
    printed = None if column.x is None else 0.5
    return Figure(column, ours, printed, None, None if printed is None else ours.value - printed)


@pytest.fixture
def rows(tmp_path):
    arrays = {
        "perturbations": RNG.normal(size=(3, 1, 8, 8)),
        "images": RNG.random((2, 3, 8, 8)),
        "map": np.column_stack([RNG.normal(size=(20, 2)), np.arange(20) % 10]),
    }
    _write_arrays(tmp_path / "a.arrays", "0", arrays)
    first = PaperRow(
        "T23",
        "one <b>",
        "digits",
        True,
        "networks",
        10,
        (0, 1),
        tuple(figure(column, 0.2 + 0.03 * i) for i, column in enumerate(COLUMNS)),
        (("clean", "two", "clean"),),
        ("", ""),
        1.5,
        (str(tmp_path / "a.arrays"),),
        (("perturbations", "signed images"), ("images", "images"), ("map", "points"), ("missing", "images")),
        2.5,
    )
    return (
        first,
        replace(first, setting="two", figures=tuple(figure(column, 0.4) for column in COLUMNS[:6]), said_higher=()),
    )


@pytest.mark.parametrize(
    ("changes", "left"),
    [({}, False), ({"quick": True}, True), ({"clean": True}, True), ({"left_out": 3}, True)],
)
def test_a_report_says_what_of_the_full_version_is_left(rows, changes, left):
    text = report([replace(row, **{"quick": False, **changes}) for row in rows])["report.md"].decode()
    assert ("T23 in full, about 2.5 h of one core: python -m bench paper T23 --full" in text) == left


def test_a_report_is_whole(rows):
    files = report(rows)
    assert set(files) == {
        "report.md", "report.html", "T23-accuracy-under-fgsm.svg", "T23-length.svg", "T23-by-epochs.svg",
        "T23-sure.svg", "T23-transfer.svg", "T23-perturbations-seed-0.png", "T23-images-seed-0.png",
        "T23-map-seed-0.png",
    }  # fmt: skip
    text, page = (files[name].decode() for name in ("report.md", "report.html"))
    shown = set(re.findall(r"!\[[^]]*\]\(([^)]*)\)", text))
    assert shown == set(files) - {"report.md", "report.html"}
    assert page.count('src="data:image/') == len(shown) == page.count("src=")  # nothing is fetched from elsewhere
    assert "one &lt;b&gt;" in page
    assert "| accuracy under FGSM | FGSM 0.1 |" in text  # a table says what its columns are a picture of
    assert "perturbations, seed 0: of two images; red is above 0, blue below" in page
    assert "from A\\|B" in text
    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1
    assert text.count("| two |") == 2  # of three tables, a line where something was measured
    assert "before from" not in text  # bins are only drawn
    assert "epoch 3" not in text  # so are long lines
    assert "FGSM 0.3" in text
    assert "T23: one &lt;b&gt; higher than two, clean: is open" in text
    assert "<b>" not in text
    for identifier in set(PUBLISHED) - {"T23"}:
        assert f"python -m bench paper {identifier}{'' if PUBLISHED[identifier].quick else ' --full'}\n" in text
    assert "T23 in full, about 2.5 h of one core: python -m bench paper T23 --full" in text
    assert report(rows) == files


def test_a_picture_is_shown_whatever_it_is_called(rows):
    column = Column("clean at 0", drawing=Drawing("in [0, 1] & <b>", "curve"), x=0.0)
    text = report([replace(rows[0], figures=(figure(column, 0.5),), pictures=())])["report.md"].decode()
    assert re.findall(SHOWN, text) == [
        "T23-in-0-1-b.svg"
    ]  # as whoever removes pictures of the report before finds them
    assert "T23: in [0, 1] &amp; &lt;b&gt;\n" in text


def test_no_table_is_wider_than_a_page_and_no_column_is_lost(rows):
    wide = replace(rows[0], figures=tuple(figure(Column(f"column {number}"), 0.5) for number in range(25)))
    lines = report([wide])["report.md"].decode().splitlines()
    headings = [re.findall(r"column \d+", line) for line in lines if "| column" in line]
    assert [len(names) for names in headings] == [12, 12, 1]
    assert [name for names in headings for name in names] == [f"column {number}" for number in range(25)]


def test_drawn_files_are_what_their_names_say(rows):
    for picture in pictures(rows):
        if picture.name.endswith(".svg"):
            ElementTree.fromstring(picture.content)
        else:
            assert picture.content.startswith(b"\x89PNG")


def test_lines_are_drawn_in_the_order_of_x(rows):
    shuffled = [replace(row, figures=row.figures[::-1]) for row in rows]
    found = _lines(shuffled, CURVE)
    assert {key: [one.column.x for one in line] for key, line in found.items()} == {
        (setting, line): xs
        for setting in ("one <b>", "two")
        for line, xs in (("FGSM", [0.1, 0.2, 0.3]), ("BIM", [0.1, 0.2]))
    }


def test_a_setting_has_its_colour_in_every_picture_and_counts_are_whole(rows):
    later = replace(rows[1], figures=tuple(figure(column, 0.4) for column in COLUMNS[:8]))
    fewer = [replace(rows[0], figures=rows[0].figures[:4]), later]  # the second picture has one setting's lines alone
    both, one = (_curve(fewer, drawing).axes[0].lines for drawing in (CURVE, LENGTH))
    assert len({line.get_color() for line in both}) == 2
    assert {line.get_color() for line in one} == {both[-1].get_color()}
    few = [figure(column, 0.5) for column in curve(LONG, "epoch", range(1, 4))]
    (axes,) = _curve([replace(rows[0], figures=tuple(few))], LONG).axes
    assert all(tick == round(tick) for tick in axes.get_xticks())


def test_every_picture_of_an_array_says_what_is_seen():
    assert SEEN.keys() == {name for experiment in EXPERIMENTS.values() for name in experiment.pictures}


def largest(form):
    """Rows of the experiment with the most lines, or the most cells, in a picture of a form, in full."""
    sizes = {}
    for identifier, experiment in EXPERIMENTS.items():
        settings = experiment.settings(False)
        for drawing in {column.drawing for column in experiment.columns if column.drawing is not None}:
            if drawing.form == form:
                own = [column for column in experiment.columns if column.drawing == drawing]
                lines = len({column.line for column in own}) if form == "curve" else len(own)
                sizes[len(settings) * lines, identifier] = settings, own
    (_, identifier), (settings, own) = max(sizes.items(), key=lambda item: item[0])
    made = (RNG.random(len(own)) for _ in settings)
    return [
        PaperRow(identifier, setting.name, "digits", False, "", 1, (0,), tuple(map(figure, own, values)), (), ("",), 1)
        for setting, values in zip(settings, made, strict=True)
    ]


@pytest.mark.parametrize("form", ["curve", "histogram", "matrix"])
@pytest.mark.filterwarnings("error")  # that a picture has no room for what is beside it is a warning
def test_the_largest_pictures_have_room(form):
    assert [picture.name for picture in pictures(largest(form))]


def test_a_legend_lies_beside_the_lines_and_within_the_picture():
    rows = largest("curve")
    drawn = _curve(rows, next(one.column.drawing for one in rows[0].figures))
    drawn.draw_without_rendering()
    (legend,), (axes,) = drawn.legends, drawn.axes
    named = [text.get_text() for text in legend.get_texts()]
    assert named == list(dict.fromkeys([row.setting for row in rows] + [one.column.line for one in rows[0].figures]))
    place = legend.get_window_extent()
    assert place.x0 >= axes.get_window_extent().x1
    assert all(drawn.bbox.contains(*corner) for corner in place.corners())
    own = [line for line in axes.lines if line.get_marker() != "x"]
    looks = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in own}
    assert len(looks) == len(own) == len(rows) * (len(named) - len(rows))


def test_no_two_lines_look_alike_and_what_begins_is_marked(rows):
    several = Drawing("several", "curve", mark=1.5)
    columns = [column for name in "abcdef" for column in curve(several, name, (1, 2))]
    one = replace(rows[0], figures=tuple(figure(column, 0.5) for column in columns))
    for drawn in ([one], [replace(one, setting=str(number), figures=one.figures[:8]) for number in range(2)]):
        *lines, mark = [line for line in _curve(drawn, several).axes[0].lines if line.get_marker() != "x"]
        assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == len(lines)
        assert set(mark.get_xdata()) == {1.5}
