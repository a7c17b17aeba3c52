"""Packing for throughput: one feature to a ciphertext, on both engines, exact or within the bound."""

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from he import DecryptionError, ParameterError, compile_approximate, compile_exact
from he.circuit.packing import OutputLayout, Packing, PackingError
from he.circuit.simulate import simulate
from he.compiler.throughput import GUARDS
from he.formats.messages import Kind, open_message, seal_message
from he.program.algebra import run
from he.program.operations import Matrix
from he.program.recorder import Recorder
from he.readers.cost import cost
from he.testing import extremes, inputs, polynomial_graphs, square_graph, table_network, table_networks
from intnn import Activation, Dense, Graph, IntDomain, IntNetwork, Lut, LutActivation
from tests.he.conftest import Party, session

ENGINES = {"rns": ("rns", None), "rns, 1 thread": ("rns", 1), "seal": ("seal", None)}


def compiled(network, **options):
    """For throughput; a random network with a constant output is not run."""
    make = compile_exact if isinstance(network, IntNetwork) else compile_approximate
    try:
        return make(network, packing="throughput", security="insecure", **options)
    except ParameterError as error:
        if "same output for every input" in str(error) or "same for every input" in str(error):
            reject()
        raise


def answers(party, images, engines=ENGINES):
    for name in engines:
        request = party.client.encrypt(images)
        yield party.client.decrypt(session(party, *ENGINES[name]).evaluate(request), request)


@settings(max_examples=60)
@given(st.integers(0, 2).flatmap(lambda tables: table_networks(tables, max_points=17)), st.integers(1, 40))
def test_the_program_computes_the_integer_network(network, batch):
    circuit = compiled(network)
    for x in (inputs(network, batch), extremes(network, batch)):
        assert np.array_equal(simulate(circuit, x), network.logits(x))


@settings(max_examples=40)
@given(polynomial_graphs(), st.integers(1, 40))
def test_the_program_computes_the_float_network(graph, batch):
    x = inputs(graph, batch)
    assert np.allclose(simulate(compiled(graph), x), graph.logits(x), rtol=1e-9, atol=1e-9)


@settings(max_examples=10)
@given(st.integers(0, 1).flatmap(lambda tables: table_networks(tables, max_points=9)), st.integers(1, 500))
def test_decrypted_logits_equal_plain_logits_bit_for_bit(network, batch):
    party = Party(compiled(network))
    x = extremes(network, batch)
    for logits in answers(party, x, ["rns"]):
        assert np.array_equal(logits, network.logits(x))


@settings(max_examples=10)
@given(polynomial_graphs(max_degree=3), st.integers(1, 500))
def test_decrypted_logits_are_within_the_bound(graph, batch):
    party = Party(compiled(graph))
    x = inputs(graph, batch)
    for logits in answers(party, x, ["rns"]):
        assert np.abs(logits - graph.logits(x)).max() <= party.circuit.output_bound


def test_errors_that_features_share_are_bounded_as_such():
    """64 times the same feature: a mean of its squares is no better than one of them."""
    n, square = 64, Activation("square")
    first, mean = Dense(np.full((n, 4), 1 / 4), np.zeros(n)), Dense(np.full((n, n), 1 / n), np.zeros(n))
    graph = Graph((4,), (first, square, mean, square, Dense(np.full((1, n), 1 / n), np.zeros(1))))
    party = Party(compiled(graph, input_range=(0.9, 1), max_error=1e-3))
    x = 0.9 + inputs(graph, 400) / 10
    (logits,) = answers(party, x, ["rns"])
    assert np.abs(logits - graph.logits(x)).max() <= party.circuit.output_bound


@pytest.mark.parametrize("network", [table_network(), square_graph()], ids=["exact", "approximate"])
def test_engines_agree_on_a_full_batch(network):
    party = Party(compiled(network))
    x = inputs(network, party.circuit.interface.images)
    for logits in answers(party, x):
        error = np.abs(logits - network.logits(x)).max()
        assert error <= party.circuit.interface.tolerance  # 0 where exact


def test_batches_fill_the_slots():
    exact, both, one = (
        compiled(table_network()),
        compiled(square_graph()),
        compiled(Graph((2,), (Dense(np.eye(2), np.ones(2)), Activation("polynomial", (0.0, 1.0, 0.0, 1.0))))),
    )
    slots = [circuit.parameters.poly_modulus_degree for circuit in (exact, both, one)]
    assert exact.interface.images == slots[0] - 2 * GUARDS
    assert both.interface.images == slots[1] - 2 * GUARDS  # both parts of N / 2 slots
    assert one.interface.images == slots[2] // 2 - GUARDS


def test_larger_batches_take_a_larger_ring():
    assert compiled(table_network(), images=3000).parameters.poly_modulus_degree >= 4096
    with pytest.raises(ParameterError, match="there are slots for 32752 images, fewer than 40000"):
        compile_exact(table_network(), packing="throughput", images=40_000)


