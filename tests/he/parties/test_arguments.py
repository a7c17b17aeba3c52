"""Arguments of the next type over: they are taken for what they mean, or refused by their names and with a remedy."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import he
from he import (
    Client,
    EvaluationKeys,
    InputError,
    ParameterError,
    Parameters,
    Policy,
    PreparedCircuit,
    SecretKey,
    compile_approximate,
    compile_exact,
    connect,
    interface_bytes,
    load_circuit,
    prepare,
    run_encrypted,
    save_circuit,
    simulate,
)
from he.circuit.inputs import InputSpec
from he.circuit.packing import InputLayout, Packing
from he.formats.keys import Cost
from he.parties.connection import Connection
from he.parties.threshold.together import Together
from he.program.operations import Source
from he.ring.scheme import Scheme
from he.testing import inputs, noise_budget, parameter_sets
from intnn import Dense, Graph
from tests.he.parties.exchange import NETWORKS, network_of


@cache
def prepared():
    return prepare(compile_exact(NETWORKS["bfv"], images=4, security="insecure"))


# ------------------------------------------------------------------------------------------------------------ images


@pytest.mark.parametrize(
    "form",
    [
        *("int8", "uint8", "uint16", "int32", "uint64", ">i8", ">u2"),
        *(list, lambda x: tuple(map(tuple, x.tolist())), torch.tensor, np.asfortranarray, lambda x: x[::-1][::-1]),
        lambda x: np.broadcast_to(x, x.shape),
    ],
)
def test_integers_of_any_kind_are_the_same_images(exact, form):
    x = inputs(NETWORKS["bfv"], 3)
    y = x.astype(form) if isinstance(form, str) else form(x.tolist() if form is list else x)
    logits = exact.ask(y)
    for found in (logits, simulate(exact.circuit, y), run_encrypted(exact.circuit, y)):
        assert np.array_equal(found, NETWORKS["bfv"].logits(x))


@pytest.mark.parametrize("form", ["float16", "float32", ">f4", "longdouble", list, torch.tensor])
def test_floats_of_any_kind_are_the_same_images(approximate, form):
    x = np.round(inputs(NETWORKS["ckks"], 3) * 64) / 64  # every form holds them
    y = x.astype(form) if isinstance(form, str) else form(x.tolist())
    logits = approximate.ask(y)
    for found in (logits, simulate(approximate.circuit, y), run_encrypted(approximate.circuit, y)):
        assert np.abs(found - network_of(approximate).logits(x)).max() <= approximate.circuit.output_bound


@pytest.mark.parametrize(
    "images",
    [
        *(None, "images", b"images", {}, iter([[0]]), np.int64(1), np.zeros(5, int), np.zeros((0, 5), int)),
        *(np.zeros((2, 5)), np.zeros((2, 5), bool), np.zeros((2, 5), object), np.zeros((2, 5), complex)),
        *(np.zeros((2, 5), "<M8[s]"), np.zeros((2, 5), "U1"), np.zeros((2, 5), "i4,i4"), [[0, 1], [0]]),
        *(np.full((2, 5), 2**63, np.uint64), np.full((2, 5), -1), torch.zeros(2, 5, requires_grad=True)),
        torch.zeros(2, 5, dtype=torch.bfloat16),
    ],
)
def test_what_is_no_batch_of_images_is_refused_at_every_door(exact, images):
    for take in (
        exact.client.encrypt,
        lambda x: simulate(exact.circuit, x),
        lambda x: run_encrypted(prepared(), x),
    ):
        with pytest.raises(InputError, match="`images` must"):
            take(images)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_a_narrow_float_never_leaves_the_range(dtype):
    graph = Graph((1,), (Dense(np.ones((2, 1)), np.zeros(2)),))
    circuit = compile_approximate(graph, input_range=(-0.3, 1e6), security="insecure")
    (spec,) = circuit.interface.inputs
    end, scheme = np.array([[-0.3]], dtype), circuit.parameters.scheme  # -0.30005 as a float16
    assert spec.check(end, scheme).tolist() == [[-0.3]]
    assert np.abs(simulate(circuit, end) + 0.3).max() < 1e-9
    for outside in (np.nextafter(end, dtype(-1)), np.full((1, 1), np.inf, dtype), np.full((1, 1), np.nan, dtype)):
        with pytest.raises(InputError, match=r"must lie in \[-0\.3, 1000000\.0\]"):
            spec.check(outside, scheme)


@given(st.integers(-70, 70), st.integers(0, 70), st.sampled_from("bBhHiIqQ"), st.integers(-140, 140))
def test_integers_of_any_type_are_compared_as_numbers(low, size, dtype, value):
    layout = InputLayout.of(Packing(2, 512), 1, np.zeros((1, 1), np.int64))
    spec = InputSpec("images", Source(), (1,), low, low + size, 1.0, layout)
    number = np.array([[value]]).astype(dtype)
    if low <= int(number[0, 0]) <= low + size:
        checked = spec.check(number, Scheme.BFV)
        assert (checked.dtype, checked.tolist()) == (np.int64, number.tolist())
    else:
        with pytest.raises(InputError, match="must lie in"):
            spec.check(number, Scheme.BFV)


def test_the_last_image_is_looked_at_before_the_first_is_encrypted(monkeypatch):
    x = inputs(NETWORKS["bfv"], 9)
    x[-1, 0] = 2
    monkeypatch.setattr(Client, "encrypt", None)
    with pytest.raises(InputError, match=r"must lie in \[0, 1\]"):
        run_encrypted(prepared(), x)


# ---------------------------------------------------------------------------------------------------------- circuits

NOT_CIRCUITS = [NETWORKS["bfv"], NETWORKS["ckks"], None, "circuit", Path("circuit"), 3]


@pytest.mark.parametrize("thing", NOT_CIRCUITS, ids=lambda thing: type(thing).__name__)
def test_what_is_no_circuit_is_refused_at_every_door(thing, tmp_path):
    x, said = inputs(NETWORKS["bfv"], 1), r"`circuit` must be a Circuit, got \w+; compile"
    prepared().save(tmp_path / "prepared")
    for take in (
        prepare,
        connect,
        lambda c: prepare(c, "seal"),
        lambda c: run_encrypted(c, x),
        lambda c: simulate(c, x),
        lambda c: save_circuit(c, tmp_path / "circuit"),
        lambda c: PreparedCircuit.load(tmp_path / "prepared", c or "none"),
    ):
        with pytest.raises(TypeError, match=said):
            take(thing)
    assert not (tmp_path / "circuit").exists()


@pytest.mark.parametrize("engine", [None, b"rns", 3, ["rns"], he, object()])
def test_what_is_no_engine_is_refused(engine, tmp_path):
    with pytest.raises(
        TypeError, match=r"`engine` must be an Engine, got .*; give one of the names 'rns', 'cuda', 'seal'"
    ):
        prepare(prepared().circuit, engine)
    with pytest.raises(TypeError, match="`engine` must be an object, got the class RnsEngine; call it"):
        prepare(prepared().circuit, he.parties.prepared.RnsEngine)


def test_the_engine_of_a_file_may_be_named(tmp_path):
    prepared().save(tmp_path / "prepared")
    assert PreparedCircuit.load(tmp_path / "prepared", engine="rns").engine == "rns"
    with pytest.raises(he.StoredError, match="must be of an engine among seal, got 'rns'"):
        PreparedCircuit.load(tmp_path / "prepared", engine="seal")
    with pytest.raises(ValueError, match="`engine` must be one of 'rns', 'cuda', 'seal', got 'gpu'"):
        PreparedCircuit.load(tmp_path / "prepared", engine="gpu")
    with pytest.raises(TypeError, match="`engine` must be an Engine, got int"):
        PreparedCircuit.load(tmp_path / "prepared", engine=3)


@pytest.mark.parametrize("threads", [0, -1, 1025, 2.0, True, "2", [2], np.float64(2), b"2"])
def test_numbers_of_threads_are_numbers_for_every_engine(threads, exact):
    keys = exact.client.evaluation_keys
    for take in (
        lambda: prepare(exact.circuit, threads=threads),
        lambda: prepare(exact.circuit, "seal", threads),
        lambda: prepare(exact.circuit).session(keys, threads),
        lambda: prepare(exact.circuit, "seal").session(keys, threads),
        lambda: connect(prepare(exact.circuit), threads=threads),
        lambda: Connection.within(he.Family((exact.circuit,)), threads=threads),
        lambda: Together.of(exact.circuit, threads),
    ):
        with pytest.raises((TypeError, ValueError), match="`threads` must"):
            take()
    for engine in ("rns", "seal"):
        assert prepare(exact.circuit, engine, np.int64(2)).session(keys, np.int8(2)).evaluator.threads in (1, 2)


# ------------------------------------------------------------------------------------------------- clients and keys


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: memoryview(data + b"x")[:-1]])
def test_messages_come_as_any_bytes(exact, kind):
    x, circuit = inputs(NETWORKS["bfv"], 2), exact.circuit
    client = Client(kind(interface_bytes(circuit.interface)), policy=Policy(security="insecure"))
    session = prepare(circuit).session(kind(client.evaluation_keys.to_bytes()))
    answer = kind(session.evaluate(kind(client.encrypt(x))))
    assert np.array_equal(client.decrypt(answer), NETWORKS["bfv"].logits(x))
    assert noise_budget(client, answer) > 0


@pytest.mark.parametrize("message", [None, "text", 3, [1], np.zeros(9, np.uint8), Path("message")])
def test_what_is_no_message_is_refused_by_its_kind(exact, message):
    for name, take in {
        "interface": lambda m: Client(m, policy=Policy(security="insecure")),
        "evaluation keys": exact_session,
        "request": exact.session.evaluate,
        "response": exact.client.decrypt,
    }.items():
        with pytest.raises(TypeError, match=f"a message with {name} must be bytes, got {type(message).__name__}"):
            take(message)


def exact_session(keys):
    return prepared().session(keys)


@pytest.mark.parametrize("thing", [b"", b"key", "key", 3, False, Path("key")])
def test_what_is_no_secret_key_is_refused(exact, thing):
    with pytest.raises(TypeError, match=r"`secret_key` must be a SecretKey, got .*; read a stored one with"):
        Client(exact.circuit.interface, thing, policy=Policy(security="insecure"))
    if thing not in (b"", b"key"):
        with pytest.raises(TypeError, match="a message with evaluation keys must be bytes, got"):
            Client(exact.circuit.interface, exact.client.secret_key, thing, policy=Policy(security="insecure"))


@pytest.mark.parametrize("thing", [None, 3, "interface", {}])
def test_what_is_no_interface_is_refused(exact, thing):
    key = exact.client.secret_key
    for take in (interface_bytes, key.evaluation_keys, exact.client.evaluation_keys.require):
        for wrong in (thing, exact.circuit):
            with pytest.raises(TypeError, match=r"`interface` must be an Interface, got .*`circuit\.interface`"):
                take(wrong)


@pytest.mark.parametrize("thing", [3, "parameters", {}, b""])
def test_what_is_no_parameter_set_is_refused(exact, thing, tmp_path):
    exact.client.secret_key.save(tmp_path / "key", "password", Cost(14))
    for take in (SecretKey.generate, lambda p: SecretKey.load(tmp_path / "key", "password", p)):
        for wrong in (thing, exact.circuit.interface):
            with pytest.raises(TypeError, match=r"`parameters` must be a Parameters, got .*interface\.parameters"):
                take(wrong)


@pytest.mark.parametrize("security", [None, 128, b"128", ["128"], np.array(["128", "insecure"]), "256"])
def test_securities_have_names(exact, security):
    for take in (
        lambda: Client(exact.circuit.interface, policy=Policy(security=security)),
        lambda: Parameters("bfv", 4096, (30, 40), 65537, security=security),
    ):
        with pytest.raises(ParameterError, match='`security` must be "128", "128-2018" or "insecure", got'):
            take()


@pytest.mark.parametrize("cost", [14, "14", (14, 1), {"log2_n": 14}])
def test_costs_are_costs(exact, cost, tmp_path):
    with pytest.raises(TypeError, match=r"`cost` must be a Cost, got .*; give a Cost\(log2_n, p\)"):
        exact.client.secret_key.save(tmp_path / "key", "password", cost)


@pytest.mark.parametrize("path", [b"file", None, 3, ["file"], bytearray(b"file")])
def test_paths_are_strings_or_paths(exact, path):
    keys, key = exact.client.evaluation_keys, exact.client.secret_key
    for take in (
        lambda: key.save(path, "password", Cost(14)),
        lambda: SecretKey.load(path, "password"),
        lambda: keys.save(path),
        lambda: EvaluationKeys.load(path),
        lambda: save_circuit(exact.circuit, path),
        lambda: load_circuit(path),
        lambda: prepared().save(path),
        lambda: PreparedCircuit.load(path),
    ):
        with pytest.raises(TypeError, match=f"`path` must be a string or a Path, got {type(path).__name__}; give"):
            take()


@pytest.mark.parametrize("path", ["", "."])
def test_a_folder_is_no_place_for_a_key(exact, path):
    with pytest.raises(IsADirectoryError, match="must be a file, and it is a folder; choose another name"):
        exact.client.secret_key.save(path, "password", Cost(14))


# -------------------------------------------------------------------------------------------------------- parameters


@given(parameter_sets(), st.sampled_from([np.int64, np.uint16, np.int32]), st.sampled_from([list, tuple, np.array]))
def test_numbers_of_numpy_are_numbers_of_a_parameter_set(parameters, integer, several):
    t, scale = parameters.plain_modulus, parameters.scale_bits
    again = Parameters(
        parameters.scheme.value,
        integer(parameters.poly_modulus_degree),
        several(tuple(map(integer, parameters.coeff_modulus_bits))),
        t and np.int64(t),
        scale and integer(scale),
        parameters.security,
    )
    assert (again, again.digest) == (parameters, parameters.digest)
    assert {type(bits) for bits in again.coeff_modulus_bits} | {type(again.poly_modulus_degree)} == {int}


def test_a_parameter_set_knows_what_it_has_not():
    with pytest.raises(TypeError, match="CKKS has no plaintext modulus"):
        _ = Parameters("ckks", 4096, (30, 40), scale_bits=20).t
    with pytest.raises(ParameterError, match=r"must leave enough primes, got .*: there are only \d primes of 20 bits"):
        Parameters("ckks", 32768, (20,) * 20 + (50,), scale_bits=20)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("poly_modulus_degree", value) for value in (4096.0, "4096", None, [4096], True, np.float64(4096))),
        *(("coeff_modulus_bits", value) for value in (70, None, "30", (30.0, 40.0), [[30, 40]], np.array([30.0, 40]))),
        *(("plain_modulus", value) for value in (65537.0, True, "65537", None, [65537])),
    ],
)
def test_numbers_of_a_parameter_set_are_integers(name, value):
    fields = {"scheme": "bfv", "poly_modulus_degree": 4096, "coeff_modulus_bits": (30, 40), "plain_modulus": 65537}
    with pytest.raises(ParameterError, match=f"`{name}` must"):
        Parameters(**{**fields, name: value})
