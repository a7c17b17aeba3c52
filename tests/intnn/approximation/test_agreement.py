"""How far two networks agree, whatever they are made of."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intnn.approximation.agreement import (
    Decision,
    agreement,
    agreement_of,
    agreement_under_strain,
    answers,
    decision_of,
)
from intnn.layers.nodes import Activation, Dense
from intnn.network.graph import Graph
from intnn.network.network import IntNetwork
from intnn.values.domain import IntDomain

IDENTITY = Graph((3,), (Dense(np.eye(3), np.zeros(3)),))
SAMPLES = np.random.default_rng(0).random((40, 3))


def test_networks_of_all_kinds_are_compared_by_their_classes() -> None:
    integers = IntNetwork((3,), IntDomain(0, 100), (Dense(np.eye(3, dtype=int), np.zeros(3, int)),), input_scale=100.0)
    assert agreement(integers, IDENTITY, SAMPLES) == np.mean(
        np.floor(SAMPLES * 100 + 0.5).argmax(axis=1) == SAMPLES.argmax(axis=1)
    )
    assert agreement(lambda x: -x, IDENTITY, SAMPLES) == np.mean(SAMPLES.argmin(axis=1) == SAMPLES.argmax(axis=1))
    assert agreement(IDENTITY, IDENTITY, SAMPLES) == 1.0


@pytest.mark.parametrize(
    ("metadata", "outputs", "decision"),
    [
        ({}, 3, "largest"),
        ({}, 1, "values"),
        ({"classes": ["a", "b"]}, 1, "signs"),
        ({"classes": ["a", "b", "c"]}, 3, "largest"),
        ({"task": "classification"}, 1, "signs"),
        ({"task": "classification", "multilabel": True}, 3, "signs"),
        ({"task": "regression"}, 3, "values"),
    ],
)
def test_metadata_says_what_outputs_mean(metadata: dict, outputs: int, decision: str) -> None:
    assert decision_of(metadata, outputs) == decision
    graph = Graph((3,), (Dense(np.ones((outputs, 3)), np.zeros(outputs)),), "", metadata)
    opposite = {"largest": 1.0, "signs": 0.0, "values": -8.0}[decision]  # all logits of the graph are equal
    x = SAMPLES - SAMPLES.mean(axis=0)
    assert agreement(lambda y: -2.0 * graph.logits(y), graph, x) == pytest.approx(opposite)


def test_signs_are_compared_row_by_row() -> None:
    assert agreement_of(np.array([[1.0, -1.0], [1.0, 1.0]]), np.array([[2.0, -3.0], [2.0, -3.0]]), "signs") == 0.5


def test_one_output_is_compared_by_what_it_explains() -> None:
    y = np.array([[0.0], [1.0], [2.0], [3.0]])
    assert agreement_of(y, y, "values") == 1.0
    assert agreement_of(np.full_like(y, y.mean()), y, "values") == pytest.approx(0.0)
    assert agreement_of(y + 0.5, y, "values") == pytest.approx(1.0 - 0.25 / 1.25)
    assert agreement_of(y, np.zeros_like(y), "values") == 0.0
    assert agreement_of(0.0 * y, np.zeros_like(y), "values") == 1.0
    assert agreement_of(np.full_like(y, 1e200), y, "values") == -np.inf  # its square is no float


def test_values_that_are_no_floats_do_not_agree() -> None:
    runaway = Graph((3,), (Dense(np.full((3, 3), 1e200), np.zeros(3)), *[Activation("square")] * 3))
    assert agreement(runaway, IDENTITY, SAMPLES) < 1.0
    one = Graph((3,), (Dense(np.ones((1, 3)), np.zeros(1)),))
    assert (
        agreement(Graph((3,), (Dense(np.full((1, 3), 1e200), np.zeros(1)), Activation("square"))), one, SAMPLES)
        == -np.inf
    )


@given(st.integers(0, 999), st.integers(1, 60), st.sampled_from(["largest", "signs"]), st.floats(0, 2))
def test_what_decides_alike_under_strain_decides_alike(seed: int, count: int, decision: Decision, size: float) -> None:
    """What is certain to agree agrees, and what is to be expected does not depend on the order or the unit."""
    rng = np.random.default_rng(seed)
    reference = rng.normal(size=(count, 3))
    logits = reference + size * rng.normal(size=(count, 3))
    left = agreement_under_strain(logits, reference, decision)
    assert 0.0 <= left <= 1.0
    assert left < 1.0 or agreement_of(logits, reference, decision) == 1.0
    order = rng.permutation(count)
    assert agreement_under_strain(logits[order], reference[order], decision) == pytest.approx(left)
    assert agreement_under_strain(8.0 * logits, 8.0 * reference, decision) == left
    assert agreement_under_strain(reference, reference, decision) == 1.0
    assert agreement_under_strain(-reference, reference, decision) == 0.0


def test_differences_meet_the_leads_of_all_samples_that_are_near() -> None:
    """A large difference happened to meet a large lead; it might have met the small one."""
    reference = np.array([[0.1], [0.5], *[[9.0]] * 11])
    lucky, unlucky = reference.copy(), reference.copy()
    lucky[1] -= 0.08
    unlucky[0] -= 0.08
    assert agreement_of(lucky, reference, "signs") == agreement_of(unlucky, reference, "signs") == 1.0
    left = [agreement_under_strain(x, reference, "signs") for x in (lucky, unlucky)]
    assert left[0] == left[1] == pytest.approx(1.0 - 0.5 / 13)
    lucky[12] = -1.0  # far from another answer, and another answer
    assert agreement_under_strain(lucky, reference, "signs") == pytest.approx(1.0 - 1.5 / 13)


@given(st.integers(0, 999), st.sampled_from(["largest", "signs", "values"]))
def test_closer_outputs_leave_more_under_strain(seed: int, decision: Decision) -> None:
    rng = np.random.default_rng(seed)
    reference, difference = rng.normal(size=(2, 40, 3))
    left = [agreement_under_strain(reference + part * difference, reference, decision) for part in (0.0, 0.1, 0.3, 1.0)]
    assert left == sorted(left, reverse=True)
    assert left[0] == 1.0 > left[-1]


def test_outputs_that_are_no_floats_leave_nothing() -> None:
    reference = np.ones((20, 1)) * [[1.0, 2.0]]
    for value in (np.nan, np.inf, -np.inf):
        assert agreement_under_strain(np.full_like(reference, value), reference, "largest") == 0.0
        assert agreement_under_strain(np.full_like(reference, value), reference, "values") == -np.inf


def test_logits_of_large_integers_are_compared() -> None:
    large = np.array([[10**30, 0], [0, 10**30]], dtype=object)
    assert agreement_of(large, np.array([[1.0, 0.0], [1.0, 0.0]]), "largest") == 0.5
    assert agreement_of(large[:, :1], large[:, :1].astype(float), "values") == 1.0


def test_outputs_of_several_axes_are_flattened() -> None:
    assert answers(lambda x: x.reshape(-1, 3, 1), SAMPLES).shape == (40, 3)


def test_networks_with_other_outputs_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`network` and `reference` must have as many outputs, got 2 and 3"):
        agreement(lambda x: x[:, :2], IDENTITY, SAMPLES)
    with pytest.raises(TypeError, match="`samples` must hold floats"):
        agreement(IDENTITY, IDENTITY, SAMPLES > 0.5)
