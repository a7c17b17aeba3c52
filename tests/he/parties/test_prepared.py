"""Circuits are prepared once: many clients share them, and they are stored and loaded without a change of any bit."""

import copy
import hashlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from he import (
    Client,
    MessageError,
    Policy,
    PreparedCircuit,
    StoredError,
    connect,
    interface_bytes,
    load_circuit,
    prepare,
    save_circuit,
    simulate,
)
from he.circuit import store
from he.engines.rns import weights
from he.engines.rns.engine import RnsEngine
from he.formats import messages, stored
from he.formats.digest import hasher
from he.parties.prepared import KIND
from he.testing import compiled, inputs, polynomial_graphs, square_graph, table_network, table_networks
from tests.older_processors import output_on, with_older_processors

ROOT = Path(__file__).parents[3]


def circuit_of(kind):
    network = table_network() if kind.startswith("bfv") else square_graph()
    packing = kind.split("-")[1]
    return network, compiled(network, images=4, packing=packing, security="insecure", salt=bytes(32))


KINDS = ["bfv-latency", "bfv-throughput", "ckks-latency", "ckks-throughput"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_circuit_answers_with_the_same_bits(kind, tmp_path):
    network, circuit = circuit_of(kind)
    prepared = prepare(circuit)
    prepared.save(tmp_path / "prepared.he")
    loaded = PreparedCircuit.load(tmp_path / "prepared.he", circuit)
    assert loaded.circuit.explain() == circuit.explain()
    client = Client(interface_bytes(loaded.circuit.interface), policy=Policy(security="insecure"))
    request = client.encrypt(inputs(network, 3))
    answers = {p.session(client.evaluation_keys).evaluate(request) for p in (prepared, loaded)}
    assert len(answers) == 1
    assert np.abs(client.decrypt(answers.pop()) - network.logits(inputs(network, 3))).max() <= circuit.output_bound * (
        not circuit.parameters.scheme.exact
    )


any_network = st.one_of(
    st.integers(0, 2).flatmap(lambda tables: table_networks(tables, max_points=17)), polynomial_graphs()
)


@settings(max_examples=10)
@given(any_network, st.sampled_from(["latency", "throughput"]))
def test_a_stored_circuit_is_the_circuit(tmp_path_factory, network, packing):
    circuit, path = compiled(network, packing=packing, security="insecure"), tmp_path_factory.mktemp("c") / "circuit.he"
    save_circuit(circuit, path)
    loaded = load_circuit(path)
    assert store.digest(loaded) == store.digest(circuit)
    assert loaded.interface.to_dict() == circuit.interface.to_dict()
    x = inputs(network, 1)
    assert np.array_equal(simulate(loaded, x), simulate(circuit, x))


def test_clients_share_what_was_prepared():
    network, circuit = circuit_of("bfv-latency")
    prepared = prepare(circuit)
    pairs = [connect(prepared) for _ in range(3)]
    encoded = {id(session.evaluator._prepared.weights) for _, session in pairs}
    assert len(encoded) == 1
    for client, session in pairs:
        x = inputs(network, 2)
        assert np.array_equal(client.decrypt(session.evaluate(client.encrypt(x))), network.logits(x))
    (first, _), (_, second) = pairs[:2]
    with pytest.raises(MessageError, match="made for another key"):
        second.evaluate(first.encrypt(inputs(network, 1)))


def test_a_request_is_checked_by_the_threads_of_its_session(monkeypatch):
    network, circuit = circuit_of("ckks-latency")
    client, session = connect(circuit, threads=3)
    request, asked = client.encrypt(inputs(network, 1)), []
    monkeypatch.setattr(messages, "hasher", lambda *given: asked.append(given) or hasher(*given))
    session.evaluate(request)
    assert asked == [(len(request), 3), ()]  # and the answer is sealed by one


def test_a_circuit_of_the_reference_engine_is_stored_as_well(tmp_path):
    network, circuit = circuit_of("ckks-latency")
    prepare(circuit, "seal").save(tmp_path / "prepared.he")
    loaded = PreparedCircuit.load(tmp_path / "prepared.he")
    assert loaded.engine == "seal"
    client, session = connect(loaded)
    assert session.evaluator.name == "seal"
    error = client.decrypt(session.evaluate(client.encrypt(inputs(network, 2)))) - network.logits(inputs(network, 2))
    assert np.abs(error).max() <= circuit.output_bound


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A prepared circuit as bytes."""
    path = tmp_path_factory.mktemp("prepared") / "prepared.he"
    prepare(circuit_of("bfv-latency")[1]).save(path)
    return path.read_bytes()


def sealed(data: bytes) -> bytes:
    """With the digest that belongs to it."""
    return data[:-32] + blake3(data[:-32]).digest()


def operation(header, position):
    """One operation of a header's program."""
    return header["content"]["program"]["operations"][position]


def changed_header(data: bytes, change) -> bytes:
    """With another header."""
    length = int.from_bytes(data[12:20], "little")
    header = json.loads(data[20 : 20 + length])
    change(header)
    text = json.dumps(header, separators=(",", ":")).encode()
    length_now = -(-(20 + len(text)) // 64) * 64 - 20
    return sealed(data[:12] + length_now.to_bytes(8, "little") + text.ljust(length_now) + data[20 + length :])


@settings(max_examples=60)
@given(st.data())
def test_damage_is_found(file, tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged") / "prepared.he"
    if data.draw(st.booleans()):
        path.write_bytes(file[: data.draw(st.integers(0, len(file) - 1))])
    else:
        at = data.draw(st.integers(0, len(file) - 1))
        path.write_bytes(file[:at] + bytes([file[at] ^ data.draw(st.integers(1, 255))]) + file[at + 1 :])
    with pytest.raises(StoredError, match=r"damaged|too short|no circuit that|version"):
        PreparedCircuit.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h.update(kind="circuit"), "holds a circuit, not a prepared circuit"),
        (
            lambda h: h["content"].update(engine="gpu"),
            "an engine among rns, cuda, seal, got 'gpu'; prepare it",
        ),
        (lambda h: h["content"].pop("program"), "malformed"),
        (lambda h: h["content"]["program"].update(outputs=[]), "`outputs` must be some of"),
        (lambda h: h["content"]["program"]["operations"].__setitem__(0, ["Erase", [0]]), "got 'Erase'"),
        (lambda h: h["content"]["program"]["operations"].__setitem__(1, ["Add", [7]]), "must read earlier values only"),
        (lambda h: operation(h, 0).__setitem__(1, 0.5), "as many operands as it takes"),
        (lambda h: operation(h, 1).__setitem__(1, []), "as many operands as it takes"),
        (lambda h: operation(h, 1).__setitem__(1, [0, 0]), "as many operands as it takes"),
        (lambda h: operation(h, 1).__setitem__(1, [0.0]), "as many operands as it takes"),
        (lambda h: operation(h, 1)[2][0].__setitem__(1, [1]), "as many operands as it takes"),
        (lambda h: h["content"]["program"].update(outputs=[1.0]), "`outputs` must be some of"),
        (lambda h: h["content"]["program"].update(slots=0), "malformed|must be finite and"),
        (lambda h: h["content"]["interface"].update(rotation_steps=[1]), "its keys are"),
        (lambda h: h["content"]["interface"].update(rotation_steps=""), "malformed field"),
        (lambda h: h["content"]["interface"].update(multiplies=False), "its keys are"),
        (lambda h: h["content"]["interface"].update(output=[4, 9]), "its outputs are 1, got 3"),
        (lambda h: h["content"].update(output_bound=float("nan")), "malformed.*numbers must be finite, got NaN"),
        (
            lambda h: h["content"]["program"].update(more=float("inf")),
            "malformed.*must be finite, got Infinity",
        ),
        (lambda h: h["content"].update(output_bound=10**400), "malformed"),
        (lambda h: h["arrays"][0].__setitem__(2, [1 << 40, 0]), "must be finite and"),
        (lambda h: h["arrays"][0].__setitem__(0, 7), "must have a name"),
        (lambda h: h["arrays"].pop(), "prepare it anew"),
        (lambda h: h["arrays"][1].__setitem__(2, [1 << 40]), "must lie within the file"),
        (lambda h: h["arrays"][1].__setitem__(2, [-1]), "must have a name, a type, a shape and a place"),
        (lambda h: h["arrays"][1].__setitem__(1, "object"), "must have a name, a type, a shape and a place"),
        (lambda h: h.pop("arrays"), "malformed"),
    ],
)
def test_files_that_describe_nothing_are_refused(file, tmp_path, change, message):
    (tmp_path / "prepared.he").write_bytes(changed_header(file, change))
    with pytest.raises(StoredError, match=message):
        PreparedCircuit.load(tmp_path / "prepared.he")


