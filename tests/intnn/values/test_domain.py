import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intnn import Dense, IntDomain, Interval, IntNetwork

INT64 = st.integers(-(2**63), 2**63 - 1)


@given(st.integers(-50, 50), st.integers(0, 30))
def test_an_interval_is_the_set_of_its_values(lo, extra):
    domain = IntDomain.interval(lo, lo + extra)
    assert domain.values().tolist() == list(range(lo, lo + extra + 1))
    assert domain.size == extra + 1
    assert [v for v in range(-90, 90) if v in domain] == domain.values().tolist()
    assert domain.contains_array(domain.values())
    assert not domain.contains_array([domain.hi + 1])
    assert not domain.contains_array([domain.lo - 1])
    assert domain.magnitude == max(map(abs, domain.values().tolist()))


@given(st.integers(2, 2**63 - 1), INT64)
def test_a_ring_reduces_to_its_centred_representative(modulus, value):
    ring = IntDomain.ring(modulus)
    reduced = int(ring.reduce(value))
    assert ring.size == modulus
    assert reduced in ring
    assert (reduced - value) % modulus == 0
    assert 2 * abs(reduced) <= modulus


@pytest.mark.parametrize(("modulus", "lo", "hi"), [(5, -2, 2), (4, -2, 1), (65537, -32768, 32768)])
def test_the_centred_form_of_known_rings(modulus, lo, hi):
    assert IntDomain.ring(modulus) == IntDomain(lo, hi, modulus)


@given(st.integers(1, 100))
def test_a_symmetric_domain_has_its_points_around_zero(points):
    domain = IntDomain.symmetric(points)
    assert domain.size == points
    assert domain.hi + domain.lo == (0 if points % 2 else -1)


@given(INT64, INT64, st.lists(INT64, min_size=1))
def test_saturation_gives_the_nearest_element(a, b, values):
    domain = IntDomain(min(a, b), max(a, b))
    assert domain.saturate(values).tolist() == [min(max(v, domain.lo), domain.hi) for v in values]


def test_require_names_the_first_value_outside():
    with pytest.raises(ValueError, match=r"`x` must lie in \[0, 1\], got 7 at index \(1, 0\)"):
        IntDomain(0, 1).require([[0, 1], [7, -1]], "x")


@pytest.mark.parametrize("value", [1.0, True, None, "1", np.float64(1.0)])
def test_only_integers_are_members(value):
    assert value not in IntDomain(0, 1)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((1, 0), ValueError, "`lo` must be at most `hi`, got 1 > 0"),
        ((0, 2**63), ValueError, "`hi` must lie in"),
        ((0.0, 1), TypeError, "`lo` must be an integer, got 0.0"),
        ((False, True), TypeError, "`lo` must be an integer, got False"),
        ((0, 4, 5), ValueError, "must be the centred form of Z_5, got"),
        ((0, 0, 1), ValueError, "`modulus` must lie in"),
    ],
)
def test_what_is_no_domain(arguments, error, message):
    with pytest.raises(error, match=message):
        IntDomain(*arguments)


def test_an_interval_has_nothing_to_wrap_by():
    with pytest.raises(ValueError, match="`reduce` needs a ring"):
        IntDomain(0, 3).reduce([4])


@pytest.mark.parametrize("x", [[0.5], [True], ["a"], [2**70]])
def test_arrays_of_anything_but_int64_are_refused(x):
    with pytest.raises(TypeError, match="must hold integers"):
        IntDomain(0, 1).require(x, "x")


@pytest.mark.parametrize(
    "masked",
    [
        np.ma.array([[1, 2], [3, 4]], mask=[[False, True], [False, False]]),
        np.ma.array([[1, 2]], mask=True),
        [np.ma.array([1, 2]), np.ma.array([3, 4], mask=[True, False])],
        ([1, 2], np.ma.masked_equal([1, 2], 1)),
        np.ma.masked,
    ],
)
def test_what_is_masked_is_refused(masked):
    network = IntNetwork((2,), IntDomain(0, 255), (Dense([[1, 2]], [3]),))
    for backend in ("numpy", "numba"):
        with pytest.raises(ValueError, match="`x` must have nothing masked, got a masked array; fill it"):
            network.logits(masked, backend)


def test_a_masked_array_without_a_mask_is_an_array():
    network = IntNetwork((2,), IntDomain(0, 255), (Dense([[1, 2]], [3]),))
    for x in (np.ma.array([[4, 5]]), np.ma.array([[4, 5]], mask=False), [np.ma.array([4, 5], mask=[False, False])]):
        assert network.logits(x) == network.logits(x, "numba") == 17


def test_uint64_beyond_int64_is_refused():
    with pytest.raises(ValueError, match="must fit int64"):
        IntDomain(0, 1).require(np.array([2**63], np.uint64), "x")


def test_interval_holds_its_own_read_only_arrays():
    lo = np.zeros(3, np.int64)
    interval = Interval(lo, lo + 2)
    lo[:] = 9
    assert interval.hull == IntDomain(0, 2)
    assert interval.contains([[0, 1, 2], [2, 2, 2]])
    assert not interval.contains([0, 1, 3])
    with pytest.raises(ValueError, match="read-only"):
        interval.lo[0] = 1


@pytest.mark.parametrize(("lo", "hi"), [([0], [0, 1]), ([], []), ([1], [0])])
def test_what_is_no_interval(lo, hi):
    with pytest.raises(ValueError, match="`lo`"):
        Interval(np.array(lo, np.int64), np.array(hi, np.int64))
