"""The last layer, solved for the probabilities of classes instead of the values of logits.

What matters of logits is which is largest, and that is decided where several are close. Least squares looks at all
alike; the cross entropy to the given network's own probabilities, which are its labels, looks there.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from intnn.approximation.agreement import Decision
from intnn.approximation.refit import RIDGES, folds, standardised
from intnn.layers.nodes import Dense
from intnn.values.arrays import FloatArray

STEPS = 30  # of a descent; later ones change little
MOST_INPUTS = 2048  # of a layer that is solved; a matrix of so many rows is inverted for every ridge


def sharpened(layer: Dense, x: FloatArray, logits: FloatArray, decision: Decision) -> Dense:
    """The layer with weights and biases whose probabilities on ``x`` are closest to those of ``logits``.

    The ridge towards the given weights is the one that does best on samples that the descent has not seen, which then
    join the others. Where none does better there than the layer as it is, that one is returned.

    Args:
        layer: The layer, solved for the values of the logits.
        x: What reaches it, [n, in].
        logits: What it shall give, [n, out].
        decision: "largest" for classes that exclude each other, "signs" for outputs that are each a decision; for
            "values" there is nothing to do.
    """
    if decision == "values" or layer.weight.shape[1] > MOST_INPUTS:
        return layer
    probabilities = _softmax if decision == "largest" else _logistic
    losses = np.zeros(1 + len(RIDGES))
    for part in folds(len(x)):
        solve = _descent(layer, np.delete(x, part, axis=0), np.delete(logits, part, axis=0), probabilities)
        expected = probabilities(logits[part])
        for i, candidate in enumerate((layer, *map(solve, RIDGES))):
            given = probabilities(x[part] @ candidate.weight.T + candidate.bias)
            losses[i] += _cross_entropy(given, expected, decision)
    best = int(np.argmin(losses))
    return _descent(layer, x, logits, probabilities)(RIDGES[best - 1]) if best else layer


def _descent(
    layer: Dense, x: FloatArray, logits: FloatArray, probabilities: Callable[[FloatArray], FloatArray]
) -> Callable[[float], Dense]:
    """From a ridge to the layer that minimises the cross entropy.

    Newton's method with a bound of the Hessian in its place, which is the same in every step (D. Boehning, Multinomial
    logistic regression algorithm, 1992), and Nesterov's momentum.
    """
    z, mean, deviation = standardised(x)
    rows, taps = z.shape
    expected, start = probabilities(logits), x @ layer.weight.T + layer.bias
    gram = z.T @ z / rows

    def solve(ridge: float) -> Dense:
        inverse = np.linalg.inv(gram / 2.0 + ridge * np.eye(taps))
        weight, bias = np.zeros((taps, len(layer.bias))), np.zeros(len(layer.bias))
        ahead_weight, ahead_bias = weight, bias
        for step in range(STEPS):
            excess = (probabilities(start + z @ ahead_weight + ahead_bias) - expected) / rows
            next_weight = ahead_weight - inverse @ (z.T @ excess + ridge * ahead_weight)
            next_bias = ahead_bias - 2.0 * excess.sum(axis=0)
            momentum = step / (step + 3.0)
            ahead_weight = next_weight + momentum * (next_weight - weight)
            ahead_bias = next_bias + momentum * (next_bias - bias)
            weight, bias = next_weight, next_bias
        change = weight / deviation[:, None]
        return replace(layer, weight=layer.weight + change.T, bias=layer.bias + bias - mean @ change)

    return solve


def _softmax(logits: FloatArray) -> FloatArray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _logistic(logits: FloatArray) -> FloatArray:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)))


def _cross_entropy(probabilities: FloatArray, expected: FloatArray, decision: Decision) -> float:
    """The sum of cross entropies; outputs that are each a decision have two outcomes."""
    tiny = np.finfo(np.float64).tiny
    total = expected * np.log(probabilities + tiny)
    if decision == "signs":
        total = total + (1.0 - expected) * np.log(1.0 - probabilities + tiny)
    return -float(total.sum())
