"""What scikit-learn asks of an estimator, in scikit-learn's own words where its tools look for them.

The package does not need scikit-learn, and uses it only where the user has loaded it already.
"""

import inspect
import sys
import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from intnn.values.arrays import Array, FloatArray


class Estimator:
    """Access to constructor arguments by name, for `clone`, `GridSearchCV` and their like; constructors only store."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002 - nothing nested
        """The constructor's arguments."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

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
        defaults = inspect.signature(type(self)).parameters
        changed = [f"{k}={v!r}" for k, v in self.get_params().items() if repr(v) != repr(defaults[k].default)]
        return f"{type(self).__name__}({', '.join(changed)})"


def not_fitted(estimator: object) -> Exception:
    """The error of a method that needs `fit` first: a ValueError, and scikit-learn's own where that is loaded."""
    module = sys.modules.get("sklearn.exceptions")
    kind = module.NotFittedError if module else ValueError
    return kind(f"this {type(estimator).__name__} is not fitted yet; call `fit` first")


def features(X: ArrayLike) -> FloatArray:
    """Finite float64 [n, features] or [n, channels, height, width] from what users of scikit-learn pass.

    Raises:
        TypeError: ``X`` is a sparse matrix, or holds no numbers.
        ValueError: ``X`` holds complex numbers, NaN or infinity, has another number of axes, or is empty.
    """
    if hasattr(X, "toarray"):
        raise TypeError("`X` must be dense, got a sparse matrix; pass X.toarray()")
    x = np.asarray(X)
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
    x = x.astype(np.float64)
    if not np.isfinite(x).all():
        raise ValueError("Input X contains NaN or infinity; it must be finite")
    return x


def targets(y: ArrayLike | None, examples: int) -> Array:
    """The labels [examples], as integers, booleans or strings.

    Raises:
        ValueError: ``y`` is missing, has another shape, or holds numbers that are no classes.
    """
    if y is None:
        raise ValueError("fit requires y to be passed, but the target y is None")
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        module = sys.modules.get("sklearn.exceptions")
        warnings.warn(
            "A column-vector y was passed when a 1d array was expected; it was flattened",
            module.DataConversionWarning if module else UserWarning,
            stacklevel=3,
        )
        labels = labels[:, 0]
    if labels.dtype.kind == "f" and labels.size and np.isfinite(labels).all() and np.all(labels == np.rint(labels)):
        labels = labels.astype(np.int64)
    if labels.dtype.kind == "O" and all(isinstance(label, str) for label in labels.ravel()):
        labels = labels.astype(str)
    if labels.shape != (examples,):
        raise ValueError(f"`y` must hold {examples} labels, one for each example of `X`, got shape {labels.shape}")
    if labels.dtype.kind not in "iubU":
        raise ValueError(
            f"`y` must hold {examples} integers or strings, got {labels.dtype}. Unknown label type: continuous or mixed"
        )
    return labels
