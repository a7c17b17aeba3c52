"""What stands before an estimator in a pipeline of scikit-learn, as affine maps."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from intnn.convert.affine import Affine
from intnn.convert.errors import ConversionError
from intnn.convert.estimators import FEATURES, class_name, steps, unknown, width
from intnn.values.arrays import FloatArray

#: Those that keep some of the features, by the name of their class.
_SELECTORS = (
    "GenericUnivariateSelect",
    "RFE",
    "RFECV",
    "SelectFdr",
    "SelectFpr",
    "SelectFromModel",
    "SelectFwe",
    "SelectKBest",
    "SelectPercentile",
    "SequentialFeatureSelector",
    "VarianceThreshold",
)
_COLUMNS, _UNION, _NOTHING = "ColumnTransformer", "FeatureUnion", "FunctionTransformer"
_PROJECTIONS = ("GaussianRandomProjection", "SparseRandomProjection", "TruncatedSVD")
TRANSFORMERS = (
    "StandardScaler",
    "MinMaxScaler",
    "MaxAbsScaler",
    "RobustScaler",
    "FastICA",
    "IncrementalPCA",
    "LinearDiscriminantAnalysis",
    "PCA",
    _COLUMNS,
    _UNION,
    _NOTHING,
    *_PROJECTIONS,
    *_SELECTORS,
)


def affine_of(place: str, transformer: Any, remedy: str = FEATURES) -> Affine:
    """What a fitted transformer computes; the remedy is for those that no map stands for."""
    name = class_name(transformer)
    is_function = name == _NOTHING and not (transformer.func is None and transformer.inverse_func is None)
    if name not in TRANSFORMERS or is_function:
        raise unknown(place, transformer, remedy=remedy)
    if name == _UNION:
        return _of_union(place, transformer)
    size = width(place, transformer)
    if getattr(transformer, "clip", False):
        raise ConversionError(place, f"must not clip, got {name}(clip=True)", "fit it with clip=False")
    if name in _SELECTORS:
        kept = np.flatnonzero(transformer.get_support())
        return Affine(np.eye(size)[kept], np.zeros(len(kept)))
    if name == _COLUMNS:
        return _of_columns(place, transformer, size)
    ones, zeros = np.ones(size), np.zeros(size)
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
        case "FunctionTransformer":
            return Affine.identity(size)
        case _ if name in _PROJECTIONS:
            weight = _dense(transformer.components_)
            return Affine(weight, np.zeros(len(weight)))
        case "FastICA":
            weight = _dense(transformer.components_)
            return Affine(weight, -weight @ (transformer.mean_ if transformer.whiten else zeros))
        case "LinearDiscriminantAnalysis":
            weight = _dense(transformer.scalings_)[:, : transformer._max_components].T
            return Affine(weight, -weight @ (transformer.xbar_ if transformer.solver == "svd" else zeros))
        case _:
            weight = np.asarray(transformer.components_, np.float64)
            if transformer.whiten:
                deviation = np.sqrt(transformer.explained_variance_)
                weight = weight / np.maximum(deviation, np.finfo(deviation.dtype).eps)[:, None]
            return Affine(weight, -weight @ np.asarray(transformer.mean_, np.float64))


def _of_columns(place: str, transformer: Any, size: int) -> Affine:
    """Several transformers side by side, each of some of the columns."""
    given = list(getattr(transformer, "feature_names_in_", ()))
    outputs = max((part.stop for part in transformer.output_indices_.values()), default=0)
    weight, bias = np.zeros((outputs, size)), np.zeros(outputs)
    for label, kind, columns in transformer.transformers_:
        part = transformer.output_indices_[label]
        if part.start == part.stop:  # dropped, or of no column
            continue
        indices = _indices(columns, given, size)
        after = Affine.identity(len(indices))
        if not _is_passed_through(kind):
            for where, one in steps(kind, f"{label!r} in {place}"):
                after = after.then(affine_of(where, one))
        weight[part, indices] = np.diag(after.weight) if after.weight.ndim == 1 else after.weight
        bias[part] = after.bias
    return Affine(weight, bias)


def _of_union(place: str, transformer: Any) -> Affine:
    """Several transformers side by side, each of all columns, and with a factor where it has one."""
    size = width(place, transformer)
    factors = transformer.transformer_weights or {}
    weights, biases = [], []
    for label, kind in transformer.transformer_list:
        if isinstance(kind, str) and kind == "drop":
            continue
        part = Affine.identity(size)
        for where, one in [] if _is_passed_through(kind) else steps(kind, f"{label!r} in {place}"):
            part = part.then(affine_of(where, one))
        factor = factors.get(label, 1.0)
        weights.append(factor * (np.diag(part.weight) if part.weight.ndim == 1 else part.weight))
        biases.append(factor * part.bias)
    return Affine(np.concatenate(weights), np.concatenate(biases))


def _indices(columns: Any, names: list[str], size: int) -> NDArray[np.int64]:
    """The numbers of columns, which may be given by numbers, names, a slice of either, or a mask."""
    if isinstance(columns, slice):
        first, last = (names.index(end) if isinstance(end, str) else end for end in (columns.start, columns.stop))
        if isinstance(columns.stop, str):  # which is meant too
            last += 1
        return np.arange(size)[first : last : columns.step]
    found = [names.index(column) if isinstance(column, str) else column for column in np.atleast_1d(columns).tolist()]
    return np.arange(size)[found]


def _is_passed_through(kind: Any) -> bool:
    """Whether a transformer changes nothing: the word for it, or what scikit-learn puts in its place."""
    return isinstance(kind, str) or (class_name(kind) == "FunctionTransformer" and kind.func is None)


def _dense(matrix: Any) -> FloatArray:
    """A matrix that may be sparse."""
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix, np.float64)


def _vector(values: Any, default: FloatArray) -> FloatArray:
    return default if values is None else np.asarray(values, np.float64)
