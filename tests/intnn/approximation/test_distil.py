import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from intnn import Dense
from intnn.approximation.distil import distilled
from intnn.ops import numpy_


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def divergence(layer, x, logits):
    wanted, given = softmax(logits), softmax(layer.apply(x, numpy_))
    return (wanted * (np.log(wanted) - np.log(given))).sum(axis=1).mean()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 5))
def test_probabilities_come_nearer_and_never_go_away(seed, classes):
    rng = np.random.default_rng(seed)
    x, fresh = rng.normal(size=(2, 200, 6))
    teacher = Dense(rng.normal(size=(classes, 6)) * 2, rng.normal(size=classes))
    start = Dense(teacher.weight + rng.normal(size=(classes, 6)) / 2, teacher.bias + rng.normal(size=classes) / 2)
    student = distilled(start, x, teacher.apply(x, numpy_))
    before, after = (divergence(layer, fresh, teacher.apply(fresh, numpy_)) for layer in (start, student))
    assert after < 0.5 * before


def test_a_perfect_layer_and_too_few_samples_change_nothing():
    rng = np.random.default_rng(0)
    layer, x = Dense(rng.normal(size=(3, 4)), np.zeros(3)), rng.normal(size=(100, 4))
    logits = layer.apply(x, numpy_)
    assert np.allclose(distilled(layer, x, logits).apply(x, numpy_), logits, atol=0.05)
    assert distilled(layer, x[:20], logits[:20] + 1) is layer


def test_the_size_of_logits_does_not_matter():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(300, 5))
    logits = x @ rng.normal(size=(5, 3)) + 0.3 * rng.normal(size=(300, 3))
    start = Dense(rng.normal(size=(3, 5)), np.zeros(3))
    answers = [
        distilled(Dense(size * start.weight, size * start.bias), x, size * logits).apply(x, numpy_) / size
        for size in (1e-6, 1.0, 1e6)
    ]
    assert np.allclose(answers[0], answers[1])
    assert np.allclose(answers[2], answers[1])


def test_constant_logits_have_no_spread_to_divide_by():
    layer = Dense(np.eye(2), np.zeros(2))
    x = np.random.default_rng(2).normal(size=(50, 2))
    assert np.isfinite(distilled(layer, x, np.zeros((50, 2))).weight).all()
