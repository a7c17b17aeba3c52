"""What scikit-learn's estimators are called, which of them stand behind each other, and what is said of others."""

from collections.abc import Mapping
from typing import Any

from intnn.convert.errors import ConversionError

_SEARCHES = ("GridSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV", "RandomizedSearchCV")

#: Comparisons, distances and products of probabilities, which no layer computes.
_NO_NETWORKS = (
    "AdaBoostClassifier",
    "AdaBoostRegressor",
    "BaggingClassifier",
    "BaggingRegressor",
    "DecisionTreeClassifier",
    "DecisionTreeRegressor",
    "ExtraTreesClassifier",
    "ExtraTreesRegressor",
    "GaussianNB",
    "GaussianProcessClassifier",
    "GaussianProcessRegressor",
    "GradientBoostingClassifier",
    "GradientBoostingRegressor",
    "HistGradientBoostingClassifier",
    "HistGradientBoostingRegressor",
    "KNeighborsClassifier",
    "KNeighborsRegressor",
    "QuadraticDiscriminantAnalysis",
    "RandomForestClassifier",
    "RandomForestRegressor",
    "StackingClassifier",
    "StackingRegressor",
    "VotingClassifier",
    "VotingRegressor",
)
_FEATURES = (
    "Binarizer",
    "FunctionTransformer",
    "KBinsDiscretizer",
    "Normalizer",
    "OneHotEncoder",
    "OrdinalEncoder",
    "PolynomialFeatures",
    "PowerTransformer",
    "QuantileTransformer",
    "SplineTransformer",
)

#: What is refused with more than the list of what is taken, by the name of the class.
REMEDIES: Mapping[str, str] = {
    **dict.fromkeys(_NO_NETWORKS, "train an MLPClassifier or MLPRegressor, on the answers of this model or on labels"),
    "CalibratedClassifierCV": "convert the estimator that it calibrates, and calibrate the answers",
    **dict.fromkeys(_FEATURES, "make the features before encryption, and convert the estimator behind it"),
    "SimpleImputer": "fill what is missing before encryption, and convert the estimator behind it",
    "OneVsOneClassifier": "use OneVsRestClassifier of a linear model",
    **dict.fromkeys(("NuSVC", "SVC"), "use LinearSVC, or an MLPClassifier for what is not linear"),
    **dict.fromkeys(("NuSVR", "SVR"), "use LinearSVR, or an MLPRegressor for what is not linear"),
}


def steps(estimator: Any, place: str) -> Any:
    """The places and estimators of a pipeline in their order, those of pipelines within it too."""
    name = class_name(estimator)
    if name in _SEARCHES:
        if not hasattr(estimator, "best_estimator_"):
            raise ConversionError(place, "must hold a fitted best estimator", "call `fit` first, with refit=True")
        yield from steps(estimator.best_estimator_, f"{place}.best_estimator_")
    elif name == "Pipeline":
        kept = [(label, step) for label, step in estimator.steps if step is not None and step != "passthrough"]
        if not kept:
            raise ConversionError(place, "must have at least one step", "put an estimator at its end")
        for label, step in kept:
            yield from steps(step, f"step {label!r}")
    else:
        yield place, estimator


def class_name(estimator: Any) -> str:
    """The name of a class of scikit-learn itself; of others, with its module."""
    kind = type(estimator)
    return kind.__name__ if kind.__module__.split(".")[0] == "sklearn" else f"{kind.__module__}.{kind.__qualname__}"


def unknown(place: str, estimator: Any, taken: tuple[str, ...]) -> ConversionError:
    """What to raise of an estimator of a class that is not among those that are taken."""
    name = class_name(estimator)
    return ConversionError(
        place, f"must be of a class that can be converted, got {name}", REMEDIES.get(name) or f"use {', '.join(taken)}"
    )


def require_fitted(place: str, estimator: Any) -> None:
    """Refuse an estimator that is not fitted, by a `ConversionError`."""
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(estimator)
    except NotFittedError:
        raise ConversionError(
            place, f"must be fitted, got a new {type(estimator).__name__}", "call `fit` first"
        ) from None


def width(place: str, estimator: Any) -> int:
    """The number of features that a step was fitted to."""
    require_fitted(place, estimator)
    return int(estimator.n_features_in_)
