import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intnn import IntDomain, Lut
from intnn.testing import luts

DOMAIN = IntDomain(-3, 3)


@given(st.integers(-9, 0), st.integers(0, 9), st.data())
def test_a_table_is_the_function_it_was_made_from(lo, hi, data):
    values = data.draw(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=hi - lo + 1, max_size=hi - lo + 1))
    domain = IntDomain(lo, hi)
    lut = Lut.from_callable(lambda x: values[x - lo], domain)
    assert [int(lut(x)) for x in range(lo, hi + 1)] == values
    assert lut(domain.values().reshape(1, -1)).tolist() == [values]
    assert lut.range == IntDomain(min(values), max(values))
    assert lut == Lut(domain, np.array(values), "another name")
    assert hash(lut) == hash(Lut(domain, np.array(values), "another name"))


@given(luts(IntDomain(-2, 2)), st.data())
def test_tables_with_one_different_value_are_different(lut, data):
    table = lut.table.copy()
    table[data.draw(st.integers(0, lut.domain.size - 1))] += 1
    assert lut != Lut(lut.domain, table)
    assert lut != Lut(IntDomain(lut.domain.lo + 1, lut.domain.hi + 1), lut.table)
    assert lut != "a table"


@given(luts(IntDomain.ring(5)), st.integers(-20, 20))
def test_values_outside_the_domain_raise(lut, x):
    if x in lut.domain:
        assert lut(x) == lut.table[x - lut.domain.lo]
    else:
        with pytest.raises(ValueError, match="`x` must lie in"):
            lut([x])


def half(x):
    return x / 2


def test_a_function_that_returns_no_integer_names_the_point():
    with pytest.raises(
        ValueError, match=r"`f` must be total on \[-3, 3\]: at -3, `value` must be an integer, got -1.5"
    ):
        Lut.from_callable(half, DOMAIN)


def test_a_function_that_raises_names_the_point():
    with pytest.raises(ValueError, match="at 0, integer modulo by zero"):
        Lut.from_callable(lambda x: 6 % x, DOMAIN)


def test_a_function_that_leaves_its_codomain_names_the_point():
    with pytest.raises(ValueError, match=r"at 2, `value` must lie in \[0, 3\], got 4"):
        Lut.from_callable(lambda x: x * x, IntDomain(0, 3), IntDomain(0, 3))


@pytest.mark.parametrize("table", [[0] * 6, [0] * 8, [[0] * 7]])
def test_a_table_has_one_value_per_point(table):
    with pytest.raises(ValueError, match=r"`table` must have shape \(7,\) for \[-3, 3\]"):
        Lut(DOMAIN, np.array(table))


def test_a_table_of_floats_is_refused():
    with pytest.raises(TypeError, match="`table` must hold integers, got dtype float64"):
        Lut(DOMAIN, np.zeros(7))


def test_a_domain_too_large_to_tabulate_is_refused_before_anything_is_allocated():
    with pytest.raises(ValueError, match="`domain` must have at most 16777216 points"):
        Lut.from_callable(lambda x: x, IntDomain(0, 2**60))


def test_a_table_cannot_be_changed():
    table = np.zeros(7, np.int64)
    lut = Lut(DOMAIN, table)
    table[0] = 1
    assert lut(-3) == 0
    with pytest.raises(ValueError, match="read-only"):
        lut.table[0] = 1


def test_the_truth_table_is_aligned():
    lut = Lut.from_callable(lambda x: 10**x, IntDomain(0, 3), name="power")
    assert lut.truth_table() == "\n".join(
        ["x  power",
         "--------",
         "0      1",
         "1     10",
         "2    100",
         "3   1000"]
    )  # fmt: skip


@given(st.integers(1, 12))
def test_a_long_truth_table_counts_what_it_leaves_out(max_rows):
    lines = Lut.from_callable(lambda x: x, IntDomain(-4, 4)).truth_table(max_rows).splitlines()
    points = [int(line.split()[0]) for line in lines[2:] if "..." not in line]
    omitted = [int(line.split()[1]) for line in lines if "..." in line]
    assert points[0] == -4
    assert len(points) == min(max_rows, 9)
    assert sum(omitted) + len(points) == 9
