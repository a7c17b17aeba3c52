"""Linear layers solved anew."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intnn.approximation.refit import refitted
from intnn.layers.nodes import Conv2d, Dense
from intnn.network.graph import Graph
from intnn.values.arrays import FloatArray


def outputs(layer: Dense | Conv2d, x: FloatArray) -> FloatArray:
    return Graph(x.shape[1:], (layer,)).forward(x)


def error(layer: Dense | Conv2d, x: FloatArray, target: FloatArray) -> float:
    return float(np.mean((outputs(layer, x) - target) ** 2))


@given(st.integers(0, 99), st.sampled_from([(1, 0, 1, 1), (2, 1, 1, 2), ((1, 2), (1, 0, 0, 2), (2, 1), 1)]))
def test_a_convolution_finds_the_weights_of_another(seed: int, geometry: tuple) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(60, 2, 6, 6))
    stride, padding, dilation, groups = geometry
    one, other = (
        Conv2d(rng.normal(size=(4, 2 // groups, 2, 2)), rng.normal(size=4), stride, padding, dilation, groups)
        for _ in range(2)
    )
    target = outputs(other, x)
    found = refitted(one, x, target)
    # What is left is the smallest ridge's pull towards the old weights, (1e-3)**2 where all features vary alike.
    assert error(found, x, target) < 1e-4 * error(one, x, target)
    assert (found.stride, found.padding, found.dilation, found.groups) == (
        other.stride,
        other.padding,
        other.dilation,
        other.groups,
    )


@given(st.integers(0, 99), st.sampled_from([5, 20, 200]), st.floats(0.0, 3.0))
def test_new_samples_are_not_explained_worse(seed: int, count: int, noise: float) -> None:
    rng = np.random.default_rng(seed)
    truth = Dense(rng.normal(size=(3, 30)), rng.normal(size=3))
    layer = Dense(truth.weight + 0.3 * rng.normal(size=(3, 30)), truth.bias + 1.0)

    def draw(n: int) -> tuple[FloatArray, FloatArray]:
        x = rng.normal(size=(n, 30))
        return x, outputs(truth, x) + noise * rng.normal(size=(n, 3))

    found = refitted(layer, *draw(count))
    x, target = draw(2000)
    assert error(found, x, target) < 2 * error(layer, x, target)  # by chance, with five samples of much noise
    if count >= 20 and noise < 0.9:
        assert error(found, x, target) < 0.9 * error(layer, x, target)


def test_a_layer_that_is_right_stays_as_it_is() -> None:
    rng = np.random.default_rng(0)
    layer = Dense(rng.normal(size=(3, 4)), rng.normal(size=3))
    x = rng.normal(size=(50, 4))
    found = refitted(layer, x, outputs(layer, x))
    np.testing.assert_allclose(found.weight, layer.weight, rtol=1e-9)


@pytest.mark.parametrize("count", [4, 5])
def test_a_handful_of_samples_gives_finite_weights(count: int) -> None:
    rng = np.random.default_rng(0)
    layer = Dense(rng.normal(size=(2, 100)), np.zeros(2))
    x = rng.normal(size=(count, 100))
    assert np.isfinite(refitted(layer, x, rng.normal(size=(count, 2))).weight).all()
    x[:] = 1.0  # features that never change explain nothing
    np.testing.assert_allclose(refitted(layer, x, np.ones((count, 2))).weight, layer.weight)


def test_the_unit_of_a_feature_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    layer = Dense(rng.normal(size=(2, 3)), np.zeros(2))
    x, target = rng.normal(size=(60, 3)), rng.normal(size=(60, 2))
    units = np.array([10.0, 0.1, 1.0])
    scaled = refitted(Dense(layer.weight / units, layer.bias), x * units, target)
    np.testing.assert_allclose(scaled.weight * units, refitted(layer, x, target).weight, rtol=1e-9)
