"""Samples that lie far from all others."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import he
from he.model.outliers import without_outliers
from tests.he.model.test_compile import INSECURE, graph_of_layers, outputs_of

ONES_AND_ZEROS = (np.arange(400) % 50 == 0).astype(float)


@given(st.integers(0, 99), st.integers(0, 399), st.sampled_from([-1e6, -999.0, 1e4]), st.booleans())
def test_one_value_is_brought_to_where_the_others_end(seed, row, value, are_images):
    rng = np.random.default_rng(seed)
    x = rng.random((400, 1, 2, 2) if are_images else (400, 3))
    assert without_outliers(x) is x
    far = x.copy()
    far.reshape(400, -1)[row, 1] = value
    found = without_outliers(far)
    assert np.flatnonzero((found != far).reshape(400, -1).any(axis=1)).tolist() == [row]
    others = np.delete(x.reshape(400, -1), row, axis=0)
    end = np.abs(others).max(axis=1).max() if are_images else others[:, 1].max() if value > 0 else others[:, 1].min()
    assert abs(found.reshape(400, -1)[row, 1]) == abs(end)


@pytest.mark.parametrize(
    "feature",
    [
        np.random.default_rng(0).normal(size=400),
        np.random.default_rng(0).lognormal(size=400),
        np.random.default_rng(0).poisson(0.05, size=400).astype(float),
        ONES_AND_ZEROS,
        1e6 * ONES_AND_ZEROS,  # of eight rows
        np.where(np.arange(400) % 10, 0.5, -999.0),  # of every tenth row
        np.full(400, 7.0),
        1e306 * np.arange(-170.0, 171.0).repeat(2)[:400],  # nearly all that float64 has
    ],
)
def test_features_of_all_kinds_have_none(feature):
    x = np.stack([feature, np.arange(400.0)], axis=1)
    assert without_outliers(x) is x


@pytest.mark.filterwarnings("ignore:what is encrypted agrees")  # of weights at random
@pytest.mark.parametrize("row", [4, 5])  # of which one is held out for the exact path, and the other is not
@pytest.mark.parametrize("exact", [True, False])
def test_they_take_nothing_from_the_answers_for_others_and_are_named(exact, row):
    graph = graph_of_layers(5, 8, 3, classes=["a", "b", "c"])
    x = np.random.default_rng(1).random((300, 5))
    far = x.copy()
    far[row, 2] = 1e6
    with pytest.warns(UserWarning, match=rf"1 of the samples, row\(s\) {row}, .* in feature\(s\) 2: "):
        compiled = he.compile(graph, far, exact=exact, **INSECURE)
    agreed = np.mean(outputs_of(compiled, x).argmax(axis=1) == graph.predict(x))
    assert agreed > 0.95
    assert agreed > compiled.agreement - 0.03
    assert np.isfinite(outputs_of(compiled, far[row][None])).all()
