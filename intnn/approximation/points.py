"""More points at which a float network may be asked: it answers anywhere, and needs no labels for it."""

import numpy as np

from intnn.values.arrays import FloatArray

ENOUGH = 5000  # points; more change nothing


def others_like(samples: FloatArray, count: int) -> FloatArray:
    """Points that are no samples, but could be.

    Each of them is a sample moved along the difference of two: x + h (y - z) with h uniform in [0, 1]. So they vary in
    the directions in which samples vary, and no further: they are drawn to the mean, which keeps the covariance (a
    smoothed bootstrap with shrinkage: B. W. Silverman, Density estimation for statistics and data analysis, 1986).

    Args:
        samples: Inputs, floats [n, *shape].
        count: The number of points; below 1 for none.

    Returns:
        Floats [count, *shape]. The same samples give the same points.
    """
    rng = np.random.default_rng(0)
    first, second, third = rng.integers(0, len(samples), (3, max(count, 0)))
    step = rng.random((len(first), *[1] * (samples.ndim - 1)))
    mean = samples.mean(axis=0)
    moved = samples[first] - mean + step * (samples[second] - samples[third])
    return np.asarray(mean + moved / np.sqrt(1.0 + 2.0 * step**2))


def joined(samples: FloatArray, most: int = ENOUGH) -> FloatArray:
    """Samples, joined by others like them where they are fewer than ``most``, in random order.

    Args:
        samples: Inputs, floats [n, *shape].
        most: The number of points in all; samples beyond it are returned as well.

    Returns:
        Floats [max(n, most), *shape]; the samples as they are if nothing joins them.
    """
    if len(samples) >= most:
        return samples
    others = others_like(samples, most - len(samples))
    return np.random.default_rng(0).permutation(np.concatenate([samples, others]))
