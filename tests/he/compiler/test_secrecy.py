"""Two processes, and nothing secret between them."""

import multiprocessing
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tenseal.sealapi as sealapi

from he import Client, Policy, SecretKey, compile_exact
from he.formats import switching
from he.formats.messages import Kind, open_message
from he.formats.seal_bridge import create_context, from_bytes, level_ids, to_bytes
from he.formats.seal_bytes import CiphertextArray, write_ciphertext
from he.parties.batch import BatchEncryptor
from he.testing import inputs, square_graph, table_network
from intnn import IntNetwork
from tests.he.conftest import Party
from tests.he.forge import load_ciphertext

SERVER = """
import sys
from pathlib import Path
from he import SecretKey, compile_exact, interface_bytes, prepare
from intnn import IntNetwork

def receive():
    return sys.stdin.buffer.read(int.from_bytes(sys.stdin.buffer.read(8), "big"))

def send(data):
    sys.stdout.buffer.write(len(data).to_bytes(8, "big") + data)
    sys.stdout.buffer.flush()

circuit = compile_exact(IntNetwork.load(sys.argv[1]), images=4, security="insecure")
send(interface_bytes(circuit.interface))
session = prepare(circuit).session(receive())
for _ in range(2):
    send(session.evaluate(receive()))
"""


def test_client_and_server_in_two_processes(tmp_path: Path) -> None:
    network = table_network()
    network.save(tmp_path / "network.npz")
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path / "network.npz")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def receive() -> bytes:
        return process.stdout.read(int.from_bytes(process.stdout.read(8), "big"))

    def send(data: bytes) -> None:
        process.stdin.write(len(data).to_bytes(8, "big") + data)
        process.stdin.flush()

    with process:
        client = Client(receive(), policy=Policy(security="insecure"))
        send(client.evaluation_keys.to_bytes())
        for seed in (0, 1):
            x = inputs(IntNetwork.load(tmp_path / "network.npz"), 4, seed)
            send(client.encrypt(x))
            assert np.array_equal(client.decrypt(receive()), network.logits(x))
    assert process.returncode == 0


def secret_residues(party) -> np.ndarray:
    """The secret key as SEAL holds it: residues [prime, N] in the transformed domain, for all primes of the chain."""
    key = party.client.secret_key._secret  # owns what `data` refers to
    residues = key.data().dyn_array()
    parameters = party.circuit.parameters
    shape = len(parameters.primes), parameters.poly_modulus_degree
    return np.array([residues.at(i) for i in range(shape[0] * shape[1])], dtype=np.uint64).reshape(shape)


def coefficients(party, residues: np.ndarray) -> np.ndarray:
    """The same key as polynomials' coefficients, [data prime, N]: 0, 1 or p - 1."""
    context, parameters = create_context(party.circuit.parameters), party.circuit.parameters
    data = residues[: parameters.levels]
    ids = level_ids(context, parameters)
    carrier = write_ciphertext(CiphertextArray(np.stack([data, data]), True, party.circuit.interface.output_scale), ids)
    ciphertext, turned = from_bytes(sealapi.Ciphertext(), context, carrier), sealapi.Ciphertext()
    sealapi.Evaluator(context).transform_from_ntt(ciphertext, turned)
    return np.array([turned[i] for i in range(data.size)], dtype=np.uint64).reshape(data.shape)


def traces(party) -> list[bytes]:
    """What a leak would contain: runs of the key in every form and layout that it has in memory or in a file."""
    residues = secret_residues(party)
    plain = coefficients(party, residues)
    ternary = np.where(plain[0] > 1, -1, plain[0].astype(np.int64))
    assert set(ternary) == {-1, 0, 1}
    rows = [*residues, *plain, ternary]
    wide = [row[i : i + 8].astype("<i8").tobytes() for row in rows for i in range(0, row.size, 8)]
    narrow = [ternary[i : i + 64].astype(np.int8).tobytes() for i in range(0, ternary.size, 64)]
    serialised = to_bytes(party.client.secret_key._secret)
    return [*wide, *narrow, serialised[16:]]  # with or without SEAL's header


