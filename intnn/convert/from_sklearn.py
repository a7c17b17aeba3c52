"""From fitted scikit-learn estimators to float graphs."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from intnn.convert.affine import Affine
from intnn.convert.errors import ConversionError
from intnn.convert.labels import class_labels
from intnn.layers.nodes import Activation, Dense, Node
from intnn.network.graph import Graph
from intnn.values.arrays import FloatArray, array

Reader = Callable[[Any, str], tuple[list[Node], dict[str, Any]]]

_ACTIVATIONS: Mapping[str, tuple[Node, ...]] = {
    "identity": (),
    "logistic": (Activation("sigmoid"),),
    "tanh": (Activation("tanh"),),
    "relu": (Activation("relu"),),
}
_LINKS: Mapping[str, str] = {"softmax": "softmax", "logistic": "logistic", "identity": "none"}

#: Estimators whose answer is coef_ x + intercept_, by the name of their class.
_LINEAR = (
    "ARDRegression",
    "BayesianRidge",
    "ElasticNet",
    "ElasticNetCV",
    "HuberRegressor",
    "Lasso",
    "LassoCV",
    "LinearDiscriminantAnalysis",
    "LinearRegression",
    "LinearSVC",
    "LinearSVR",
    "LogisticRegression",
    "LogisticRegressionCV",
    "Perceptron",
    "Ridge",
    "RidgeCV",
    "RidgeClassifier",
    "RidgeClassifierCV",
    "SGDClassifier",
    "SGDRegressor",
)
_STACK = "OneVsRestClassifier"  # of linear models, one for each class
_NETWORKS = ("MLPClassifier", "MLPRegressor")
_SEARCHES = ("GridSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV", "RandomizedSearchCV")
_SCALERS = ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler", "PCA")

#: What is refused with more than the list of what is taken, by the name of the class.
_REMEDIES: Mapping[str, str] = {
    "CalibratedClassifierCV": "convert the estimator that it calibrates, and calibrate the answers",
    "OneHotEncoder": "encode before encryption, and convert the estimator behind it",
    "PolynomialFeatures": "make the features before encryption, and convert the estimator behind it",
    "SplineTransformer": "make the features before encryption, and convert the estimator behind it",
    "SimpleImputer": "fill what is missing before encryption, and convert the estimator behind it",
    "ColumnTransformer": "transform columns before encryption, and convert the estimator behind it",
    "OneVsOneClassifier": "use OneVsRestClassifier of a linear model",
    "SVC": "use LinearSVC, or an MLPClassifier for what is not linear",
    "SVR": "use LinearSVR, or an MLPRegressor for what is not linear",
}


def from_sklearn(estimator: Any) -> Graph:
    """Convert a fitted estimator, or a pipeline of scalers with one at its end.

    What stands before the estimator is folded into its first layer. The outputs of the graph are those of
    `decision_function`, or for an `MLPClassifier` what its last activation is applied to, or for a regressor those of
    `predict`, within rounding. `metadata` says what they mean, as `intnn.convert.labels` lists it; a classifier of two
    classes has one output, whose sign decides. A classifier of several labels at once says so by
    `metadata["multilabel"]`.

    Args:
        estimator: `MLPClassifier`, `MLPRegressor`, or a linear model: `LogisticRegression`, `LinearSVC`,
            `SGDClassifier`, `Perceptron`, `RidgeClassifier`, `LinearDiscriminantAnalysis`, `LinearRegression`, `Ridge`,
            `Lasso`, `ElasticNet`, `LinearSVR`, `SGDRegressor` and others of their kind; or a `OneVsRestClassifier` of
            linear classifiers. A `Pipeline` may have
            `StandardScaler`, `MinMaxScaler`, `MaxAbsScaler`, `RobustScaler` and `PCA` before it. A search over
            parameters stands for its best estimator.

    Raises:
        ConversionError: It is not fitted, of another class (subclasses too, which may compute something else), or a
            setting has no equal; the message names the step.
    """
    steps = list(_steps(estimator, type(estimator).__name__))
    *before, (place, final) = steps
    name = _class_name(final)
    readers = {**dict.fromkeys(_NETWORKS, _network), **dict.fromkeys(_LINEAR, _linear), _STACK: _stack}
    if name not in readers:
        raise _unknown(place, final, tuple(readers))
    _require_fitted(place, final)
    width = _width(*steps[0])
    scaling = Affine.identity(width)
    for step, transformer in before:
        scaling = scaling.then(_affine(step, transformer))
    layers, meaning = readers[name](final, place)
    first = layers[0]
    assert isinstance(first, Dense)  # all readers begin with one
    folded = scaling.then(Affine(first.weight, first.bias))
    nodes = (Dense(folded.weight, folded.bias), *layers[1:])
    return Graph((width,), nodes, name, {"source": "scikit-learn", **meaning})


def _steps(estimator: Any, place: str) -> Any:
    """The places and estimators of a pipeline in their order, those of pipelines within it too."""
    name = _class_name(estimator)
    if name in _SEARCHES:
        if not hasattr(estimator, "best_estimator_"):
            raise ConversionError(place, "must hold a fitted best estimator", "call `fit` first, with refit=True")
        yield from _steps(estimator.best_estimator_, f"{place}.best_estimator_")
    elif name == "Pipeline":
        kept = [(label, step) for label, step in estimator.steps if step is not None and step != "passthrough"]
        if not kept:
            raise ConversionError(place, "must have at least one step", "put an estimator at its end")
        for label, step in kept:
            yield from _steps(step, f"step {label!r}")
    else:
        yield place, estimator


def _class_name(estimator: Any) -> str:
    """The name of a class of scikit-learn itself; of others, with its module."""
    kind = type(estimator)
    return kind.__name__ if kind.__module__.split(".")[0] == "sklearn" else f"{kind.__module__}.{kind.__qualname__}"


def _unknown(place: str, estimator: Any, taken: tuple[str, ...]) -> ConversionError:
    name = _class_name(estimator)
    return ConversionError(
        place, f"must be of a class that can be converted, got {name}", _REMEDIES.get(name) or f"use {', '.join(taken)}"
    )


def _require_fitted(place: str, estimator: Any) -> None:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(estimator)
    except NotFittedError:
        raise ConversionError(
            place, f"must be fitted, got a new {type(estimator).__name__}", "call `fit` first"
        ) from None


def _width(place: str, estimator: Any) -> int:
    """The number of features that a step was fitted to."""
    _require_fitted(place, estimator)
    return int(estimator.n_features_in_)


def _affine(place: str, transformer: Any) -> Affine:
    """What a fitted transformer computes."""
    name = _class_name(transformer)
    if name not in _SCALERS:
        raise _unknown(place, transformer, _SCALERS)
    width = _width(place, transformer)
    if getattr(transformer, "clip", False):
        raise ConversionError(place, f"must not clip, got {name}(clip=True)", "fit it with clip=False")
    ones, zeros = np.ones(width), np.zeros(width)
    match name:
        case "StandardScaler":
            scale = 1 / _vector(transformer.scale_, ones)
            return Affine(scale, -scale * _vector(transformer.mean_ if transformer.with_mean else None, zeros))
        case "RobustScaler":
            scale = 1 / _vector(transformer.scale_, ones)
            return Affine(scale, -scale * _vector(transformer.center_, zeros))
        case "MinMaxScaler":
            return Affine(_vector(transformer.scale_, ones), _vector(transformer.min_, zeros))
        case "MaxAbsScaler":
            return Affine(1 / _vector(transformer.scale_, ones), zeros)
        case _:
            weight = np.asarray(transformer.components_, np.float64)
            if transformer.whiten:
                deviation = np.sqrt(transformer.explained_variance_)
                weight = weight / np.maximum(deviation, np.finfo(deviation.dtype).eps)[:, None]
            return Affine(weight, -weight @ np.asarray(transformer.mean_, np.float64))


def _vector(values: Any, default: FloatArray) -> FloatArray:
    return default if values is None else np.asarray(values, np.float64)


def _stack(estimator: Any, place: str) -> tuple[list[Node], dict[str, Any]]:
    """Linear models side by side, one against the rest for each class."""
    found = []
    for number, one in enumerate(estimator.estimators_):
        where = f"estimator {number} of {place}"
        if _class_name(one) not in _LINEAR:
            raise _unknown(where, one, _LINEAR)
        found.append(_linear(one, where))
    weights, biases = ([getattr(layers[0], name) for layers, _ in found] for name in ("weight", "bias"))
    links = {meaning["link"] for _, meaning in found}
    meaning = _meaning(estimator, links.pop() if len(links) == 1 else "none", len(weights), place)
    several = {"multilabel": True} if estimator.multilabel_ else {}
    return [Dense(np.concatenate(weights), np.concatenate(biases))], {**meaning, **several}


def _linear(estimator: Any, place: str) -> tuple[list[Node], dict[str, Any]]:
    """A linear model: one dense layer."""
    coefficients = estimator.coef_
    if hasattr(coefficients, "toarray"):  # after sparsify()
        coefficients = coefficients.toarray()
    weight = np.atleast_2d(array(coefficients, "coef_").astype(np.float64))
    bias = np.broadcast_to(np.asarray(estimator.intercept_, np.float64), len(weight))
    probabilities = "logistic" if len(weight) == 1 else "softmax"
    match _class_name(estimator):
        case "LogisticRegression" | "LogisticRegressionCV" | "LinearDiscriminantAnalysis":
            link = probabilities
        case "SGDClassifier" if estimator.loss == "log_loss":
            link = "logistic"  # one class against the others
        case _:
            link = "none"
    return [Dense(weight, bias)], _meaning(estimator, link, len(weight), place)


def _network(estimator: Any, place: str) -> tuple[list[Node], dict[str, Any]]:
    """A multi-layer perceptron, without the activation of its outputs."""
    hidden = _ACTIVATIONS.get(estimator.activation)
    if hidden is None:
        raise ConversionError(
            place, f"must have an activation of {', '.join(_ACTIVATIONS)}, got {estimator.activation!r}"
        )
    layers: list[Node] = []
    for weight, bias in zip(estimator.coefs_, estimator.intercepts_, strict=True):
        layers += [*hidden] if layers else []
        layers.append(Dense(np.asarray(weight, np.float64).T, np.asarray(bias, np.float64)))
    link = _LINKS.get(estimator.out_activation_)
    if link is None:
        raise ConversionError(
            place,
            f"must end in {', '.join(_LINKS)}, got {estimator.out_activation_!r}",
            "train it with another loss, such as squared_error of the logarithms",
        )
    return layers, _meaning(estimator, link, estimator.n_outputs_, place)


def _meaning(estimator: Any, link: str, outputs: int, place: str) -> dict[str, Any]:
    """The metadata of an estimator with so many outputs."""
    if not hasattr(estimator, "classes_"):
        return {"task": "regression", "link": link}
    labels = class_labels(estimator.classes_, outputs, f"the classes of {place}")
    # Indicators are binarised as they are; classes are not.
    kind = getattr(getattr(estimator, "_label_binarizer", None), "y_type_", "")
    several = {"multilabel": True} if kind.startswith("multilabel") else {}
    return {"task": "classification", "link": link, "classes": labels, **several}
