"""Kernels compiled beforehand: all of them, once; and who has to wait is told."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core import config

from he.__main__ import main
from he.kernels.every import calls

ROOT = Path(__file__).parents[3]
ENCRYPTED = """
import sys

from numba.core import event

import numpy as np

from he import Parameters, PreparedCircuit, compile_approximate, compile_exact, connect, prepare
from he.engines.rns.buffers import Buffers
from he.engines.rns.products import Products
from he.engines.rns.threads import Workers
from he.engines.rns.traces import Traces
from he.formats import compact
from he.functional.instance import Instance
from he.functional.ledger import Span, secret_prime
from he.functional.pads.scheme import SCHEME as PADS
from he.functional.rlwe.scheme import SCHEME
from he.functional.scheme import Scope
from he.parties.batch import BatchEncryptor
from he.ring.slots import trace_elements
from he.testing import inputs, square_graph, table_network
from intnn import IntDomain
from tests.he.seal_parties import SealParties

with event.install_recorder("numba:compile") as compilations:
    for network, compile_for in ((table_network(), compile_exact), (square_graph(), compile_approximate)):
        for packing in ("latency", "throughput"):
            prepared = prepare(compile_for(network, images=4, packing=packing, security="insecure"))
            prepared.save(sys.argv[1])
            for circuit in (prepared, PreparedCircuit.load(sys.argv[1])):
                client, session = connect(circuit, threads=2)
                client.decrypt(session.evaluate(client.encrypt(inputs(network, 4))))
    for limit in (1, 127):  # the owner drops no prime, or one
        made = SCHEME.setup(Instance("rlwe", 1, IntDomain(0, 1 if limit == 1 else 15), limit))
        for read in (False, True):
            master, public = (type(key).from_bytes(key.to_bytes()) if read else key for key in made)
            samples = np.ones((1025, 1), np.int64)  # more than are decrypted at once
            ciphertext, key = SCHEME.encrypt(public, samples), SCHEME.derive_key(master, [[1]])
            if read:
                ciphertext, key = (type(part).from_bytes(part.to_bytes()) for part in (ciphertext, key))
            SCHEME.decrypt(ciphertext, key)
    master, public = PADS.setup(Instance("pads", 3, IntDomain(0, 1)))
    for start in range(4):  # where the words of a message lie
        ciphertext = PADS.encrypt(public, np.ones((3, 3), np.int64))
        ciphertext = type(ciphertext).from_bytes(memoryview(bytes(start) + ciphertext.to_bytes())[start:])
        PADS.decrypt(ciphertext, PADS.derive_key(master, [[1, 0, 1]], Scope(ciphertext.header, 0, 3)))
    for read in (False, True):
        keys = np.eye(3, dtype=np.int64)[:2]
        keys.setflags(write=not read)
        span, added = Span.empty(3, secret_prime()).grown(keys, 3)
        span.extended(added).grown(keys, 3)
    for scheme, numbers in (({"plain_modulus": 65537}, 1024), ({"scale_bits": 30}, 512)):
        name = "bfv" if "plain_modulus" in scheme else "ckks"
        parties = SealParties(Parameters(name, 1024, (40, 40, 40), **scheme, security="insecure"))
        keys = parties.keys(trace_elements(1024, pairs=False), relinearisation=True)
        shared, x = (parties.encoder, keys, Workers(1), Buffers()), parties.encrypt(np.ones(numbers, int))
        if name == "ckks":
            encryptor = BatchEncryptor(parties.parameters, parties.spectrum)
            x = compact.read(next(encryptor.encrypt(np.ones((1, numbers)))), encryptor.form()).residues
        products, traces = Products.of(*shared), Traces(*shared)
        left = products.packed([lambda: x] * 2, 1, 2)
        for columns in (1, 2, 3):
            list(products.sums(left.addresses, [[x] * columns] * 2))
        list(traces.expanded(traces.packed([x] * 3, 3), 3))
print(*{record.data["dispatcher"].py_func.__name__ for _, record in compilations.buffer})
"""
LITTLE = "from he.kernels.tables.factors import word_bytes; print(word_bytes(2**30))"


def run(cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment)


@pytest.fixture(scope="module")
def cold(tmp_path_factory):
    """A folder for compiled kernels, with none in it."""
    return tmp_path_factory.mktemp("kernels")


def test_who_waits_is_told_once_and_nobody_else(cold):
    first, second = (run(cold, "-c", LITTLE) for _ in range(2))
    assert first.stdout == second.stdout == "4\n"
    told = "compiling kernels for this processor, once for all runs; `python -m he warm` does it beforehand\n"
    assert first.stderr == told
    assert second.stderr == ""


def test_all_kernels_are_compiled_beforehand_and_once(cold):
    first, second = (run(cold, "-m", "he", "warm", "--processes", "2") for _ in range(2))
    count = len(calls())
    for result, compiled in ((first, "compiled in"), (second, "on the disk already")):
        lines = result.stderr.splitlines()
        assert len(lines) == count + 1
        assert {line.split("] ")[1].split(":")[0] for line in lines[:-1]} == set(calls())
        assert sum(compiled in line for line in lines[:-1]) >= count - 3  # some compile others that come later
    assert second.stderr.splitlines()[-1].startswith(f"0 of {count} kernels compiled in")
    # Nothing is left to be compiled, for networks in either scheme and packing nor for training.
    assert run(cold, "-c", ENCRYPTED, str(cold / "prepared")).stdout == "\n"


def test_the_command_refuses_what_it_does_not_know(capsys):
    for arguments in (["cool"], [], ["warm", "--processes", "0"]):
        with pytest.raises(SystemExit, match="2"):
            main(arguments)
    assert "--processes must be at least 1, got 0" in capsys.readouterr().err


def test_the_command_refuses_to_compile_what_it_cannot_keep(capsys, monkeypatch, tmp_path):
    tmp_path.joinpath("file").touch()
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "file" / "below"))
    with pytest.raises(SystemExit, match="2"):
        main(["warm"])
    assert "there is none: name one in the variable NUMBA_CACHE_DIR" in capsys.readouterr().err
