"""Encrypted inference: inputs that were answered wrongly, or refused in foreign words, with what is right."""

import copy
import pickle

import numpy as np
import pytest
import torch

from he import (
    Client,
    EvaluationKeys,
    InputError,
    Interface,
    KeyFileError,
    MessageError,
    Policy,
    PreparedCircuit,
    SecretKey,
    StoredError,
    compile_approximate,
    compile_exact,
    connect,
    interface_bytes,
    prepare,
    run_encrypted,
    simulate,
)
from he.circuit import packing as packings
from he.circuit import store
from he.circuit.inputs import InputSpec
from he.circuit.packing import InputLayout, OutputLayout, Packing
from he.formats import stored
from he.formats.keys import Cost, Protected, protect, write_private
from he.formats.messages import Kind, open_message, seal_message
from he.parties.interfaces import read_interface
from he.program.operations import Source
from he.ring.params import Parameters
from he.testing import inputs, square_graph, table_network
from intnn import Dense, IntDomain, IntNetwork, Lut, LutActivation

INSECURE = Policy(security="insecure")

NETWORK = table_network()
CIRCUIT = compile_exact(NETWORK, images=4, security="insecure")


# ------------------------------------------------------------------------------ a writer that outgrows its reader


def test_the_interface_of_a_dense_layer_of_4096_by_3072_is_read_back():
    """It was 71 MB of JSON, and then refused as "longer than the message"; all rows of its table are one."""
    packing = Packing(2, 16384, 4)
    layout = InputLayout.of(packing, 3072, np.tile(np.arange(3072), (4096, 1)))
    interface = Interface(
        Parameters("bfv", 32768, (45,) * 10 + (50,), 65537),
        (InputSpec("images", Source(), (3, 32, 32), 0, 255, 1.0, layout),),
        OutputLayout(packing, 16, 10),
        (1, 2, 4),
        True,
        True,
        False,
        0.0,
        1.0,
        10,
        "0" * 64,
    )
    data = interface_bytes(interface)
    assert len(data) < 50_000
    read = read_interface(data)
    assert read.digest == interface.digest
    assert np.array_equal(read.inputs[0].layout.gather, layout.gather)


def test_a_file_that_could_not_be_read_is_not_written(monkeypatch, tmp_path):
    prepared = prepare(CIRCUIT)
    monkeypatch.setattr(stored, "MAX_FILE_BYTES", 1000)
    with pytest.raises(StoredError, match="must have at most 1000 bytes, got"):
        prepared.save(tmp_path / "prepared.he")
    assert not list(tmp_path.iterdir())


def test_arrays_are_stored_as_the_numbers_that_they_are(tmp_path):
    """Those of the other order of bytes came back as other numbers."""
    numbers = np.array([1, 2, 3], ">i8")
    stored.write(tmp_path / "file", "kind", {}, {"numbers": numbers})
    assert stored.read(tmp_path / "file", "kind")[1]["numbers"].tolist() == [1, 2, 3]


# --------------------------------------------------------------- a stored object carries what only one process may run


@pytest.mark.parametrize("again", [lambda x: pickle.loads(pickle.dumps(x)), copy.copy, copy.deepcopy])
def test_the_layout_of_a_copied_interface_cannot_be_changed(again):
    interface = again(CIRCUIT.interface)
    for indices in (interface.inputs[0].layout.rows, interface.inputs[0].layout.row_of):
        with pytest.raises(ValueError, match="WRITEABLE"):
            indices.setflags(write=True)
    assert "digest" not in vars(again(interface))
    assert interface.digest == CIRCUIT.interface.digest


def test_a_circuit_that_was_unpickled_answers_as_before():
    circuit, x = pickle.loads(pickle.dumps(CIRCUIT)), inputs(NETWORK, 3)
    assert np.array_equal(simulate(circuit, x), NETWORK.logits(x))
    assert np.array_equal(run_encrypted(circuit, x), NETWORK.logits(x))


