"""From fitted scikit-learn estimators to float graphs."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from intnn.convert.affine import Affine
from intnn.convert.errors import ConversionError
from intnn.convert.estimators import class_name, require_fitted, steps, unknown, width
from intnn.convert.labels import class_labels
from intnn.convert.transformers import affine_of
from intnn.layers.nodes import Activation, Dense, Node
from intnn.network.graph import Graph
from intnn.values.arrays import array

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
    "Lars",
    "LarsCV",
    "Lasso",
    "LassoCV",
    "LassoLars",
    "LassoLarsCV",
    "LassoLarsIC",
    "LinearDiscriminantAnalysis",
    "LinearRegression",
    "LinearSVC",
    "LinearSVR",
    "LogisticRegression",
    "LogisticRegressionCV",
    "MultiTaskElasticNet",
    "MultiTaskElasticNetCV",
    "MultiTaskLasso",
    "MultiTaskLassoCV",
    "OrthogonalMatchingPursuit",
    "OrthogonalMatchingPursuitCV",
    "PassiveAggressiveClassifier",
    "PassiveAggressiveRegressor",
    "Perceptron",
    "QuantileRegressor",
    "Ridge",
    "RidgeCV",
    "RidgeClassifier",
    "RidgeClassifierCV",
    "SGDClassifier",
    "SGDRegressor",
    "TheilSenRegressor",
)
_CENTRED = ("CCA", "PLSCanonical", "PLSRegression")  # coef_ (x - mean) + intercept_
_STACK = "OneVsRestClassifier"  # of linear models, one for each class
_SEVERAL = "MultiOutputRegressor"  # linear models, one for each value
_NETWORKS = ("MLPClassifier", "MLPRegressor")
_COUNTS = ("ComplementNB", "MultinomialNB")  # logarithms of probabilities, times how often each feature was counted
_KERNELS = ("NuSVC", "NuSVR", "SVC", "SVR")  # linear where their kernel is
_SCALED = "TransformedTargetRegressor"  # whose answers are scaled back


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
            `Lasso`, `ElasticNet`, `LinearSVR`, `SGDRegressor` and others of their kind, `PLSRegression`,
            `MultinomialNB`, `ComplementNB`, and `SVC` (of two classes) or `SVR` with a linear kernel; a
            `OneVsRestClassifier` of linear classifiers or a `MultiOutputRegressor` of linear regressors; or a
            `TransformedTargetRegressor` with a scaler. A `Pipeline` may have before it what is linear: scalers, `PCA`,
            `TruncatedSVD` and other projections, what selects features, and a `ColumnTransformer` or `FeatureUnion` of
            these. A search over parameters stands for its best estimator, and a `RANSACRegressor` for the one that it
            has found.

    Raises:
        ConversionError: It is not fitted, of another class (subclasses too, which may compute something else), or a
            setting has no equal; the message names the step.
    """
    chain = list(steps(estimator, type(estimator).__name__))
    nodes, meaning = _folded(chain)
    name = class_name(chain[-1][1])
    return Graph((width(*chain[0]),), tuple(nodes), name, {"source": "scikit-learn", **meaning})


def _folded(chain: list[tuple[str, Any]]) -> tuple[list[Node], dict[str, Any]]:
    """The layers of the last of these estimators, with the others before it folded into the first of them."""
    *before, (place, final) = chain
    name = class_name(final)
    readers: dict[str, Reader] = {
        **dict.fromkeys(_NETWORKS, _network),
        **dict.fromkeys(_LINEAR, _linear),
        **dict.fromkeys(_COUNTS, _counted),
        **dict.fromkeys(_KERNELS, _kernel),
        **dict.fromkeys(_CENTRED, _centred),
        _STACK: _stack,
        _SEVERAL: _side_by_side,
        _SCALED: _scaled_back,
    }
    if name not in readers:
        raise unknown(place, final)
    require_fitted(place, final)
    scaling = Affine.identity(width(*chain[0]))
    for step, transformer in before:
        scaling = scaling.then(affine_of(step, transformer))
    layers, meaning = readers[name](final, place)
    first = layers[0]
    assert isinstance(first, Dense)  # all readers begin with one
    folded = scaling.then(Affine(first.weight, first.bias))
    return [Dense(folded.weight, folded.bias), *layers[1:]], meaning


