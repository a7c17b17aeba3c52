from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.compiler.polynomial import MOST_PRODUCTS, Leaf, table_polynomials
from he.ring.params import PLAIN_MODULUS

MODULI = (97, 257, 769, PLAIN_MODULUS)


@dataclass(frozen=True)
class Value:
    """All points of a table at once, with what an evaluator would have to pay for them."""

    residues: np.ndarray
    depth: int = 0
    relinearised: bool = True


class Meter:
    """Plain integers modulo t; counts, and refuses what a ciphertext could not do."""

    def __init__(self, modulus: int) -> None:
        self.modulus, self.products, self.relinearisations = modulus, 0, 0

    def multiply(self, a: Value, b: Value) -> Value:
        assert a.relinearised
        assert b.relinearised
        self.products += 1
        return Value(a.residues * b.residues % self.modulus, max(a.depth, b.depth) + 1, relinearised=False)

    def relinearise(self, a: Value) -> Value:
        assert not a.relinearised
        self.relinearisations += 1
        return Value(a.residues, a.depth)

    def add(self, values: list[Value]) -> Value:
        assert values
        total = sum(v.residues for v in values) % self.modulus
        return Value(total, max(v.depth for v in values), all(v.relinearised for v in values))

    def scalar_dot(self, values: list[Value], scalars: list[int], constant: int) -> Value:
        assert values  # an empty sum would need a ciphertext from nowhere
        assert len(values) == len(scalars)
        total = sum(v.residues * s for v, s in zip(values, scalars, strict=True)) + constant
        return Value(total % self.modulus, max(v.depth for v in values), all(v.relinearised for v in values))


def first(*table, **told):
    """The polynomial that is likely the cheapest."""
    return table_polynomials(*table, **told)[0]


def evaluate(plan, points):
    meter = Meter(plan.modulus)
    return plan.evaluate(meter, Value(np.array(points, dtype=np.int64) % plan.modulus)), meter


