"""The last layer, solved for classes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intnn.approximation.agreement import Decision, agreement_of
from intnn.approximation.head import MOST_INPUTS, sharpened
from intnn.layers.nodes import Dense
from intnn.values.arrays import FloatArray


def outputs(layer: Dense, x: FloatArray) -> FloatArray:
    return x @ layer.weight.T + layer.bias


def problem(seed: int, rows: int, classes: int = 4) -> tuple[Dense, FloatArray, FloatArray]:
    """Features that explain logits in part, and the least squares solution."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 12))
    logits = 3.0 * np.tanh(x @ rng.normal(size=(12, classes))) + x[:, :classes] ** 2
    weight, *_ = np.linalg.lstsq(np.hstack([x, np.ones((rows, 1))]), logits)
    return Dense(weight[:-1].T, weight[-1]), x, logits


def cross_entropy(layer: Dense, x: FloatArray, logits: FloatArray, decision: Decision) -> float:
    z = outputs(layer, x)
    if decision == "signs":
        p = 1.0 / (1.0 + np.exp(-logits))
        return float(np.mean(np.logaddexp(0.0, z) - p * z))
    p = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
    return float(np.mean(np.logaddexp.reduce(z, axis=1) - (p * z).sum(axis=1)))


@settings(max_examples=25)
@given(st.integers(0, 99), st.sampled_from(["largest", "signs"]))
def test_classes_are_told_apart_better(seed: int, decision: Decision) -> None:
    layer, x, logits = problem(seed, 400)
    found = sharpened(layer, x, logits, decision)
    assert found is layer or cross_entropy(found, x, logits, decision) < cross_entropy(layer, x, logits, decision)
    # One sample in fifty may be decided otherwise by chance.
    gained = agreement_of(outputs(found, x), logits, decision) - agreement_of(outputs(layer, x), logits, decision)
    assert gained > -0.05


@pytest.mark.parametrize("decision", ["largest", "signs"])
def test_it_is_a_minimum(decision: Decision) -> None:
    layer, x, logits = problem(1, 2000)
    found = sharpened(layer, x, logits, decision)
    least = cross_entropy(found, x, logits, decision)
    rng = np.random.default_rng(0)
    for _ in range(20):
        step = 0.05 * rng.normal(size=layer.weight.shape)
        other = Dense(found.weight + step, found.bias)
        # The ridge costs a little of the minimum, and thirty steps do not go all the way.
        assert cross_entropy(other, x, logits, decision) > least - 2e-3


@pytest.mark.parametrize("decision", ["largest", "signs"])
def test_a_layer_that_is_right_stays(decision: Decision) -> None:
    layer, x, _ = problem(0, 100)
    assert sharpened(layer, x, outputs(layer, x), decision) is layer


def test_what_cannot_be_solved_stays() -> None:
    layer, x, logits = problem(0, 100)
    assert sharpened(layer, x, logits, "values") is layer
    assert sharpened(layer, x[:4], logits[:4], "largest") is layer
    wide = Dense(np.zeros((2, MOST_INPUTS + 1)), np.zeros(2))
    assert sharpened(wide, np.zeros((10, MOST_INPUTS + 1)), np.ones((10, 2)), "largest") is wide


def test_huge_logits_and_constant_features_are_no_trouble() -> None:
    layer, x, logits = problem(0, 100)
    x[:, 3] = 1.0
    for huge in (1e4 * logits, -1e300 * np.ones_like(logits)):
        for decision in ("largest", "signs"):
            assert np.isfinite(sharpened(layer, x, huge, decision).weight).all()
