"""What is said of orders, and how figures are printed."""

import io
from dataclasses import replace

import pytest
from rich.console import Console
from scipy import stats

from bench.papers.columns import Column
from bench.report.intervals import Estimate
from bench.report.paper import heading, nearness, published_text, show
from bench.report.paper_document import report
from bench.report.paper_orders import excess, judged, tallied
from bench.report.paper_rows import Figure, PaperRow
from plaintext_models.evaluation.judge import Share

CLEAN, STEP = Column("clean"), Column("FGSM")
SOME = Estimate(0.5, 0.4, 0.6)
ROW = PaperRow("T23", "one", "digits", True, "", 10, (0,), (), (), ("",), 0.0)


def figure(column, ours):
    return Figure(column, ours, None, None, None)


def runs(column, *counts, of=1000):
    return Figure(column, SOME, None, None, None, tuple(Share(count, of) for count in counts))


@pytest.mark.parametrize(
    ("others", "verdict"),
    [
        ((400, 440, 390), "holds, by"),
        ((400, 600, 350), "is open, by +5.0"),
        ((600, 620, 600), "is contradicted, by -10.7"),
        ((400,), "is open, of one run"),
    ],
)
def test_the_interval_of_the_difference_decides(others, verdict):
    values = (500, 520, 480)[: len(others)]
    said = (("FGSM", "other", "FGSM"), ("clean", "one", "FGSM"))[: len(others)]
    one = replace(ROW, figures=(runs(CLEAN, 900, 920, 880), runs(STEP, *values)), said_higher=said)
    other = replace(ROW, setting="other", figures=(runs(STEP, *others),))
    between, *within = map(str, judged([one, other]))
    assert between.startswith(f"T23: one higher than other, FGSM: {verdict}")
    assert all(sentence.startswith('T23: one, "clean" higher than "FGSM": holds, by +40.0 [+36') for sentence in within)


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        ((0.9, 0.86), "is open, by +0.0 [-4.4, +4.4]"),
        ((0.9, 0.5), "is open, by +0.0 [-4.4, +4.4], without the document's +40.0"),
        ((0.5, 0.9), "is open, by +0.0 [-4.4, +4.4], without the document's -40.0"),
        ((0.9, None), "is open, by +0.0 [-4.4, +4.4]"),
    ],
)
def test_what_is_open_may_exclude_the_published_difference(printed, words):
    higher, lower = (replace(runs(STEP, 500, 500), published=value) for value in printed)
    one = replace(ROW, figures=(higher,), said_higher=(("FGSM", "other", "FGSM"),))
    assert list(map(str, judged([one, replace(ROW, setting="other", figures=(lower,))]))) == [
        f"T23: one higher than other, FGSM: {words}"
    ]


@pytest.mark.parametrize(
    ("others", "verdict"),
    [
        ((1.0, 2.0), "holds, 100 times [100, 100]"),
        ((200.0, 200.0), "is open, 0.707 times [0.00865, 57.8]"),
        ((1e4, 2e4), "is contradicted, 0.01 times [0.01, 0.01]"),
        ((1.0,), "is open, of one run"),
    ],
)
def test_columns_may_be_compared_by_ratio(others, verdict):
    spread = Column("deviation", "nats", by_ratio=True)
    higher, lower = (Figure(spread, SOME, None, None, None, side) for side in ((100.0, 200.0)[: len(others)], others))
    one = replace(ROW, figures=(higher,), said_higher=(("deviation", "other", "deviation"),))
    found = list(map(str, judged([one, replace(ROW, setting="other", figures=(lower,))])))
    assert found == [f"T23: one higher than other, deviation: {verdict}"]


def test_runs_of_one_seed_are_compared_and_missing_ones_left_out():
    higher = Figure(Column("length", "pixels"), SOME, None, None, None, (1.0, None, 12.0, 103.0))
    lower = replace(higher, runs=(0.0, 5.0, 10.0, 100.0))
    found = excess(higher, lower)
    expected = stats.ttest_1samp([1, 2, 3], 0).confidence_interval()
    assert (found.value, found.low, found.high) == pytest.approx((2, expected.low, expected.high))
    assert excess(higher, replace(lower, runs=(None, 5.0, None, None))) is None
    nothing = runs(STEP, 0, 0, of=0)
    assert excess(nothing, runs(STEP, 1, 2)) is None


def test_names_are_printed_as_they_are():
    column = Column("in [bold]")
    row = replace(
        ROW, setting="a [x] & <b>", figures=(figure(column, SOME),), said_higher=(("in [bold]", "b [y]", "c"),)
    )
    console = Console(file=io.StringIO(), width=80)
    show(console, [row])
    printed = console.file.getvalue()
    assert all(name in printed for name in ("in [bold]", "a [x] & <b>", "b [y]", "50.0 [40, 60]"))


