"""Margins that parts of the samples show of each other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intnn.approximation.fit import SMALLEST_RANGE
from intnn.approximation.margin import LEAST, MOST, PARTS, measured_margin
from intnn.layers.nodes import Activation, Conv2d, Dense
from intnn.network.graph import Graph


def identity(features, scale=1.0):
    return Graph((features,), (Dense(scale * np.eye(features), np.zeros(features)), Activation("relu")))


def by_loops(samples):
    """The margin of a network whose units are its inputs, by its definition."""
    parts, beyond = np.array_split(np.abs(samples), PARTS), []
    for i in range(PARTS):
        others = np.concatenate([part for j, part in enumerate(parts) if j != i]).max(axis=0)
        least = SMALLEST_RANGE * others.max()
        beyond.append(max(far / max(other, least) for far, other in zip(parts[i].max(axis=0), others, strict=True)))
    return min(max(LEAST, sum(beyond) / PARTS), MOST)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(PARTS, 60), st.floats(0.5, 6.0))
def test_the_definition(seed, count, tail):
    samples = np.random.default_rng(seed).standard_normal((count, 3))
    samples = np.sign(samples) * np.abs(samples) ** tail  # the larger, the heavier are tails
    assert measured_margin(identity(3), samples) == pytest.approx(by_loops(samples))
    assert measured_margin(identity(3, 7.0), samples) == pytest.approx(by_loops(samples))


def test_tails():
    rng = np.random.default_rng(0)
    light, heavy = rng.random((1000, 50)), rng.standard_normal((1000, 50)) ** 5
    assert measured_margin(identity(50), light) == LEAST
    assert LEAST < measured_margin(identity(50), heavy) <= MOST


def test_maps_are_looked_at_by_channel_and_polynomials_not_at_all():
    rng = np.random.default_rng(1)
    images = np.zeros((50, 1, 4, 4))
    images[np.arange(50), 0, rng.integers(0, 4, 50), rng.integers(0, 4, 50)] = 1.0  # each in a place of its own
    nodes = Conv2d(np.ones((2, 1, 1, 1)), np.zeros(2)), Activation("relu"), Activation("square")
    assert measured_margin(Graph((1, 4, 4), nodes), images) == LEAST
    images[0] *= 20.0
    assert measured_margin(Graph((1, 4, 4), nodes), images) == MOST
    assert measured_margin(Graph((1, 4, 4), (nodes[0], nodes[2])), images) == LEAST
    assert measured_margin(identity(2), np.zeros((10, 2))) == LEAST
