"""IntClassifier among scikit-learn's tools."""

import warnings

import numpy as np
import pytest

from intnn import IntClassifier

pytest.importorskip("sklearn", reason="scikit-learn is what is tested against")


def flowers():
    from sklearn.datasets import load_iris

    return load_iris(return_X_y=True)


def test_scikit_learns_own_checks_pass():
    from sklearn.utils.estimator_checks import check_estimator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the checks warn on purpose
        results = check_estimator(IntClassifier(scaling="minmax"), on_fail=None, on_skip=None)
    outcomes = {result["check_name"]: result["status"] for result in results}
    assert len(outcomes) > 40
    # What is skipped needs pandas, or an array library that is asked for by a variable.
    allowed = {"check_array_api_input", "check_classifier_data_not_an_array", "check_sample_weights_pandas_series"}
    assert {name for name, status in outcomes.items() if status != "passed"} <= allowed
    assert "failed" not in outcomes.values()


def test_integers_are_learned_from_inside_a_pipeline():
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import KBinsDiscretizer

    X, y = flowers()

    class Integers(KBinsDiscretizer):
        def transform(self, X):
            return super().transform(X).astype(np.int64)

    bins = Integers(16, encode="ordinal", strategy="uniform")
    model = make_pipeline(bins, IntClassifier((16,), input_domain=(0, 15), epochs=60, batch_size=16))
    assert cross_val_score(model, X, y, cv=3).mean() > 0.85  # seen: 0.93 to 0.96


def test_grid_search_chooses_among_parameters():
    from sklearn.model_selection import GridSearchCV

    X, y = flowers()
    names = np.array(["setosa", "versicolor", "virginica"])
    model = IntClassifier((16,), scaling="minmax", batch_size=16)
    search = GridSearchCV(model, {"epochs": [1, 60], "weight_bits": [4, 8]}, cv=3).fit(X, names[y])
    assert search.best_params_["epochs"] == 60
    assert set(search.predict(X)) == set(names)
    assert search.best_score_ > 0.85


def test_a_clone_has_the_parameters_and_nothing_learned():
    from sklearn.base import clone, is_classifier
    from sklearn.utils.validation import check_is_fitted

    X, y = flowers()
    model = IntClassifier((4,), scaling="minmax", epochs=1, random_state=3).fit(X, y)
    check_is_fitted(model)
    copied = clone(model)
    assert is_classifier(copied)
    assert copied.get_params() == model.get_params()
    assert not hasattr(copied, "network_")
    assert repr(copied) == "IntClassifier(layers=(4,), epochs=1, scaling='minmax', random_state=3)"


class Named(IntClassifier):
    def __init__(self, *, note="", **others):
        self.note = note
        super().__init__(**others)


class Inheriting(Named):
    pass


class Passing(Named):
    def __init__(self, *arguments, **others):
        super().__init__(*arguments, **others)


@pytest.mark.parametrize("kind", [Named, Inheriting, Passing])
def test_a_subclass_that_passes_arguments_on_has_all_of_them(kind):
    from sklearn.base import clone

    model = kind(note="n", epochs=3)
    assert repr(clone(model)) == f"{kind.__name__}(note='n', epochs=3)"
    assert model.get_params().keys() == {"note", *IntClassifier().get_params()}
    assert model.set_params(epochs=4).epochs == 4


def test_of_two_classes_the_decision_is_one_number():
    X, y = flowers()
    model = IntClassifier((4,), scaling="minmax", epochs=20).fit(X[:100], y[:100])
    decision = model.decision_function(X)
    assert decision.shape == (150,)
    assert np.array_equal(model.predict(X), (decision > 0).astype(int))
    assert IntClassifier((4,), scaling="minmax", epochs=1).fit(X, y).decision_function(X).shape == (150, 3)


def test_a_line_is_printed_for_every_epoch(capsys):
    X, y = flowers()
    IntClassifier((4,), scaling="minmax", epochs=2, verbose=1).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert all("% right while training" in line for line in lines)
    IntClassifier((4,), scaling="minmax", epochs=1).fit(X, y)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ([[0.5, np.nan], [1.0, 2.0]], [0, 1], "NaN or infinity"),
        ([[0.5, np.inf], [1.0, 2.0]], [0, 1], "NaN or infinity"),
        (np.ma.array([[0.5], [1.0]], mask=[[True], [False]]), [0, 1], "`X` must have nothing masked"),
        (np.zeros((0, 2)), [], "at least one example"),
        ([0.5, 1.0], [0, 1], "Reshape your data"),
        ([[0.5], [1.0]], None, "y is None"),
        ([[0.5], [1.0]], [0.5, 1.5], "Unknown label type"),
        ([[0.5], [1.0]], [1, 1], "only 1 class"),
        ([[0.5], [1.0]], [1], r"`y` must hold 2 labels, one for each example of `X`, got shape \(1,\)$"),
        ([[0.5], [1.0]], [[0, 1], [1, 0]], r"`y` must hold 2 labels, .*, got shape \(2, 2\)$"),
    ],
)
def test_floats_that_cannot_be_learned_from_are_refused(X, y, message):
    with pytest.raises(ValueError, match=message):
        IntClassifier(scaling="minmax").fit(X, y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": 16}, r"`layers` must be a sequence of hidden layers such as \(64, 32\), got 16"),
        ({"input_domain": 255}, r"`input_domain` must be an IntDomain or a pair such as \(0, 255\), got 255"),
        ({"input_domain": (0, 1, 2)}, r"`input_domain` must be an IntDomain or a pair .*, got \(0, 1, 2\)"),
    ],
)
def test_a_number_in_place_of_a_sequence_is_named(arguments, message):
    with pytest.raises(TypeError, match=message):
        IntClassifier(**arguments).fit([[0], [1]], [0, 1])


def test_an_unknown_scaling_is_refused():
    with pytest.raises(ValueError, match='`scaling` must be None or "minmax"'):
        IntClassifier(scaling="standard").fit([[0], [1]], [0, 1])


def test_floats_are_refused_where_integers_are_due():
    for X in ([[0.0], [1.0]], [[np.nan], [1.0]]):
        with pytest.raises(TypeError, match="must hold integers"):
            IntClassifier().fit(X, [0, 1])
