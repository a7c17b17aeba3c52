"""Intervals over runs, and what is said of orderings."""

from dataclasses import replace

import pytest
from scipy import stats

from bench.papers.columns import Column
from bench.report.paper import Estimate, Figure, PaperRow, estimate, estimate_number, orderings, published_text
from plaintext_models.evaluation.judge import Share, wilson

CLEAN, STEP = Column("clean"), Column("FGSM")
SOME = Estimate(0.5, 0.4, 0.6)
ROW = PaperRow("T23", "one", "digits", True, "", 10, (0,), (), (), ("",), 0.0)


def figure(column, ours):
    return Figure(column, ours, None, None, None)


def test_one_run_has_wilsons_interval():
    assert estimate([Share(7, 20)]) == Estimate(0.35, *wilson(7, 20))


def test_runs_that_differ_have_students():
    counts = [100, 500, 800, 200]
    found = estimate([Share(count, 1000) for count in counts])
    expected = stats.ttest_1samp([count / 1000 for count in counts], 0).confidence_interval()
    assert found.value == pytest.approx(0.4)
    assert found.low == pytest.approx(max(0, expected.low))
    assert found.high == pytest.approx(expected.high)
    numbers = estimate_number([float(count) for count in counts])
    expected = stats.ttest_1samp(counts, 0).confidence_interval()
    assert (numbers.value, numbers.low, numbers.high) == pytest.approx((400, expected.low, expected.high))


def test_runs_that_agree_are_not_certain_and_one_number_says_nothing():
    assert estimate([Share(7, 20), Share(7, 20), Share(0, 0)]) == Estimate(0.35, *wilson(7, 20))
    assert estimate_number([3.0]) == Estimate(3.0, None, None)
    with pytest.raises(ValueError, match="`shares` must hold one"):
        estimate([Share(0, 0)])


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.1, 0.3, "holds"),
        (0.1, 0.4, "is open"),
        (0.5, 0.7, "is open"),
        (0.7, 0.9, "is contradicted"),
        (None, None, "is open, of one run"),
    ],
)
def test_intervals_that_do_not_touch_decide(low, high, verdict):
    said = (("FGSM", "other", "FGSM"), ("clean", "one", "FGSM"))
    one = replace(ROW, figures=(figure(CLEAN, Estimate(0.9, 0.8, 1.0)), figure(STEP, SOME)), said_higher=said)
    other = replace(ROW, setting="other", figures=(figure(STEP, Estimate(0.5, low, high)),))
    between, within = orderings([one, other])
    assert between == f"T23: one higher than other, FGSM: {verdict}"
    assert within == 'T23: one, "clean" higher than "FGSM": holds'


def test_figures_are_printed_in_their_units():
    assert str(figure(CLEAN, SOME)) == "50.0 [40, 60]"
    assert str(figure(Column("length", "pixels"), Estimate(12.3456, 11.0, 13.579))) == "12.35 [11, 13.6]"
    assert str(figure(Column("length", "pixels"), Estimate(12.3456, None, None))) == "12.35"


def test_more_runs_on_the_same_images_say_no_more_of_other_images():
    one, many = estimate([Share(50, 100)]), estimate([Share(50, 100)] * 30)
    assert (many.low, many.high) == pytest.approx((one.low, one.high))


@pytest.mark.parametrize("figures", [(), (figure(CLEAN, SOME),)])
def test_an_ordering_of_what_was_not_measured_is_open(figures):
    one = replace(ROW, figures=figures, said_higher=(("clean", "other", "FGSM"),))
    other = replace(ROW, setting="other")
    assert list(orderings([one, other])) == ['T23: one, "clean" higher than other, "FGSM": is open, not measured']


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
