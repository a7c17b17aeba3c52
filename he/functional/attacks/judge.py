"""What rebuilt images, and public ones, are worth: accuracies of a network that was trained in the clear."""

from __future__ import annotations

import math

from numpy.typing import ArrayLike

from intnn.estimator.classifier import IntClassifier
from intnn.values.domain import IntDomain

UNITS, BATCH, PASSES, STEPS = 128, 64, 8, 1_000


def judge(images: ArrayLike, labels: ArrayLike, inputs: IntDomain, *, seed: int = 0) -> IntClassifier:
    """A network of one layer of 128 units, trained on originals; its score on rebuilt images says how legible they are.

    It trains for 8 passes, or for more where these make fewer than 1,000 steps.

    Args:
        images: int64 [n, features], within the domain, at least 64.
        labels: Their classes [n].
        inputs: The domain, inside [-128, 127] or [0, 255].
        seed: The seed of the training.

    Raises:
        TypeError: The images are no integers.
        ValueError: They are too few, leave the domain, or show a single class.
    """
    originals = inputs.require(images, "images")
    if len(originals) < BATCH:
        raise ValueError(f"`images` must be at least {BATCH}, got {len(originals)}")
    epochs = max(PASSES, math.ceil(STEPS * BATCH / len(originals)))
    domain = (inputs.lo, inputs.hi)
    return IntClassifier((UNITS,), epochs=epochs, batch_size=BATCH, input_domain=domain, random_state=seed).fit(
        originals, labels
    )


def public_only_accuracy(
    public: ArrayLike, public_labels: ArrayLike, images: ArrayLike, labels: ArrayLike, inputs: IntDomain
) -> float:
    """The accuracy that public images alone train to, in [0, 1]: private images are worth what they add to it.

    Args:
        public: int64 [n, features], within the domain, at least 64.
        public_labels: Their classes [n].
        images: Images to test on, int64 [m, features].
        labels: Their classes [m].
        inputs: The domain, inside [-128, 127] or [0, 255].

    Raises:
        TypeError: Images are no integers.
        ValueError: They are too few, leave the domain, or show a single class.
    """
    return float(judge(public, public_labels, inputs).score(images, labels))
