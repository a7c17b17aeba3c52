"""`docs/formats.md`, held to the files of every format: a reader that knows nothing but that document, then our own."""

import hmac
import io
import json
import shutil
import struct
import zipfile

import numpy as np
import pytest

from he import Client, EvaluationKeys, PreparedCircuit, SecretKey, load_circuit, read_offer
from he.formats import hybrid
from he.formats.messages import Kind
from he.ring.gadget import Gadget
from intnn import IntNetwork
from tests.he.circuit.test_key_levels import CIRCUITS, several
from tests.vectors.document import (
    FOLDER,
    PASSWORD,
    circuit_digest,
    coefficients,
    decrypted,
    expanded,
    key_file,
    message,
    primes_of,
    sha256,
    stored,
    transformed,
    unpacked,
)
from tests.vectors.format_files import POLICY, images, network, write

INTERFACE, TABLES = message("interface", b"I")
DIGEST = circuit_digest(INTERFACE, TABLES)
PARAMETERS = INTERFACE["parameters"]
N, PRIMES = PARAMETERS["poly_modulus_degree"], primes_of(PARAMETERS)
DATA = PRIMES[:-1]


def mark(secret, data):
    key = sha256(b"mark of evaluation keys" + b"".join(struct.pack(f"<{N}Q", *row) for row in secret))
    return hmac.digest(key, DIGEST.encode() + sha256(data), "sha256").hex()


# --- what it reads


def test_the_parser_s_transforms_are_each_other_s_inverses():
    a = list(range(1, 65))
    assert coefficients(transformed(a, 257), 257) == [x % 257 for x in a]


def test_the_interface():
    assert (INTERFACE["packing"][0] * INTERFACE["packing"][1], PARAMETERS["scheme"]) == (N, "bfv")
    (spec,) = INTERFACE["inputs"]
    distinct, taps, units = spec["gather"]
    table = struct.unpack(f"<{distinct * taps + units}i", TABLES[0])
    assert (table[: distinct * taps], table[distinct * taps :]) == ((0, 1), (0,))


def test_the_offer():
    fields, parts = message("offer", b"O")
    assert parts[1] == (FOLDER / "interface").read_bytes()
    assert len(fields["units"]) == len(parts) == 2


