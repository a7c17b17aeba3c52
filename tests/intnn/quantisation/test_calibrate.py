import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intnn import Activation, Dense, Graph, Ranges, calibrate
from intnn.testing import float_arrays, float_graphs

GRAPH = Graph((1,), (Dense(np.array([[-2.0]]), np.array([1.0])), Activation("relu")))


@given(st.data())
def test_ranges_are_those_of_every_prefix_of_the_graph(data):
    graph = data.draw(float_graphs())
    x = data.draw(float_arrays((3, *graph.input_shape)))
    ranges = calibrate(graph, x)
    assert ranges.input == (x.min(), x.max())
    for i, found in enumerate(ranges.nodes):
        y = Graph(graph.input_shape, graph.nodes[: i + 1]).forward(x)
        assert found == (y.min(), y.max())


def test_percentiles_leave_the_tails_out():
    x = np.linspace(0.0, 1.0, 1001)[:, None]
    assert calibrate(GRAPH, x) == Ranges((0.0, 1.0), ((-1.0, 1.0), (0.0, 1.0)))
    ranges = calibrate(GRAPH, x, 99.0)
    # Interpolation between float neighbours: a few ulps.
    assert np.allclose(ranges.input, (0.01, 0.99), rtol=0, atol=1e-12)
    assert np.allclose(ranges.nodes[0], (-0.98, 0.98), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("samples", "percentile", "error", "message"),
    [
        (np.zeros((0, 1)), 100.0, ValueError, "`samples` must hold at least one row"),
        (np.zeros((2, 2)), 100.0, ValueError, r"`samples` must have shape \(batch, 1\), got \(2, 2\)"),
        (np.full((2, 1), np.inf), 100.0, ValueError, "`samples` must be finite"),
        (np.zeros((2, 1), int), 100.0, TypeError, "`samples` must hold floats"),
        (np.zeros((2, 1)), 50.0, ValueError, r"`percentile` must lie in \(50, 100\], got 50.0"),
        (np.zeros((2, 1)), 100.1, ValueError, "`percentile` must lie in"),
        (np.zeros((2, 1)), np.nan, ValueError, "`percentile` must lie in"),
        (np.zeros((2, 1)), "99", TypeError, "`percentile` must be a float, got '99'"),
        (np.zeros((2, 1)), None, TypeError, "`percentile` must be a float, got None"),
        ([[1.0], [1.0, 2.0]], 100.0, ValueError, "`samples` must be an array, with rows of equal lengths"),
    ],
)
def test_bad_samples(samples, percentile, error, message):
    with pytest.raises(error, match=message):
        calibrate(GRAPH, samples, percentile)


@pytest.mark.parametrize("pair", [(1.0, 0.0), (np.nan, 1.0), (0.0, np.inf)])
def test_what_is_no_range(pair):
    with pytest.raises(ValueError, match="`Ranges` must hold finite pairs low <= high"):
        Ranges((0.0, 1.0), (pair,))


@pytest.mark.parametrize("percentile", [99, np.float32(99), np.array(99.0)])
def test_a_percentile_may_be_any_number(percentile):
    x = np.linspace(0.0, 1.0, 101)[:, None]
    assert calibrate(GRAPH, x, percentile) == calibrate(GRAPH, x.tolist(), 99.0)


@pytest.mark.parametrize("graph", [None, GRAPH.nodes, "graph"])
def test_what_is_no_graph_is_named(graph):
    with pytest.raises(TypeError, match="`graph` must be a Graph, got"):
        calibrate(graph, np.zeros((2, 1)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, ()), r"`input` must be a pair \(low, high\), got 0.0"),
        (((0.0, 1.0), 3), r"`nodes` must be a sequence of pairs \(low, high\), got 3"),
        (((0.0, 1.0), (1.0, 2.0)), r"`nodes\[0\]` must be a pair \(low, high\), got 1.0"),
        (((0.0, 1.0), ((0.0, 1.0, 2.0),)), r"`nodes\[0\]` must be a pair"),
        (((0.0, "1"), ()), "`input` must be a float, got '1'"),
        (((0.0, 1.0), (), "digits"), "`graph` must be a Graph or None, got str"),
    ],
)
def test_what_are_no_ranges_is_named(arguments, message):
    with pytest.raises(TypeError, match=message):
        Ranges(*arguments)


def test_ranges_may_be_lists_and_arrays():
    assert Ranges([0, 1], np.array([[0.0, 2.0]])) == Ranges((0.0, 1.0), ((0.0, 2.0),))