@st.composite
def tables(draw, modulus):
    """Points and values of a table that is not constant, with or without symmetry, of 2 to 300 points."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["random", "scattered", "even", "odd", "almost even", "sparse"]))
    size = draw(st.integers(3, min(300, modulus)))
    if kind == "scattered":
        points = rng.choice(modulus, size, replace=False)
    elif kind in ("random", "sparse"):
        points = np.arange(size) + int(rng.integers(-modulus, modulus))
    else:
        points = np.arange(size - 1 + size % 2) - (size - 1) // 2  # an odd number around 0
    half = rng.integers(0, modulus, len(points))
    values = {
        "even": lambda: half[np.abs(points)],
        "almost even": lambda: half[np.abs(points)] + (points == points.max()),
        "odd": lambda: half[0] + np.sign(points) * half[np.abs(points)],
        "sparse": lambda: np.where(points % 7, 0, half),
    }.get(kind, lambda: half)() % modulus
    if len(set(values)) == 1:
        values[-1] = (values[-1] + 1) % modulus
    return points.tolist(), values.tolist()


@settings(max_examples=100)
@given(st.data(), st.sampled_from(MODULI), st.booleans(), st.integers(0, 40))
def test_a_plan_equals_its_table_and_costs_what_it_says(data, modulus, told, more):
    points, values = data.draw(tables(modulus))
    plans = table_polynomials(points, values, modulus, min(len(points) + more, modulus), told)
    for plan in plans:
        result, meter = evaluate(plan, points)
        assert result.residues.tolist() == values
        assert result.relinearised
        assert result.depth == plan.depth
        assert meter.products == plan.products
        assert meter.relinearisations <= meter.products
    costs = sorted((plan.products, plan.depth) for plan in plans)
    assert [depth for _, depth in costs] == sorted({depth for _, depth in costs}, reverse=True)  # none beats another
    assert costs[-1][0] <= MOST_PRODUCTS * costs[0][0]
    assert min(plans, key=lambda plan: plan.products * plan.depth) == plans[0]


def shape(node):
    """A tree without the coefficients that depend on its table: where it branches, and which coefficients are 1."""
    if isinstance(node, Leaf):
        return [c == 1 for c in node.coefficients]
    return node.giant, shape(node.cofactor), shape(node.quotient), shape(node.remainder)


@settings(max_examples=100)
@given(st.data(), st.sampled_from(MODULI))
def test_tables_of_one_size_have_one_plan(data, modulus):
    points, values = data.draw(tables(modulus))
    others = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, modulus, len(points)).tolist()
    found = [table_polynomials(points, entries, modulus) for entries in (values, others, [0] * len(points))]
    for plans in zip(*found, strict=True):
        assert len({(p.symmetry, p.constant, p.baby_steps, p.products, p.depth) for p in plans}) == 1
        assert shape(plans[0].tree) == shape(plans[1].tree) == shape(plans[2].tree)


def test_a_plan_for_larger_tables_is_theirs():
    values = np.random.default_rng(0).integers(0, 97, 64).tolist()
    small, large = first(range(41), values[:41], 97, 64), first(range(64), values, 97)
    assert shape(small.tree) == shape(large.tree)
    for size in (40, 98):
        with pytest.raises(ValueError, match="`size` must be from 41, the number of points, to 97, got"):
            first(range(41), values[:41], 97, size)


@pytest.mark.parametrize(
    ("points", "products", "depth"), [(2, 0, 0), (3, 1, 1), (56, 12, 6), (120, 17, 7), (240, 25, 8)]
)
def test_the_price_of_a_random_table(points, products, depth):
    values = np.random.default_rng(points).integers(0, PLAIN_MODULUS, points).tolist()
    plan = first(range(points), values, PLAIN_MODULUS)
    assert (plan.symmetry, plan.products, plan.depth) == ("none", products, depth)


def test_a_table_of_nearly_all_residues_is_exact():
    rng = np.random.default_rng(0)
    points = np.arange(PLAIN_MODULUS - 2) - PLAIN_MODULUS // 2
    values = rng.integers(0, PLAIN_MODULUS, len(points))
    plan = first(points.tolist(), values.tolist(), PLAIN_MODULUS)
    some = rng.choice(len(points), 200, replace=False)
    result, meter = evaluate(plan, points[some])
    assert np.array_equal(result.residues, values[some])
    assert meter.products == plan.products < 400


@pytest.mark.parametrize(
    ("symmetry", "products", "depth"),
    [("even", 18, 8), ("odd", 19, 9)],
)
def test_symmetry_halves_the_degree_of_a_table_of_239_points(symmetry, products, depth):
    half = np.random.default_rng(0).integers(0, PLAIN_MODULUS, 120)
    points = np.arange(-119, 120)
    values = half[abs(points)] if symmetry == "even" else np.sign(points) * half[abs(points)] + 5
    plan = first(points.tolist(), values.tolist(), PLAIN_MODULUS, told=True)
    assert (plan.symmetry, plan.products, plan.depth) == (symmetry, products, depth)


@pytest.mark.parametrize(
    ("coefficients", "products"), [((5, 1), 0), ((0, 3), 0), ((1, 0, 1), 1), ((1, 1, 1), 1), ((0, 1, 0, 1), 2)]
)
def test_a_table_of_a_polynomial_costs_what_the_polynomial_costs(coefficients, products):
    points = range(-50, 51)
    values = [sum(c * x**i for i, c in enumerate(coefficients)) for x in points]
    plan = first(points, values, PLAIN_MODULUS, told=True)
    assert plan.products == products
    assert evaluate(plan, points)[0].residues.tolist() == [v % PLAIN_MODULUS for v in values]


@pytest.mark.parametrize(
    ("points", "values", "message"),
    [
        ([], [], "at least one, got 0, 0"),
        ([1, 2], [1], "equally many and at least one, got 2, 1"),
        ([1, 98], [1, 2], "distinct modulo 97, got 1 distinct ones of 2"),
        (range(98), range(98), "distinct modulo 97, got 97 distinct ones of 98"),
    ],
)
def test_what_is_no_table_is_refused(points, values, message):
    with pytest.raises(ValueError, match=message):
        first(points, values, 97)
