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
            `Lasso`, `ElasticNet`, `LinearSVR`, `SGDRegressor` and others of their kind, `MultinomialNB`,
            `ComplementNB`, and `SVC` (of two classes) or `SVR` with a linear kernel; a `OneVsRestClassifier` of linear
            classifiers; or a `TransformedTargetRegressor` with a scaler. A `Pipeline` may have `StandardScaler`,
            `MinMaxScaler`, `MaxAbsScaler`, `RobustScaler`, `PCA`, `TruncatedSVD` and what selects features before it,
            and a `ColumnTransformer` of these. A search over parameters stands for its best estimator.

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
        _STACK: _stack,
        _SCALED: _scaled_back,
    }
    if name not in readers:
        raise unknown(place, final, tuple(readers))
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
    if estimator.kernel != "linear" or len(getattr(estimator, "classes_", ())) > 2:
        raise unknown(place, estimator, ())
    return _linear(estimator, place)


def _scaled_back(estimator: Any, place: str) -> tuple[list[Node], dict[str, Any]]:
    """A regressor that was trained on scaled values: its last layer gives them as they were."""
    layers, meaning = _folded(list(steps(estimator.regressor_, f"the regressor of {place}")))
    if meaning["task"] != "regression":
        raise ConversionError(place, "must have a regressor that gives values")
    where = f"the transformer of {place}"
    forward = affine_of(where, estimator.transformer_)
    if forward.weight.ndim > 1:
        raise ConversionError(where, "must scale each value on its own", "use StandardScaler or MinMaxScaler")
    last = layers[-1]
    assert isinstance(last, Dense)  # all readers of regressors end in one
    weight, bias = last.weight / forward.weight[:, None], (last.bias - forward.bias) / forward.weight
    return [*layers[:-1], Dense(weight, bias)], meaning


def _stack(estimator: Any, place: str) -> tuple[list[Node], dict[str, Any]]:
    """Linear models side by side, one against the rest for each class."""
    found = []
    for number, one in enumerate(estimator.estimators_):
        where = f"estimator {number} of {place}"
        if class_name(one) not in _LINEAR:
            raise unknown(where, one, _LINEAR)
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
