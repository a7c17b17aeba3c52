"""How far two networks give the same answers."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from intnn.network.graph import Graph
from intnn.network.network import IntNetwork
from intnn.values.arrays import Array, FloatArray, reals

Answers = Graph | IntNetwork | Callable[[FloatArray], Array]


def agreement(network: Answers, reference: Answers, samples: ArrayLike) -> float:
    """The share of samples for which two networks name the same class; for a single output, their R squared.

    Args:
        network: A network of floats or of integers, or any function that gives logits [n, classes] for floats
            [n, *input_shape].
        reference: What it is compared with, of the same kinds.
        samples: Inputs, floats [n, *input_shape]; an integer network rounds them by its own scale.

    Returns:
        A number of at most 1, which is perfect. R squared is one less the mean squared difference as a part of the
        variance of the reference; it is negative where the mean of the reference would be the better answer, and 0 for
        other values than those of a reference that never changes.

    Raises:
        TypeError: ``samples`` does not hold floats.
        ValueError: The networks have different numbers of outputs, or a value is NaN or infinite.
    """
    x = reals(samples, "samples")
    with np.errstate(over="ignore", invalid="ignore"):  # a polynomial that left its range may give anything
        return agreement_of(answers(network, x), answers(reference, x))


def agreement_of(logits: Array, reference: Array) -> float:
    """The agreement of two arrays of logits [n, classes], as `agreement` gives it."""
    if logits.shape != reference.shape:
        counts = f"{logits.shape[1]} and {reference.shape[1]}"
        raise ValueError(f"`network` and `reference` must have as many outputs, got {counts}")
    if reference.shape[1] > 1:
        return float(np.mean(logits.argmax(axis=1) == reference.argmax(axis=1)))
    values, expected = logits.astype(np.float64), reference.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        difference = float(np.mean(np.square(values - expected)))
    if difference == 0.0:
        return 1.0
    variance = float(np.var(expected))
    if not np.isfinite(difference):
        return -np.inf
    return 1.0 - difference / variance if variance else 0.0


def answers(network: Answers, samples: FloatArray) -> Array:
    """The logits [n, classes] of a network of any kind."""
    if isinstance(network, Graph):
        return network.logits(samples)
    if isinstance(network, IntNetwork):
        return network.logits(network.quantise_input(samples))
    return np.asarray(network(samples)).reshape(len(samples), -1)
