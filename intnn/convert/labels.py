"""What a model's outputs mean, as it is written into a graph's metadata.

`metadata["task"]` is "classification" or "regression". `metadata["link"]` is what the client applies to the outputs to
have probabilities: "softmax" over all of them, "logistic" to each of them, or "none". `metadata["classes"]` holds the
labels as JSON values; one output decides between two of them by its sign, the second one where it is positive.
"""

from typing import Any

import numpy as np

from intnn.convert.errors import ConversionError


def class_labels(classes: Any, outputs: int, place: str) -> list[str | int | float | bool]:
    """The labels of a classifier as JSON values, in the order of its outputs.

    Args:
        classes: One label for each output, or two for a single output; strings, numbers or bools, of Python or numpy.
        outputs: How many outputs there are.
        place: What messages call them.

    Raises:
        ConversionError: There are not as many, two are equal, or one is no JSON value.
    """
    if isinstance(classes, str) or not np.iterable(classes):
        raise ConversionError(place, f"must be a list of labels, got {classes!r}")
    labels = [label.item() if isinstance(label, np.generic) else label for label in classes]
    strange = [label for label in labels if not isinstance(label, str | int | float)]
    if strange:
        raise ConversionError(
            place, f"must be strings, numbers or bools, got {type(strange[0]).__name__}", "train with such labels"
        )
    expected = 2 if outputs == 1 else outputs
    if len(labels) != expected:
        raise ConversionError(
            place,
            f"must be {expected} labels for {outputs} output{'s' * (outputs > 1)}, got {len(labels)}",
            "a network needs at least two classes" if len(labels) < 2 else "give one label for each output",
        )
    if len(set(labels)) < len(labels):
        raise ConversionError(place, f"must be different labels, got {labels}")
    return labels
