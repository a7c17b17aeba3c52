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
    "BernoulliNB",
    "CategoricalNB",
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
    "NearestCentroid",
    "QuadraticDiscriminantAnalysis",
    "RandomForestClassifier",
    "RandomForestRegressor",
    "StackingClassifier",
    "StackingRegressor",
    "VotingClassifier",
    "VotingRegressor",
)
_OF_LOGARITHMS = ("GammaRegressor", "PoissonRegressor", "TweedieRegressor")

#: What is refused with more than the list of what is taken, by the name of the class.
REMEDIES: Mapping[str, str] = {
    **dict.fromkeys(_NO_NETWORKS, "train an MLPClassifier or MLPRegressor, on the answers of this model or on labels"),
    "CalibratedClassifierCV": "convert the estimator that it calibrates, and calibrate the answers",
    **dict.fromkeys(_OF_LOGARITHMS, "train a linear model, as Ridge, on the logarithms of the values"),
    "KernelRidge": "use Ridge, or an MLPRegressor for what is not linear",
    "SimpleImputer": "fill what is missing before encryption, and convert the estimator behind it",
    "MultiOutputClassifier": "convert each of the classifiers that it has, or use an MLPClassifier",
    "OneVsOneClassifier": "use OneVsRestClassifier of a linear model",
    **dict.fromkeys(("NuSVC", "SVC"), "use LinearSVC, or an MLPClassifier for what is not linear"),
    **dict.fromkeys(("NuSVR", "SVR"), "use LinearSVR, or an MLPRegressor for what is not linear"),
}

_CLASSIFIER = "use MLPClassifier or a linear model, as LogisticRegression, trained on labels or on the answers of this"
_REGRESSOR = "use MLPRegressor or a linear model, as Ridge, trained on values or on the answers of this"
FEATURES = "make the features before encryption, and convert the estimator behind it"


def steps(estimator: Any, place: str) -> Any:
    """The places and estimators of a pipeline in their order, those of pipelines within it too."""
    name = class_name(estimator)
    if name in _SEARCHES:
        if not hasattr(estimator, "best_estimator_"):
            raise ConversionError(place, "must hold a fitted best estimator", "call `fit` first, with refit=True")
        yield from steps(estimator.best_estimator_, f"{place}.best_estimator_")
    elif name == "RANSACRegressor":
        if not hasattr(estimator, "estimator_"):
            raise ConversionError(place, "must hold a fitted estimator", "call `fit` first")
        yield from steps(estimator.estimator_, f"{place}.estimator_")
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


def unknown(place: str, estimator: Any, got: str = "", remedy: str = "") -> ConversionError:
    """What to raise of an estimator that is not among those that are taken.

    Args:
        place: Where it stands.
        estimator: It.
        got: What it is, where its class alone does not say why it is refused.
        remedy: What to do about it, where nothing is known of its class.
    """
    name = class_name(estimator)
    remedy = REMEDIES.get(name) or remedy or (_REGRESSOR if _is_regressor(estimator) else _CLASSIFIER)
    return ConversionError(place, f"must be of a class that can be converted, got {got or name}", remedy)


def _is_regressor(estimator: Any) -> bool:
    """Whether an estimator's answers are values."""
    from sklearn.base import BaseEstimator, is_regressor

    return isinstance(estimator, BaseEstimator) and is_regressor(estimator)


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
    if class_name(estimator) == "FeatureUnion":  # which asks the first of its transformers, also where that is dropped
        kept = [kind for _, kind in estimator.transformer_list if not isinstance(kind, str)]
        if not kept:
            raise ConversionError(place, "must have at least one transformer", "put one in, or leave it out")
        return width(place, kept[0])
    return int(estimator.n_features_in_)
