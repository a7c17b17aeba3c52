"""Samples that lie far from all others, as wrong measurements and marks of missing values do."""

from __future__ import annotations

import numpy as np

from intnn.values.arrays import FloatArray

SHARE = 1 / 40  # of the values at either end, that may be outliers; more of them are what inputs are like
FAR = 30.0  # times as wide as all other values of a feature lie apart: further beyond them lie outliers


def without_outliers(samples: FloatArray) -> FloatArray:
    """Return samples whose outliers are brought to the ends of what all other samples reach; with none, themselves.

    What an activation gets for one value a thousand times as far as all others decides about the range of its
    polynomial or table, and leaves nothing of that for the others. A value that more than half of the samples have
    does not count: a feature that is seldom other than zero has no outliers in the rows where it is.

    Args:
        samples: float64 [n, *shape]. Each feature of a vector counts alone; pixels, which have one scale, all together,
            by the largest of each image.
    """
    if samples.ndim > 2:
        rows = np.abs(samples).reshape(len(samples), -1).max(axis=1)
        _, limit = _reach(rows)
        return samples if limit >= rows.max() else np.clip(samples, -limit, limit)
    ends = np.array([_reach(values) for values in samples.T]).T
    is_within = (samples >= ends[0]).all() and (samples <= ends[1]).all()
    return samples if is_within else np.clip(samples, *ends)


def _reach(values: FloatArray) -> tuple[float, float]:
    """The least and the largest of values [n] that are no outliers."""
    known, counts = np.unique(values, return_counts=True)
    usual = known[counts > len(values) / 2]  # one value or none
    others = np.sort(values[~np.isin(values, usual)])
    few = int(SHARE * len(others))
    if not few:
        return float(known[0]), float(known[-1])
    inner = np.concatenate([others[few:-few], usual])
    low, high = inner.min(), inner.max()
    with np.errstate(over="ignore"):  # beyond float64, nothing is further
        far = FAR * (high - low)
    near = values[(values >= low - far) & (values <= high + far)]
    return float(near.min()), float(near.max())
