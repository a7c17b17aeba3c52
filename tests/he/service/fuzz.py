"""Mutated uploads for a server: python -m tests.he.service.fuzz [SECONDS] [SEED].

Evaluation keys, requests, encrypted networks and revocations are altered where their structure is, as `tests.he.fuzz`
does it, and sent to the right address, or to others, in whole or in part. A server must answer each with a status that
is documented, within a second or two, must go on to answer honest clients rightly, and must not grow once it has been
at it for a while.
"""

from __future__ import annotations

import contextlib
import random
import socket
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx

from bench.cases.service_load import tenant
from bench.harness.served import Served, own_bytes
from he import ModelOwner, Policy, compile_exact, interface_bytes, prepare
from he.formats.messages import Kind, open_message
from he.service import tokens
from he.service.operations import OPERATIONS
from he.testing import inputs, table_network
from tests.he.mutate import mutated

DOCUMENTED = {status for one in OPERATIONS for status in (*one.answers, *one.statuses)} - {500} | {405}
SLOWEST_SECONDS = 20.0  # beside others on the machine; the server itself cuts bodies at 10
GROWTH = 64 << 20  # bytes
HONEST = 0.02  # of all calls


class Messages:
    """What an honest client sends, for `tests.he.mutate.mutated`."""

    def __init__(self, kinds) -> None:
        self.messages = {
            kind: (open_message(kind, data)[0], list(map(bytes, open_message(kind, data)[1])))
            for kind, data in kinds.items()
        }


def attack(seconds: float, seed: int) -> Counter:
    """Send mutants for so long; return how many were answered with which status.

    Raises:
        AssertionError: if a status is not documented, an answer slow or wrong, or the server grows.
    """
    rng, outcomes, network = random.Random(seed), Counter(), table_network()
    with tempfile.TemporaryDirectory() as folder:
        models, store, file = (Path(folder) / name for name in ("models", "store", "tokens"))
        models.mkdir()
        prepared = prepare(compile_exact(network, images=4, security="insecure"))
        prepared.save(models / "network.he")
        owner = ModelOwner(compile_exact(network, weights="encrypted", security="insecure"))
        prepare(owner.circuit).save(models / "hidden.he")
        (models / "hidden.owner").write_bytes(owner.verification_key)
        token = tokens.add(file, tokens.Permitted("eve"))
        with Served(models, store, file, rate=1e6, burst=1e6, keys_each=1000) as served:
            one = tenant(served.url, "network", token, Policy(security="insecure"))
            asked = one.client.encrypt(inputs(network, 2))
            session = prepared.session(one.client.evaluation_keys)
            hidden = tenant(served.url, "hidden", token, Policy(security="insecure")).client
            owner.permit(hidden.public_key.id)
            others = {
                Kind.ENCRYPTED_NETWORK: owner.issue(hidden.public_key).to_bytes(),
                Kind.REVOCATION: owner.revocation,
                Kind.EVALUATION_KEYS: one.client.evaluation_keys.to_bytes(),
                Kind.INTERFACE: interface_bytes(one.client.interface),
                Kind.RESPONSE: session.evaluate(asked),
            }
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream"}
            with httpx.Client(base_url=served.url, headers=headers, timeout=60) as http:
                begin, held = time.monotonic(), None
                while time.monotonic() < begin + seconds:
                    request = one.client.encrypt(inputs(network, 2))
                    subject = Messages({**others, Kind.REQUEST: request})
                    if rng.random() < HONEST:
                        answer = http.post(one.path, content=request)
                        assert answer.status_code == 200, answer.text
                        found = one.client.decrypt(answer.content, request)
                        assert (found == network.logits(inputs(network, 2))).all()
                    if held is None and time.monotonic() > begin + seconds / 3:
                        held = own_bytes(served.pid)
                    start = time.monotonic()
                    outcomes[_sent(rng, served, http, one.path, subject)] += 1
                    assert time.monotonic() - start < SLOWEST_SECONDS
            grown = (own_bytes(served.pid) or 0) - (held or 0)
            assert grown < GROWTH, f"the server grew by {grown} bytes"
            print(f"the server grew by {grown / 1e6:.1f} MB, to {own_bytes(served.pid) / 1e6:.0f} MB")
            left = list((store / "uploads").iterdir())
            assert not left, left
    assert outcomes.keys() <= DOCUMENTED | {"cut"}, outcomes
    return outcomes


def _sent(rng, served, http, path, subject) -> int | str:
    """Send one mutant, and return the status of the answer."""
    kind = rng.choice([Kind.REQUEST] * 8 + [Kind.EVALUATION_KEYS, Kind.ENCRYPTED_NETWORK, Kind.REVOCATION])
    data, _ = mutated(rng, kind, subject, [subject])
    digest = data[-32:].hex().rjust(64, "0")
    uploads = path.removesuffix("/evaluations")[:-64] + digest
    method, where = {
        Kind.REQUEST: ("POST", path),
        Kind.EVALUATION_KEYS: ("PUT", uploads),
        Kind.ENCRYPTED_NETWORK: ("PUT", f"/v1/models/hidden/networks/{digest}"),
        Kind.REVOCATION: ("PUT", "/v1/models/hidden/revocation"),
    }[kind]
    if rng.random() < 0.05:
        method, where = rng.choice([("POST", path), ("PUT", uploads), ("PUT", path), ("POST", "/"), ("DELETE", path)])
    if rng.random() < 0.05:
        return _cut(rng, served, http, method, where, data)
    content = data if rng.random() < 0.8 else iter([data[:1000], data[1000:]])
    return http.request(method, where, content=content).status_code


def _cut(rng, served, http, method, where, data) -> str:
    """Send a part of a call, and leave."""
    host, _, port = served.url.removeprefix("http://").partition(":")
    said = {"Content-Length": str(len(data)), **dict(http.headers)}
    head = "".join(f"{name}: {value}\r\n" for name, value in said.items())
    whole = f"{method} {where} HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode() + data
    with socket.create_connection((host, int(port)), timeout=10) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(whole[: rng.randrange(len(whole))])
    return "cut"


def main() -> None:
    """Attack a server."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 600.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    outcomes = attack(seconds, seed)
    print(f"{sum(outcomes.values())} mutants: {dict(sorted(outcomes.items(), key=str))}")


if __name__ == "__main__":
    main()