def _counted(estimator: Any, place: str) -> tuple[list[Node], dict[str, Any]]:
    """A naive Bayes classifier of counts: logarithms of joint probabilities, one for each class."""
    weight = np.asarray(estimator.feature_log_prob_, np.float64)
    is_prior = class_name(estimator) == "MultinomialNB" or len(estimator.classes_) == 1
    bias = np.asarray(estimator.class_log_prior_, np.float64) if is_prior else np.zeros(len(weight))
    return [Dense(weight, bias)], _meaning(estimator, "softmax", len(weight), place)


def _kernel(estimator: Any, place: str) -> tuple[list[Node], dict[str, Any]]:
    """A support vector machine with a linear kernel, of two classes or of values; more classes vote in pairs."""
    classes = len(getattr(estimator, "classes_", ()))
    if estimator.kernel != "linear" or classes > 2:
        got = f"{class_name(estimator)}(kernel={estimator.kernel!r})" + f" of {classes} classes" * (classes > 2)
        raise unknown(place, estimator, got)
    return _linear(estimator, place)


def _centred(estimator: Any, place: str) -> tuple[list[Node], dict[str, Any]]:
    """A linear model of what features differ from their means."""
    weight = np.atleast_2d(np.asarray(estimator.coef_, np.float64))
    bias = np.asarray(estimator.intercept_, np.float64) - weight @ np.asarray(estimator._x_mean, np.float64)
    return [Dense(weight, bias)], _meaning(estimator, "none", len(weight), place)


def _scaled_back(estimator: Any, place: str) -> tuple[list[Node], dict[str, Any]]:
    """A regressor that was trained on scaled values: its last layer gives them as they were."""
    layers, meaning = _folded(list(steps(estimator.regressor_, f"the regressor of {place}")))
    if meaning["task"] != "regression":
        raise ConversionError(place, "must have a regressor that gives values")
    where = f"the transformer of {place}"
    remedy = "train the regressor on values that are transformed already, and transform its answers back"
    forward = affine_of(where, estimator.transformer_, remedy)
    if forward.weight.ndim > 1:
        raise ConversionError(where, "must scale each value on its own", "use StandardScaler or MinMaxScaler")
    last = layers[-1]
    assert isinstance(last, Dense)  # all readers of regressors end in one
    weight, bias = last.weight / forward.weight[:, None], (last.bias - forward.bias) / forward.weight
    return [*layers[:-1], Dense(weight, bias)], meaning


def _stack(estimator: Any, place: str) -> tuple[list[Node], dict[str, Any]]:
    """Linear models side by side, one against the rest for each class."""
    layers, links = _stacked(estimator, place)
    link = links.pop() if len(links) == 1 else "none"
    meaning = _meaning(estimator, link, len(estimator.estimators_), place)
    several = {"multilabel": True} if estimator.multilabel_ else {}
    return layers, {**meaning, **several}


def _side_by_side(estimator: Any, place: str) -> tuple[list[Node], dict[str, Any]]:
    """Linear regressors side by side, one for each value."""
    layers, _ = _stacked(estimator, place)
    return layers, _meaning(estimator, "none", len(estimator.estimators_), place)


def _stacked(of: Any, place: str) -> tuple[list[Node], set[str]]:
    """The layer of linear models side by side, and the links that they have."""
    found = []
    for number, one in enumerate(of.estimators_):
        where = f"estimator {number} of {place}"
        if class_name(one) not in _LINEAR:
            raise unknown(where, one, remedy=f"a {class_name(of)} must be of linear models")
        found.append(_linear(one, where))
    weights, biases = ([getattr(layers[0], name) for layers, _ in found] for name in ("weight", "bias"))
    return [Dense(np.concatenate(weights), np.concatenate(biases))], {meaning["link"] for _, meaning in found}


def _linear(estimator: Any, place: str) -> tuple[list[Node], dict[str, Any]]:
    """A linear model: one dense layer."""
    coefficients = estimator.coef_
    if hasattr(coefficients, "toarray"):  # after sparsify()
        coefficients = coefficients.toarray()
    weight = np.atleast_2d(array(coefficients, "coef_").astype(np.float64))
    bias = np.broadcast_to(np.asarray(estimator.intercept_, np.float64), len(weight))
    probabilities = "logistic" if len(weight) == 1 else "softmax"
    match class_name(estimator):
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
