"""The last layer of a classifier, fitted to the probabilities of another network's classes.

The nearest logits are not the best ones: of what decides between classes, least squares spends most on logits far below
the largest. What is minimised here is the divergence of the probabilities. It is convex; each step solves the bound of
Böhning ("Multinomial logistic regression algorithm", Annals of the Institute of Statistical Mathematics, 1992), whose
matrix is the same in all steps, with Nesterov's momentum.
"""

from dataclasses import replace

import numpy as np

from intnn.layers.nodes import Dense
from intnn.values.arrays import FloatArray

RIDGES = (1e-3, 1e-1)  # parts of the mean square of an input: how strongly weights are held where they are
STEPS = 60
VALIDATED = 5  # one sample in so many chooses the ridge
SPREAD = 5.0  # the logits are divided by a temperature for which they vary as much
SMALLEST_SPREAD = 1e-9  # of the layer's outputs; logits that vary less have no classes
FEWEST = 25  # samples


def distilled(layer: Dense, x: FloatArray, logits: FloatArray) -> Dense:
    """The layer with weights and biases that bring its classes' probabilities closest to those of ``logits``.

    A fifth of the samples chooses how far the weights may move; where the divergence there does not become smaller, the
    layer stays as it is.

    Args:
        layer: The last layer, of two outputs at least.
        x: What reaches it, [n, in].
        logits: What another network gives for the same samples, [n, out].
    """
    if len(x) < FEWEST:
        return layer
    rows, start = np.column_stack([x, np.ones(len(x))]), np.column_stack([layer.weight, layer.bias]).T
    spread = float(np.std(logits - logits.mean(axis=1, keepdims=True)))
    if not spread > SMALLEST_SPREAD * np.abs(rows @ start).max():
        return layer
    temperature = spread / SPREAD
    start, wanted = start / temperature, _softmax(logits / temperature)
    is_judge = np.arange(len(x)) % VALIDATED == VALIDATED - 1
    best, chosen = _divergence(rows[is_judge] @ start, wanted[is_judge]), None
    for ridge in RIDGES:
        fitted = _fitted(rows[~is_judge], wanted[~is_judge], start, ridge)
        divergence = _divergence(rows[is_judge] @ fitted, wanted[is_judge])
        if divergence < best:
            best, chosen = divergence, ridge
    if chosen is None:
        return layer
    weights = temperature * _fitted(rows, wanted, start, chosen).T
    return replace(layer, weight=weights[:, :-1], bias=weights[:, -1])


def _fitted(rows: FloatArray, wanted: FloatArray, start: FloatArray, ridge: float) -> FloatArray:
    """Weights [in + 1, out] with the least divergence and penalty on their distance from ``start``."""
    moments = rows.T @ rows / len(rows)
    penalty = ridge * np.trace(moments) / len(moments) + np.finfo(np.float64).tiny
    step = np.linalg.inv(moments / 2 + penalty * np.eye(len(moments)))
    weights = ahead = start
    speed = 1.0
    for _ in range(STEPS):
        slope = rows.T @ (_softmax(rows @ ahead) - wanted) / len(rows) + penalty * (ahead - start)
        following, faster = ahead - step @ slope, (1 + np.sqrt(1 + 4 * speed**2)) / 2
        ahead = following + (speed - 1) / faster * (following - weights)
        weights, speed = following, faster
    return weights


def _softmax(logits: FloatArray) -> FloatArray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _divergence(logits: FloatArray, wanted: FloatArray) -> float:
    """The mean cross-entropy, which is the divergence but for a constant."""
    top = logits.max(axis=1, keepdims=True)
    logarithms = logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
    return -float((wanted * logarithms).sum(axis=1).mean())
