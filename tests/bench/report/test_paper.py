"""Intervals over runs, and what is said of orderings."""

from dataclasses import replace

import pytest
from scipy import stats

from bench.report.paper import PaperRow, interval, orderings
from plaintext_models.evaluation.judge import wilson

ROW = PaperRow("T23", "one", "digits", 0.1, 10, (0,), 1.0, None, 0.5, 0.4, 0.6, None, 0.3, 0.2, 0.4, ("",))


def test_one_run_has_wilsons_interval():
    assert interval([7], 20) == (0.35, *wilson(7, 20))


def test_runs_that_differ_have_students():
    counts = [100, 500, 800, 200]
    mean, low, high = interval(counts, 1000)
    expected = stats.ttest_1samp([count / 1000 for count in counts], 0).confidence_interval()
    assert mean == pytest.approx(0.4)
    assert low == pytest.approx(max(0, expected.low))
    assert high == pytest.approx(expected.high)


def test_runs_that_agree_are_not_certain():
    assert interval([7, 7], 20) == (0.35, *wilson(14, 40))


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.1, 0.3, "holds"), (0.1, 0.4, "is open"), (0.5, 0.7, "is open"), (0.7, 0.9, "is contradicted")],
)
def test_intervals_that_do_not_touch_decide(low, high, verdict):
    better = replace(ROW, said_better=[("one", "other")])
    other = replace(ROW, setting="other", low=low, high=high, adaptive_low=0.0, adaptive_high=0.1)
    published, adaptive = orderings([better, other])
    assert published == f"T23: that one stands better than other {verdict} under the published attack"
    assert adaptive.endswith("holds under adaptive ones")
