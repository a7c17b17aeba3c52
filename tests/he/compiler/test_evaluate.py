"""Polynomials are what they are, in few products, and a leading coefficient of 1 takes none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he import compile_approximate, simulate
from he.compiler.evaluate import activate_polynomial, activate_with_power
from he.compiler.outline import is_led
from he.parties.connect import connect
from he.program.algebra import run
from he.program.operations import ScalarDot
from he.program.recorder import Recorder
from he.readers.clear import ClearAlgebra
from intnn import Activation, Dense, Graph
from intnn.approximation.fit import fitted


def recorded(coefficients, reach=0.0):
    recorder = Recorder()
    value = activate_polynomial(recorder, recorder.input(0), Activation("polynomial", tuple(coefficients)), reach)
    return recorder.program(1, [value])


def depth(program):
    """The most products of ciphertexts on a path."""
    found = []
    for operation in program.operations:
        before = max((found[a] for a in getattr(operation, "args", ())), default=0)
        found.append(before + (type(operation).__name__ == "Multiply"))
    return found[program.outputs[0]]


@settings(max_examples=80)
@given(
    st.integers(1, 31),
    st.sampled_from(["dense", "even", "even and linear", "odd"]),
    st.sampled_from([0.0, 0.5, 1.0, 2.0**0.5, 2.0]),
    st.integers(0, 2**32 - 1),
)
def test_polynomials_are_evaluated_at_the_least_depth(degree, kind, reach, seed):
    found = np.random.default_rng(seed).normal(size=degree + 1)
    if kind == "odd":
        found[::2] = 0
    elif kind != "dense":
        found[3 if kind == "even and linear" else 1 :: 2] = 0
    found[degree] = 1.0
    program = recorded(found, reach)
    x = np.linspace(-1, 1, 11)[None] * (reach or 1.0)
    (result,) = run(program, ClearAlgebra(None, x, (), 1))
    expected = np.polynomial.polynomial.polyval(x[0], found)
    assert result == pytest.approx(expected, rel=1e-9, abs=1e-9 * max(1.0, np.abs(expected).max()))
    assert depth(program) == (degree - 1).bit_length()
    assert is_led(program.operations[-1])


@settings(max_examples=40)
@given(st.integers(2, 16), st.integers(0, 2**32 - 1))
def test_the_power_in_which_a_polynomial_ends_takes_one_product_at_most_and_no_depth(degree, seed):
    found, power = [*np.random.default_rng(seed).normal(size=degree), 1.0], degree + degree % 2
    recorder = Recorder()
    both = activate_with_power(recorder, recorder.input(0), Activation("polynomial", tuple(found)), power)
    program, without = recorder.program(1, both), recorded(found)
    x = np.linspace(-1, 1, 11)[None]
    result, powers = run(program, ClearAlgebra(None, x, (), 1))
    assert result == pytest.approx(np.polynomial.polynomial.polyval(x[0], found), rel=1e-9, abs=1e-9)
    assert powers == pytest.approx(x[0] ** power, rel=1e-9)
    assert depth(recorder.program(1, both[::-1])) <= depth(without)
    assert program.counts["Multiply"] <= without.counts["Multiply"] + (degree - 1).bit_length()


@pytest.mark.parametrize("reach", [0.0, 1.0])
@pytest.mark.parametrize(
    ("degree", "dense", "even"),
    [(3, 2, None), (4, 3, 2), (6, 4, 3), (8, 5, 4), (14, 7, 5), (15, 7, None), (31, 11, None)],
)
def test_they_take_few_products(degree, dense, even, reach):
    assert recorded([0.5] * degree + [1.0], reach).counts["Multiply"] == dense
    if even:
        found = [0.5 * (j % 2 == 0 or j == 1) for j in range(degree)] + [1.0]
        assert recorded(found, reach).counts["Multiply"] == even


def test_a_leading_coefficient_that_is_not_1_takes_a_plain_product():
    (last,) = [op for op in recorded([0.1, 0.2, 0.3]).operations if isinstance(op, ScalarDot)]
    assert not is_led(last)


@pytest.mark.parametrize("packing", ["latency", "throughput"])
@pytest.mark.parametrize(
    "activation",
    [(0.1, 0.5, 0.9, 0.0, -0.46), (0.0, 0.7, 0.0, -0.2), (0.2, 0.3, 0.4, -0.1, 0.05, 0.02, -0.03, 0.01), (0.3, -2.0)],
)
def test_polynomials_are_within_their_bound_when_encrypted(activation, packing):
    rng = np.random.default_rng(0)
    last = Dense(rng.normal(size=(3, 6)) / 2, rng.normal(size=3))
    graph = Graph(
        (4,), (Dense(rng.normal(size=(6, 4)) / 2, rng.normal(size=6) / 4), Activation("polynomial", activation), last)
    )
    circuit = compile_approximate(graph, images=2, packing=packing, max_error=1e-3, security="insecure")
    x = rng.random((2, 4))
    assert simulate(circuit, x) == pytest.approx(graph.logits(x), rel=1e-9, abs=1e-9)
    client, session = connect(circuit)
    error = np.abs(client.decrypt(session.evaluate(client.encrypt(x))) - graph.logits(x)).max()
    assert error <= circuit.output_bound <= 1e-3


def test_last_activations_keep_their_coefficients():
    """No layer follows that could make up for a factor."""
    graph = Graph((2,), (Dense(np.ones((2, 2)), np.zeros(2)), Activation("polynomial", (0.1, 0.2, 0.3))))
    circuit = compile_approximate(graph, security="insecure")
    x = np.array([[0.25, 0.5]])
    assert simulate(circuit, x) == pytest.approx(graph.logits(x))


def fitted_graph(degree, function="relu"):
    """A layer whose units reach all of the range of the polynomial behind it."""
    weight = np.eye(4) * 2
    seen = np.random.default_rng(0).uniform(-4, 4, (2000, 1))
    polynomial = fitted(Activation(function), degree, seen, 1.0).polynomial
    return Graph((4,), (Dense(weight, -np.ones(4)), polynomial, Dense(np.eye(4), np.zeros(4))))


def compiled(graph, form, monkeypatch, **options):
    """Compile with every polynomial in one form, 0 for powers and 1 for Chebyshev's."""
    with monkeypatch.context() as patched:
        patched.setattr(
            "he.compiler.search._with_cheapest_options",
            lambda lowering, *_: lowering.choose([form] * len(lowering.options)),
        )
        return compile_approximate(graph, salt=bytes(32), **options)