def test_nothing_that_the_server_receives_contains_the_secret_key(party) -> None:
    network = table_network() if party.circuit.parameters.scheme == "bfv" else square_graph()
    leaks = traces(party)
    received = [party.client.evaluation_keys.to_bytes(), party.client.encrypt(inputs(network, 3))]
    kinds = (Kind.EVALUATION_KEYS, Kind.REQUEST)
    parts = [part for kind, data in zip(kinds, received, strict=True) for part in open_message(kind, data)[1]]
    for data in (*received, *parts):
        assert not any(leak in bytes(data) for leak in leaks)


def test_a_planted_leak_would_be_found(party) -> None:
    leaks, secret = traces(party), party.client.secret_key._secret
    for leaked in (to_bytes(secret), secret_residues(party).tobytes()[5:], coefficients(party, secret_residues(party))):
        data = b"harmless" + bytes(leaked) + party.client.evaluation_keys.to_bytes()[:1000]
        assert any(leak in data for leak in leaks)


def test_no_polynomial_of_a_request_is_the_secret_or_its_negative(party) -> None:
    parameters = party.circuit.parameters
    residues = secret_residues(party)[: parameters.levels]
    primes = np.array(parameters.data_primes, dtype=np.uint64)[:, None]
    forms = (residues, coefficients(party, residues))
    network = table_network() if parameters.scheme == "bfv" else square_graph()
    for part in open_message(Kind.REQUEST, party.client.encrypt(inputs(network, 3)))[1]:
        ciphertext = load_ciphertext(Kind.REQUEST, party.circuit.interface, part)
        values = np.array([ciphertext[i] for i in range(2 * residues.size)], dtype=np.uint64)
        for polynomial in values.reshape(2, *residues.shape):
            for secret in forms:
                for form in (secret, (primes - secret) % primes):
                    assert np.mean(polynomial == form) < 0.1  # by chance: one in 2^20 and less


def test_no_key_polynomial_is_the_secret_or_its_negative(party) -> None:
    """Keys travel packed to the bits of their primes, so they are also read back and compared residue by residue."""
    parameters, interface = party.circuit.parameters, party.circuit.interface
    residues = secret_residues(party)
    primes = np.array(parameters.primes, dtype=np.uint64)[:, None]
    forbidden = (residues, (primes - residues) % primes)
    polynomials = 0
    for _, key in switching.read(party.client.evaluation_keys.data, parameters, interface.key_elements):
        for polynomial in key.reshape(-1, *residues.shape):
            polynomials += 1
            for secret in forbidden:
                assert not np.array_equal(polynomial, secret)
                assert np.mean(polynomial[0] == secret[0]) < 0.1  # by chance: one in 2^20 and less
    keys = 1 + len(party.circuit.interface.galois_elements)
    assert polynomials == 2 * keys * parameters.levels


SECRET_TYPES = (
    SecretKey,
    BatchEncryptor,
    sealapi.SecretKey,
    sealapi.KeyGenerator,
    sealapi.Decryptor,
    sealapi.Encryptor,
)


def reachable(thing: object, seen: dict[int, object]) -> dict[int, object]:
    """Everything that attributes and containers lead to."""
    if id(thing) in seen or isinstance(thing, str | bytes | int | float | np.ndarray | type | None):
        return seen
    seen[id(thing)] = thing
    if isinstance(thing, dict):
        children = [*thing.keys(), *thing.values()]
    elif isinstance(thing, list | tuple | set | frozenset):
        children = list(thing)
    else:
        slots = [getattr(thing, name, None) for name in getattr(type(thing), "__slots__", ())]
        children = [*getattr(thing, "__dict__", {}).values(), *slots]
    for child in children:
        reachable(child, seen)
    return seen


def test_a_server_holds_nothing_that_could_hold_a_secret_key(party) -> None:
    def secrets(root: object) -> list[object]:
        return [thing for thing in reachable(root, {}).values() if isinstance(thing, SECRET_TYPES)]

    assert secrets(party.client)  # so the search does find them where they are
    assert secrets(party.session) == []


def test_a_client_cannot_be_sent_to_another_process(exact) -> None:
    with pytest.raises(TypeError, match="they hold a secret key"):
        multiprocessing.get_context("spawn").reducer.ForkingPickler.dumps(exact.client)


def test_keys_are_drawn_anew_every_time() -> None:
    circuit = compile_exact(table_network(), security="insecure")
    first, second = secret_residues(Party(circuit)), secret_residues(Party(circuit))
    assert not np.array_equal(first, second)
