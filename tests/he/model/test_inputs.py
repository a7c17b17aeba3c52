"""The scaling that clients do."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_matrix

from he.model.inputs import Inputs, floats_of, names_of, require_names
from intnn import Activation, Conv2d, Dense, Flatten, Graph

features = arrays(np.float64, st.tuples(st.integers(2, 6), st.integers(1, 4)), elements=st.floats(-1e3, 1e3))

LINEAR = Graph((1,), (Dense(np.ones((1, 1)), np.zeros(1)),))
CURVED = Graph((1,), (Activation("relu"),))


@given(features, st.integers(0, 99))
def test_what_is_scaled_is_undone_by_the_network(x, seed):
    """The network of scaled inputs gives for them what the given one gives for the inputs."""
    rng, size = np.random.default_rng(seed), x.shape[1]
    graph = Graph((size,), (Dense(rng.normal(size=(3, size)), rng.normal(size=3)),))
    inputs = Inputs.of(x, LINEAR)
    found, wanted = inputs.undone_by(graph).logits(inputs.scaled(x)), graph.logits(x)
    assert np.allclose(found, wanted, rtol=1e-6, atol=1e-6 * (1 + np.abs(x).max()))


@given(features)
def test_samples_are_within_the_range_and_do_not_saturate(x):
    inputs = Inputs.of(x, LINEAR)
    scaled = inputs.scaled(x)
    assert scaled.min() >= min(inputs.low, 0)
    assert scaled.max() <= max(inputs.high, 1)
    assert scaled.min() >= -1e-9
    assert scaled.max() <= 1 + 1e-9
    beyond = inputs.scaled(np.full_like(x, 1e9))
    assert not inputs.saturates or (beyond <= inputs.high).all()


def test_pixels_have_one_factor_and_no_offset_as_padding_is_zero():
    x = np.random.default_rng(0).normal(size=(10, 1, 4, 4)) * 7
    inputs = Inputs.of(x, LINEAR)
    assert (inputs.offset == 0).all()
    assert inputs.factor.shape == (1,)
    assert inputs.range == (-1.0, 1.0)
    graph = Graph((1, 4, 4), (Conv2d(np.ones((2, 1, 3, 3)), np.ones(2), padding=1), Flatten()))
    assert np.allclose(inputs.undone_by(graph).logits(inputs.scaled(x)), graph.logits(x))


def test_what_is_within_0_and_1_stays_as_it_is():
    x = np.random.default_rng(0).random((10, 3))
    inputs = Inputs.of(x, LINEAR)
    assert (inputs.scaled(x) == x).all()
    assert not inputs.saturates
    graph = Graph((3,), (Dense(np.ones((1, 3)), np.zeros(1)),))
    assert inputs.undone_by(graph) is graph


def test_a_feature_that_never_changes():
    x = np.array([[5.0, 1.0], [5.0, 2.0]])
    assert np.isfinite(Inputs.of(x, LINEAR).scaled(x)).all()


def test_polynomials_are_asked_for_nothing_that_lies_far_from_the_samples():
    """Linear networks hold anywhere; a polynomial stands for an activation within its range."""
    x = np.array([[0.0], [2.0]])
    far = np.array([[-1e9], [1e9]])
    assert Inputs.of(x, LINEAR).scaled(far).ravel().tolist() == [-1.0, 2.0]
    assert Inputs.of(x, CURVED).scaled(far).ravel().tolist() == [0.0, 1.0]
    assert (Inputs.of(x, CURVED).scaled(x) == Inputs.of(x, LINEAR).scaled(x)).all()


@pytest.mark.parametrize("x", [np.array([[0.0], [2.0]]), np.full((3, 1, 2, 2), 7.0)])
def test_a_range_from_zero_is_written_as_one(x):
    assert str(Inputs.of(x, CURVED).low) == "0.0"


def test_floats_of():
    assert floats_of([[1, 2]], None).dtype == np.float64
    for x, kind in (
        (csr_matrix(np.eye(2)), TypeError),
        (np.zeros((1, 2), np.uint8), TypeError),
        (np.zeros((1, 2), complex), TypeError),
        (np.array([["a", "b"]]), TypeError),
        (np.array([[np.nan, 1]]), ValueError),
        (np.zeros((0, 2)), ValueError),
        (np.zeros((1, 3)), ValueError),
    ):
        with pytest.raises(kind, match=r"`samples`|`x`"):
            floats_of(x, (2,))


def test_tables_of_several_types():
    """As pandas gives them where some columns have truth values, or integers that may be missing."""
    mixed = np.array([[1.5, True, 2], [np.float32(0.5), np.bool_(False), np.int64(3)]], object)
    assert floats_of(mixed, (3,)).tolist() == [[1.5, 1.0, 2.0], [0.5, 0.0, 3.0]]
    assert floats_of(np.array([[True, False]]), (2,)).tolist() == [[1.0, 0.0]]
    inputs = Inputs.of(floats_of(mixed, (3,)), LINEAR)
    assert (inputs.scaled(mixed) == inputs.scaled(floats_of(mixed, (3,)))).all()
    assert (inputs.scaled([[1, 0, 2]]) == inputs.scaled([[1.0, 0.0, 2.0]])).all()
    with pytest.raises(TypeError, match="`samples` must hold numbers, got 'red' among them; make numbers of it"):
        floats_of(np.array([[1.5, "red"]], object), None)
    with pytest.raises(ValueError, match="`samples` must be finite"):
        floats_of(np.array([[1.5, None]], object), None)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, r"be an array \[n, \.\.\.\] of inputs, got None; collect"),
        ((row for row in np.eye(2)), "got a generator; collect them in one"),
        (np.zeros((1, 2), np.uint8), r"got uint8; divide images by 255, say, or pass samples\.astype\(float\)"),
        (torch.zeros(1, 2, dtype=torch.bfloat16), r"got bfloat16; pass samples\.float\(\)"),
    ],
)
def test_what_is_no_array_of_numbers_says_what_to_pass(given, message):
    with pytest.raises(TypeError, match="`samples` must .*" + message):
        floats_of(given, None)


def test_inputs_of_one_number_need_an_axis_of_their_own():
    with pytest.raises(ValueError, match=r"a batch of inputs .*, got shape \(9,\); pass samples\[:, None\] where"):
        floats_of(np.zeros(9), None)


class Table:
    """An array whose columns have names, as tables of pandas and polars do."""

    def __init__(self, values, columns):
        self.values, self.columns = np.asarray(values), columns

    def __array__(self, dtype=None, copy=None):
        return self.values.astype(dtype or self.values.dtype)


def test_columns_keep_their_names_and_their_order():
    x = np.arange(6.0).reshape(3, 2)
    inputs = replace(Inputs.of(x, LINEAR), names=("a", "b"))
    assert (inputs.scaled(Table(x, ["a", "b"])) == inputs.scaled(x)).all()  # an array has no names, and passes
    with pytest.raises(ValueError, match=r"`x` must have the columns .* in their order, got 'b' in the place of 'a'"):
        inputs.scaled(Table(x[:, ::-1], ["b", "a"]))
    for columns in (["a", "c"], ["a"], ["a", "b", "c"], ["a", "b", "b"]):
        with pytest.raises(ValueError, match=r"one too many or too few: '[bc]'"):
            require_names(Table(x, columns), inputs.names, "x")
    assert names_of(Table(x, [0, 1])) == names_of(x) == ()
    require_names(Table(x, [0, 1]), inputs.names, "x")
    require_names(Table(x, ["c", "d"]), (), "x")
