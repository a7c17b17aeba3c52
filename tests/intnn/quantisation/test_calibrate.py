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
    ],
)
def test_bad_samples(samples, percentile, error, message):
    with pytest.raises(error, match=message):
        calibrate(GRAPH, samples, percentile)


@pytest.mark.parametrize("pair", [(1.0, 0.0), (np.nan, 1.0), (0.0, np.inf)])
def test_what_is_no_range(pair):
    with pytest.raises(ValueError, match="`Ranges` must hold finite pairs low <= high"):
        Ranges((0.0, 1.0), (pair,))