def test_what_attacks_nothing_names_no_images():
    assert heading([ROW]) == "quick: digits, 10 images, 1 seed from 0, 0 s of one core; shares in %"
    said = "quick: digits, all test images, none attacked, 1 seed from 0, 0 s of one core; shares in %"
    assert heading([replace(ROW, images=0, clean=True)]) == said
    assert heading([replace(ROW, images=0)]) == "quick: 1 seed from 0, 0 s of one core; shares in %"


def test_what_attacks_nothing_says_how_near_it_comes():
    def row(setting, *differences, clean=True):
        figures = (
            Figure(column, SOME, 0.5, None, off) for column, off in zip((CLEAN, STEP), differences, strict=False)
        )
        return replace(ROW, setting=setting, figures=tuple(figures), clean=clean)

    rows = [row("near", 0.0099, -0.0101), row("far", 0.02), row("unprinted", None), row("attacked", 0.5, clean=False)]
    said = "T23: 1 of 3 printed accuracies within a point; the others by near, FGSM -1.0, far, clean +2.0"
    assert list(nearness(rows)) == [said]
    assert list(nearness(rows[:1])) == ["T23: 1 of 2 printed accuracies within a point; the others by near, FGSM -1.0"]
    assert list(nearness([row("near", -0.01)])) == ["T23: 1 of 1 printed accuracies within a point"]
    assert not list(nearness([row("unprinted", None), row("attacked", 0.5, clean=False)]))


def test_figures_are_printed_in_their_units():
    assert str(figure(CLEAN, SOME)) == "50.0 [40, 60]"
    assert str(figure(Column("length", "pixels"), Estimate(12.3456, 11.0, 13.579))) == "12.35 [11, 13.6]"
    assert str(figure(Column("length", "pixels"), Estimate(12.3456, None, None))) == "12.35"


@pytest.mark.parametrize("figures", [(), (figure(CLEAN, SOME),)])
def test_an_ordering_of_what_was_not_measured_is_open(figures):
    one = replace(ROW, figures=figures, said_higher=(("clean", "other", "FGSM"),))
    other = replace(ROW, setting="other")
    assert list(map(str, judged([one, other]))) == [
        'T23: one, "clean" higher than other, "FGSM": is open, not measured'
    ]


@pytest.mark.parametrize(
    ("column", "value", "deviation", "text"),
    [
        (CLEAN, 0.6295, None, "62.95"),
        (CLEAN, 0.93, 0.0005, "93.0 ± 0.05"),
        (CLEAN, 0.00782, None, "0.782"),
        (CLEAN, 0.0, None, "0.0"),
        (Column("confidence", "percent"), 97.6, None, "97.6"),
    ],
)
def test_documents_are_quoted_with_all_their_digits(column, value, deviation, text):
    assert published_text(Figure(column, SOME, value, deviation, 0.0)) == text


def test_orders_of_several_results_are_counted():
    def pair(identifier, *others):
        said = (("FGSM", "other", "FGSM"),)
        one = replace(ROW, identifier=identifier, figures=(runs(STEP, 500, 520, 480),), said_higher=said)
        return one, replace(one, setting="other", figures=(runs(STEP, *others),), said_higher=())

    holds, against, undecided = pair("T23", 400, 440, 390), pair("T25", 600, 620, 600), pair("S18", 400, 600, 350)
    rows = [*holds, *against, *undecided]
    assert tallied(tuple(judged(rows))) == "of 3 stated orders 1 hold, 1 are contradicted, 1 are open"
    higher, lower = (replace(runs(STEP, 500, 500), published=value) for value in (0.9, 0.5))
    tie = replace(ROW, identifier="S20", figures=(higher,), said_higher=(("FGSM", "other", "FGSM"),))
    rows += [tie, replace(tie, setting="other", figures=(lower,), said_higher=())]
    counted = "of 4 stated orders 1 hold, 1 are contradicted, 2 are open, 1 of them without the document's difference"
    assert tallied(tuple(judged(rows))) == counted
    console = Console(file=io.StringIO(), width=80)
    show(console, rows)
    assert console.file.getvalue().endswith(f"All together, {counted}\n")
    console = Console(file=io.StringIO(), width=80)
    show(console, holds)
    assert "All together" not in console.file.getvalue()
    text = report(rows)["report.md"].decode()
    assert "| the thesis | 2 | 1 | 1 | 0 | 0 |\n| the report | 2 | 0 | 0 | 2 | 1 |\n| all | 4 | 1 | 1 | 2 | 1 |" in text
    assert text.count("T25: one higher than other, FGSM: is contradicted") == 2  # above all, and below its figures
    assert "What became of the orders" not in report(holds)["report.md"].decode()