def test_what_an_engine_has_encoded_is_stored_by_save_alone():
    """Pickled, addresses of this process went along, and the reference engine failed in its library's words."""
    for engine in ("rns", "seal"):
        _, session = connect(prepare(CIRCUIT, engine))
        for thing in (session.evaluator, session.evaluator._prepared):
            with pytest.raises(TypeError, match="objects cannot be pickled or copied; "):
                pickle.dumps(thing)


# -------------------------------------------------------------------------------- a check made once, of what may change


def test_keys_of_another_secret_key_are_refused_before_anything_is_asked(tmp_path):
    """They were noticed when the first answer was decrypted."""
    mine, others = (Client(CIRCUIT.interface, policy=INSECURE) for _ in range(2))
    with pytest.raises(MessageError, match="made from another secret key"):
        Client(CIRCUIT.interface, mine.secret_key, others.evaluation_keys, policy=INSECURE)
    again = Client(CIRCUIT.interface, mine.secret_key, mine.evaluation_keys, policy=INSECURE)
    assert again.evaluation_keys.id == mine.evaluation_keys.id


def test_the_secret_zero_is_no_secret(tmp_path):
    key = SecretKey.generate(CIRCUIT.parameters)
    zeros = bytes(8 * CIRCUIT.parameters.poly_modulus_degree * len(CIRCUIT.parameters.primes))
    fields = {"parameters": CIRCUIT.parameters.to_dict(), "id": key.id}
    write_private(tmp_path / "key", protect(Protected(fields, zeros), "password", Cost(14)))
    with pytest.raises(KeyFileError, match="must be a secret, of coefficients -1, 0 and 1"):
        SecretKey.load(tmp_path / "key", "password")


def test_half_a_character_is_no_password(tmp_path):
    with pytest.raises(KeyFileError, match="`password` must be text"):
        SecretKey.generate(CIRCUIT.parameters).save(tmp_path / "key", "caf\udce9", Cost(14))
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------------------ two dtypes that meet


def test_narrow_floats_do_not_leave_the_range_of_the_inputs():
    """0.3 is 0.30005 as a float16: the bound on the error was proved for no such image."""
    circuit = compile_approximate(square_graph(), input_range=(0.0, 0.3), security="insecure")
    (spec,) = circuit.interface.inputs
    checked = spec.check(np.full((1, 1, 4, 4), 0.3, np.float16), circuit.parameters.scheme)
    assert checked.dtype == np.float64
    assert checked.max() == 0.3


# ------------------------------------------------------------------------------------- arguments of the next type over


@pytest.mark.parametrize(
    "images", [None, np.int64(1), torch.zeros(1, 5, requires_grad=True), torch.zeros(1, 5, dtype=torch.bfloat16)]
)
def test_what_is_no_batch_is_refused_in_words(images):
    client = Client(CIRCUIT.interface, policy=INSECURE)
    for take in (client.encrypt, lambda x: simulate(CIRCUIT, x), lambda x: run_encrypted(CIRCUIT, x)):
        with pytest.raises(InputError, match="`images` must"):
            take(images)


def test_numbers_of_images_are_integers():
    assert compile_exact(NETWORK, images=np.int64(3), security="insecure").interface.images == 4
    for images in (2.0, True):
        with pytest.raises(TypeError, match="`images` must be an integer"):
            compile_exact(NETWORK, images=images, security="insecure")


def test_a_request_says_nothing_of_its_images():
    """It said their number, as an answer did: True was taken for one of them, and 4 for 3."""
    client, session = connect(CIRCUIT)
    fields, parts = open_message(Kind.REQUEST, client.encrypt(inputs(NETWORK, 1)))
    with pytest.raises(MessageError, match=r"the header must have the fields circuit, key, nonce, got .*'images'"):
        session.evaluate(seal_message(Kind.REQUEST, {**fields, "images": True}, parts))


