"""Encrypted models with scikit-learn's habits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from he.circuit.guards import RangeError
from he.circuit.simulate import simulate
from he.compiler.search import PackingName
from he.model.compile import compile as compile_model
from he.model.compiled import Compiled
from he.parties.answers import answered
from he.parties.connect import connect
from he.parties.prepared import prepare
from he.ring.params import Security
from intnn.approximation.agreement import Task
from intnn.estimator.base import Estimator, not_fitted, tags
from intnn.values.arrays import Array, FloatArray, array


class EncryptedModel(Estimator):
    """A trained model whose predictions are computed on ciphertexts: what classifiers and regressors share.

    Both parties are in this process, for measurements and trials: whoever holds this object holds the key. To divide
    them, give `compiled_.circuit` to a service and its interface to a client (`he.prepare`, `he.Client`).

    Inputs unlike the samples of `fit` may leave the range of a circuit with calibrated ranges, and have no answer then.
    Every method that answers inputs answers all the others first, and then raises a `he.RangeError`: its `images` are
    the numbers of the rows that were refused, and its `answers` what the method gives for the others, in their order.

    Args:
        model: a trained model; see `he.compile`.
        exact: True for integers (BFV), False for floats (CKKS), None for
            the better of both, by the rule that `he.compile` states.
        simulate: whether the circuit is evaluated in the clear, with the same results up to CKKS's noise, and fast.
        packing: see `he.compile_exact`; "throughput" for many examples at a time.
        max_units: the most that one evaluation may cost; see `he.compile`.
        security: see `he.Parameters`.
        threads: the number of threads; by default one for each available processor.

    Attributes:
        compiled_: the `Compiled` that `fit` made.
        n_features_in_: the number of elements of one input.
    """

    _task: ClassVar[Task]

    def __init__(
        self,
        model: Any,
        exact: bool | None = None,
        simulate: bool = False,
        packing: PackingName = "latency",
        max_units: float | None = None,
        security: Security = "128",
        threads: int | None = None,
    ) -> None:
        self.model, self.exact, self.simulate = model, exact, simulate
        self.packing, self.max_units, self.security, self.threads = packing, max_units, security, threads

    def fit(self, samples: ArrayLike, y: object = None) -> Any:  # noqa: ARG002 - scikit-learn passes labels
        """Compile the trained model for inputs like the samples, and make keys.

        Args:
            samples: typical inputs [n, *shape] in the model's units, some hundreds; labels are not looked at.
            y: not looked at.

        Raises:
            ParameterError, TypeError, ValueError: as `he.compile`; the model is for the other task.
        """
        self.compiled_: Compiled = compile_model(
            self.model,
            samples,
            exact=self.exact,
            task=self._task,
            packing=self.packing,
            images=1 if self.packing == "latency" else None,
            max_units=self.max_units,
            security=self.security,
        )
        self.n_features_in_ = int(np.prod(self.compiled_.inputs.shape))
        self._evaluate = self._in_the_clear() if self.simulate else self._encrypted()
        return self

    def decision_function(self, x: ArrayLike) -> FloatArray:
        """Return the model's outputs [n, outputs], computed on ciphertexts; [n] where there is one.

        Raises:
            DecryptionError: if an answer was refused.
            RangeError: if inputs left the circuit's range; see the class.
            TypeError, ValueError: as `Compiled.prepare`.
        """
        return self._answers(x, _squeezed)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "compiled_")

    def __sklearn_clone__(self) -> Any:
        """A copy that is not fitted; its model stays trained."""
        return type(self)(**self.get_params())

    def _answers(self, x: ArrayLike, of: Callable[[FloatArray], Array]) -> Any:
        """What a function makes of the outputs [n, outputs]; also of those beside inputs that were refused."""
        if not hasattr(self, "compiled_"):
            raise not_fitted(self)
        prepared = self.compiled_.prepare(x)
        try:
            return of(self.compiled_.outputs(self._evaluate(prepared)))
        except RangeError as refusal:
            others = None if refusal.answers is None else of(self.compiled_.outputs(refusal.answers))
            raise RangeError(refusal.images, others) from None

    def _in_the_clear(self) -> Callable[[Array], Array]:
        circuit = self.compiled_.circuit
        return lambda x: simulate(circuit, x)

    def _encrypted(self) -> Callable[[Array], Array]:
        client, session = connect(prepare(self.compiled_.circuit, threads=self.threads), threads=self.threads)
        return lambda x: answered(client, session.evaluate, x)


class EncryptedClassifier(EncryptedModel):
    """A trained classifier that predicts on ciphertexts; see `EncryptedModel`.

    Attributes:
        classes_: the labels, as the model has them; where it has none, numbers from 0.
    """

    _task = "classification"

    def fit(self, samples: ArrayLike, y: object = None) -> EncryptedClassifier:
        """See `EncryptedModel.fit`."""
        super().fit(samples, y)
        self.classes_ = np.array(self.compiled_.classes)
        return self

    def __sklearn_tags__(self) -> Any:
        return tags("classifier", needs_labels=False)

    def predict(self, x: ArrayLike) -> Array:
        """Return the labels [n] of inputs; where one input may have several labels, 0 or 1 for each [n, outputs].

        Raises:
            DecryptionError, RangeError, TypeError, ValueError: as `decision_function`.
        """
        return self._answers(x, self._labels)

    def predict_proba(self, x: ArrayLike) -> FloatArray:
        """Return the probability of every class [n, classes]: a softmax or a logistic function, done by the client.

        They add up to one, but for labels of which an input may have several.

        Raises:
            AttributeError: if they do not follow from what is encrypted, as for a support vector machine, which has
                distances; the model may make them of these in a way of its own (`SVC(probability=True)`).
            DecryptionError, RangeError, TypeError, ValueError: as `decision_function`.
        """
        if not hasattr(self, "compiled_"):
            raise not_fitted(self)
        if self._link not in ("softmax", "logistic"):
            raise AttributeError(
                "what is encrypted gives no probabilities, but distances from a boundary: use `decision_function`"
            )
        return self._answers(x, self._probabilities)

    def score(self, x: ArrayLike, y: ArrayLike) -> float:
        """Return the share of inputs whose label is predicted, or all of whose labels are.

        Raises:
            DecryptionError, RangeError, TypeError, ValueError: as `predict`, also what the error has of the others.
        """
        right = self.predict(x) == array(y, "y")
        return float(np.mean(right.all(axis=1) if self._is_multilabel else right))

    def _labels(self, values: FloatArray) -> Array:
        """What `predict` makes of outputs [n, outputs]."""
        if self._is_multilabel:
            return (values > 0).astype(np.int64)
        index = (values[:, 0] > 0).astype(np.int64) if values.shape[1] == 1 else values.argmax(axis=1)
        return self.classes_[index]

    def _probabilities(self, values: FloatArray) -> FloatArray:
        """What `predict_proba` makes of outputs [n, outputs]."""
        if values.shape[1] == 1:
            positive = _linked(values[:, 0], "logistic")
            return np.stack([1.0 - positive, positive], axis=1)
        each = _linked(values, self._link)
        if self._link == "logistic" and not self._is_multilabel:  # one against the rest
            return np.asarray(each / each.sum(axis=1, keepdims=True))
        return each

    @property
    def _link(self) -> str:
        return str(self.compiled_.graph.metadata.get("link", "softmax"))

    @property
    def _is_multilabel(self) -> bool:
        return bool(self.compiled_.graph.metadata.get("multilabel"))


class EncryptedRegressor(EncryptedModel):
    """A trained regression that predicts on ciphertexts; see `EncryptedModel`."""

    _task = "regression"

    def __sklearn_tags__(self) -> Any:
        return tags("regressor", needs_labels=False)

    def predict(self, x: ArrayLike) -> FloatArray:
        """Return the values [n] or [n, outputs] of inputs: `decision_function`, and what the model ends in.

        Raises:
            DecryptionError, RangeError, TypeError, ValueError: as `decision_function`.
        """
        return self._answers(x, self._values)

    def score(self, x: ArrayLike, y: ArrayLike) -> float:
        """Return R squared: 1 less the squared error as a part of the variance of the values.

        Raises:
            DecryptionError, RangeError, TypeError, ValueError: as `predict`, also what the error has of the others.
        """
        values, expected = self.predict(x), array(y, "y")
        return float(1.0 - np.square(values - expected).sum() / np.square(expected - expected.mean(axis=0)).sum())

    def _values(self, values: FloatArray) -> FloatArray:
        """What `predict` makes of outputs [n, outputs]."""
        return _squeezed(_linked(values, self.compiled_.graph.metadata.get("link", "none")))


def _squeezed(values: FloatArray) -> FloatArray:
    """Return values [n, outputs] as [n] where there is one output."""
    return values[:, 0] if values.shape[1] == 1 else values


def _linked(values: FloatArray, link: str) -> FloatArray:
    """Return what a model makes of its last scores [n, outputs], which is left to the client."""
    if link == "logistic":
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)))
    if link == "softmax":
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))
    return values
