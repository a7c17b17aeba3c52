"""`docs/formats.md`, held to the files of every format: a reader that knows nothing but that document, then our own."""

import hashlib
import hmac
import io
import json
import shutil
import struct
import unicodedata
import zipfile
from itertools import count
from math import isqrt, prod

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from he import Client, EvaluationKeys, PreparedCircuit, SecretKey, load_circuit, read_offer
from he.formats import hybrid
from he.formats.messages import MessageError, seal_message
from he.ring.gadget import Gadget
from intnn import IntNetwork
from tests.vectors.formats import FOLDER, PASSWORD, POLICY, images, network, write

# --- the document's reader: nothing of ours


def sha256(data):
    return hashlib.sha256(data).digest()


def message(name, letter):
    """Header without `parts`, and parts."""
    data = (FOLDER / name).read_bytes()
    assert data[-32:] == sha256(data[:-32])
    magic, kind, length = struct.unpack_from(">6s1sI", data)
    assert (magic, kind) == (b"HEINF2", letter)
    header, at, parts = json.loads(data[11 : 11 + length]), 11 + length, []
    for number, size in header.pop("parts"):
        for _ in range(number):
            parts.append(data[at : at + size])
            at += size
    assert at == len(data) - 32
    return header, parts


def is_prime(n):
    return all(pow(a, n - 1, n) == 1 for a in (2, 3, 5, 7, 11, 13))