def test_neither_an_empty_secret_key_nor_a_name_of_an_engine_is_taken_for_none(tmp_path):
    """A new key was made for `b""`."""
    with pytest.raises(TypeError, match="`secret_key` must be a SecretKey, got bytes"):
        Client(CIRCUIT.interface, b"", policy=INSECURE)
    prepare(CIRCUIT).save(tmp_path / "prepared.he")
    assert PreparedCircuit.load(tmp_path / "prepared.he", engine="rns").engine == "rns"


def test_evaluation_keys_are_taken_as_bytes_by_both_parties():
    client = Client(CIRCUIT.interface, policy=INSECURE)
    data = client.evaluation_keys.to_bytes()
    assert Client(CIRCUIT.interface, client.secret_key, data, policy=INSECURE).evaluation_keys.to_bytes() == data
    assert prepare(CIRCUIT).session(data).interface is CIRCUIT.interface
    with pytest.raises(TypeError, match="`path` must be a string or a Path, got bytes"):
        EvaluationKeys.load(data)


# --------------------------------------------------------------------------------------- found by a hostile reviewer


def test_the_terms_of_all_inputs_together_are_limited(monkeypatch):
    """Each input was limited by itself: half a megabyte of them became gigabytes."""
    fields, (table,) = CIRCUIT.interface.to_dict(), CIRCUIT.interface.tables
    (spec,) = fields["inputs"]
    taps = CIRCUIT.interface.inputs[0].layout.gather.size
    monkeypatch.setattr(packings, "MAX_TAPS", 2 * taps)
    twice = [{**spec, "name": name} for name in ("a", "b")]
    assert len(Interface.from_dict({**fields, "inputs": twice}, [table] * 2).inputs) == 2
    with pytest.raises(ValueError, match=f"at most {2 * taps} entries, got {3 * taps}"):
        Interface.from_dict({**fields, "inputs": [*twice, {**spec, "name": "c"}]}, [table] * 3)


@pytest.mark.parametrize("wrong", [[], None, "interface", 3])
def test_an_interface_that_is_no_object_is_malformed(wrong):
    with pytest.raises(ValueError, match="an interface must have the fields"):
        Interface.from_dict(wrong, CIRCUIT.interface.tables)
    content, arrays = store.to_stored(CIRCUIT)
    with pytest.raises(StoredError, match="the stored circuit is malformed"):
        store.from_stored({**content, "interface": wrong}, arrays)


def test_seals_engine_names_a_unit_whose_terms_cancel():
    """It ended in SEAL's words, "result ciphertext is transparent"; the other engine answers."""
    lut = LutActivation(Lut.from_callable(lambda x: x * x % 5, IntDomain(-6, 6)))
    first = Dense(np.ones((2, 3), int), np.zeros(2, int))
    middle = Dense(np.array([[1, -1], [1, 0]]), np.array([1, 0]))
    network = IntNetwork(
        (3,), IntDomain(0, 2), (first, lut, middle, lut, Dense(np.ones((1, 2), int), np.zeros(1, int)))
    )
    circuit = compile_exact(network, packing="throughput", security="insecure")
    client, session = connect(circuit)
    x = inputs(network, 2)
    request = client.encrypt(x)
    assert np.array_equal(client.decrypt(session.evaluate(request)), network.logits(x))
    with pytest.raises(ValueError, match=r"the terms of a hidden unit cancel: prepare .* engine=.rns."):
        prepare(circuit, "seal").session(client.evaluation_keys).evaluate(request)


@pytest.mark.parametrize("images", [torch.tensor(True), torch.tensor([2]), np.array([2]), np.array(True)])
def test_truths_and_arrays_are_no_number_of_images(images):
    with pytest.raises(TypeError, match="`images` must be an integer"):
        compile_exact(NETWORK, images=images, security="insecure")
    with pytest.raises(ValueError, match="`images` must be from 1, below"):
        compile_exact(NETWORK, images=2**70, security="insecure")
