"""The owner's whitening: features turned and scaled so that a few steps train a head on them.

Gradient steps on least squares need about as many rounds as the root of the condition of the features' second moments,
which for raw features is thousands. An owner who sees some of its samples in the clear can undo that before it
encrypts: with their mean m and covariance C = V diag(w) V^T, the map x -> (x - m) V diag(w)^(-1/2) has moments near the
identity on all samples. A ridge is added to C's diagonal, for directions that a small sample hardly shows.

Several owners use one whitening: each makes `Moments` of some samples, and whoever publishes the whitening adds them
up. Moments, and the whitening, tell the mean and the covariance of these samples to everybody who gets them; trainers
need neither. Owners who do not want even that choose samples that are public.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from intnn.values.arrays import FloatArray, batched, frozen, integer, real, reals
from intnn.values.value_object import ValueObject

#: The largest absolute value of a whitened feature that may be encrypted: of 60,000 images the largest is about 12.
LARGEST = 16.0

_SQUARINGS = 12  # of the moments: the bound is at most d**(1 / 4096) too large, 0.2 % for 4,096 features


class BoundError(ValueError):
    """A bound on the top eigenvalue of the moments of whitened features is too small: training would diverge."""


@dataclass(frozen=True, eq=False)
class Moments(ValueObject):
    """How many samples there are, and their features' sums and scatter.

    The mean is subtracted before features are multiplied: where it is large beside what samples differ by, as of times
    in seconds, it would take the digits of the scatter.

    Attributes:
        samples: Their number, at least 1.
        sums: float64 [features].
        scatter: The sums of products of differences from the mean, float64 [features, features], symmetric.

    Raises:
        TypeError: An argument has another type.
        ValueError: A shape is wrong, or a value is not finite.
    """

    samples: int
    sums: FloatArray
    scatter: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "samples", integer(self.samples, "samples", 1))
        for name in ("sums", "scatter"):
            object.__setattr__(self, name, frozen(reals(getattr(self, name), name)))
        features = self.sums.shape
        if len(features) != 1 or self.scatter.shape != features * 2:
            raise ValueError(
                f"`sums` and `scatter` must have shapes [d] and [d, d], got {features} and {self.scatter.shape}"
            )

    @staticmethod
    def of(features: ArrayLike) -> Moments:
        """Compute the moments of features, float64 [samples, features].

        Raises:
            TypeError: They are no floats.
            ValueError: Their shape is wrong, or a value is not finite.
        """
        rows = _rows(features)
        centred = rows - rows.mean(axis=0)
        return Moments(len(rows), rows.sum(axis=0), centred.T @ centred)

    def plus(self, other: Moments) -> Moments:
        """Return the moments of both owners' samples together.

        Raises:
            ValueError: They have other numbers of features.
        """
        if self.sums.shape != other.sums.shape:
            raise ValueError(
                f"`other` must be of {len(self.sums)} features, got {len(other.sums)}; use one map for all"
            )
        samples, apart = self.samples + other.samples, self.sums / self.samples - other.sums / other.samples
        between = self.samples * other.samples / samples * np.outer(apart, apart)
        return Moments(samples, self.sums + other.sums, self.scatter + other.scatter + between)


@dataclass(frozen=True, eq=False)
class Whitening(ValueObject):
    """An affine map of features, behind which a column of ones follows for the head's intercept.

    Attributes:
        mean: What is subtracted, float64 [features].
        matrix: What is multiplied with, float64 [features, kept], with at most as many columns as rows.

    Raises:
        TypeError: An argument holds no floats.
        ValueError: A shape is wrong, or a value is not finite.
    """

    mean: FloatArray
    matrix: FloatArray

    def __post_init__(self) -> None:
        for name in ("mean", "matrix"):
            object.__setattr__(self, name, frozen(reals(getattr(self, name), name)))
        features, matrix = self.mean.shape, self.matrix.shape
        if len(features) != 1 or len(matrix) != 2 or matrix[0] != features[0] or not 0 < matrix[1] <= features[0]:
            raise ValueError(
                f"`mean` and `matrix` must have shapes [d] and [d, at most d], got {features} and {matrix}"
            )

    @staticmethod
    def of(moments: Moments, ridge: float, keep: int | None = None) -> Whitening:
        """Return the whitening of samples with these moments.

        Args:
            moments: Those of the samples, at least two.
            ridge: What is added to every variance, in mean variances: above 0, and mostly below 1.
            keep: How many directions are kept, those in which the samples differ most; by default all.

        Raises:
            TypeError: An argument has another type.
            ValueError: There are too few samples, all of them are equal, the ridge is not above 0, or there are not so
                many directions.
        """
        share = real(ridge, "ridge")
        if not 0 < share < np.inf:
            raise ValueError(f"`ridge` must be finite and above 0, got {share}")
        mean, covariance = _centred(moments)
        typical = float(np.trace(covariance)) / len(mean)
        first = 0 if keep is None else len(mean) - integer(keep, "keep", 1, len(mean))
        values, vectors = np.linalg.eigh(covariance)  # in ascending order
        variances = np.maximum(values, 0) + share * typical  # roundings may leave them a little below 0
        return Whitening(mean, vectors[:, first:] / np.sqrt(variances[first:]))

    @staticmethod
    def scaling(moments: Moments) -> Whitening:
        """Return what centres features and divides all of them by one number, for a mean variance of 1.

        A feature stays in its place, as a convolution needs it.

        Raises:
            ValueError: There are fewer than two samples, or all of them are equal.
        """
        mean, covariance = _centred(moments)
        return Whitening(mean, np.eye(len(mean)) / np.sqrt(np.trace(covariance) / len(mean)))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the map in hexadecimal digits: owners who name the same one have the same map."""
        data = self.mean.astype("<f8").tobytes() + self.matrix.astype("<f8").tobytes()
        return hashlib.sha256(data).hexdigest()

    def apply(self, features: ArrayLike) -> FloatArray:
        """Whiten features.

        Args:
            features: float64 [samples, features].

        Returns:
            float64 [samples, kept + 1], within [-`LARGEST`, `LARGEST`]; the last column holds ones.

        Raises:
            TypeError: They are no floats.
            ValueError: Their shape is wrong, or a whitened one is out of range.
        """
        rows = batched(reals(features, "features"), self.mean.shape, "features")
        with np.errstate(over="ignore", invalid="ignore"):  # what is beyond float64 is out of range
            white = (rows - self.mean) @ self.matrix
        reach = float(np.abs(white).max(initial=0.0))
        if not reach <= LARGEST:
            raise ValueError(
                f"whitened features must lie in [-{LARGEST:g}, {LARGEST:g}], got {reach:.3g}; take more samples for "
                "the whitening, a larger ridge, or leave out samples that are unlike the others"
            )
        return np.concatenate([white, np.ones((len(white), 1))], axis=1)


