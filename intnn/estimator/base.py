"""What scikit-learn asks of an estimator, in scikit-learn's own words where its tools look for them.

The package does not need scikit-learn, and uses it only where the user has loaded it already.
"""

import inspect
import sys
import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from intnn.values.arrays import INT64, Array, FloatArray, IntArray, array

_KINDS = {"i": "integers", "u": "integers", "b": "booleans", "U": "strings"}  # of labels, by numpy's letters


class Estimator:
    """Access to constructor arguments by name, for `clone`, `GridSearchCV` and their like; constructors only store."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002 - nothing nested
        """The constructor's arguments."""
        return {name: getattr(self, name) for name in _arguments(type(self))}

    def set_params(self, **parameters: Any) -> Any:
        """Change arguments by name.

        Raises:
            ValueError: There is no such argument.
        """
        known = self.get_params()
        for name, value in parameters.items():
            if name not in known:
                raise ValueError(f"`{name}` must be one of {', '.join(known)}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = _arguments(type(self))
        changed = [f"{k}={v!r}" for k, v in self.get_params().items() if repr(v) != repr(defaults[k].default)]
        return f"{type(self).__name__}({', '.join(changed)})"


def _arguments(estimator: type) -> dict[str, inspect.Parameter]:
    """The arguments of a constructor; one that passes others on (`**others`) takes those of the next class as well."""
    found: dict[str, inspect.Parameter] = {}
    for kind in estimator.__mro__:
        if "__init__" in vars(kind):
            own = inspect.signature(kind).parameters
            found |= {name: own[name] for name in own if name not in found}
            if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in own.values()):
                break
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {name: parameter for name, parameter in found.items() if parameter.kind not in variable}


def tags(kind: str, needs_labels: bool) -> Any:
    """What scikit-learn's tools may expect of a "classifier" or "regressor"; only they ask, so that it is there."""
    from sklearn.utils import ClassifierTags, InputTags, RegressorTags, Tags, TargetTags

    return Tags(
        estimator_type=kind,
        target_tags=TargetTags(required=needs_labels),
        classifier_tags=ClassifierTags() if kind == "classifier" else None,
        regressor_tags=RegressorTags() if kind == "regressor" else None,
        input_tags=InputTags(two_d_array=True),
    )


def not_fitted(estimator: object) -> Exception:
    """The error of a method that needs `fit` first: a ValueError, and scikit-learn's own where that is loaded."""
    module = sys.modules.get("sklearn.exceptions")
    kind = module.NotFittedError if module else ValueError
    return kind(f"this {type(estimator).__name__} is not fitted yet; call `fit` first")


def features(X: ArrayLike) -> FloatArray:
    """Finite float64 [n, features] or [n, channels, height, width] from what users of scikit-learn pass.

    Raises:
        TypeError: ``X`` is a sparse matrix, or holds no numbers.
        ValueError: ``X`` holds complex numbers, NaN, infinity or what is masked, has another number of axes, or is
            empty.
    """
    if hasattr(X, "toarray"):
        raise TypeError("`X` must be dense, got a sparse matrix; pass X.toarray()")
    x = array(X, "X")
    if x.dtype.kind == "c":
        raise ValueError(f"Complex data not supported\n{X}")
    if x.dtype.kind not in "biuf":
        try:
            x = x.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise type(error)(f"`X` must hold numbers: argument must be a string or a number; {error}") from error
    if x.ndim not in (2, 4):
        raise ValueError(
            f"`X` must have shape [n, features] or [n, channels, height, width], got {x.shape}. Reshape your data"
        )
    if not len(x):
        raise ValueError("`X` must hold at least one example, got 0 sample(s)")
    if not x.size:
        raise ValueError(f"0 feature(s) (shape={x.shape}) while a minimum of 1 is required.")
    x = x.astype(np.float64, copy=False)
    if not np.isfinite(x).all():
        raise ValueError("Input X contains NaN or infinity; it must be finite")
    return x


def targets(y: ArrayLike | None, examples: int, like: Array | None = None, name: str = "y") -> Array:
    """The labels [examples], as integers, booleans or strings.

    Args:
        y: Labels, or a column of them; floats count if they are whole.
        examples: How many there must be.
        like: Labels of the only kind that is allowed, if any.
        name: What messages call ``y``.

    Raises:
        ValueError: ``y`` is missing, has another shape or kind, or holds what is no class, as are numbers beyond int64.
    """
    if y is None:
        raise ValueError("fit requires y to be passed, but the target y is None")
    labels = array(y, name)
    if labels.ndim == 2 and labels.shape[1] == 1:
        module = sys.modules.get("sklearn.exceptions")
        warnings.warn(
            "A column-vector y was passed when a 1d array was expected; it was flattened",
            module.DataConversionWarning if module else UserWarning,
            stacklevel=3,
        )
        labels = labels[:, 0]
    if labels.dtype.kind in "OT" and _all_are(str, labels):  # of objects, or strings of any length
        labels = np.array(labels.tolist(), str)
    if labels.dtype.kind == "O" and all(isinstance(label, bool | np.bool_) for label in labels.ravel().tolist()):
        labels = labels.astype(bool)
    is_whole = labels.dtype.kind == "f" and np.isfinite(labels).all() and bool((labels == np.rint(labels)).all())
    if is_whole or labels.dtype == np.uint64 or (labels.dtype.kind == "O" and _all_are((int, np.integer), labels)):
        labels = _integers(labels, name)
    if labels.shape != (examples,):
        raise ValueError(f"`{name}` must hold {examples} labels, one for each example of `X`, got shape {labels.shape}")
    if labels.dtype.kind not in "iubU":
        raise ValueError(
            f"`{name}` must hold {examples} integers or strings, got {labels.dtype}. "
            "Unknown label type: continuous or mixed"
        )
    if like is not None and _KINDS[labels.dtype.kind] != _KINDS[like.dtype.kind]:
        raise ValueError(
            f"`{name}` must hold {_KINDS[like.dtype.kind]}, like the classes, got {_KINDS[labels.dtype.kind]}"
        )
    return labels


def _all_are(kind: type | tuple[type, ...], labels: Array) -> bool:
    return all(isinstance(label, kind) and not isinstance(label, bool) for label in labels.ravel().tolist())


def _integers(labels: Array, name: str) -> IntArray:
    values = [int(label) for label in labels.ravel().tolist()]
    outside = [value for value in values if not INT64.min <= value <= INT64.max]
    if outside:
        raise ValueError(f"`{name}` must hold labels that fit int64, got {outside[0]}")
    return np.array(values, np.int64).reshape(labels.shape)


def weights(sample_weight: ArrayLike | None, examples: int) -> FloatArray | None:
    """The weights [examples] of examples as float64, or None where all weigh the same.

    Raises:
        ValueError: There are not as many, one is negative, NaN or infinite, or all are zero.
    """
    if sample_weight is None:
        return None
    given = array(sample_weight, "sample_weight")
    if given.dtype.kind not in "iuf" or given.shape != (examples,):
        raise ValueError(
            f"`sample_weight` must hold {examples} numbers, one for each example of `X`, "
            f"got {given.dtype} of shape {given.shape}"
        )
    result = given.astype(np.float64)
    if not (np.isfinite(result).all() and (result >= 0).all()):
        raise ValueError("`sample_weight` must be finite and not negative")
    if not result.any():
        raise ValueError("`sample_weight` must not be zero for every example: no weight but zero, and nothing to learn")
    return result
