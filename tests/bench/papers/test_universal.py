"""Sums of units: that bounds hold between the points of a grid, and that what can be reached is reached."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.papers import universal
from bench.papers.experiment import Run
from bench.papers.store import loaded, making
from bench.papers.universal import FUNCTIONS, SIZES, Approximated, Function, Sum, distances, drawn, grid, learnt
from plaintext_models.evaluation.card import QUICK

SMOOTH = [name for name, function in FUNCTIONS.items() if function.curvature is not None]


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(SMOOTH), units=st.sampled_from(["sigmoid", "square"]), seed=st.integers(0, 2**32 - 1))
def test_no_point_is_farther_than_the_bound(name, units, seed):
    rng, function = np.random.default_rng(seed), FUNCTIONS[name]
    m = function.dimension
    sum_ = Sum(units, rng.normal(size=(6, m)) * 8, rng.normal(size=6) * 4, rng.normal(size=6))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(universal.JUDGED, m, 6)
        found, most = distances(function, sum_)
    x = rng.uniform(size=(2000, m))
    farthest = np.abs(sum_(x) - function.values(x)).max()
    assert found <= most
    assert farthest <= most * (1 + 1e-12)


def test_a_grid_alone_can_miss_what_the_bound_does_not(monkeypatch):
    monkeypatch.setitem(universal.JUDGED, 1, 4)  # whose points are where the wave is 0
    nothing = Sum("sigmoid", np.ones((1, 1)), np.zeros(1), np.zeros(1))
    found, most = distances(FUNCTIONS["wave"], nothing)
    assert found < 1e-12
    assert most >= 0.5


@pytest.mark.parametrize("name", SMOOTH)
def test_second_derivatives_are_within_their_bounds(name):
    function, step = FUNCTIONS[name], 1 / 200
    rng = np.random.default_rng(0)
    x = rng.uniform(step, 1 - step, (2000, function.dimension))
    x = x[(np.abs(x - 0.5) > step).all(1)]  # a kink lies on the grid
    sum_ = Sum("sigmoid", np.full((1, function.dimension), 3.0), np.zeros(1), np.ones(1))
    for axis in range(function.dimension):
        aside = step * np.eye(function.dimension)[axis]

        def bent(f, aside=aside):
            return np.abs(f(x + aside) - 2 * f(x) + f(x - aside)).max() / step**2

        assert bent(function.values) <= function.curvature + 1e-9
        assert bent(sum_) <= sum_.curvature()[axis]
        assert bent(replace_units(sum_, "square")) == pytest.approx(replace_units(sum_, "square").curvature()[axis])


def replace_units(sum_, units):
    return Sum(units, sum_.w, sum_.b, sum_.v)


def test_kinks_are_points_of_the_grid():
    assert all(0.5 in grid(1, intervals) for intervals in universal.JUDGED.values())
    assert grid(2, 3).shape == (16, 2)


@pytest.mark.parametrize("name", ["wave", "waves"])
def test_a_sum_of_the_same_units_is_found(name):
    wanted = drawn(FUNCTIONS[name], "sigmoid", 12, np.random.default_rng(3))
    v = np.random.default_rng(4).normal(size=12)
    target = Sum("sigmoid", wanted.w, wanted.b, v)
    same = Function(FUNCTIONS[name].dimension, target, None)
    again = drawn(same, "sigmoid", 12, np.random.default_rng(3))
    assert np.array_equal(again.w, wanted.w)
    assert distances(same, again)[0] < 1e-6  # KEPT, times sums of a dozen units


def test_sigmoids_come_closer_and_squares_do_not():
    def distance(units, count):
        return distances(FUNCTIONS["wave"], drawn(FUNCTIONS["wave"], units, count, np.random.default_rng(0)))[0]

    assert distance("sigmoid", 64) < 1e-3 * distance("sigmoid", 4)
    assert distance("square", 64) == pytest.approx(distance("square", 8), rel=1e-6)  # polynomials of degree 2 are all
    assert distance("square", 64) > 0.5


def test_all_weights_are_learnt(monkeypatch):
    monkeypatch.setattr(universal, "STEPS", 300)
    function = FUNCTIONS["wave"]
    start = drawn(function, "sigmoid", 16, np.random.default_rng(0))
    end, x = learnt(start, function), grid(1, 100)
    assert all((getattr(start, name) != getattr(end, name)).all() for name in "wbv")
    assert ((end(x) - function.values(x)) ** 2).mean() < 0.2 * (function.values(x) ** 2).mean()


@pytest.mark.parametrize("name", ["wave", "jump"])
def test_columns_are_measured_where_they_apply(name, monkeypatch):
    monkeypatch.setattr(universal, "SIZES", (4, 8))
    made = making(loaded("digits", None), 0, keep=None, report=lambda _: None)
    figures = Approximated(name).measure(Run(0, made.dataset, made.trained, made.report, 1, QUICK)).figures
    columns = {column.name for column in universal.EXPERIMENTS["T43"].columns}
    assert set(figures) <= columns
    assert len(figures) == (2 if name == "jump" else 4)
    assert SIZES[0] == 4


def test_runs_of_several_seeds_draw_other_units():
    one, two = (drawn(FUNCTIONS["wave"], "sigmoid", 4, np.random.default_rng((seed, 4))) for seed in (0, 1))
    assert not np.array_equal(one.w, two.w) or not np.array_equal(one.b, two.b)
