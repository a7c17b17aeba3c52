"""Intervals over runs, and what is said of orderings."""

from dataclasses import replace

import pytest
from scipy import stats

from bench.report.paper import Estimate, PaperRow, estimate, orderings
from plaintext_models.evaluation.judge import wilson

SOME, LESS = Estimate(0.5, 0.4, 0.6), Estimate(0.3, 0.2, 0.35)
ROW = PaperRow("T23", "one", "digits", 0.1, 10, (0,), None, None, SOME, SOME, SOME, ("",))


def test_one_run_has_wilsons_interval():
    assert estimate([7], 20) == Estimate(0.35, *wilson(7, 20))


def test_runs_that_differ_have_students():
    counts = [100, 500, 800, 200]
    found = estimate(counts, 1000)
    expected = stats.ttest_1samp([count / 1000 for count in counts], 0).confidence_interval()
    assert found.value == pytest.approx(0.4)
    assert found.low == pytest.approx(max(0, expected.low))
    assert found.high == pytest.approx(expected.high)


def test_runs_that_agree_are_not_certain():
    assert estimate([7, 7], 20) == Estimate(0.35, *wilson(14, 40))


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.1, 0.3, "holds"), (0.1, 0.4, "is open"), (0.5, 0.7, "is open"), (0.7, 0.9, "is contradicted")],
)
def test_intervals_that_do_not_touch_decide(low, high, verdict):
    better = replace(ROW, said_better=(("other", "published"), ("other", "adaptive")))
    other = replace(ROW, setting="other", attacked=Estimate(0.5, low, high), adaptive=LESS)
    published, adaptive = orderings([better, other])
    assert published == f"T23: one better than other on the published attack: {verdict}"
    assert adaptive == "T23: one better than other on adaptive attacks: holds"
