"""Approximate circuits computed in the clear: the error that was asked for, and what no parameters reach."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he import ParameterError, compile_approximate, simulate
from he.testing import compiled, inputs, polynomial_graphs, square_graph
from intnn import Activation, Dense, Graph

batches = st.sampled_from([1, 2, 5])


def dense(weight):
    weight = np.array(weight)
    return Dense(weight, np.zeros(len(weight)))


@settings(max_examples=60)
@given(polynomial_graphs(), batches)
def test_simulating_an_approximate_circuit_gives_the_graphs_output(graph, images):
    circuit = compiled(graph, images=images, security="insecure", max_error=1e3)
    x = inputs(graph, images)
    expected = graph.logits(x)
    # The same real arithmetic in another order: float64 rounding of some hundred terms.
    assert simulate(circuit, x) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@settings(max_examples=15)
@given(polynomial_graphs())
def test_an_approximate_circuit_keeps_to_the_error_that_was_asked_for(graph):
    circuit = compiled(graph, security="insecure", max_error=1e-3)
    assert circuit.output_bound <= 1e-3
    assert circuit.interface.tolerance == 2e-3


def test_the_deepest_network_of_the_ring_fits_and_one_level_more_does_not():
    """Dense, square, dense, square, dense fits N = 8192; two squares more do not, and take the next ring."""
    rng = np.random.default_rng(0)
    square = Activation("square")

    def graph(squares):
        middle = [node for _ in range(squares - 1) for node in (dense(rng.normal(size=(8, 8)) / 8), square)]
        return Graph((8,), (dense(rng.normal(size=(8, 8)) / 8), square, *middle, dense(rng.normal(size=(2, 8)))))

    assert compile_approximate(graph(2), max_error=0.2).parameters.poly_modulus_degree == 8192
    deeper = compile_approximate(graph(4), max_error=0.2)
    assert deeper.parameters.poly_modulus_degree == 16384
    assert "N=8192 refused: its depth alone takes 224 bits of modulus, more than 214" in deeper.explain()
    with pytest.raises(ParameterError, match="fits no parameter set"):
        compile_approximate(graph(20), max_error=0.2)


def test_a_smaller_error_takes_a_larger_ring():
    finer = compile_approximate(square_graph(), max_error=3e-10)
    assert finer.parameters.poly_modulus_degree == 16384
    assert "N=8192 refused: an error bound of 3e-10 takes 2" in finer.explain()
    assert finer.output_bound <= 3e-10


def test_values_that_would_not_fit_the_modulus_are_refused():
    graph = Graph((1,), (dense([[1e130]]), Activation("square")))
    with pytest.raises(ParameterError, match=r"N=32768 refused: no scales leave an error bound of 1e\+80"):
        compile_approximate(graph, max_error=1e80)


def test_an_error_that_no_parameters_reach_is_refused():
    with pytest.raises(ParameterError, match="N=32768 refused: no scales leave an error bound of 1e-20"):
        compile_approximate(square_graph(), max_error=1e-20)


@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid"])
def test_ckks_takes_polynomials_only(name):
    graph = Graph((1,), (dense([[1.0]]), Activation(name), dense([[1.0]])))
    with pytest.raises(
        ValueError, match=rf"activations must be polynomial or square, got .*{name}.*; `intnn\.approximate\("
    ):
        compile_approximate(graph)


@pytest.mark.parametrize("coefficients", [(1.0,), (1.0, 0.0), (0.0, 0.0, 0.0)])
def test_a_constant_polynomial_is_refused(coefficients):
    graph = Graph((1,), (dense([[1.0]]), Activation("polynomial", coefficients), dense([[1.0]])))
    with pytest.raises(ParameterError, match="stage 1 gives the same output for every input"):
        compile_approximate(graph)


@pytest.mark.parametrize("coefficients", [(0.0, 1.0), (1.0, 2.0, 0.0), (0.0, 0.0, 0.5), (0.5, 0.0, 0.0, 1.0)])
def test_coefficients_of_zero_are_no_obstacle(coefficients):
    graph = Graph((2,), (dense([[1.0, -0.5]]), Activation("polynomial", coefficients)))
    x = inputs(graph, 1)
    circuit = compile_approximate(graph, security="insecure")
    assert simulate(circuit, x) == pytest.approx(graph.logits(x), abs=1e-12)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"input_range": (1.0, 0.0)}, "input_range"),
        ({"input_range": (0.0, float("nan"))}, "input_range"),
        ({"input_range": (float("-inf"), 0.0)}, "input_range"),
        ({"max_error": 0.0}, "max_error"),
        ({"max_error": -1.0}, "max_error"),
        ({"max_error": float("nan")}, "max_error"),
    ],
)
def test_options_out_of_range_are_named(options, name):
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        compile_approximate(square_graph(), **options)


def test_an_input_range_of_numpy_numbers_is_as_good_as_any():
    circuit = compile_approximate(square_graph(), input_range=(np.float32(0), np.float32(1)), security="insecure")
    assert len(circuit.interface.digest) == 64
