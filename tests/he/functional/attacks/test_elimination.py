from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from he.functional.attacks.elimination import PRIME, rank, solve
from intnn.testing import int_arrays
from intnn.values.domain import IntDomain

BYTES = IntDomain(-128, 255)


def rational_rank(matrix) -> int:
    """The rank over the rationals, by Gauss."""
    rows, found = [[Fraction(int(v)) for v in row] for row in matrix], 0
    for column in range(len(rows[0])):
        pivot = next((i for i in range(found, len(rows)) if rows[i][column]), None)
        if pivot is None:
            continue
        rows[found], rows[pivot] = rows[pivot], rows[found]
        for i in range(found + 1, len(rows)):
            factor = rows[i][column] / rows[found][column]
            rows[i] = [a - factor * b for a, b in zip(rows[i], rows[found], strict=True)]
        found += 1
    return found


@st.composite
def matrices(draw_, limit=127):
    """Small matrices, often of less than full rank."""
    m, n = draw_(st.integers(1, 6)), draw_(st.integers(1, 6))
    inner = draw_(st.integers(1, 6))
    thin = draw_(int_arrays((m, inner), -3, 3)) @ draw_(int_arrays((inner, n), -3, 3))
    return draw_(st.sampled_from([thin, draw_(int_arrays((m, n), -limit, limit))]))


@given(st.data())
def test_what_is_determined_is_right_and_what_is_not_could_be_otherwise(data) -> None:
    matrix = data.draw(matrices())
    unknowns = data.draw(int_arrays((matrix.shape[1], 3), -128, 255))
    found, determined = solve(matrix, matrix @ unknowns, BYTES)
    assert np.array_equal(found[determined], unknowns[determined])
    assert not found[~determined].any()
    whole = rational_rank(matrix)
    for i in range(matrix.shape[1]):
        # An unknown is determined where its column depends on no others.
        free = rational_rank(np.delete(matrix, i, axis=1)) == whole if matrix.shape[1] > 1 else whole == 0
        assert determined[i] == (not free)


@given(matrices())
def test_the_rank_is_that_over_the_rationals(matrix) -> None:
    assert rank(matrix) == rational_rank(matrix)


def test_the_matrix_is_not_written_to() -> None:
    matrix = np.array([[2, 1], [1, 1]])
    solve(matrix, np.array([[3], [2]]), BYTES)
    rank(matrix)
    assert matrix.tolist() == [[2, 1], [1, 1]]


def test_a_bounded_range_determines_what_the_rationals_do_not() -> None:
    # x + PRIME y: the first unknown is smaller than the prime.
    found, determined = solve(np.array([[1, PRIME]]), np.array([[7 + 5 * PRIME]]), IntDomain(0, 255))
    assert determined.tolist() == [True, False]
    assert found[0, 0] == 7


def test_equations_without_a_solution_are_refused() -> None:
    with pytest.raises(ValueError, match="contradict"):
        solve(np.array([[1], [1]]), np.array([[1], [2]]), BYTES)
    with pytest.raises(ValueError, match="no solution in"):
        solve(np.array([[2]]), np.array([[1]]), BYTES)
    with pytest.raises(ValueError, match="no solution in"):
        solve(np.array([[1]]), np.array([[256]]), BYTES)


def test_the_range_must_be_smaller_than_the_prime() -> None:
    solve(np.array([[1]]), np.array([[1]]), IntDomain(0, PRIME - 2))
    with pytest.raises(ValueError, match="fewer than"):
        solve(np.array([[1]]), np.array([[1]]), IntDomain(0, PRIME - 1))
