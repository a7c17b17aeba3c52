"""Images from few inner products, by linear programming."""

from __future__ import annotations

from types import ModuleType

import numpy as np
from numpy.typing import ArrayLike

from he.functional.attacks.seen import Rebuilt, Seen, nearest
from intnn.values.arrays import FloatArray, integer, reals
from intnn.values.domain import IntDomain

DARKEST = 1 / 300  # of the range: pixels that public images never light are dear, but not infinitely so


def prices(expected: ArrayLike, inputs: IntDomain) -> FloatArray:
    """What light costs in `images_by_programme`: the inverse of how bright a pixel is expected to be.

    Args:
        expected: Brightnesses, float64 of any shape: the mean of public images, [length], or what another attack has
            made of the same samples, [samples, length] (*reweighting*: Candès, Wakin and Boyd 2008).
        inputs: The domain of the inputs; what lies beyond it counts as its nearest element.

    Returns:
        Positive prices of the same shape.

    Raises:
        TypeError: The brightnesses are no floats.
        ValueError: One of them is not finite.
    """
    brightness = (reals(expected, "expected").clip(inputs.lo, inputs.hi) - inputs.lo) / (inputs.size - 1)
    return np.asarray(1 / (brightness + DARKEST))


def images_by_programme(seen: Seen, weights: ArrayLike) -> Rebuilt:
    """The images of least weighted light among all that have these products, rounded.

    Minimise <weights, x> under keys x = products and lo <= x <= hi. Handwriting is dark nearly everywhere, and a
    programme's solution has at most as many pixels strictly between the limits as there are keys: this is *basis
    pursuit* (Chen, Donoho and Saunders 1998), which finds sparse vectors from far fewer products than they are long.

    Args:
        seen: What was seen.
        weights: The price of every pixel, float64 [length] or [samples, length]: see `prices`.

    Returns:
        The images. A confirmed one agrees with every product: strong evidence that it is right, and no proof.

    Raises:
        TypeError: The weights are no floats.
        ValueError: They are not one for every element.
        ImportError: SciPy is not installed.
    """
    shape = len(seen.products), seen.keys.shape[1]
    given = reals(weights, "weights")
    if given.shape not in (shape[1:], shape):
        raise ValueError(f"`weights` must have shape {list(shape[1:])} or {list(shape)}, got {list(given.shape)}")
    optimize, _ = _scipy()
    equations, bounds = seen.keys.astype(np.float64), (seen.inputs.lo, seen.inputs.hi)
    images = np.full(shape, float(seen.inputs.lo))
    rows = zip(images, np.broadcast_to(given, shape), seen.products.astype(np.float64), strict=True)
    for image, costs, products in rows:
        solution = optimize.linprog(costs, A_eq=equations, b_eq=products, bounds=bounds, method="highs")
        if solution.x is not None:
            image[:] = solution.x
    return nearest(seen, images)


def images_by_neighbours(
    seen: Seen, height: int, width: int, *, threshold: float = 3 / 255, period: int = 2
) -> Rebuilt:
    """The smoothest images among all that have these products, rounded: the attack of Ioniță and Ioniță.

    Their paper (RAID 2025, arXiv 2509.21497; its abstract and the code that they published beside it are what this
    follows) rebuilds an input from its values before the first activation, which is all that a trainer by functional
    encryption decrypts in its forward pass: any x with keys x = products, within the range of pixels, that differs by
    at most a threshold (3 of 255) from the mean of its four neighbours, at every pixel whose row and column add up to a
    multiple of ``period``. Their programme has no aim and no solution where an image has one edge; here the differences
    beyond the threshold are what is minimised, so that images which fulfil theirs are found, and others come closest.
    Their code tries images of CIFAR-10 in grey and reports mean squared errors; here images count as integers.

    Args:
        seen: What was seen, of images in row-major order.
        height: The rows of an image.
        width: The columns of an image; ``height`` times ``width`` is the length of a sample.
        threshold: The difference that is free, a part of the range of the inputs.
        period: The distance between diagonals whose pixels are compared, from 1 (all of them).

    Returns:
        The images. A confirmed one agrees with every product.

    Raises:
        ValueError: A sample is no such image.
        ImportError: SciPy is not installed.
    """
    height, width = integer(height, "height", 1), integer(width, "width", 1)
    if height * width != seen.keys.shape[1]:
        raise ValueError(f"`height` x `width` must be {seen.keys.shape[1]}, got {height} x {width}")
    optimize, sparse = _scipy()
    differences = sparse.csr_array(_differences(height, width, integer(period, "period", 1)))
    pixels, excesses = height * width, differences.shape[0]
    slack = -sparse.eye_array(excesses)
    inequalities = sparse.block_array([[differences, slack], [-differences, slack]], format="csr")
    equations = sparse.hstack(
        [sparse.csr_array(seen.keys.astype(np.float64)), sparse.csr_array((len(seen.keys), excesses))]
    )
    limits = np.full(2 * excesses, threshold * (seen.inputs.size - 1))
    aim = np.repeat([0.0, 1.0], [pixels, excesses])
    bounds = [(seen.inputs.lo, seen.inputs.hi)] * pixels + [(0, None)] * excesses
    images = np.full((len(seen.products), pixels), float(seen.inputs.lo))
    for image, products in zip(images, seen.products.astype(np.float64), strict=True):
        solution = optimize.linprog(aim, inequalities, limits, equations, products, bounds, method="highs")
        if solution.x is not None:
            image[:] = solution.x[:pixels]
    return nearest(seen, images)


def _differences(height: int, width: int, period: int) -> FloatArray:
    """The maps from an image to a pixel minus the mean of its neighbours, [compared pixels, height width]."""
    rows = []
    for i, j in np.argwhere(np.add.outer(np.arange(height), np.arange(width)) % period == 0):
        row = np.zeros((height, width))
        beside = [(i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)]
        beside = [(a, b) for a, b in beside if 0 <= a < height and 0 <= b < width]
        for place in beside:
            row[place] = -1 / len(beside)
        row[i, j] = 1
        rows.append(row.ravel())
    return np.array(rows)


def _scipy() -> tuple[ModuleType, ModuleType]:
    """`scipy.optimize` and `scipy.sparse`; an ImportError says how to have them."""
    try:
        from scipy import optimize, sparse
    except ImportError as error:
        raise ImportError("linear programmes need scipy: install the extra `attacks` of this package") from error
    return optimize, sparse