@pytest.mark.unwatched
@pytest.mark.parametrize(("function", "degree", "better"), [("relu", 6, 1), ("gelu", 6, 1), ("sigmoid", 8, 0)])
def test_the_form_that_costs_less_is_taken(function, degree, better, monkeypatch):
    graph = fitted_graph(degree, function)
    forms = [compiled(graph, form, monkeypatch, images=64, max_error=1e-3) for form in (0, 1)]
    taken = compile_approximate(graph, images=64, max_error=1e-3, salt=bytes(32))
    assert forms[better].cost().total < forms[1 - better].cost().total
    assert taken.parameters == forms[better].parameters
    assert ("Chebyshev" in taken.explain()) == bool(better)


@pytest.mark.unwatched
@pytest.mark.parametrize("function", ["relu", "tanh", "sigmoid", "gelu"])
def test_at_low_degrees_powers_are_no_worse(function, monkeypatch):
    """So nothing else is tried there."""
    graph = fitted_graph(4, function)
    assert "Chebyshev" not in compile_approximate(graph, max_error=1e-3).explain()
    monkeypatch.setattr("he.compiler.approximate.LEAST_CHEBYSHEV", 4)
    powers, chebyshev = (compiled(graph, form, monkeypatch, max_error=1e-3) for form in (0, 1))
    assert "Chebyshev" in chebyshev.explain()
    assert powers.cost().total <= chebyshev.cost().total


@pytest.mark.parametrize("packing", ["latency", "throughput"])
@pytest.mark.parametrize("degree", [6, 9, 14])
def test_sums_of_chebyshev_polynomials_are_within_their_bound_when_encrypted(degree, packing, monkeypatch):
    graph = fitted_graph(degree)
    circuit = compiled(graph, 1, monkeypatch, packing=packing, max_error=1e-2, security="insecure")
    x = np.concatenate([np.zeros((1, 4)), np.ones((1, 4)), np.random.default_rng(0).random((2, 4))])
    client, session = connect(circuit)
    for image in x[:, None]:
        error = np.abs(client.decrypt(session.evaluate(client.encrypt(image))) - graph.logits(image)).max()
        assert error <= circuit.output_bound <= 1e-2
