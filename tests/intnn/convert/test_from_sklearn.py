import copy
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.cross_decomposition import PLSRegression
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.decomposition import PCA, FastICA, IncrementalPCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_selection import RFE, SelectFromModel, SelectKBest, VarianceThreshold
from sklearn.linear_model import (
    Lars,
    LassoLarsIC,
    LinearRegression,
    LogisticRegression,
    MultiTaskLasso,
    OrthogonalMatchingPursuit,
    Perceptron,
    QuantileRegressor,
    RANSACRegressor,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    SGDRegressor,
    TheilSenRegressor,
)
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.naive_bayes import ComplementNB, MultinomialNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    RobustScaler,
    StandardScaler,
)
from sklearn.random_projection import GaussianRandomProjection, SparseRandomProjection
from sklearn.svm import SVC, SVR, LinearSVC, NuSVR

from intnn import Activation, Dense
from intnn.convert.errors import ConversionError
from intnn.convert.from_sklearn import from_sklearn
from intnn.convert.transformers import affine_of

IRIS, SPECIES = load_iris(return_X_y=True)


def fitted(estimator, x, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few iterations are enough here
        return estimator.fit(x, y)


def decisions(estimator, x):
    """What scikit-learn says of x before any link."""
    final = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
    if isinstance(final, MLPClassifier):  # its last activation left out
        bare = copy.copy(final)
        bare.out_activation_ = "identity"
        before = estimator[:-1].transform(x) if isinstance(estimator, Pipeline) and len(estimator.steps) > 1 else x
        return bare._forward_pass_fast(before, check_input=False)
    y = estimator.decision_function(x) if hasattr(estimator, "decision_function") else estimator.predict(x)
    return y.reshape(len(y), -1)


def require_equal(estimator, x):
    graph = from_sklearn(estimator)
    ours, theirs = graph.logits(x), decisions(estimator, x)
    # The same float64 terms in another order, some of them folded: 1e-9 of the largest value.
    assert np.abs(ours - theirs).max() <= 1e-9 * max(np.abs(theirs).max(), 1)
    return graph


SCALERS = [
    StandardScaler(),
    StandardScaler(with_mean=False),
    StandardScaler(with_std=False),
    MinMaxScaler((-1, 2)),
    MaxAbsScaler(),
    RobustScaler(),
    PCA(),
    PCA(0.9, whiten=True),
    "passthrough",
]
CLASSIFIERS = [
    MLPClassifier((5,), max_iter=3),
    MLPClassifier((4, 3), "tanh", max_iter=3),
    MLPClassifier((4,), "logistic", max_iter=3),
    MLPClassifier((4, 2), "identity", max_iter=3),
    LogisticRegression(),
    LogisticRegression(fit_intercept=False),
    LinearSVC(),
    SGDClassifier(max_iter=5),
    SGDClassifier("log_loss", max_iter=5),
    RidgeClassifier(),
    Perceptron(),
    LinearDiscriminantAnalysis(),
]
REGRESSORS = [LinearRegression(), Ridge(fit_intercept=False), MLPRegressor(hidden_layer_sizes=(5,), max_iter=3)]


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from(SCALERS), max_size=3),
    st.sampled_from(CLASSIFIERS + REGRESSORS),
    st.sampled_from([2, 3]),
    st.integers(0, 2**32 - 1),
)
def test_pipelines_give_what_scikit_learn_gives(scalers, final, classes, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(2, 3, (40, 3)) * [1, 10, 0.1]
    if final in CLASSIFIERS:
        y = rng.integers(0, classes, 40)
        y[:classes] = range(classes)  # all of them are there
    else:
        y = rng.normal(size=(40, classes - 1)).squeeze()
    estimator = fitted(Pipeline([(str(i), step) for i, step in enumerate(clone([*scalers, final], safe=False))]), x, y)
    graph = require_equal(estimator, x)
    assert graph.input_shape == (3,)
    assert graph.metadata["task"] == ("classification" if final in CLASSIFIERS else "regression")


@pytest.mark.parametrize(
    "estimator",
    [
        Lars(),
        LassoLarsIC(),
        OrthogonalMatchingPursuit(),
        TheilSenRegressor(max_subpopulation=100),
        QuantileRegressor(alpha=0),
        MultiTaskLasso(0.1),
        PLSRegression(2),
        PLSRegression(2, scale=False),
        MultiOutputRegressor(Ridge()),
        RANSACRegressor(random_state=0),
        RANSACRegressor(make_pipeline(StandardScaler(), Ridge()), min_samples=10, random_state=0),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_whatever_is_linear(estimator):
    rng = np.random.default_rng(0)
    x = rng.normal(2, 3, (60, 4))
    y = x @ rng.normal(size=(4, 3)) + rng.normal(0, 0.1, (60, 3))
    is_single = isinstance(estimator, TheilSenRegressor | QuantileRegressor | LassoLarsIC)
    graph = require_equal(fitted(estimator, x, y[:, 0] if is_single else y), x)
    assert graph.output_shape == (1 if is_single else 3,)
    assert graph.metadata["task"] == "regression"


def test_features_are_selected_and_projected():
    for step in (
        IncrementalPCA(2, whiten=True),
        FastICA(2, random_state=0),
        FastICA(whiten=False, random_state=0, max_iter=5),
        GaussianRandomProjection(2, random_state=0),
        SparseRandomProjection(3, random_state=0),
        LinearDiscriminantAnalysis(n_components=1),
        LinearDiscriminantAnalysis(solver="eigen"),
        FunctionTransformer(),
        FeatureUnion([("a", PCA(2)), ("b", "passthrough"), ("c", make_pipeline(MinMaxScaler(), SelectKBest(k=1)))]),
        FeatureUnion([("a", "drop"), ("b", StandardScaler())], transformer_weights={"b": 3}),
        SelectKBest(k=2),
        VarianceThreshold(0.5),
        SelectFromModel(LogisticRegression()),
        RFE(LogisticRegression(), n_features_to_select=3),
        TruncatedSVD(2),
    ):
        require_equal(fitted(make_pipeline(step, StandardScaler(), LogisticRegression()), IRIS, SPECIES), IRIS)


@settings(max_examples=30)
@given(st.data(), st.sampled_from(["drop", "passthrough", MinMaxScaler()]))
def test_columns_go_through_transformers_of_their_own(data, remainder):
    """Columns in any order, by numbers, a slice, a mask or a function; some of them twice, or not at all."""
    rng = np.random.default_rng(0)
    x = rng.normal(2, 3, (40, 5)) * [1, 10, 0.1, 1, 1]
    some = st.one_of(
        st.lists(st.integers(-5, 4), min_size=2, max_size=4, unique_by=lambda i: i % 5),
        st.builds(slice, st.integers(0, 2), st.integers(4, 5)),
        st.just(np.array([True, False, True, False, True])),
        st.just(lambda x: [3, 1]),
    )
    inner = st.sampled_from([StandardScaler(), make_pipeline(MaxAbsScaler(), PCA(1)), "passthrough", "drop"])
    parts = data.draw(st.lists(st.tuples(inner, some), min_size=1, max_size=3))
    columns = ColumnTransformer(
        [("kept", "passthrough", [2]), *((str(i), clone(t, safe=False), c) for i, (t, c) in enumerate(parts))],
        remainder=remainder,
    )
    require_equal(fitted(make_pipeline(StandardScaler(), columns, Ridge()), x, rng.normal(size=40)), x)


@pytest.mark.parametrize("columns", [["b", "d"], slice("b", "d"), "c", slice(None, "b"), slice("c", None)])
def test_columns_by_names(columns):
    inner = StandardScaler() if not isinstance(columns, str) else "passthrough"
    transformer = ColumnTransformer([("some", inner, slice(1, 3))]).fit(IRIS)
    transformer.feature_names_in_ = np.array(["a", "b", "c", "d"], object)
    numbers = {"['b', 'd']": [1, 3], "c": [2]}.get(str(columns))
    if numbers is None:
        numbers = {("b", "d"): [1, 2, 3], (None, "b"): [0, 1], ("c", None): [2, 3]}[columns.start, columns.stop]
    expected = ColumnTransformer([("some", inner, numbers)]).fit(IRIS)
    transformer.transformers_ = [("some", expected.transformers_[0][1], columns), *transformer.transformers_[1:]]
    transformer.output_indices_ = expected.output_indices_
    ours, theirs = affine_of("here", transformer), affine_of("here", expected)
    assert (ours.weight == theirs.weight).all()
    assert (ours.bias == theirs.bias).all()


def test_a_step_for_some_columns_is_named_where_it_has_no_equal():
    columns = ColumnTransformer([("kind", OneHotEncoder(), [3])], remainder="passthrough")
    with pytest.raises(ConversionError, match=r"'kind' in step 'columns' must be .* make the features before encr"):
        from_sklearn(fitted(Pipeline([("columns", columns), ("final", Ridge())]), np.round(IRIS), SPECIES))


@pytest.mark.parametrize("classes", [2, 3])
def test_counts_of_naive_bayes(classes):
    kept = np.isin(SPECIES, range(classes))
    for final in (MultinomialNB(), MultinomialNB(fit_prior=False), ComplementNB()):
        estimator = fitted(final, IRIS[kept], SPECIES[kept])
        graph = from_sklearn(estimator)
        assert np.allclose(graph.logits(IRIS), estimator.predict_joint_log_proba(IRIS), rtol=1e-12)
        assert graph.metadata["link"] == "softmax"


def test_support_vector_machines_with_a_linear_kernel():
    x, y = load_breast_cancer(return_X_y=True)
    x = StandardScaler().fit_transform(x)
    require_equal(fitted(SVC(kernel="linear"), x, y), x)
    require_equal(fitted(SVR(kernel="linear"), x, x[:, 0]), x)
    for estimator in (SVC(kernel="linear"), SVR(), NuSVR()):
        with pytest.raises(
            ConversionError, match=r"got (Nu)?SV[CR]\(kernel='(linear'\) of 3 classes|rbf'\)); use LinearSV"
        ):
            from_sklearn(fitted(estimator, IRIS, SPECIES))  # three classes vote, two by two; and a Gaussian kernel


@pytest.mark.parametrize("scaler", [StandardScaler(), MinMaxScaler(), RobustScaler()])
@pytest.mark.parametrize("final", [Ridge(), MLPRegressor(hidden_layer_sizes=(5,), max_iter=3)])
def test_values_are_scaled_back(scaler, final):
    y = IRIS[:, 2:] * [10, 0.1]
    regressor = TransformedTargetRegressor(make_pipeline(StandardScaler(), final), transformer=scaler)
    require_equal(fitted(make_pipeline(PCA(), regressor), IRIS, y), IRIS)
    require_equal(fitted(regressor, IRIS, y[:, 0]), IRIS)
    with pytest.raises(ConversionError, match="transformer of TransformedTargetRegressor must scale each value on its"):
        from_sklearn(fitted(TransformedTargetRegressor(Ridge(), transformer=PCA()), IRIS, y))
    backward = FunctionTransformer(None, np.exp, check_inverse=False)  # changes nothing but the answers
    for turned in (
        TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1),
        TransformedTargetRegressor(Ridge(), transformer=backward, check_inverse=False),
    ):
        with pytest.raises(ConversionError, match="got FunctionTransformer; train the regressor on values that are"):
            from_sklearn(fitted(turned, IRIS, y))


@pytest.mark.parametrize("labels", [["a", "b", "c"], [10, -3, 7], [0.0, 1.0, 2.0]])
def test_labels_come_along(labels):
    y = np.array(labels)[SPECIES]
    estimator = fitted(LogisticRegression(max_iter=10), IRIS, y)
    graph = require_equal(estimator, IRIS)
    assert graph.metadata["classes"] == sorted(labels)
    assert graph.metadata["link"] == "softmax"
    assert (np.array(graph.metadata["classes"])[graph.predict(IRIS)] == estimator.predict(IRIS)).all()


def test_two_classes_have_one_output_whose_sign_decides():
    x, y = load_breast_cancer(return_X_y=True)
    for final, link in ((LogisticRegression(), "logistic"), (MLPClassifier((8,), max_iter=20), "logistic")):
        estimator = fitted(make_pipeline(StandardScaler(), final), x, y == 1)
        graph = require_equal(estimator, x)
        assert (graph.metadata["link"], graph.metadata["classes"]) == (link, [False, True])
        assert type(graph.metadata["classes"][0]) is bool
        chosen = np.array(graph.metadata["classes"])[(graph.logits(x)[:, 0] > 0).astype(int)]
        assert (chosen == estimator.predict(x)).all()


def test_several_labels_at_once_are_said():
    y = np.stack([SPECIES == 0, SPECIES > 1], axis=1).astype(int)
    estimator = fitted(MLPClassifier((4,), max_iter=5), IRIS, y)
    graph = require_equal(estimator, IRIS)
    assert graph.metadata["multilabel"] is True
    assert graph.metadata["link"] == "logistic"
    assert "multilabel" not in from_sklearn(fitted(MLPClassifier((4,), max_iter=5), IRIS, SPECIES)).metadata


@pytest.mark.parametrize("classes", [2, 3])
def test_one_against_the_rest(classes):
    kept = np.isin(SPECIES, range(classes))
    x, y = IRIS[kept], SPECIES[kept]
    estimator = fitted(make_pipeline(MinMaxScaler(), OneVsRestClassifier(LogisticRegression(solver="liblinear"))), x, y)
    assert require_equal(estimator, x).metadata["link"] == "logistic"
    estimator = fitted(OneVsRestClassifier(LinearSVC()), IRIS, np.eye(3, dtype=int)[SPECIES])
    assert require_equal(estimator, IRIS).metadata["multilabel"] is True
    with pytest.raises(
        ConversionError, match=r"estimator 0 of OneVsRestClassifier must be of a class .*, got SVC; use"
    ):
        from_sklearn(fitted(OneVsRestClassifier(SVC()), IRIS, SPECIES))


def test_what_is_folded_leaves_no_trace():
    estimator = fitted(make_pipeline(StandardScaler(), PCA(2), MLPClassifier((5,), max_iter=2)), IRIS, SPECIES)
    first, activation, last = from_sklearn(estimator).nodes
    assert (first.weight.shape, activation, last.weight.shape) == ((5, 4), Activation("relu"), (3, 5))


def test_pipelines_in_pipelines_searches_and_sparse_coefficients():
    inner = Pipeline([("scale", MinMaxScaler()), ("none", None)])
    search = GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=2)
    require_equal(fitted(Pipeline([("inner", inner), ("search", search)]), IRIS, SPECIES.astype(float)), IRIS)
    sparse = fitted(SGDClassifier(max_iter=5), IRIS, SPECIES)
    expected = sparse.decision_function(IRIS)
    assert np.allclose(from_sklearn(sparse.sparsify()).logits(IRIS), expected, rtol=1e-12)


def test_one_feature_and_constant_features():
    x = np.stack([IRIS[:, 0], np.full(150, 3.0)], axis=1)
    for scaler in (StandardScaler(), MinMaxScaler(), MaxAbsScaler(), RobustScaler()):
        require_equal(fitted(make_pipeline(scaler, LogisticRegression()), x, SPECIES), x)
        require_equal(fitted(make_pipeline(scaler, SGDRegressor()), x[:, :1], x[:, 0]), x[:, :1])


def test_a_network_is_linear_behind_its_scaler_only_where_it_says_so():
    estimator = fitted(MLPClassifier((3, 3), "identity", max_iter=2), IRIS, SPECIES)
    assert all(isinstance(node, Dense) for node in from_sklearn(estimator).nodes)