@pytest.mark.parametrize(("version", "remedy"), [(1, "store it again"), (7, "use a newer toolkit, or store it again")])
def test_another_version_is_refused_by_its_number(file, tmp_path, version, remedy):
    (tmp_path / "prepared.he").write_bytes(sealed(file[:8] + version.to_bytes(4, "little") + file[12:]))
    said = f"has version {version} of the format, this toolkit reads {stored.VERSION}: {remedy}"
    with pytest.raises(StoredError, match=said):
        PreparedCircuit.load(tmp_path / "prepared.he")


def test_a_header_that_leaves_the_file_is_refused(file, tmp_path):
    (tmp_path / "prepared.he").write_bytes(sealed(file[:12] + len(file).to_bytes(8, "little") + file[20:]))
    with pytest.raises(StoredError, match=r"the header of .* is longer than the file"):
        PreparedCircuit.load(tmp_path / "prepared.he")


def test_content_that_is_no_object_is_refused(file, tmp_path):
    (tmp_path / "prepared.he").write_bytes(changed_header(file, lambda header: header.update(content=[1])))
    with pytest.raises(StoredError, match="its content is no object"):
        PreparedCircuit.load(tmp_path / "prepared.he")


def test_a_file_that_shrinks_while_it_is_read_is_refused(file, tmp_path, monkeypatch):
    (tmp_path / "prepared.he").write_bytes(file)

    class Longer:
        st_size = len(file) + 1

    monkeypatch.setattr(stored.os, "fstat", lambda _: Longer)
    with pytest.raises(StoredError, match="became shorter while it was read; read it again"):
        PreparedCircuit.load(tmp_path / "prepared.he")


