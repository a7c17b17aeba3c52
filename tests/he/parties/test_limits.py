"""Whoever writes something checks what its reader will check, by the same numbers."""

import os
import tracemalloc

import numpy as np
import pytest

from he import (
    EvaluationKeys,
    KeyFileError,
    MessageError,
    PreparedCircuit,
    StoredError,
    compile_exact,
    connect,
    interface_bytes,
    load_circuit,
    prepare,
    save_circuit,
)
from he.formats import keys as key_files
from he.formats import messages, stored
from he.formats.keys import Cost, Protected, protect, reveal
from he.formats.messages import Kind, open_message, seal_message
from he.parties import evaluation_keys
from he.testing import inputs, table_network
from tests.he.parties.exchange import images_for

CHEAP = Cost(14)


def header_length(message):
    return int.from_bytes(message[7:11], "big")


def test_an_interface_at_the_limit_is_written_and_read_and_above_it_neither(exact, monkeypatch):
    interface = exact.circuit.interface
    message = interface_bytes(interface)
    monkeypatch.setattr(messages, "MAX_HEADER_BYTES", header_length(message))
    assert open_message(Kind.INTERFACE, interface_bytes(interface))[0]["inputs"] == interface.to_dict()["inputs"]
    monkeypatch.setattr(messages, "MAX_HEADER_BYTES", header_length(message) - 1)
    said = (
        rf"with interface must have at most {header_length(message) - 1} bytes, got {header_length(message)}; it names"
    )
    for call in (lambda: interface_bytes(interface), lambda: open_message(Kind.INTERFACE, message)):
        with pytest.raises(MessageError, match=said):
            call()


def test_parts_are_limited_as_well(monkeypatch):
    message = seal_message(Kind.REQUEST, {}, [b"x"] * 1000)
    assert open_message(Kind.REQUEST, message)[1] == [b"x"] * 1000
    assert header_length(message) < 30  # parts of one length are counted
    monkeypatch.setattr(messages, "MAX_PARTS", 999)
    with pytest.raises(MessageError, match="with request must have at most 999 parts"):
        seal_message(Kind.REQUEST, {}, [b"x"] * 1000)
    with pytest.raises(MessageError, match="must hold the parts that its header lists"):
        open_message(Kind.REQUEST, message)


def test_headers_have_64_kilobytes_at_most(exact):
    """They had 32 megabytes of JSON, which Python makes gigabytes of."""
    assert messages.MAX_HEADER_BYTES == 1 << 16
    for kind in Kind:
        with pytest.raises(MessageError, match="must have at most 65536 bytes, got 65"):
            seal_message(kind, {"x": "y" * (1 << 16)})


@pytest.mark.parametrize("limit", ["MAX_FILE_BYTES", "MAX_HEADER_BYTES"])
def test_a_circuit_at_the_limit_is_stored_and_above_it_not(exact, tmp_path, monkeypatch, limit):
    path, prepared = tmp_path / "circuit.he", prepare(exact.circuit)
    for save, load in ((prepared.save, PreparedCircuit.load), (lambda p: save_circuit(exact.circuit, p), load_circuit)):
        save(path)
        data = path.read_bytes()
        size = len(data) if limit == "MAX_FILE_BYTES" else int.from_bytes(data[12:20], "little")
        with monkeypatch.context() as patch:
            patch.setattr(stored, limit, size)
            save(path)
            load(path)
            patch.setattr(stored, limit, size - 1)
            for call in (save, load):
                with pytest.raises(
                    StoredError, match=rf"circuit\.he must have at most {size - 1} bytes, got {size}; compile"
                ):
                    call(path)
        assert path.read_bytes() == data


def test_only_types_that_are_read_are_written(tmp_path):
    path = tmp_path / "file"
    for dtype in (np.float32, np.complex128, bool, object, "<U3", "<M8[s]"):
        with pytest.raises(StoredError, match="array `a` must be of a type among uint8, int32, "):
            stored.write(path, "kind", {}, {"a": np.zeros(3, dtype)})
    assert not path.exists()


def test_arrays_of_any_order_of_bytes_and_elements_come_back(tmp_path):
    table = np.arange(6).reshape(2, 3)
    arrays = {"big": table.astype(">i8"), "fortran": np.asfortranarray(table), "every other": np.arange(12)[::2]}
    arrays |= {"nothing": table[:0], "number": np.array(7)}
    stored.write(tmp_path / "file", "kind", {}, arrays)
    _, read = stored.read(tmp_path / "file", "kind")
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype.newbyteorder("=")
        assert np.array_equal(read[name], array), name
        assert read[name].shape == array.shape
        with pytest.raises(ValueError, match="WRITEABLE"):
            read[name].setflags(write=True)


def test_evaluation_keys_at_the_limit_are_saved_and_above_it_not(tmp_path, monkeypatch):
    evaluation, path = EvaluationKeys.sealed("circuit", b"relinearisation and rotation"), tmp_path / "keys"
    size = len(evaluation.to_bytes())
    monkeypatch.setattr(evaluation_keys, "_MOST_KEY_BYTES", size)
    evaluation.save(path)
    assert EvaluationKeys.load(path) == evaluation
    monkeypatch.setattr(evaluation_keys, "_MOST_KEY_BYTES", size - 1)
    for call in (evaluation.save, EvaluationKeys.load):
        with pytest.raises(MessageError, match=f"must have at most {size - 1} bytes, got {size}"):
            call(path)


@pytest.mark.skipif(os.name != "posix", reason="a file without an end")
def test_no_more_is_read_than_was_looked_at():
    with pytest.raises(MessageError, match="no message of this toolkit"):
        EvaluationKeys.load("/dev/zero")


def test_a_header_of_a_key_file_is_limited_for_both(monkeypatch):
    content = Protected({"name": "x"}, b"secret")
    data = protect(content, "password", CHEAP)
    length = int.from_bytes(data[6:10], "big")
    monkeypatch.setattr(key_files, "_HEADER_LIMIT", length)
    assert reveal(protect(content, "password", CHEAP), "password") == content
    monkeypatch.setattr(key_files, "_HEADER_LIMIT", length - 1)
    for call in (lambda: protect(content, "password", CHEAP), lambda: reveal(data, "password")):
        with pytest.raises(KeyFileError, match=f"must have at most {length - 1} bytes, got {length}"):
            call()


def test_sessions_and_clients_know_how_long_a_message_can_be(party):
    """Whatever is longer is refused before its digest is computed, and so before any of it is used."""
    request = party.client.encrypt(images_for(party))
    answer = party.session.evaluate(request)
    keys = party.client.evaluation_keys.to_bytes()
    prepared = prepare(party.circuit)
    for message, receive in (
        (request, party.session.evaluate),
        (answer, party.client.decrypt),
        (keys, prepared.session),
    ):
        longer = message + bytes(messages.MAX_HEADER_BYTES)  # whose digest is wrong
        with pytest.raises(
            MessageError, match=rf"must have at most .* bytes, got {len(longer)}; it is for another circuit"
        ):
            receive(longer)


def test_a_session_makes_no_copy_of_a_request():
    circuit = compile_exact(table_network(), packing="throughput", security="insecure")
    client, session = connect(circuit)
    request = client.encrypt(inputs(table_network(), 1))
    views = []

    class Evaluator:
        name, threads = "none", 1

        def evaluate(self, parts):
            views.extend(parts)
            return [b"answer"]

    session._evaluator = Evaluator()
    tracemalloc.start()
    session.evaluate(request)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < len(request) // 4
    assert all(view.obj is request for view in views)
