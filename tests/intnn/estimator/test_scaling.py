"""Float features become integers of a domain."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from intnn import IntDomain
from intnn.estimator.scaling import Scaling


@given(hnp.arrays(np.float64, (5, 3), elements=st.floats(allow_nan=False, allow_infinity=False)), st.data())
def test_scaling_spreads_every_feature_over_the_domain(x, data):
    low = data.draw(st.integers(-128, 0))
    domain = IntDomain(low, data.draw(st.integers(low, low + 127)))
    scaled = Scaling.of(x, domain)(x)
    assert scaled.dtype == np.int64
    assert domain.contains_array(scaled)
    for before, after in zip(x.T, scaled.T, strict=True):
        # Monotone; and where the step is a normal float, from end to end.
        assert np.all(np.diff(after[np.argsort(before, kind="stable")]) >= 0)
        if before.max() / 2 - before.min() / 2 > 1e-300 and domain.size > 1:
            assert {after[before.argmin()], after[before.argmax()]} == {domain.lo, domain.hi}


def test_what_lies_beyond_the_training_data_saturates():
    scaling = Scaling.of(np.array([[0.0, 5.0], [1.0, 5.0]]), IntDomain(0, 10))
    assert scaling(np.array([[-1e308, 5.0], [1e308, 1e308], [0.26, -3.0]])).tolist() == [[0, 0], [10, 10], [3, 0]]


SCALING = Scaling.of(np.array([[0.0, 5.0], [1.0, 6.0]]), IntDomain(0, 10))
IMAGES = Scaling.of(np.linspace(0, 1, 8).reshape(2, 1, 2, 2), IntDomain(0, 10))


@pytest.mark.parametrize(
    ("scaling", "x", "error", "message"),
    [
        (SCALING, [[0.5]], ValueError, r"`X` must have shape \(batch, 2\), got \(1, 1\)"),  # no column stands for all
        (SCALING, [[0.5, 5.0, 1.0]], ValueError, r"`X` must have shape \(batch, 2\), got \(1, 3\)"),
        (SCALING, [0.5, 5.0], ValueError, "Reshape your data"),
        (SCALING, [[0.5, np.nan]], ValueError, "NaN or infinity"),
        (SCALING, np.ma.array([[0.5, 5.0]], mask=[[True, False]]), ValueError, "`X` must have nothing masked"),
        (SCALING, "x", ValueError, "`X` must hold numbers"),
        (IMAGES, [[0.5, 5.0]], ValueError, r"`X` must have shape \(batch, channels, height, width\), got \(1, 2\)"),
    ],
)
def test_what_is_not_of_the_training_datas_shape_is_refused(scaling, x, error, message):
    with pytest.raises(error, match=message):
        scaling(x)


def test_lists_and_integers_are_scaled_as_arrays_of_floats_are():
    assert SCALING([[0, 5], [1, 6]]).tolist() == SCALING(np.array([[0, 5], [1, 6]])).tolist() == [[0, 0], [10, 10]]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (((0, 10), [0.0], [1.0]), TypeError, "`domain` must be an IntDomain, got tuple"),
        ((IntDomain(0, 10), [0.0, 1.0], [1.0]), ValueError, "`least` and `step` must have one shape"),
        ((IntDomain(0, 10), [[0.0]], [[1.0]]), ValueError, "`least` and `step` must have one shape"),
        ((IntDomain(0, 10), [0.0], [0.0]), ValueError, "`step` must be positive, got 0.0"),
        ((IntDomain(0, 10), [0.0], [-1.0]), ValueError, "`step` must be positive, got -1.0"),
    ],
)
def test_what_is_no_scaling_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        Scaling(*arguments)