def test_another_circuit_is_refused(file, tmp_path):
    (tmp_path / "prepared.he").write_bytes(file)
    with pytest.raises(StoredError, match="holds another circuit than the one given"):
        PreparedCircuit.load(tmp_path / "prepared.he", circuit_of("ckks-latency")[1])


def test_words_that_are_laid_out_in_another_way_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "_LAYOUT", weights._LAYOUT + 1)
    prepare(circuit_of("bfv-latency")[1]).save(tmp_path / "prepared.he")
    monkeypatch.undo()
    with pytest.raises(StoredError, match=r"`layout` must be \[52, 64\], got \[53, 65\]; prepare the circuit anew"):
        PreparedCircuit.load(tmp_path / "prepared.he")


EVALUATED = """
import sys
from hashlib import sha256
from pathlib import Path

from he import PreparedCircuit, prepare

folder = Path(sys.argv[1])
loaded = PreparedCircuit.load(folder / "prepared.he")
prepare(loaded.circuit).save(folder / "again.he")
keys, request = ((folder / name).read_bytes() for name in ("keys", "request"))
for data in ((folder / "again.he").read_bytes(), loaded.session(keys).evaluate(request)):
    print(sha256(data).hexdigest())
"""


@pytest.mark.slow  # a minute of compilation each
@with_older_processors
def test_a_prepared_circuit_is_the_same_on_any_processor(isa, features, tmp_path):
    circuit = circuit_of("ckks-latency")[1]
    prepared, client = prepare(circuit), Client(circuit.interface, policy=Policy(security="insecure"))
    request, keys = client.encrypt(inputs(square_graph(), 3)), client.evaluation_keys
    prepared.save(tmp_path / "prepared.he")
    (tmp_path / "request").write_bytes(request)
    keys.save(tmp_path / "keys")
    program = EVALUATED.replace("sys.argv[1]", repr(str(tmp_path)))
    said = output_on(isa, features, program, tmp_path / "kernels").split()
    here = (tmp_path / "prepared.he").read_bytes(), prepared.session(keys).evaluate(request)
    assert said == [hashlib.sha256(data).hexdigest() for data in here]


def test_another_kind_of_processor_is_refused(monkeypatch, file, tmp_path):
    (tmp_path / "prepared.he").write_bytes(file)
    monkeypatch.setattr(stored.sys, "byteorder", "big")
    with pytest.raises(
        StoredError, match="must be little-endian to use stored circuits, got big-endian; compile it here"
    ):
        PreparedCircuit.load(tmp_path / "prepared.he")


