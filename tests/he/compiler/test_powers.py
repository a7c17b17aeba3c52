"""Polynomials by powers against Horner's rule on integers, and how many products they take."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from he.compiler.powers import evaluate

#: The operations on plain integers; a product that is not relinearised is marked, and must not be read.
INTEGERS = SimpleNamespace(
    multiply=lambda a, b: ("product", a * b),
    relinearise=lambda a: a[1],
    add=sum,
    scalar_dot=lambda values, scalars, constant: sum(v * s for v, s in zip(values, scalars, strict=True)) + constant,
)


class Depths:
    """An algebra whose values are depths."""

    def __init__(self):
        self.products = 0

    def multiply(self, a, b):
        self.products += 1
        return max(a, b) + 1

    def relinearise(self, a):
        return a

    def add(self, values):
        return max(values)

    def scalar_dot(self, values, scalars, constant):
        return max(values)


def priced(coefficients):
    counted = Depths()
    return evaluate(counted, 0, coefficients), counted.products


@given(st.lists(st.sampled_from([0, 0, 1, -1, 3, -7]), max_size=64), st.sampled_from([1, 2, -5]), st.integers(-9, 9))
def test_every_polynomial_has_its_value_at_the_least_depth(lower, leading, x):
    coefficients = [*lower, leading] if lower else [4, leading]
    assert evaluate(INTEGERS, x, coefficients) == sum(c * x**i for i, c in enumerate(coefficients))
    depth, products = priced(coefficients)
    assert depth == (len(coefficients) - 2).bit_length()
    assert products < len(coefficients) - 1 or len(coefficients) == 2


@pytest.mark.parametrize(
    ("coefficients", "depth", "products"),
    [
        ((0, 0, 1), 1, 1),
        ((3, -2, 5), 1, 1),
        ((0, 1, 0, 1), 2, 2),
        ((1, 2, 3, 4), 2, 2),
        ((1, 2, 3, 4, 5), 2, 2),
        ((1, 0, 3, 0, 5), 2, 2),
        ((0,) * 8 + (1,), 3, 3),
        ((1,) * 9, 3, 4),
        ((7, 1, 0, 2, 0, 3), 3, 3),
        ((1,) * 65, 6, 16),
    ],
)
def test_few_products_are_enough(coefficients, depth, products):
    assert priced(coefficients) == (depth, products)