def primes_of(parameters):
    """By lengths: the k largest that are 1 modulo 2N, the smallest first."""
    sizes, N, found = parameters["coeff_modulus_bits"], parameters["poly_modulus_degree"], {}
    for bits in set(sizes):
        below = range((1 << bits) // (2 * N) * (2 * N) + 1, 0, -2 * N)
        candidates = (p for p in below if p.bit_length() == bits and is_prime(p))
        found[bits] = [next(candidates) for _ in range(sizes.count(bits))]
    return [found[bits].pop() for bits in sizes]


def unpacked(data, primes, N):
    """Polynomials modulo all primes, and what is left of the bytes."""
    rows = []
    for p in primes:
        width = p.bit_length() if p.bit_length() <= 56 else 64
        number, size = int.from_bytes(data[: N * width // 8], "little"), N * width // 8
        rows.append([number >> (width * j) & ((1 << width) - 1) for j in range(N)])
        assert max(rows[-1]) < p
        data = data[size:]
    return rows, data


INITIAL = [isqrt(p << 128) % 2**64 for p in (2, 3, 5, 7, 11, 13, 17, 19)]
ORDERS = (
    "0123456789abcdef",
    "ea489fd61c02b753",
    "b8c052fdae367194",
    "7931dcbe265a40f8",
    "905724afe1bc683d",
    "2c6a0b834d75fe19",
    "c51fed4a0763928b",
    "db7ec13950f4862a",
    "6fe9b308c2d714a5",
    "a2847615fb9e3cd0",
)


def blake2b(parameters, block, length):
    """RFC 7693 for one block, with the words of a parameter block that `hashlib` does not take (depth 0)."""
    mask, state = (1 << 64) - 1, [word ^ parameter for word, parameter in zip(INITIAL, parameters, strict=True)]
    m, v = struct.unpack("<16Q", block.ljust(128, b"\0")), [*state, *INITIAL]
    v[12] ^= length
    v[14] ^= mask

    def mix(a, b, c, d, x, y):
        for word, first, second in ((x, 32, 24), (y, 16, 63)):
            v[a] = (v[a] + v[b] + word) & mask
            v[d] ^= v[a]
            v[d] = (v[d] >> first | v[d] << (64 - first)) & mask
            v[c] = (v[c] + v[d]) & mask
            v[b] ^= v[c]
            v[b] = (v[b] >> second | v[b] << (64 - second)) & mask

    for order in (*ORDERS, *ORDERS[:2]):
        o = [m[int(digit, 16)] for digit in order]
        for n in range(4):
            mix(n, 4 + n, 8 + n, 12 + n, o[2 * n], o[2 * n + 1])
        for n in range(4):
            mix(n, 4 + (n + 1) % 4, 8 + (n + 2) % 4, 12 + (n + 3) % 4, o[8 + 2 * n], o[9 + 2 * n])
    return [state[i] ^ v[i] ^ v[8 + i] for i in range(8)]


def drawn(seed):
    """The words that a seed gives, without an end."""
    for counter in count():
        root = hashlib.blake2b(counter.to_bytes(8, "little"), key=seed, node_offset=4096 << 32).digest()
        for node in range(64):
            yield from blake2b([64 | 64 << 32, node | 4096 << 32, 64 << 8, 0, 0, 0, 0, 0], root, 64)


def expanded(seed, primes, N):
    """The polynomial that a seed names."""
    words = drawn(seed)
    rows = [[next(words) for _ in range(N)] for _ in primes]
    for row, p in zip(rows, primes, strict=True):
        for j in range(N):
            while row[j] >= 2**64 - 2 - (2**64 - 1) % p:
                row[j] = next(words)
            row[j] %= p
    return rows


def root_of_unity(N, p):
    """The least primitive 2N-th one."""
    psi = next(r for r in (pow(g, (p - 1) // (2 * N), p) for g in range(2, p)) if pow(r, N, p) == p - 1)
    return min(pow(psi, odd, p) for odd in range(1, 2 * N, 2))


def reversal(N):
    bits = N.bit_length() - 1
    return [int(f"{i:0{bits}b}"[::-1], 2) for i in range(N)]


def transform(x, root, p):
    """The values of a polynomial at all powers of a root of unity, in order."""
    if len(x) == 1:
        return x
    half, power = len(x) // 2, 1
    even, odd = (transform(x[start::2], root * root % p, p) for start in (0, 1))
    out = [0] * len(x)
    for k in range(half):
        out[k], out[k + half] = (even[k] + power * odd[k]) % p, (even[k] - power * odd[k]) % p
        power = power * root % p
    return out


def twisted(x, root, p):
    return [a * pow(root, j, p) % p for j, a in enumerate(x)]


def evaluated(a, p):
    """The values of a polynomial at psi, psi^3, psi^5, ..."""
    psi = root_of_unity(len(a), p)
    return transform(twisted(a, psi, p), psi * psi % p, p)


def transformed(a, p):
    values = evaluated(a, p)
    return [values[r] for r in reversal(len(a))]


def coefficients(values, p):
    """What `transformed` is the inverse of."""
    N, psi = len(values), pow(root_of_unity(len(values), p), -1, p)
    sums = transform([values[r] for r in reversal(N)], psi * psi % p, p)
    return [a * pow(N, -1, p) % p for a in twisted(sums, psi, p)]


def decrypted(c0, c1, secret, primes, t):
    """The slots of a BFV ciphertext in coefficients, both rows: t numbers each within (-t/2, t/2)."""
    N, q = len(c0[0]), prod(primes)
    rows = []
    for j, p in enumerate(primes):
        values = [x * y % p for x, y in zip(transformed(c1[j], p), secret[j], strict=True)]
        rows.append([(a + b) % p for a, b in zip(c0[j], coefficients(values, p), strict=True)])
    units = [q // p * pow(q // p, -1, p) for p in primes]
    m = [sum(u * row[i] for u, row in zip(units, rows, strict=True)) % q for i in range(N)]
    plain = [(2 * t * x + q) // (2 * q) % t for x in m]
    values, slots = evaluated(plain, t), []
    for sign in (1, -1):
        slots.append([values[(sign * pow(3, j, 2 * N) % (2 * N) - 1) // 2] for j in range(N // 2)])
    return np.array([[x - t if x > t // 2 else x for x in row] for row in slots])


def key_file():
    """Fields, and residues of the secret [primes][N]."""
    data = (FOLDER / "secret.key").read_bytes()
    assert data[-32:] == sha256(data[:-32])
    magic, version, length = struct.unpack_from(">5sBI", data)
    assert (magic, version) == (b"HEKEY", 1)
    head = data[: 10 + length]
    header = json.loads(head[10:])
    password = unicodedata.normalize("NFC", PASSWORD).encode()
    cost = header["scrypt"]
    salt, nonce = bytes.fromhex(header["salt"]), bytes.fromhex(header["nonce"])
    key = Scrypt(salt=salt, length=32, n=1 << cost["log2_n"], r=8, p=cost["p"]).derive(password)
    content = AESGCM(key).decrypt(nonce, data[len(head) : -32], head)
    N = header["fields"]["parameters"]["poly_modulus_degree"]
    words = struct.unpack(f"<{len(content) // 8}Q", content)
    return header["fields"], [list(words[i : i + N]) for i in range(0, len(words), N)]


def stored(name):
    """Kind, content, and arrays."""
    data = (FOLDER / name).read_bytes()
    assert data[-32:] == sha256(data[:-32])
    magic, version, length = struct.unpack_from("<6s2xIQ", data)
    assert (magic, version, (20 + length) % 64) == (b"HECIRC", 2, 0)
    header, arrays = json.loads(data[20 : 20 + length]), {}
    for name, kind, shape, place in header["arrays"]:
        assert place % 64 == 0
        arrays[name] = np.frombuffer(data, np.dtype(kind).newbyteorder("<"), prod(shape), 20 + length + place).reshape(
            shape
        )
    return header["kind"], header["content"], arrays


def circuit_digest(fields, tables):
    return sha256(json.dumps(fields, sort_keys=True).encode() + b"".join(tables)).hex()


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
    from he.formats.messages import Kind

    text = (FOLDER.parents[2] / "docs/formats.md").read_text("utf-8")
    for kind in Kind:
        assert f"| `{kind.value.decode()}` |" in text, kind
    with pytest.raises(MessageError):
        seal_message(Kind.REQUEST, {}, [b""])
