import pytest

from he import compile_approximate, compile_exact, compile_residues
from he.testing import square_graph, table_network
from intnn import Dense, IntDomain, IntNetwork, IntPolynomial


@pytest.mark.parametrize(
    "compiled", [lambda: compile_exact(table_network()), lambda: compile_approximate(square_graph())]
)
def test_a_circuit_is_drawn_stage_by_stage(tmp_path, compiled):
    circuit = compiled()
    for name in ("a.svg", "b.svg"):
        circuit.draw(tmp_path / name)
    said = (tmp_path / "a.svg").read_text()
    assert said == (tmp_path / "b.svg").read_text()
    degree = circuit.parameters.poly_modulus_degree
    texts = ["request: 1 ciphertext(s)", "linear map 1", "activation 1", "linear map 2", "answer: 1 ciphertext(s)"]
    for text in (*texts, f"N = {degree}", f"{circuit.cost().total:.1f} units in all", "rotation"):
        assert text in said
    assert ("weights at 2^" in said) != circuit.parameters.scheme.exact
    assert circuit.explain().splitlines()[-1] in said


def test_what_cannot_be_drawn(tmp_path):
    with pytest.raises(ValueError, match=r"`path` must end in \.svg"):
        compile_approximate(square_graph()).draw(tmp_path / "m.txt")


def test_circuits_modulo_several_primes_are_drawn_as_one(tmp_path):
    network = IntNetwork((2,), IntDomain(0, 15), (Dense([[9, -7]], [1]), IntPolynomial((0, 0, 1))))
    circuit = compile_residues(network)
    circuit.draw(tmp_path / "m.svg")
    assert f"one of {len(circuit.circuits)} circuits, a prime each, N = " in (tmp_path / "m.svg").read_text()
