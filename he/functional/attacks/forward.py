"""Images from forward keys: the sums of the first layer, under the weights of many updates."""

from __future__ import annotations

import numpy as np

from he.functional.attacks.seen import Rebuilt, Seen, nearest
from intnn.values.arrays import FloatArray, IntArray, integer


def images_by_least_squares(seen: Seen) -> Rebuilt:
    """The smallest images that have these products, rounded.

    It is exact where the keys determine every element of a sample, and finds next to nothing where they are only a few
    fewer. So its failure proves nothing: see `images_from_forward_keys`.

    Returns:
        The images. A confirmed one agrees with every product; where the keys have rank ``length``, none but it does.
    """
    return nearest(seen, _smallest(seen.keys, seen.products))


def images_from_forward_keys(seen: Seen, units: int) -> Rebuilt:
    """Images that the updates have used, from the keys of all of these updates.

    The weights of a pixel change only by its gradient. A pixel that no image of the batches so far has lit keeps all of
    its weights (without weight decay), and whoever sees them knows: it is 0 in all of these images. So the keys need
    not have rank ``length``, which they may never reach, but only that of the pixels whose weights have changed. Those
    grow by up to ``units`` with every update. Images for which that remark is wrong, as they have lit a pixel without
    moving a weight, are tried by plain least squares. The keys must hold for all samples (RLWE and DDH; those of pads
    hold for one batch each).

    Args:
        seen: The weights of one update behind the other, [updates units, features], and the products of samples that
            were in the batches of the updates but the last one, whose effect on weights is not seen yet.
        units: The units of the first layer, a divisor of the number of keys.

    Returns:
        The images. A confirmed one agrees with every product.

    Raises:
        ValueError: ``units`` does not divide the number of keys, or the domain has no 0.
    """
    units = integer(units, "units", 1)
    if len(seen.keys) % units:
        raise ValueError(f"`units` must divide the number of keys, {len(seen.keys)}, got {units}")
    if 0 not in seen.inputs:
        raise ValueError(f"`inputs` must hold 0, which leaves weights as they are, got {seen.inputs}")
    weights = seen.keys.reshape(-1, units, seen.keys.shape[1])
    changed = (weights != weights[0]).any(axis=(0, 1))
    images = np.zeros((len(seen.products), seen.keys.shape[1]))
    images[:, changed] = _smallest(seen.keys[:, changed], seen.products)
    dark, plain = nearest(seen, images), images_by_least_squares(seen)
    images_found = np.where(dark.confirmed[:, None] | ~plain.confirmed[:, None], dark.images, plain.images)
    return Rebuilt(images_found, dark.confirmed | plain.confirmed)


def _smallest(keys: IntArray, products: IntArray) -> FloatArray:
    """The solutions of least norm, float64 [samples, length], of equations that may be too few."""
    if not keys.shape[1]:
        return np.zeros((len(products), 0))
    return np.asarray(np.linalg.lstsq(keys.astype(np.float64), products.T.astype(np.float64), rcond=1e-12)[0].T)
