from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intnn import Conv2d, Dense
from intnn.ops import numpy_
from intnn.quantisation.compensate import compensated


def error(layer, weight, bias, x):
    rounded = replace(layer, weight=weight, bias=bias)
    return np.square(rounded.apply(x, numpy_) - layer.apply(x, numpy_)).mean()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["dense", "convolution", "groups"]))
def test_inputs_that_go_together_make_up_for_each_others_errors(seed, kind):
    rng = np.random.default_rng(seed)
    smooth = np.cumsum(np.cumsum(rng.normal(size=(60, 4, 8, 8)), axis=2), axis=3)  # neighbours are nearly equal
    if kind == "dense":
        x = smooth.reshape(60, -1)[:, ::8]
        layer = Dense(rng.normal(size=(5, x.shape[1])) * 2, rng.normal(size=5))
    else:
        x, groups = smooth, 2 if kind == "groups" else 1
        layer = Conv2d(rng.normal(size=(4, 4 // groups, 3, 3)) * 2, rng.normal(size=4), 1, 1, 1, groups)
    weight, bias = compensated(layer, x)
    assert (weight == np.rint(weight)).all()
    rows = np.abs(layer.weight).reshape(len(weight), -1).max(axis=1)
    assert (np.abs(weight).reshape(len(weight), -1).max(axis=1) <= np.rint(rows)).all()
    nearest = error(layer, np.rint(layer.weight), layer.bias, x)
    assert error(layer, weight, bias, x) < nearest


@given(st.integers(0, 2**32 - 1))
def test_independent_inputs_round_to_the_nearest(seed):
    rng = np.random.default_rng(seed)
    layer = Dense(rng.normal(size=(3, 4)) * 5, np.zeros(3))
    x = np.vstack([np.eye(4), -np.eye(4)])  # moments without a covariance, and without a mean
    weight, bias = compensated(layer, x)
    assert np.abs(weight - layer.weight).max() <= 0.5 + 1e-9
    assert np.allclose(bias, 0)


@pytest.mark.parametrize("size", [0.0, 1e-200, 1e200])
def test_inputs_of_any_size_overflow_nothing(size):
    layer = Dense(np.array([[1.4, -2.6], [0.2, 0.3]]), np.array([0.5, 0.0]))
    weight, bias = compensated(layer, size * np.array([[1.0, 2.0], [3.0, 5.0], [1.0, 1.0]]))
    assert np.isfinite(weight).all()
    assert np.isfinite(bias).all()
    assert np.abs(weight - layer.weight).max() < 3
