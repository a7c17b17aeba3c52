"""The images of a batch, from one gradient of the first layer."""

from __future__ import annotations

import numpy as np

from he.functional.attacks.elimination import solve
from he.functional.attacks.seen import Rebuilt, Seen, nearest


def images_from_gradient(seen: Seen) -> Rebuilt:
    """Solve errors x images = gradient.

    The gradient of a dense layer's weights is the product of the errors, which the trainer computes and sends as the
    vectors of keys, with the images. It has as many equations for a pixel as the layer has units, and as many
    unknowns as the batch has images: where the errors have rank ``batch``, which is usual wherever units >= batch,
    *one* gradient gives every image of its batch. That is known of gradients that are shared (Phong et al. 2017, ePrint
    2017/715; Qian, Nassar and Hansen 2020, arXiv 2010.15718, for batches); exact integers make it exact.

    Args:
        seen: The errors as keys, [units, batch], and the gradient transposed as products, [features, units]: the
            samples of this instance are the features.

    Returns:
        The images [batch, features]. The confirmed ones are proved: no other integers of the domain have this gradient.
        The others are least squares' guess.

    Raises:
        ValueError: No images of the domain have this gradient.
    """
    found, determined = solve(seen.keys, seen.products.T, seen.inputs)
    guess = np.linalg.lstsq(seen.keys.astype(np.float64), seen.products.T.astype(np.float64), rcond=None)[0]
    images = nearest(seen, guess.T).images.T
    return Rebuilt(np.where(determined[:, None], found, images), determined)
