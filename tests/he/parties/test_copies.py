"""What pickle and copy make of circuits and keys: values are made anew, and what lives in one process stays there."""

import copy
import dataclasses
import importlib
import pickle
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he import Parameters, SecretKey, connect, prepare, simulate
from he.circuit import store
from he.circuit.packing import InputLayout, Packing
from he.kernels.tables.factors import Factors
from he.testing import compiled, inputs, parameter_sets, polynomial_graphs, table_networks
from intnn.values.value_object import Unstorable, ValueObject
from tests.he.parties.exchange import NETWORKS

ROOT = Path(__file__).parents[3]
WAYS = {"pickle": lambda x: pickle.loads(pickle.dumps(x)), "copy": copy.copy, "deepcopy": copy.deepcopy}
ways = pytest.mark.parametrize("again", WAYS.values(), ids=WAYS)
any_way = st.sampled_from(sorted(WAYS))


def assert_holds_its_fields_only(value):
    assert set(vars(value)) == {field.name for field in dataclasses.fields(value)}


@settings(max_examples=10)
@given(any_way, table_networks(1, max_points=9) | polynomial_graphs(max_activations=1))
def test_a_circuit_comes_back(way, network):
    circuit = compiled(network, security="insecure")
    x, name = inputs(network, 1), circuit.interface.digest
    stored = pickle.dumps(circuit.interface)
    again = WAYS[way](circuit)
    assert store.digest(again) == store.digest(circuit)
    assert np.array_equal(simulate(again, x), simulate(circuit, x))
    interface = WAYS[way](circuit.interface)
    assert pickle.dumps(circuit.interface) == stored  # what was computed of it does not go along
    assert_holds_its_fields_only(interface)
    assert interface.digest == name
    with pytest.raises(ValueError, match="WRITEABLE"):
        interface.inputs[0].layout.rows.setflags(write=True)


@given(any_way, parameter_sets())
def test_parameters_come_back(way, parameters):
    assert parameters.digest
    again = WAYS[way](parameters)
    assert "digest" not in vars(again)
    assert (again, again.digest, again.primes) == (parameters, parameters.digest, parameters.primes)


@ways
def test_what_comes_back_is_checked_again(again):
    layout = InputLayout.of(Packing(1, 4), 3, np.zeros((2, 2), np.int64))
    object.__setattr__(layout, "rows", np.full((1, 2), 3, np.int32))
    with pytest.raises(ValueError, match="and indices from -1 to 2"):
        again(layout)
    parameters = Parameters("bfv", 4096, (30, 40), 65537)
    object.__setattr__(parameters, "coeff_modulus_bits", (60, 60))
    with pytest.raises(ValueError, match="must sum to at most 106"):
        again(parameters)


@ways
def test_evaluation_keys_come_back(again, exact):
    keys = exact.client.evaluation_keys
    other = again(keys)
    assert_holds_its_fields_only(other)
    assert (other, other.id) == (keys, keys.id)


@cache
def living():
    circuit = compiled(NETWORKS["bfv"], images=2, security="insecure")
    prepared = {name: prepare(circuit, name) for name in ("rns", "seal")}
    client, session = connect(prepared["rns"], threads=1)
    key = SecretKey.generate(Parameters("ckks", 1024, (40, 40), scale_bits=20, security="insecure"))
    return {
        "prepared circuit": prepared["rns"],
        "session": session,
        "client": client,
        "secret key": client.secret_key,
        "batch encryptor": key.batch_encryptor(),
        "evaluator of rns": session.evaluator,
        "evaluator of seal": connect(prepared["seal"])[1].evaluator,
        "encoded by rns": prepared["rns"]._prepared,
        "encoded by seal": prepared["seal"]._prepared,
        "weights": prepared["rns"]._prepared.weights,
        "packed factors": Factors.packed(np.zeros((1, 8), np.uint64), [97]),
    }


REMEDIES = {
    "prepared circuit": "store it with `save`",
    "session": r"bind the keys again with `PreparedCircuit\.session`",
    "client": r"they hold a secret key: store that with `SecretKey\.save`",
    "secret key": "store it under a password with `save`",
    "batch encryptor": r"it holds a secret key: store that with `SecretKey\.save`",
    "evaluator of rns": r"bind the keys again with `PreparedCircuit\.session`",
    "evaluator of seal": r"bind the keys again with `PreparedCircuit\.session`",
    "encoded by rns": r"store it with `PreparedCircuit\.save`",
    "encoded by seal": "store the circuit, and prepare it again",
    "packed factors": "pack the polynomials again",
}


@pytest.mark.parametrize("keep", [pickle.dumps, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("name", REMEDIES)
def test_what_lives_in_one_process_stays_there(name, keep):
    assert isinstance(living()[name], Unstorable)
    with pytest.raises(TypeError, match=f"objects cannot be pickled or copied; {REMEDIES[name]}"):
        keep(living()[name])


def test_encoded_weights_are_no_way_around_it():
    with pytest.raises(TypeError, match="pack the polynomials again"):
        pickle.dumps(living()["weights"])


def dataclasses_of(room):
    for path in sorted((ROOT / "he" / room).rglob("*.py")):
        if "cuda" in path.parts:
            continue  # needs a GPU's libraries
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for value in vars(importlib.import_module(name)).values():
            if isinstance(value, type) and dataclasses.is_dataclass(value) and value.__module__ == name:
                yield value


def unlike(room):
    checking = [kind for kind in dataclasses_of(room) if hasattr(kind, "__post_init__")]
    return [kind.__name__ for kind in checking if not issubclass(kind, ValueObject)]


@pytest.mark.parametrize(
    "room",
    ["circuit", "compile", "engines", "formats", "kernels", "parties", "program", "readers", "ring"],
)
def test_every_dataclass_that_checks_itself_is_made_anew(room):
    assert unlike(room) == []


@ways
def test_the_arrays_of_a_program_stay_read_only(again):
    for network in NETWORKS.values():
        for packing in ("latency", "throughput"):
            program = again(compiled(network, packing=packing, security="insecure").program)
            matrices = [a for op in program.operations for a in vars(op).values() if isinstance(a, np.ndarray)]
            for array in (*program.plaintexts, *matrices):
                with pytest.raises(ValueError, match="WRITEABLE"):
                    array.setflags(write=True)


def test_a_program_has_no_plaintext_that_a_file_may_not_have():
    program = compiled(NETWORKS["ckks"], security="insecure").program
    wrong = np.full(program.slots, np.nan)
    with pytest.raises(ValueError, match="must be finite"):
        dataclasses.replace(program, plaintexts=(wrong, *program.plaintexts[1:]))


@ways
def test_what_was_computed_of_a_program_does_not_go_along(again):
    program = compiled(NETWORKS["bfv"], security="insecure").program
    assert program.counts
    assert "counts" not in vars(again(program))
