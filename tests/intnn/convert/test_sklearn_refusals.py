"""What `from_sklearn` refuses, and what it says to do instead."""

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.isotonic import IsotonicRegression
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression, PoissonRegressor, RANSACRegressor, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    PolynomialFeatures,
    StandardScaler,
)

from intnn.convert.errors import ConversionError
from intnn.convert.from_sklearn import from_sklearn
from tests.intnn.convert.test_from_sklearn import IRIS, SPECIES, fitted


class Louder(LogisticRegression):
    def decision_function(self, X):
        return 2 * super().decision_function(X)


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (LogisticRegression(), "LogisticRegression must be fitted, got a new LogisticRegression; call `fit` first"),
        (make_pipeline(StandardScaler(), Ridge()), "step 'ridge' must be fitted"),
        (GridSearchCV(Ridge(), {}), r"GridSearchCV must hold a fitted best estimator; call `fit` first"),
        (Pipeline([("a", "passthrough")]), "Pipeline must have at least one step"),
        (
            RandomForestClassifier(),
            r"must be of a class that can be converted, got RandomForestClassifier; train an MLPCl",
        ),
        (CalibratedClassifierCV(), "got CalibratedClassifierCV; convert the estimator that it calibrates"),
        (Louder(), r"got .*Louder; use MLPClassifier"),
        (StandardScaler(), "StandardScaler must be of a class that can be converted, got StandardScaler; use MLPCl"),
        (PoissonRegressor(), "got PoissonRegressor; train a linear model, as Ridge, on the logarithms"),
        (IsotonicRegression(), "got IsotonicRegression; use MLPRegressor or a linear model"),
        (RANSACRegressor(), "RANSACRegressor must hold a fitted estimator; call `fit` first"),
        (object(), r"object must be of a class that can be converted, got builtins\.object"),
    ],
)
def test_what_is_no_network(estimator, message):
    with pytest.raises(ConversionError, match=message):
        from_sklearn(estimator)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (PolynomialFeatures(), "step 'step' must be .*, got PolynomialFeatures; make the features before encryption"),
        (OneHotEncoder(), "got OneHotEncoder; make the features before encryption"),
        (Nystroem(n_components=3), "got Nystroem; make the features before encryption"),
        (FunctionTransformer(np.log1p), "got FunctionTransformer; make the features before encryption"),
        (MinMaxScaler(clip=True), r"step 'step' must not clip, got MinMaxScaler\(clip=True\); fit it with clip=False"),
        (MaxAbsScaler(clip=True), "must not clip"),
    ],
)
def test_steps_without_an_equal(step, message):
    x = np.round(IRIS)
    with pytest.raises(ConversionError, match=message) as caught:
        from_sklearn(fitted(Pipeline([("step", step), ("final", Ridge())]), x, SPECIES))
    assert caught.value.place == "step 'step'"


def test_one_class_and_damaged_weights():
    with pytest.raises(ConversionError, match="must be 2 labels for 1 output, got 1; a network needs at least two"):
        from_sklearn(fitted(MLPClassifier((2,), max_iter=2), IRIS, np.zeros(150, int)))
    estimator = fitted(LogisticRegression(), IRIS, SPECIES)
    estimator.coef_[0, 0] = np.nan
    with pytest.raises(ValueError, match="`weight` must be finite"):
        from_sklearn(estimator)


def test_a_link_without_a_name():
    estimator = fitted(MLPRegressor("poisson", (2,), max_iter=2), IRIS, SPECIES)
    if estimator.out_activation_ == "identity":  # what earlier versions have for every loss
        pytest.skip("this scikit-learn has no other link")
    with pytest.raises(ConversionError, match="must end in softmax, logistic, identity, got 'exp"):
        from_sklearn(estimator)