def top_eigenvalue(white: ArrayLike) -> float:
    """Return a bound, at most 0.2 % too large, on the top eigenvalue of X^T X / n for samples X, float64 [n, d].

    It is power iteration from all unit vectors at once, that is by squaring the matrix: the m-th root of the Frobenius
    norm of G^m is at least the top eigenvalue, and at most d^(1 / (2 m)) times as large; m is 4,096. Unlike one
    vector's quotient, it never comes out too small, wherever that vector started.

    Raises:
        TypeError: The samples are no floats.
        ValueError: Their shape is wrong, or a value is not finite.
    """
    rows = _rows(white)
    power, logarithm, exponent = rows.T @ rows / len(rows), 0.0, 1
    for _ in range(_SQUARINGS):
        norm = float(np.linalg.norm(power))
        if norm == 0:
            return 0.0
        power, logarithm = power / norm, logarithm + np.log(norm) / exponent
        power, exponent = power @ power, 2 * exponent
    return float(np.exp(logarithm + np.log(np.linalg.norm(power)) / exponent))


def require_bound(white: ArrayLike, bound: float) -> float:
    """Refuse a bound on the top eigenvalue that is too small for an owner's samples.

    The samples must not have made the whitening: on those that have, the eigenvalue is always near 1, and too small.
    Where several owners train together, each checks its own samples: the top eigenvalue of all of them is at most the
    largest of the owners'.

    Args:
        white: What the whitening makes of the samples, float64 [n, d].
        bound: The bound for which training is planned.

    Returns:
        The top eigenvalue, which is at most the bound.

    Raises:
        BoundError: It is larger.
        TypeError: An argument has another type.
        ValueError: A shape is wrong, or a value is not finite.
    """
    most, found = real(bound, "bound"), top_eigenvalue(white)
    if not found <= most:
        raise BoundError(
            f"`bound` must be at least the top eigenvalue of these samples, {found:.3g}, got {most:g}: training would "
            f"diverge; plan for a bound of {found * 1.1:.2g}, make the whitening from more samples, or give more at "
            "once: few samples have a larger one than many"
        )
    return found


def _centred(moments: Moments) -> tuple[FloatArray, FloatArray]:
    """Return the mean and the covariance of samples with these moments."""
    samples = moments.samples
    if samples < 2:
        raise ValueError(f"`moments` must be those of at least 2 samples, got {samples}")
    mean, covariance = moments.sums / samples, moments.scatter / (samples - 1)
    if not np.trace(covariance) > 0:
        raise ValueError("`moments` must be those of samples that differ, got equal ones; take others")
    return mean, covariance


def _rows(values: ArrayLike) -> FloatArray:
    rows = reals(values, "samples")
    if rows.ndim != 2:
        raise ValueError(f"`samples` must have shape [samples, features], got {rows.shape}")
    if not rows.size:
        raise ValueError(f"`samples` must be one or more, with a feature at least, got shape {rows.shape}")
    return rows
