"""Polynomials, their ranges and their errors."""

import math
from dataclasses import replace

import numpy as np
import pytest

import he
from he.model.approximate import CALIBRATED_WORTH
from intnn import Activation, Dense, Graph
from tests.he.model.networks import INSECURE, graph_of_layers, outputs_of

pytestmark = pytest.mark.filterwarnings("ignore:what is encrypted agrees")  # of weights at random


@pytest.fixture
def wide():
    """A network of one activation with proved ranges that take more than calibrated ones, and its samples."""
    rng = np.random.default_rng(0)
    first, last = (Dense(rng.normal(size=(b, a)) / np.sqrt(c), np.zeros(b)) for a, b, c in ((6, 8, 6), (8, 4, 1)))
    return Graph((6,), (first, Activation("relu"), last)), rng.normal(size=(600, 6))


def test_ranges_of_a_network_s_own_polynomials_are_calibrated_where_that_saves_enough(wide, monkeypatch):
    graph, x = wide
    first, _, last = graph.nodes
    squares = replace(graph, nodes=(first, Activation("polynomial", (0.0, 0.5, 0.2, 0.0, 0.02)), last))

    def compiled(limit):
        monkeypatch.setattr("he.model.approximate.CALIBRATED_WORTH", limit)
        return he.compile(squares, x, exact=False).circuit

    monkeypatch.setattr("he.model.approximate.CHEAP", 0.0)
    worth = CALIBRATED_WORTH
    proved, calibrated, found = (compiled(limit) for limit in (0.0, math.inf, worth))
    kinds = ["calibrated" in circuit.explain() for circuit in (proved, calibrated, found)]
    assert kinds == [False, True, calibrated.cost().total <= worth * proved.cost().total]


@pytest.mark.parametrize("degree", [12, 8])
@pytest.mark.parametrize("ends_in", ["dense", "tanh"])
def test_inputs_that_leave_what_polynomials_were_fitted_for_are_refused(wide, degree, ends_in, monkeypatch):
    """Ranges that were proved for every input had no guard, and errors a thousand times as large as values."""
    monkeypatch.setattr("he.model.approximate.DEGREES", (degree,))
    graph, x = wide
    if ends_in == "tanh":
        last = graph.nodes[-1]
        graph = Graph((6,), (Dense(last.weight[:, :6], last.bias), Activation("tanh")))
    compiled = he.compile(replace(graph, metadata={"task": "regression"}), x[:400], exact=False, **INSECURE)
    low, high = (end / compiled.inputs.factor + compiled.inputs.offset for end in compiled.inputs.range)
    corners = np.where(np.random.default_rng(2).random((300, 6)) < 0.5, low, high)
    for inputs, most_refused in ((x[400:], 0.02), (corners, 1.0)):
        try:
            found, kept = outputs_of(compiled, inputs), np.ones(len(inputs), bool)
        except he.RangeError as refusal:
            found, kept = compiled.outputs(refusal.answers), ~np.isin(np.arange(len(inputs)), refusal.images)
        assert 1 - kept.mean() <= most_refused
        wanted = graph.logits(inputs)
        # No further off than the outputs vary; beyond the fit it was some hundreds of times as far.
        assert np.abs(found - wanted[kept]).max() <= 4 * graph.logits(x).std()
    assert not kept.all()


@pytest.mark.parametrize("scales", [[1e-3], [1.0, 1e-3], [1e4, 1e-2]])
def test_errors_are_less_than_values_vary(x, scales):
    """A value that is nearly constant, or small beside others, is not lost in what the largest may be off by."""
    scale = np.array(scales)
    *nodes, scores = graph_of_layers(5, 8, len(scale), activation="tanh").nodes
    last = Dense(scores.weight * scale[:, None], 1 + scores.bias * scale)
    graph = Graph((5,), (*nodes, last))
    compiled = he.compile(graph, x, exact=False, task="regression", **INSECURE)
    assert compiled.circuit.output_bound <= graph.logits(x).std(axis=0).min()
