"""How far networks give a float network's answers, measured on samples and between them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intnn.approximation.measure import MEASURED, Measure
from intnn.layers.nodes import Dense
from intnn.network.graph import Graph


def linear(weight: np.ndarray, metadata: dict | None = None) -> Graph:
    return Graph(weight.shape[1:], (Dense(weight, np.zeros(len(weight))),), "", metadata or {})


@given(st.integers(0, 99), st.integers(2, 50), st.sampled_from(["classification", "regression"]))
def test_a_network_agrees_with_itself_and_another_does_less_under_strain(seed: int, count: int, task: str) -> None:
    rng = np.random.default_rng(seed)
    weight, x = rng.normal(size=(3, 4)), rng.normal(size=(count, 4))
    graph, other = linear(weight, {"task": task}), linear(weight + 0.3 * rng.normal(size=(3, 4)))
    measure = Measure.of(graph, x)
    assert measure(graph) == measure.under_strain(graph) == 1.0
    alone = replace(measure, others=x[:0], wanted_there=measure.wanted[:0])
    assert alone.under_strain(other) < 1.0 or measure(other) == 1.0


def test_points_between_samples_tell_networks_apart_that_samples_do_not() -> None:
    """Two samples have the right class in both networks; of what lies between them only one knows the border."""
    x = np.array([[-1.0], [1.0]])
    graph = linear(np.array([[1.0]]), {"task": "classification"})
    (layer,) = graph.nodes
    near, far = (replace(graph, nodes=(replace(layer, bias=np.array([b])),)) for b in (0.02, 0.1))
    measure = Measure.of(graph, x)
    assert measure(near) == measure(far) == 1.0
    assert measure.under_strain(near) > measure.under_strain(far)


@pytest.mark.parametrize("count", [MEASURED - 1, MEASURED, MEASURED + 1])
def test_many_samples_need_no_others(count: int) -> None:
    x = np.random.default_rng(0).normal(size=(count, 2))
    measure = Measure.of(linear(np.eye(2)), x)
    assert len(measure.samples) == count
    assert len(measure.others) == max(MEASURED - count, 0)
    assert measure.under_strain(linear(np.eye(2))) == 1.0


def test_a_network_that_its_own_samples_spoil_is_told() -> None:
    x = np.random.default_rng(0).normal(size=(200, 3))
    graph = linear(np.eye(3))
    measure = Measure.of(graph, x)
    assert measure.better(graph, 0.99) == 0.99  # of the two, what can be promised
    assert measure.better(linear(np.eye(3)[::-1]), 0.99) is None