def test_a_file_is_written_whole_or_not_at_all(monkeypatch, tmp_path):
    path = tmp_path / "prepared.he"
    path.write_bytes(b"before")

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("intnn.storage.document.os.fsync", full)
    with pytest.raises(OSError, match="no space left"):
        prepare(circuit_of("bfv-latency")[1]).save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["prepared.he"]
    assert path.read_bytes() == b"before"


def test_an_unknown_engine_is_refused():
    with pytest.raises(ValueError, match="`engine` must be one of 'rns', 'cuda', 'seal', got 'gpu'"):
        prepare(circuit_of("bfv-latency")[1], "gpu")


def test_encoded_weights_do_not_depend_on_the_processor(file, tmp_path):
    """What another instruction set prepares is the same file, byte for byte."""
    script = (
        "import sys; from he import prepare; from tests.he.parties.test_prepared import circuit_of; "
        "prepare(circuit_of('bfv-latency')[1]).save(sys.argv[1])"
    )
    older = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma"}
    path = tmp_path / "prepared.he"
    subprocess.run([sys.executable, "-c", script, str(path)], cwd=ROOT, env={**os.environ, **older}, check=True)
    assert path.read_bytes() == file


def test_nothing_is_compiled_or_encoded_when_a_file_is_loaded(file, tmp_path):
    (tmp_path / "prepared.he").write_bytes(file)
    script = """
import sys
from unittest.mock import patch
from he import PreparedCircuit
from he.compiler import compile
from he.engines.rns.weights import Weights

with patch.object(Weights, "encoded", None), patch.object(compile, "search", None):
    PreparedCircuit.load(sys.argv[1])
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "prepared.he")], cwd=ROOT, check=True)


def test_a_file_is_looked_at_before_it_is_read(tmp_path):
    """A file of four terabytes, of which nothing is on the disk."""
    announced = stored.MAGIC + bytes(2) + stored.VERSION.to_bytes(4, "little")
    for name, start in (("foreign", b"zeros"), ("announced", announced)):
        with (tmp_path / name).open("wb") as large:
            large.write(start)
            large.truncate(1 << 42)
        with pytest.raises(StoredError, match=r"no circuit that|must have at most"):
            load_circuit(tmp_path / name)


def test_where_a_file_cannot_go_is_said(tmp_path):
    circuit = circuit_of("bfv-latency")[1]
    with pytest.raises(FileNotFoundError, match=r"missing must be a folder that exists, to write circuit\.he"):
        save_circuit(circuit, tmp_path / "missing" / "circuit.he")
    with pytest.raises(IsADirectoryError, match="must be a file, and it is a folder"):
        save_circuit(circuit, tmp_path)


def test_prepared_circuits_and_sessions_say_how_they_are_kept():
    prepared = prepare(circuit_of("bfv-latency")[1])
    _, session = connect(prepared)
    for thing, remedy in ((prepared, "store it with `save`"), (session, r"bind the keys again")):
        for keep in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match=remedy):
                keep(thing)


class Mine(RnsEngine):
    """An engine of one's own."""

    name = "mine"


def test_an_engine_of_ones_own_is_stored_under_its_name(tmp_path):
    prepared = prepare(circuit_of("bfv-latency")[1], Mine())
    assert prepared.engine == connect(prepared)[1].evaluator.name == "mine"
    prepared.save(tmp_path / "prepared.he")
    with pytest.raises(StoredError, match="an engine among rns, cuda, seal, got 'mine'"):
        PreparedCircuit.load(tmp_path / "prepared.he")
    assert PreparedCircuit.load(tmp_path / "prepared.he", engine=Mine()).engine == "mine"


def test_evaluation_keys_come_as_any_bytes():
    circuit = circuit_of("bfv-latency")[1]
    client, prepared = Client(circuit.interface, policy=Policy(security="insecure")), prepare(circuit)
    for kind in (bytes, bytearray, memoryview):
        assert prepared.session(kind(client.evaluation_keys.to_bytes()))
    with pytest.raises(TypeError, match="must be bytes, got Client"):
        prepared.session(client)


def test_the_kind_says_what_it_is():
    assert (KIND, store.KIND) == ("prepared circuit", "circuit")