def test_a_packing_must_be_known():
    with pytest.raises(ValueError, match="`packing` must be"):
        compile_exact(table_network(), packing="wide")


def test_units_whose_weights_are_zero_are_computed_and_not_read():
    first = Dense(np.array([[1, 1], [0, 0], [1, -1]]), np.array([0, 1, 0]))
    lut = LutActivation(Lut.from_callable(lambda x: x * x + 1, IntDomain(-2, 2)))
    network = IntNetwork((2,), IntDomain(0, 1), (first, lut, Dense(np.array([[1, 5, 2]]), np.array([3]))))
    circuit = compiled(network)
    assert [op.weights.shape for op in circuit.program.operations if isinstance(op, Matrix)] == [(3, 2), (1, 3)]
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    assert np.array_equal(simulate(circuit, x), network.logits(x))
    (logits,) = answers(Party(circuit), x, ["rns"])
    assert np.array_equal(logits, network.logits(x))


def test_a_constant_logit_is_refused():
    network = IntNetwork((2,), IntDomain(0, 1), (Dense(np.array([[1, 1], [0, 0]]), np.array([0, 7])),))
    with pytest.raises(ParameterError, match="logit 1 is the same for every input"):
        compile_exact(network, packing="throughput")


def test_a_logit_whose_terms_cancel_is_refused():
    """It would leave a ciphertext that is plain to see, which the client takes for a forgery."""
    both = np.array([[1, 2], [1, 2]])
    lut = LutActivation(Lut.from_callable(lambda x: x * x * x, IntDomain(0, 3)))
    layers = (Dense(both, np.zeros(2, int)), lut, Dense(np.array([[2, 1], [1, -1]]), np.array([0, 7])))
    with pytest.raises(ParameterError, match="logit 1 is the same for every input"):
        compile_exact(IntNetwork((2,), IntDomain(0, 1), layers), packing="throughput")
    cancelling = (Dense(both * 0.1, np.zeros(2)), Activation("square"), Dense(np.array([[0.3, -0.3]]), np.ones(1)))
    with pytest.raises(ParameterError, match="logit 0 is the same for every input"):
        compile_approximate(Graph((2,), cancelling), packing="throughput")


@pytest.mark.parametrize("network", [table_network(), square_graph()], ids=["exact", "approximate"])
def test_a_result_of_other_keys_is_never_returned(network):
    circuit = compiled(network)
    mine, theirs = Party(circuit), Party(circuit)
    x = inputs(network, 5)
    answer = theirs.session.evaluate(theirs.client.encrypt(x))
    _, parts = open_message(Kind.RESPONSE, answer)
    own = open_message(Kind.RESPONSE, mine.session.evaluate(mine.client.encrypt(x)))
    forged = seal_message(Kind.RESPONSE, own[0], [*own[1][:-1], parts[-1]])
    with pytest.raises(DecryptionError):
        mine.client.decrypt(forged)


@given(st.integers(0, 63), st.floats(0.01, 1e6))
def test_guards_tell_that_a_slot_was_changed(slot, by):
    packing = Packing(2, 32, 32, split_rows=True, guards=GUARDS)
    slots = np.zeros((1, 64))
    slots[0, slot] += by
    layout = OutputLayout(packing, 1, 1)
    guarded = slot % 32 < GUARDS or slot % 32 >= 32 - GUARDS
    if guarded:
        with pytest.raises(PackingError, match="disagree"):
            layout.unpack(slots, 48, 0.001)
    else:
        assert layout.unpack(slots, 48, 0.001).sum() == by


def test_guards_must_leave_room():
    with pytest.raises(ValueError, match="`guards` must be from 0 to half of 8 lanes"):
        Packing(1, 8, 8, guards=5)


def test_values_that_wait_are_counted():
    circuit = compiled(table_network())
    bytes_of_one = 2 * 8 * circuit.parameters.poly_modulus_degree * circuit.parameters.levels
    counted = cost(circuit.program, circuit.parameters).value_bytes
    assert 5 * bytes_of_one <= counted <= 40 * bytes_of_one  # five inputs, six units, and what a table takes
    assert "wait for others" in circuit.explain()


def test_a_matrix_defines_a_value_for_every_row():
    class Numbers:
        def input(self, index):
            return index + 2

        def matrix(self, values, matrix):
            return (matrix.weights @ values + matrix.constants).tolist()

    recorder = Recorder()
    pair = [recorder.input(0), recorder.input(1)]
    total, difference = recorder.matrix(pair, Matrix((0, 0), np.array([[1, 1], [1, -1]]), np.array([10, 20])))
    program = recorder.program(1, [difference, total])
    assert program.first_values == (0, 1, 2, 4)
    assert run(program, Numbers()) == [19, 15]
    with pytest.raises(ValueError, match="`weights` must be"):
        Matrix((0,), np.ones((2, 2)), np.ones(2))
