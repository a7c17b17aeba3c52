"""`docs/formats.md`, held to the files of two owners of one key: a reader of that document alone, then our own."""

import hashlib
import json
import shutil
import struct

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from he import Client, EvaluationKeys, SecretKey, load_circuit
from he.parties.threshold import halves
from he.parties.threshold.halves import First, Strings
from he.parties.threshold.voucher import Voucher
from tests.vectors.document import (
    OWNERS,
    PASSWORD,
    circuit_digest,
    coefficients,
    decrypted,
    expanded,
    key_file,
    opened,
    primes_of,
    sha256,
    stored,
    transformed,
    unpacked,
)
from tests.vectors.format_files import POLICY, SEED, small_network, write_owners

FILES = {path.name: path.read_bytes() for path in OWNERS.iterdir()}
_, CONTENT, ARRAYS = stored("circuit", OWNERS)
INTERFACE = CONTENT["interface"]
N, T, PRIMES = 1024, 65537, primes_of(INTERFACE["parameters"])
DIGEST = circuit_digest(INTERFACE, [ARRAYS["gather.0"].astype("<i4").tobytes()])
LETTERS = {"invitation": b"j", "commitment": b"c", "first": b"f", "shares": b"m", "second": b"s"}
S_1, S_2 = (key_file(OWNERS, name)[1] for name in ("data.key", "model.key"))
EVALUATOR = Ed25519PrivateKey.from_private_bytes(SEED).public_key()
ELEMENTS = [1, *(pow(3, step, 2 * N) for step in INTERFACE["rotation_steps"]), *[2 * N - 1] * INTERFACE["swaps_rows"]]
LEVELS = len(PRIMES) - 1


def messages():
    return {name: opened(FILES[name], letter) for name, letter in LETTERS.items()}


def seeds(*contributions):
    def hashed(data, key=b""):
        return hashlib.blake2b(data, key=key, person=b"joint key").digest()

    root, number = hashed(b"".join(hashlib.blake2b(one).digest() for one in contributions)), 0
    while True:
        yield hashed(struct.pack("<Q", number), root)
        number += 1


def nonces():
    return [bytes.fromhex(messages()[name][0]["nonce"]) for name in ("invitation", "commitment")]


def products(x, secret):
    return [[a * b % p for a, b in zip(r, s, strict=True)] for r, s, p in zip(x, secret, PRIMES, strict=True)]


