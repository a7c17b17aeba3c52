"""Labels are compared with labels of their kind, one for each example, or refused."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intnn import IntClassifier

X = np.arange(12).reshape(6, 2)
KINDS = {
    "integers": np.array([0, 1, 2, 0, 1, 2]),
    "booleans": np.array([True, False, False, True, True, False]),
    "strings": np.array(["ant", "bee", "cat", "ant", "bee", "cat"]),
}


def fitted(y):
    return IntClassifier((3,), epochs=1, backend="numpy").fit(X, y)


FITTED = {kind: fitted(y) for kind, y in KINDS.items()}


@pytest.mark.parametrize("known", KINDS)
@pytest.mark.parametrize("given_", KINDS)
def test_labels_of_one_kind_are_not_those_of_another(known, given_):
    model = FITTED[known]
    if known == given_:
        assert model.score(X, model.predict(X)) == 1.0
        return
    with pytest.raises(ValueError, match=f"`y` must hold {known}, like the classes, got {given_}"):
        model.score(X, KINDS[given_])


SPELLINGS = {
    "list": np.ndarray.tolist,
    "column": lambda y: y[:, None],
    "object": lambda y: y.astype(object),
    "smaller": lambda y: y.astype(np.int8),
    "unsigned": lambda y: y.astype(np.uint64),
    "float": lambda y: y.astype(np.float32),
    "read-only": lambda y: np.broadcast_to(y, y.shape),
}


@given(st.lists(st.integers(0, 2), min_size=6, max_size=6), st.sampled_from(sorted(SPELLINGS)))
def test_equal_labels_score_alike_however_they_are_written(labels, spelling):
    model, y = FITTED["integers"], np.array(labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a column is flattened with a warning
        assert model.score(X, SPELLINGS[spelling](y)) == np.mean(model.predict(X) == y)


def test_booleans_are_booleans_in_an_array_of_objects():
    model, y = FITTED["booleans"], KINDS["booleans"]
    for objects in (y.astype(object), np.array([*y], object)):
        assert fitted(objects).classes_.tolist() == [False, True]
        assert model.score(X, objects) == model.score(X, y)


@pytest.mark.parametrize("kind", [object, np.dtypes.StringDType(), "U30"])
def test_strings_are_strings_in_any_array(kind):
    model, y = FITTED["strings"], KINDS["strings"]
    assert fitted(y.astype(kind)).classes_.tolist() == ["ant", "bee", "cat"]
    assert model.score(X, y.astype(kind)) == model.score(X, y) == model.score(X, np.array([*y], object))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros((6, 2), int), r"`y` must hold 6 labels, .*, got shape \(6, 2\)"),
        (np.zeros((1, 6), int), r"got shape \(1, 6\)"),
        (np.zeros((6, 1, 1), int), r"got shape \(6, 1, 1\)"),
        (np.zeros(5, int), r"got shape \(5,\)"),
        (np.zeros(1, int), r"got shape \(1,\)"),
        (0, r"got shape \(\)"),
        (None, "y is None"),
        (np.full(6, 0.5), "Unknown label type"),
        (np.full(6, np.nan), "Unknown label type"),
        (np.array([0, 1, None, 0, 1, 2], object), "Unknown label type"),
        (np.array([0, "a", 1, 0, 1, 2], object), "Unknown label type"),
        (np.array([b"a"] * 6), "Unknown label type"),
        (np.array([True, False, 1] * 2, object), "Unknown label type"),
        (np.full(6, 2**63, np.uint64), f"must hold labels that fit int64, got {2**63}"),
        (np.full(6, 1e300), "must hold labels that fit int64, got 1000"),
        ([2**64] * 6, f"must hold labels that fit int64, got {2**64}"),
        ([[0, 1], [0]] * 3, "rows of equal lengths"),
        (np.ma.array([0, 1, 2] * 2, mask=[True] + 5 * [False]), "`y` must have nothing masked"),
    ],
)
def test_what_are_no_labels_is_refused_when_learning_and_when_scoring(y, message):
    for method in (IntClassifier((3,), epochs=1, backend="numpy").fit, FITTED["integers"].score):
        with pytest.raises(ValueError, match=message):
            method(X, y)


def test_labels_at_the_ends_of_int64_are_labels():
    ends = np.array([-(2**63), 2**63 - 1] * 3)
    assert fitted(ends).classes_.tolist() == [-(2**63), 2**63 - 1]
    assert fitted(ends.astype(object)).score(X, ends) in (0.5, 1.0, 0.0)
