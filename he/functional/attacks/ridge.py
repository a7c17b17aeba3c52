"""Approximate images from few inner products: a linear decoder, learned from public images."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from he.functional.attacks.seen import Rebuilt, Seen, nearest
from intnn.values.arrays import FloatArray

PENALTIES = tuple(10.0**k for k in range(-6, 2))
HELD_OUT = 4  # every fourth public image chooses the penalty


def images_by_ridge(seen: Seen, public: ArrayLike) -> Rebuilt:
    """The images that a ridge regression of public images on their own products expects, rounded.

    The attacker multiplies public images with the keys, which it knows, and learns the linear map from products to
    images of least squared error plus penalty (Hoerl and Kennard 1970). The penalty is the one of eight that rebuilds
    best those public images that it has not learned from.

    Args:
        seen: What was seen.
        public: Images of the same kind that anybody has, int64 [n, length], n at least 8, within the domain.

    Returns:
        The images. A confirmed one agrees with every product.

    Raises:
        TypeError: The public images are no integers.
        ValueError: They are too few, of another shape, or leave the domain.
    """
    images = seen.inputs.require(public, "public")
    if images.ndim != 2 or images.shape[1] != seen.keys.shape[1] or len(images) < 2 * HELD_OUT:
        length = seen.keys.shape[1]
        raise ValueError(f"`public` must have shape [n, {length}] with n at least 8, got {list(images.shape)}")
    targets = images.astype(np.float64)
    sums = targets @ seen.keys.T.astype(np.float64)
    held = np.arange(len(images)) % HELD_OUT == 0
    errors = [
        np.square(_decoded(sums[~held], targets[~held], sums[held], penalty) - targets[held]).sum()
        for penalty in PENALTIES
    ]
    best = PENALTIES[int(np.argmin(errors))]
    return nearest(seen, _decoded(sums, targets, seen.products.astype(np.float64), best))


def _decoded(sums: FloatArray, targets: FloatArray, asked: FloatArray, penalty: float) -> FloatArray:
    """What the ridge regression of targets [n, length] on sums [n, keys] expects of ``asked`` [samples, keys]."""
    middle, centre = sums.mean(axis=0), targets.mean(axis=0)
    centred = sums - middle
    covariance = centred.T @ centred
    covariance += penalty * (np.trace(covariance) / len(covariance) + 1) * np.eye(len(covariance))
    return np.asarray((asked - middle) @ np.linalg.solve(covariance, centred.T @ (targets - centre)) + centre)