def test_the_secret_key():
    fields, secret = key_file()
    assert fields["parameters"] == PARAMETERS
    polynomials = [
        [x if x < p // 2 else x - p for x in coefficients(row, p)] for row, p in zip(secret, PRIMES, strict=True)
    ]
    assert polynomials[0] == polynomials[-1]
    assert set(polynomials[0]) == {-1, 0, 1}


def test_the_evaluation_keys_are_encryptions_of_the_square():
    _, secret = key_file()
    fields, (keys,) = message("evaluation-keys", b"K")
    assert fields == {"circuit": DIGEST, "mark": mark(secret, keys)}
    for i in range(len(DATA)):
        rows, keys = unpacked(keys, PRIMES, N)
        uniform, keys = expanded(keys[:64], PRIMES, N), keys[64:]
        for j, p in enumerate(PRIMES):
            values = [(b + a * s) % p for b, a, s in zip(rows[j], uniform[j], secret[j], strict=True)]
            if i == j:
                values = [(v - PRIMES[-1] * s * s) % p for v, s in zip(values, secret[j], strict=True)]
            assert all(min(error, p - error) <= 42 for error in coefficients(values, p))
    assert not keys


@pytest.mark.parametrize("scheme", CIRCUITS)
def test_which_hybrid_keys_there_are(scheme):
    interface = several(CIRCUITS[scheme]).interface
    specials, levels = interface.to_dict()["key_levels"]
    due = []
    for element, used in zip(interface.key_elements, levels, strict=True):
        for number in dict.fromkeys(specials[level - 1] for level in used):
            due.append((element, max(level for level in used if specials[level - 1] == number), number))
    assert [(element, gadget.level, gadget.specials) for element, gadget in interface.keys] == due


def test_the_hybrid_key():
    """Level 1, two special primes, the Galois element 3."""
    _, secret = key_file()
    data, own = (FOLDER / "hybrid-key").read_bytes(), [0, 1, 2]
    rows, seed = unpacked(data, [PRIMES[i] for i in own], N)
    uniform = expanded(seed, PRIMES, N)
    for j in own:
        p = PRIMES[j]
        values = [
            (transformed_b + a * s) % p
            for transformed_b, a, s in zip(transformed(rows[j], p), transformed(uniform[j], p), secret[j], strict=True)
        ]
        if j == 0:
            polynomial, image = coefficients(secret[j], p), [0] * N
            for k, x in enumerate(polynomial):
                image[3 * k % N] = x if 3 * k % (2 * N) < N else -x
            source = transformed(image, p)
            values = [(v - PRIMES[1] * PRIMES[2] * s) % p for v, s in zip(values, source, strict=True)]
        assert all(min(error, p - error) <= 42 for error in coefficients(values, p))


def lanes_of(slots, order):
    """The lanes of both rows as they were packed: lane i of what was encrypted is lane order[i] of it."""
    lanes = np.empty_like(slots)
    np.put_along_axis(lanes, order, slots, axis=1)
    rows, _, _, split, guards = INTERFACE["packing"]
    assert (rows, split) == (2, True)
    if guards:
        assert np.array_equal(lanes[:, :guards], lanes[:, -guards:])
    return lanes[:, : lanes.shape[1] - guards].ravel()


def test_request_answer_and_state_decrypt_to_images_and_logits():
    _, secret = key_file()
    state, (question,) = message("state", b"N")
    (keys_fields, _), keys = message("evaluation-keys", b"K"), (FOLDER / "evaluation-keys").read_bytes()
    request, inputs = message("request", b"Q")
    answer, outputs = message("answer", b"A")
    sent = (FOLDER / "request").read_bytes()
    assert state["circuit"] == request["circuit"] == answer["circuit"] == keys_fields["circuit"] == DIGEST
    assert state["key"] == request["key"] == answer["key"] == keys[-32:].hex()
    assert question[:32] == sent[-32:] == bytes.fromhex(answer["request"])
    own = {name: value for name, value in state.items() if name not in ("circuit", "mark")}
    marked = json.dumps([own, [sha256(question).hex()]], sort_keys=True).encode()
    assert state["mark"] == mark(secret, b"state of a client" + marked)
    assert question[32:36] == len(images()).to_bytes(4, "little")
    order = np.frombuffer(question, "<u2", offset=36).reshape(2, -1).astype(int)
    for feature, part in enumerate(inputs):  # one tap, one unit and one ciphertext for every feature
        first, seed = unpacked(part, DATA, N)
        slots = decrypted(first, expanded(seed, DATA, N), secret, DATA, PARAMETERS["plain_modulus"])
        assert np.array_equal(lanes_of(slots, order)[:49], images()[:, feature])
    level = DATA[: INTERFACE["output_level"]]
    for logit, part in enumerate(outputs):
        first, rest = unpacked(part, level, N)
        second, rest = unpacked(rest, level, N)
        assert not rest
        slots = decrypted(first, second, secret, level, PARAMETERS["plain_modulus"])
        assert np.array_equal(lanes_of(slots, order)[:49], network().logits(images())[:, logit])


@pytest.mark.parametrize(("name", "kind"), [("circuit", "circuit"), ("prepared", "prepared circuit")])
def test_stored_circuits(name, kind):
    found, content, arrays = stored(name)
    assert found == kind
    assert circuit_digest(content["interface"], [arrays["gather.0"].astype("<i4").tobytes()]) == DIGEST
    assert bytes.fromhex(content["salt"]) == bytes(range(32))
    names = [operation[0] for operation in content["program"]["operations"]]
    assert "Matrix" in names
    for i, operation in enumerate(names):
        assert (operation == "Matrix") == (f"weights.{i}" in arrays)
    encoded = {name for name in arrays if name.startswith("encoded.")}
    assert ("encoded.layout" in encoded) == (kind == "prepared circuit") == (content.get("engine") == "rns")


def test_networks():
    header = json.loads((FOLDER / "network.json").read_bytes())
    data, digest = header.pop("data"), header.pop("sha256")
    arrays = {
        name: np.array(data[name], entry["dtype"]).reshape(entry["shape"]) for name, entry in header["arrays"].items()
    }
    compact = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    assert (header["format"], header["version"], header["kind"]) == ("intnn", 1, "IntNetwork")
    raw = b"".join(arrays[name].astype(arrays[name].dtype.newbyteorder("<")).tobytes() for name in sorted(arrays))
    assert sha256(compact + raw).hex() == digest
    with zipfile.ZipFile(FOLDER / "network.npz") as archive:
        again = json.loads(np.load(io.BytesIO(archive.read("header.npy"))).tobytes())
        assert again == {**header, "sha256": digest}
        for name, array in arrays.items():
            assert np.array_equal(np.load(io.BytesIO(archive.read(f"{name}.npy"))), array)


# --- ours


def test_this_version_reads_every_file(tmp_path):
    shutil.copy(FOLDER / "secret.key", tmp_path / "key")
    (tmp_path / "key").chmod(0o600)
    key = SecretKey.load(tmp_path / "key", PASSWORD)
    files = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
    keys = EvaluationKeys.from_bytes(files["evaluation-keys"])
    client = Client(files["interface"], key, keys, policy=POLICY, state=files["state"])
    expected = network().logits(images())
    assert np.array_equal(client.decrypt(files["answer"], files["request"]), expected)
    for name in ("network.json", "network.npz"):
        assert IntNetwork.load(FOLDER / name).fingerprint == network().fingerprint
    circuit = load_circuit(FOLDER / "circuit")
    assert circuit.opens(network())
    assert read_offer(files["offer"]).interfaces[1].digest == circuit.interface.digest == DIGEST
    prepared = PreparedCircuit.load(FOLDER / "prepared", circuit)
    again = Client(files["interface"], key, policy=POLICY, state=files["state"])
    answer = prepared.session(keys, 1).evaluate(files["request"])
    assert np.array_equal(again.decrypt(answer), expected)
    read = hybrid.read(files["hybrid-key"], Gadget.of(key.parameters, 1, 2), key.parameters.scheme)
    assert read.shape == (1, 2, 3, N)


def test_there_is_a_file_of_every_format_that_is_written_today(tmp_path):
    write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in FOLDER.iterdir()}
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    for name in ("interface", "offer", "evaluation-keys", "request", "answer", "state", "hybrid-key", "secret.key"):
        assert sizes[name] == (FOLDER / name).stat().st_size, name


def test_the_document_names_every_kind_of_message():
    text = (FOLDER.parents[2] / "docs/formats.md").read_text("utf-8")
    for kind in Kind:
        assert f"| `{kind.value.decode()}` |" in text, kind
