"""Float features become integers of a domain."""

import numpy as np
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
