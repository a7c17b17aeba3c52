"""Circuits whose weights are encrypted: they compute the same, and what is public of them holds no weight."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he import ParameterError, compile_approximate, compile_exact, load_circuit, run_encrypted, save_circuit, simulate
from he.circuit.store import to_stored
from he.compiler.exact import exact_lowering
from he.compiler.recorders import recorder_of
from he.compiler.search import search
from he.program.operations import (
    AddCipher,
    AddPlain,
    CipherDot,
    PlainDot,
    Relinearise,
    ScalarDot,
    SwitchModulus,
    arguments,
)
from he.testing import inputs, square_graph, table_network, table_networks
from he.testing.strategies import polynomial_graphs
from intnn import IntNetwork, Lut, LutActivation

ENCRYPTED = {"weights": "encrypted", "security": "insecure"}


@settings(max_examples=12)
@given(table_networks(tables=1, max_points=9), st.sampled_from([1, 4]), st.sampled_from(["hidden", "encrypted"]))
def test_encrypted_weights_of_integers_compute_the_same(network, images, tables):
    try:
        circuit = compile_exact(network, images=images, tables=tables, **ENCRYPTED)
    except ParameterError:
        return
    x = inputs(network, 5)
    assert np.array_equal(simulate(circuit, x), network.logits(x))
    assert not circuit.program.factors
    assert not circuit.program.addends


@settings(max_examples=8)
@given(polynomial_graphs(max_degree=2, max_activations=1))
def test_encrypted_weights_of_floats_compute_the_same(graph):
    try:
        circuit = compile_approximate(graph, **ENCRYPTED)
    except ParameterError:
        return
    x = inputs(graph, 3)
    assert np.allclose(simulate(circuit, x), graph.logits(x), atol=circuit.output_bound)


def test_every_plain_operand_becomes_an_encrypted_one_and_every_sum_is_relinearised_once():
    plain = compile_exact(table_network(), security="insecure").program
    once = replace(exact_lowering(table_network(), "insecure", encrypts=True), options=())  # each unit comes once
    program = search(once, 1, "latency", "insecure", None).program
    kinds = [type(operation) for operation in program.operations]
    assert PlainDot not in kinds
    assert AddPlain not in kinds
    assert kinds.count(CipherDot) == plain.counts["PlainDot"]
    assert kinds.count(AddCipher) == plain.counts["AddPlain"]
    for position, kind in enumerate(kinds):
        if kind is CipherDot:
            (reader,) = readers_of(program, program.first_values[position])
            while isinstance(reader, SwitchModulus):
                (reader,) = readers_of(program, program.first_values[program.operations.index(reader)])
            assert isinstance(reader, Relinearise)
    assert len(program.encrypted) == len(plain.factors | plain.addends)


def readers_of(program, value):
    return [operation for operation in program.operations if value in arguments(operation)]


@pytest.mark.parametrize("make", [table_network, square_graph])
def test_what_is_public_holds_no_weight(make, tmp_path):
    """Networks of one architecture have one public circuit, but for the commitment."""
    network = make()
    compiler = compile_exact if isinstance(network, IntNetwork) else compile_approximate
    layers = "layers" if isinstance(network, IntNetwork) else "nodes"
    first = getattr(network, layers)[0]
    if isinstance(network, IntNetwork):
        weights = np.where(np.abs(first.weight) == np.abs(first.weight).max(), first.weight, 0), first.bias
    else:
        weights = -first.weight, -first.bias  # of the same norms, which are declared
    changed = replace(first, weight=weights[0], bias=weights[1])
    other = replace(network, **{layers: (changed, *getattr(network, layers)[1:])})
    contents = []
    for one in (network, other):
        public = compiler(one, **ENCRYPTED).public
        content, arrays = to_stored(public)
        assert all(name.startswith("gather") for name in arrays)
        contents.append(json.loads(json.dumps(content)))
        assert contents[-1]["interface"].pop("commitment")
        assert public.salt == bytes(32)
        assert not public.program.plaintexts
        save_circuit(public, tmp_path / "public.he")
        assert load_circuit(tmp_path / "public.he").interface.digest == public.interface.digest
    assert contents[0] == contents[1]


def test_encrypted_tables_are_not_in_the_public_circuit():
    """Whatever a table holds, the public circuit is the same; without encryption its coefficients are there."""
    network = table_network()
    table = network.layers[1]
    other = LutActivation(Lut(table.lut.domain, table.lut.table[::-1].copy()))
    layers = network.layers[0], other, *network.layers[2:]
    contents = {"encrypted": [], "hidden": []}
    for tables, found in contents.items():
        for one in (network, replace(network, layers=layers)):
            found.append(to_stored(compile_exact(one, tables=tables, **ENCRYPTED).public)[0]["program"])
    assert contents["encrypted"][0] == contents["encrypted"][1]
    assert contents["hidden"][0] != contents["hidden"][1]
    program = compile_exact(network, tables="encrypted", **ENCRYPTED).program
    assert not program.counts["ScalarDot"]
    assert program.counts["Multiply"]
    assert np.array_equal(
        run_encrypted(compile_exact(network, tables="encrypted", **ENCRYPTED), inputs(network, 2)),
        network.logits(inputs(network, 2)),
    )


def test_only_encrypted_weights_can_be_left_out():
    circuit = compile_exact(table_network(), security="insecure")
    with pytest.raises(ParameterError, match='compile it with weights="encrypted"'):
        _ = circuit.public
    with pytest.raises(ValueError, match="must use one of 0 plaintexts"):
        circuit.program.without_plaintexts()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "hidden"}, '`weights` must be "plain" or "encrypted"'),
        ({"weights": None}, '`weights` must be "plain" or "encrypted"'),
        ({"weights": "encrypted", "packing": "throughput"}, '`packing` must be "latency" with encrypted weights'),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, message):
    for compiler, network in ((compile_exact, table_network()), (compile_approximate, square_graph())):
        with pytest.raises(ValueError, match=message):
            compiler(network, **options)


def test_tables_are_encrypted_with_weights_alone():
    with pytest.raises(ValueError, match='`tables` must be "hidden" or "told" where `weights` are not "encrypted"'):
        compile_exact(table_network(), tables="encrypted")


def test_sketches_have_the_operations_of_programs():
    def constants(number):
        return np.full(8, number)

    for encrypts, hidden in ((False, None), (True, None), (True, constants)):
        kinds = []
        for sketched in (False, True):
            recorder = recorder_of(8, sketched=sketched, encrypts=encrypts, constants=hidden)
            x = recorder.input(0)
            operand = recorder.plaintext_of(lambda: np.ones(8, np.int64))
            total = recorder.add_plain(recorder.plain_dot([x, x], [operand, operand]), operand)
            for scalars, constant in (([1, 5], 7), ([1, 1], 0), ([3, 4], 0), ([1, 1], 2)):
                total = recorder.scalar_dot([total, x], scalars, constant)
            kinds.append([type(operation) for operation in recorder.program(8, [total]).operations])
        assert kinds[0] == kinds[1]
        assert (CipherDot in kinds[0]) is encrypts
        assert (ScalarDot in kinds[0]) is (hidden is None)
