"""`docs/formats.md`, held to the files of an encrypted network: a reader of that document alone, then our own."""

import json

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from he import EncryptedNetwork, NotPermittedError, PublicKey, load_circuit
from he.parties.permission import Revocation
from tests.vectors.document import (
    ENCRYPTED,
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
from tests.vectors.format_files import SEED, write_encrypted

FILES = {path.name: path.read_bytes() for path in ENCRYPTED.iterdir()}
_, CONTENT, ARRAYS = stored("circuit", ENCRYPTED)
PARAMETERS = CONTENT["interface"]["parameters"]
N, T, PRIMES = PARAMETERS["poly_modulus_degree"], PARAMETERS["plain_modulus"], primes_of(PARAMETERS)
DIGEST = circuit_digest(CONTENT["interface"], [ARRAYS["gather.0"].astype("<i4").tobytes()])
OWNER = Ed25519PrivateKey.from_private_bytes(SEED).public_key()


def signed(data, letter):
    """Fields of a message whose signature is the owner's."""
    fields, (signature,) = opened(data, letter)
    signed = b"encrypted inference: signed by a model's owner" + letter + json.dumps(fields, sort_keys=True).encode()
    OWNER.verify(signature, signed)
    return fields


def operands():
    """Number of a plaintext, level and scale, in the order in which they are first read."""
    found = []
    for name, _, read in (operation for operation in CONTENT["program"]["operations"] if "Cipher" in operation[0]):
        found += read if name == "CipherDot" else [read]
    return list(dict.fromkeys(map(tuple, found)))


def test_a_public_key_is_an_encryption_of_zero():
    _, secret = key_file(ENCRYPTED)
    fields, (zero,) = opened(FILES["public-key"], b"U")
    assert fields["circuit"] == DIGEST
    first, seed = unpacked(zero, PRIMES, N)
    for b, a, s, p in zip(first, expanded(seed, PRIMES, N), secret, PRIMES, strict=True):
        product = coefficients([x * y % p for x, y in zip(transformed(a, p), s, strict=True)], p)
        assert all(min(error, p - error) <= 42 for error in ((x + y) % p for x, y in zip(b, product, strict=True)))


def test_the_network_decrypts_to_the_operands():
    _, secret = key_file(ENCRYPTED)
    fields, (permission, *ciphertexts) = opened(FILES["network"], b"E")
    assert fields == {}
    permitted, (public, _) = signed(permission, b"Y"), opened(FILES["public-key"], b"U")
    assert (permitted["circuit"], permitted["key"], permitted["number"]) == (DIGEST, public["key"], 0)
    assert permitted["network"] == sha256(b"".join(ciphertexts)).hex()
    for (number, level, scale), data in zip(operands(), ciphertexts, strict=True):
        first, rest = unpacked(data, PRIMES[:level], N)
        second, rest = unpacked(rest, PRIMES[:level], N)
        assert (rest, scale) == (b"", 0)
        slots = decrypted(first, second, secret, PRIMES[:level], T)
        assert np.array_equal(slots.ravel() % T, ARRAYS["plaintexts"][number] % T)


def test_a_revocation_names_the_circuit():
    assert signed(FILES["revocation"], b"Z") == {"circuit": DIGEST, "least": 1}


def test_whoever_evaluates_has_no_weights():
    _, content, arrays = stored("public-circuit", ENCRYPTED)
    assert content["interface"] == CONTENT["interface"]
    assert content["interface"]["encrypted"] is True
    assert content["program"] == CONTENT["program"]
    assert (content["salt"], set(arrays)) == ("0" * 64, {"gather.0"})


def test_this_version_reads_every_file():
    circuit, owner = load_circuit(ENCRYPTED / "public-circuit"), OWNER.public_bytes_raw()
    assert load_circuit(ENCRYPTED / "circuit").interface.digest == circuit.interface.digest == DIGEST
    key = PublicKey.of(FILES["public-key"], circuit.interface)
    permission = EncryptedNetwork.from_bytes(FILES["network"], circuit, owner).permission
    permission.require(DIGEST, key.key)
    with pytest.raises(NotPermittedError, match="revoked"):
        permission.require(DIGEST, key.key, revocation=Revocation.from_bytes(FILES["revocation"], owner))


def test_there_is_a_file_of_every_format_that_is_written_today(tmp_path):
    write_encrypted(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(FILES)
    for name in ("public-key", "revocation", "public-circuit", "secret.key"):
        assert (tmp_path / name).stat().st_size == len(FILES[name]), name
