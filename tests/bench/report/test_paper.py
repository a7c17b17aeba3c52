"""Intervals over runs, and what is said of orderings."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.papers.columns import Column
from bench.report.paper import (
    Estimate,
    Figure,
    PaperRow,
    estimate,
    estimate_number,
    excess,
    heading,
    orderings,
    published_text,
)
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


def runs(column, *shares, of=1000):
    mean = sum(shares) / len(shares)
    return Figure(column, Estimate(mean, None, None), None, None, None, shares, of)


@pytest.mark.parametrize(
    ("others", "verdict"),
    [
        ((0.40, 0.44, 0.39), "holds, by +9.0 [+4.6, +13.3]"),
        ((0.40, 0.60, 0.35), "is open, by +5.0 [-23.2, +33.2]"),
        ((0.49, 0.53, 0.49), "is open, by -0.3 [-4.7, +4.0]"),
        ((0.60, 0.62, 0.60), "is contradicted, by -10.7 [-15.0, -6.3]"),
        ((0.40,), "is open, of one run"),
    ],
)
def test_the_interval_of_the_difference_decides(others, verdict):
    values = (0.5, 0.52, 0.48)[: len(others)]
    said = (("FGSM", "other", "FGSM"), ("clean", "one", "FGSM"))
    one = replace(ROW, figures=(runs(CLEAN, 0.9, 0.92, 0.88), runs(STEP, *values)), said_higher=said[: len(values)])
    other = replace(ROW, setting="other", figures=(runs(STEP, *others),))
    between, *within = orderings([one, other])
    assert between == f"T23: one higher than other, FGSM: {verdict}"
    assert within == ['T23: one, "clean" higher than "FGSM": holds, by +40.0 [+36.3, +43.5]'][: len(within)]


NEWCOMBES = [
    ((56, 70), (48, 80), (0.0524, 0.3339)),
    ((9, 10), (3, 10), (0.1705, 0.8090)),
    ((6, 7), (2, 7), (0.0582, 0.8062)),
    ((5, 56), (0, 29), (-0.0381, 0.1926)),
    ((0, 10), (0, 20), (-0.1611, 0.2775)),
    ((0, 10), (0, 10), (-0.2775, 0.2775)),
    ((10, 10), (0, 20), (0.6791, 1.0)),
    ((10, 10), (0, 10), (0.6075, 1.0)),
]  # Newcombe (1998), Table II, method 10


@pytest.mark.parametrize(("one", "other", "expected"), NEWCOMBES)
def test_shares_that_all_seeds_agree_about_have_newcombes_interval(one, other, expected):
    higher, lower = (runs(STEP, count / n, count / n, of=n) for count, n in (one, other))
    found = excess(higher, lower)
    assert (round(found.low, 4), round(found.high, 4)) == pytest.approx(expected, abs=1e-4)


SHARES = st.lists(st.tuples(*[st.integers(0, 50).map(lambda count: count / 50)] * 2), min_size=2, max_size=6)


@given(SHARES)
def test_the_interval_of_a_difference_holds_students_and_turns_with_it(pairs):
    higher, lower = (runs(STEP, *side, of=50) for side in zip(*pairs, strict=True))
    found, turned = excess(higher, lower), excess(lower, higher)
    assert (found.low, found.value, found.high) == pytest.approx((-turned.high, -turned.value, -turned.low))
    differences = [p - q for p, q in pairs]
    if len({round(one, 9) for one in differences}) > 1:
        students = stats.ttest_1samp(differences, 0).confidence_interval()
        assert found.low <= students.low + 1e-9
        assert found.high >= students.high - 1e-9
    assert not math.isclose(found.low, found.high)


def test_runs_of_one_seed_are_compared_and_missing_ones_left_out():
    higher = replace(runs(Column("length", "pixels"), 1.0), runs=(1.0, None, 12.0, 103.0), of=None)
    lower = replace(higher, runs=(0.0, 5.0, 10.0, 100.0))
    found = excess(higher, lower)
    expected = stats.ttest_1samp([1, 2, 3], 0).confidence_interval()
    assert (found.value, found.low, found.high) == pytest.approx((2, expected.low, expected.high))
    assert excess(higher, replace(lower, runs=(None, 5.0, None, None))) is None


def test_what_attacks_nothing_names_no_images():
    assert heading([ROW]) == "quick: digits, 10 images, 1 seed from 0, 0 s of one core; shares in %"
    assert heading([replace(ROW, images=0)]) == "quick: 1 seed from 0, 0 s of one core; shares in %"


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