def is_small(rows, most):
    """Whether transformed rows modulo all primes are those of one small polynomial."""
    found = {tuple((c + p // 2) % p - p // 2 for c in coefficients(r, p)) for r, p in zip(rows, PRIMES, strict=True)}
    (errors,) = found
    return max(map(abs, errors)) <= most


def combined(*terms):
    """The sum of [sign, rows] modulo all primes."""
    return [[sum(sign * rows[j][i] for sign, rows in terms) % p for i in range(N)] for j, p in enumerate(PRIMES)]


def with_factor(secret, digit):
    """G times a polynomial, modulo the prime of a digit."""
    return [
        [c * PRIMES[-1] % p * (j == digit) for c in row] for j, (row, p) in enumerate(zip(secret, PRIMES, strict=True))
    ]


def test_every_message_names_the_one_before():
    before = ""
    for name, letter in LETTERS.items():
        fields, _ = opened(FILES[name], letter)
        assert (fields["circuit"], fields["before"]) == (DIGEST, before)
        before = FILES[name][-32:].hex()


def test_shares_are_as_the_document_says():
    found = messages()
    (b_1, x), (b_2, y, z_2), (z_1,) = (found[name][1] for name in ("first", "shares", "second"))
    hashed = b"a share of a joint key" + b"".join(struct.pack("<Q", len(part)) + part for part in (b_2, y))
    assert found["commitment"][0]["commitment"] == sha256(hashed).hex()
    drawn = seeds(b"first", DIGEST.encode(), *nonces())
    a = [transformed(row, p) for row, p in zip(expanded(next(drawn), PRIMES, N), PRIMES, strict=True)]
    for share, secret in ((b_1, S_1), (b_2, S_2)):
        rows, rest = unpacked(share, PRIMES, N)
        assert rest == b""
        assert is_small(combined((1, rows), (1, products(a, secret))), 21)
    c = expanded(next(drawn), PRIMES, N)
    first_x, rest_x = unpacked(x, PRIMES, N)
    first_y, _ = unpacked(y, PRIMES, N)
    assert len(rest_x) == (LEVELS - 1) * len(x) // LEVELS
    assert is_small(combined((1, first_x), (1, products(c, S_1)), (-1, with_factor(S_1, 0))), 21)
    assert is_small(combined((1, first_y), (1, products(c, S_2))), 21)
    of_keys = seeds(b"second", DIGEST.encode(), *nonces(), b_1, x, b_2, y)
    a = expanded(next(of_keys), PRIMES, N)
    for share, secret, sign, other in ((z_1, S_1, 2, first_y), (z_2, S_2, -2, first_x)):
        rows, rest = unpacked(share, PRIMES, N)
        assert len(rest) == (len(ELEMENTS) * LEVELS - 1) * len(share) // (len(ELEMENTS) * LEVELS)
        mask, square = combined((1, a), (sign, other)), products(secret, secret)
        assert is_small(combined((1, rows), (1, products(mask, secret)), (-1, with_factor(square, 0))), 21)


def test_a_part_opens_the_answer_for_the_data_owner():
    fields, (ciphertext,) = opened(FILES["answer"], b"A")
    told, (part,) = opened(FILES["part"], b"p")
    assert told == {**fields, "answer": FILES["answer"][-32:].hex()}
    primes = PRIMES[: INTERFACE["output_level"]]
    c_0, rest = unpacked(ciphertext, primes, N)
    c_1, rest = unpacked(rest, primes, N)
    added, end = unpacked(part, primes, N)
    assert rest == end == b""
    sums = [[(u + v) % p for u, v in zip(*rows, strict=True)] for *rows, p in zip(c_0, added, primes, strict=True)]
    slots = decrypted(sums, c_1, S_1, primes, T)
    expected = set(small_network().logits(np.arange(-3, 4)[:, None]).ravel().tolist())  # 0 without an image
    assert set(slots.ravel().tolist()) == expected
    assert len(set(decrypted(c_0, c_1, S_1, primes, T).ravel().tolist())) > N // 2


def test_a_voucher_is_signed_by_the_evaluator():
    fields, (signature,) = opened(FILES["voucher"], b"v")
    assert fields == {"answer": FILES["answer"][-32:].hex()}
    EVALUATOR.verify(signature, b"encrypted inference: signed by a model's ownerv" + json.dumps(fields).encode())


def test_this_version_reads_every_file(tmp_path):
    shares = []
    for name in ("data.key", "model.key"):
        shutil.copy(OWNERS / name, tmp_path / name)
        (tmp_path / name).chmod(0o600)
        shares.append(SecretKey.load(tmp_path / name, PASSWORD))
    circuit = load_circuit(OWNERS / "circuit")
    interface, found = circuit.interface, messages()
    assert (interface.digest, interface.threshold, interface.parameters.owners) == (DIGEST, 1, 2)
    parts = {name: [memoryview(part) for part in found[name][1]] for name in ("first", "shares", "second")}
    publics = [First.from_parts(parts[name][:2], interface).public for name in ("first", "shares")]
    strings = Strings(interface, nonces())
    named = strings.of_keys(*parts["first"], *parts["shares"][:2])
    both = [parts["second"][0], parts["shares"][2]]
    data = halves.keys_data(interface, named, both)
    keys = EvaluationKeys.sealed(DIGEST, data, found["second"][0]["mark"])
    public = halves.joint_public_key(interface, strings, publics, keys.id)
    client = Client(interface, shares[0], keys, public_key=public, policy=POLICY, state=FILES["state"])
    logits = small_network().logits(np.arange(-3, 4)[:, None])
    assert np.array_equal(client.decrypt(FILES["answer"], part=FILES["part"]), logits)
    assert Voucher.from_bytes(FILES["voucher"], EVALUATOR.public_bytes_raw()).answer == FILES["answer"][-32:].hex()


def test_there_is_a_file_of_every_format_that_is_written_today(tmp_path):
    write_owners(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(FILES)
    for path in tmp_path.iterdir():
        assert path.stat().st_size == len(FILES[path.name]), path.name
