"""How far two networks give the same answers."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from intnn.network.graph import Graph
from intnn.network.network import IntNetwork
from intnn.values.arrays import Array, FloatArray, real, reals

Answers = Graph | IntNetwork | Callable[[FloatArray], Array]
Decision = Literal["largest", "signs", "values"]
Task = Literal["classification", "regression"]

STRAIN = 10.0  # of differences, over the root of the number of samples
NEAR = 0.15  # of the samples: those nearest to another answer, whose differences are set against each other's leads


def decision_of(metadata: Mapping[str, Any], outputs: int) -> Decision:
    """What of the outputs is a network's answer: the class of the largest, the sign of each, or their values.

    Args:
        metadata: A network's; "task", "classes", "multilabel" and a "logistic" link say what its outputs mean.
        outputs: Their number. Of a network that says nothing, several outputs are classes, and one is a value.
    """
    names_classes = "classes" in metadata or metadata.get("link") == "logistic"
    has_classes = metadata.get("task", "classification" if names_classes else None)
    if has_classes == "regression" or (has_classes is None and outputs == 1):
        return "values"
    return "signs" if outputs == 1 or metadata.get("multilabel") else "largest"


def agreement(network: Answers, reference: Answers, samples: ArrayLike) -> float:
    """The share of samples for which two networks decide alike; for values, how much of the reference is explained.

    Args:
        network: A network of floats or of integers, or any function that gives logits [n, classes] for floats
            [n, *input_shape].
        reference: What it is compared with, of the same kinds. If it is a network, its metadata says whether its
            answers are classes (see `decision_of`).
        samples: Inputs, floats [n, *input_shape]; an integer network rounds them by its own scale.

    Returns:
        A number of at most 1, which is perfect. For values it is R squared: one less the mean squared difference as a
        part of the variance of the reference. That is negative where the mean of the reference would be the better
        answer, and 0 for other values than those of a reference that never changes.

    Raises:
        TypeError: ``samples`` does not hold floats.
        ValueError: The networks have different numbers of outputs, or a value is NaN or infinite.
    """
    x = reals(samples, "samples")
    with np.errstate(over="ignore", invalid="ignore"):  # a polynomial that left its range may give anything
        logits, expected = answers(network, x), answers(reference, x)
    metadata = reference.metadata if isinstance(reference, Graph | IntNetwork) else {}
    return agreement_of(logits, expected, decision_of(metadata, expected.shape[1]))


def agreement_of(logits: Array, reference: Array, decision: Decision) -> float:
    """The agreement of two arrays of outputs [n, outputs], as `agreement` gives it."""
    if logits.shape != reference.shape:
        counts = f"{logits.shape[1]} and {reference.shape[1]}"
        raise ValueError(f"`network` and `reference` must have as many outputs, got {counts}")
    if decision == "largest":
        return float(np.mean(logits.argmax(axis=1) == reference.argmax(axis=1)))
    if decision == "signs":
        return float(np.mean(np.all((logits > 0) == (reference > 0), axis=1)))
    values, expected = logits.astype(np.float64), reference.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        difference = float(np.mean(np.square(values - expected)))
    if difference == 0.0:
        return 1.0
    if not np.isfinite(difference):
        return -np.inf
    variance = float(np.mean(np.var(expected, axis=0)))
    return 1.0 - difference / variance if variance else 0.0


def agreement_under_strain(logits: Array, reference: Array, decision: Decision) -> float:
    """The agreement that is to be expected if outputs differ from a reference by more than these do.

    Few samples seldom lie where two networks that are nearly the same decide differently. So differences are made
    larger by as much as leaves a share of samples uncertain that are so few: by a tenth where they are 10,000, twice as
    large where they are 100. And for classes, which of the samples that are near to another answer has which of their
    differences is chance: each lead of one answer over the next meets each loss of lead.

    Args:
        logits: Outputs, [n, outputs].
        reference: What they should be, [n, outputs].
        decision: What of the outputs is the answer.
    """
    strained = _strained(logits, reference)
    if decision == "values":
        return agreement_of(strained, reference, decision)
    lead = _lead(reference, reference, decision)
    with np.errstate(invalid="ignore"):  # infinite outputs have no lead
        loss = np.nan_to_num(lead - _lead(strained, reference, decision), nan=np.inf)
    near = np.argsort(lead, kind="stable")[: math.ceil(NEAR * len(lead))]
    differs = loss >= lead
    leads = np.sort(lead[near])
    differing = np.searchsorted(leads, loss[near], side="right").sum() / len(near)
    return 1.0 - float(differing + np.delete(differs, near).sum()) / len(lead)


def _strained(logits: Array, reference: Array) -> FloatArray:
    values, expected = logits.astype(np.float64), reference.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        return expected + (values - expected) * (1.0 + STRAIN / np.sqrt(len(values)))


def _lead(logits: Array, reference: Array, decision: Decision) -> FloatArray:
    """How far the reference's answer is from another one in these outputs, [n]; negative where that is theirs."""
    if decision == "signs":
        return np.asarray(np.where(reference > 0, logits, -logits).min(axis=1), np.float64)
    answer = reference.argmax(axis=1)[:, None]
    rest = np.array(logits, np.float64)
    np.put_along_axis(rest, answer, -np.inf, axis=1)
    return np.asarray(np.take_along_axis(logits, answer, axis=1)[:, 0] - rest.max(axis=1), np.float64)


def answers(network: Answers, samples: FloatArray) -> Array:
    """The logits [n, classes] of a network of any kind."""
    if isinstance(network, Graph):
        return network.logits(samples)
    if isinstance(network, IntNetwork):
        logits, scale = network.logits(network.round_input(samples)), network.metadata.get("output_scale")
        # Without a scale the classes are known, though not the values.
        return logits if scale is None else np.asarray(logits / real(scale, "output_scale"), np.float64)
    return np.asarray(network(samples)).reshape(len(samples), -1)
