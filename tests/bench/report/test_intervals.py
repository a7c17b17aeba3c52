"""Intervals over runs: of figures, of differences, and of ratios."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.report.intervals import Estimate, difference, estimate, estimate_number, ratio
from plaintext_models.evaluation.judge import Share, Z, wilson


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


def test_more_runs_on_the_same_images_say_no_more_of_other_images():
    one, many = estimate([Share(50, 100)]), estimate([Share(50, 100)] * 30)
    assert (many.low, many.high) == pytest.approx((one.low, one.high))


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
    found = difference([(Share(*one), Share(*other))] * 3)
    assert (round(found.low, 4), round(found.high, 4)) == pytest.approx(expected, abs=1e-4)


def matched(both, first, second, neither):
    """A run of so many images that both shares have, only one of them, or none."""
    sides = ((True, True), (True, False), (False, True), (False, False))
    images = np.repeat(sides, (both, first, second, neither), axis=0)
    return tuple(Share.of(torch.from_numpy(side)) for side in images.T)


CELLS = st.tuples(*[st.integers(0, 30)] * 4).filter(any)


@given(CELLS, st.integers(2, 5))
def test_matched_images_that_all_seeds_agree_about_have_the_interval_of_agresti_and_min(cells, seeds):
    b, c, n = cells[1] + 0.5, cells[2] + 0.5, sum(cells) + 2
    middle, reach = (b - c) / n, Z * math.sqrt(b + c - (b - c) ** 2 / n) / n
    found = difference([matched(*cells)] * seeds)
    assert (found.low, found.high) == pytest.approx((middle - reach, middle + reach))
    assert found.value == pytest.approx((cells[1] - cells[2]) / sum(cells))


def test_matched_images_have_a_published_interval_within_all_differences():
    found = difference([matched(50, 20, 40, 50)] * 2)
    # the example of `diffpropci.mp` in R's package PropCIs, where 40 and 20 of 160 pairs differ
    assert (found.low, found.high) == pytest.approx((-0.21601726, -0.03089632), abs=1e-8)
    assert difference([matched(0, 20, 0, 0)] * 2).high == 1 == -difference([matched(0, 0, 20, 0)] * 2).low
    assert difference([(Share(9, 10), Share(0, 10)), (Share(5, 10), Share(4, 10))]).low == -1


def test_matching_narrows_what_both_get_wrong_alike():
    pairs = [matched(100, 60 - i, 40, 100 + i) for i in range(3)]
    unmatched = difference([tuple(Share(share.count, share.n) for share in pair) for pair in pairs])
    found = difference(pairs)
    assert unmatched.low < found.low < found.value < found.high < unmatched.high
    assert difference([pairs[0], tuple(Share(share.count, share.n) for share in pairs[1])]).low < found.low


RUNS = st.integers(1, 20).flatmap(
    lambda n: st.lists(st.lists(st.booleans(), min_size=2 * n, max_size=2 * n), min_size=2)
)


@given(RUNS, st.booleans())
def test_the_interval_of_a_difference_holds_students_and_turns_with_it(runs, noted):
    flags = torch.tensor(runs)
    pairs = [tuple(map(Share.of, run.chunk(2))) for run in flags]
    if not noted:
        pairs = [(Share(p.count, p.n), Share(q.count, q.n)) for p, q in pairs]
    found, turned = difference(pairs), difference([(q, p) for p, q in pairs])
    assert (found.low, found.value, found.high) == pytest.approx((-turned.high, -turned.value, -turned.low))
    differences = [p.value - q.value for p, q in pairs]
    if max(differences) - min(differences) > 1e-9:  # less is rounding, of which scipy warns
        students = stats.ttest_1samp(differences, 0).confidence_interval()
        assert found.low <= max(-1, students.low) + 1e-9
        assert found.high >= min(1, students.high) - 1e-9
    assert -1 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high


def test_intervals_hold_the_difference_of_other_seeds_and_other_images_as_often_as_they_say():
    """Each of two kinds of networks is right where the luck of its seed and the ease of the image suffice."""
    rng, trials, seeds, images = np.random.default_rng(0), 500, 4, 100
    rights = [(0.3, 0.35, 0.5), (0.0, 0.35, 0.5)]  # mean, deviation of seeds, of images that both share beside
    held, held_students = 0, 0
    truth = [stats.norm.cdf(mean / math.sqrt(1 + seed**2 + 2 * image**2)) for mean, seed, image in rights]
    for _ in range(trials):
        shared = rng.normal(size=images)
        sides = []
        for mean, seed, image in rights:
            ease = image * (shared + rng.normal(size=images))
            luck = seed * rng.normal(size=(seeds, 1))
            sides.append(mean + ease + luck + rng.normal(size=(seeds, images)) > 0)
        pairs = [tuple(Share.of(torch.from_numpy(side[i])) for side in sides) for i in range(seeds)]
        found = difference(pairs)
        held += found.low <= truth[0] - truth[1] <= found.high
        students = estimate_number([p.value - q.value for p, q in pairs])
        held_students += students.low <= truth[0] - truth[1] <= students.high
    assert held / trials >= 0.94
    assert held_students < held


def test_one_run_has_no_interval():
    assert difference([(Share(3, 4), Share(1, 4))]) == Estimate(0.5, None, None)
    assert ratio([(3.0, 2.0)]) == Estimate(1.5, None, None)


@given(st.lists(st.tuples(*[st.floats(1e-6, 1e6)] * 2), min_size=2, max_size=6), st.floats(1e-3, 1e3))
def test_the_interval_of_a_ratio_does_not_depend_on_the_unit_and_turns_with_it(pairs, unit):
    found, turned = ratio([(p * unit, q * unit) for p, q in pairs]), ratio([(q, p) for p, q in pairs])
    logs = [math.log(p / q) for p, q in pairs]
    assert found.value == pytest.approx(math.exp(sum(logs) / len(logs)))
    assert found.value == pytest.approx(1 / turned.value)
    assert found.low == pytest.approx(ratio(pairs).low, rel=1e-6)
    assert found.low <= found.value * (1 + 1e-9)
    assert found.value <= found.high * (1 + 1e-9)
