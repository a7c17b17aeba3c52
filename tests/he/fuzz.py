"""Millions of mutated messages for whole parties: python -m tests.he.fuzz [COUNT] [SEED].

Interfaces, offers, evaluation keys, requests, answers and states of clients are altered where their structure is, and
mostly get a right digest afterwards, so that parsers are reached. A client, a prepared circuit and a session must take
each of them for what it should be, or refuse it by an error that is declared, within little more memory than they hold
already. An answer that is accepted must be the right one; only where residues were altered may it be another, for a
digest finds accidents, and whoever forges it may choose what an answer says (see `Client`).

The everyday suite does the same with a few hundred (`tests/he/parties/test_fuzz.py`).
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from he import (
    Client,
    DecryptionError,
    Family,
    MessageError,
    ParameterError,
    compile_approximate,
    compile_exact,
    interface_bytes,
    offer_bytes,
    prepare,
    read_offer,
)
from he.engines.engine import Evaluator
from he.formats import compact
from he.formats.compact import Form
from he.formats.messages import Kind, open_message
from he.parties.evaluation_keys import EvaluationKeys
from he.parties.policy import Policy, PolicyError
from he.ring import params, primes
from he.testing import inputs, square_graph, table_network
from tests.he.circuit.test_key_levels import several

MEMORY = 64 << 20  # bytes that a party may take beside what it holds: no message of these circuits has 2 MB
SLOWEST_SECONDS = 2.0
EVALUATED = 0.002  # of the requests that are fresh ciphertexts, and of the interfaces that are accepted
WEIGHTS = {
    Kind.INTERFACE: 40,
    Kind.REQUEST: 30,
    Kind.RESPONSE: 23,
    Kind.EVALUATION_KEYS: 1,
    Kind.OFFER: 3,
    Kind.CLIENT: 3,
}
POLICY = Policy(security="insecure", most_key_bytes=1 << 22, most_request_bytes=1 << 20, most_answer_bytes=1 << 20)
NO_KEYS = EvaluationKeys.sealed("none", b"")
REFUSALS = {
    Kind.INTERFACE: (MessageError, PolicyError, ParameterError),
    Kind.EVALUATION_KEYS: (MessageError,),
    Kind.REQUEST: (MessageError,),
    Kind.RESPONSE: (MessageError, DecryptionError),
    Kind.OFFER: (MessageError,),
    Kind.CLIENT: (MessageError,),
}
SCALARS: list[Any] = [
    *(0, 1, -1, 2, 3, 16, 255, 1024, 32768, 65537, 1 << 31, (1 << 31) - 1, -(1 << 31), 1 << 40, 1 << 62, (1 << 63) - 1),
    *(
        4611686018427322369,
        1 << 63,
        1 << 64,
        1 << 128,
        10**400,
        -(10**400),
        0.0,
        -0.0,
        0.5,
        1.0,
        5.0,
        1e-300,
        1e300,
        1.7e308,
        5e-324,
    ),
    *(float("nan"), float("inf"), -float("inf"), None, True, False, "", "x", "ckks", "insecure", "data", "0" * 64),
    *([], {}, [0], [1, 2, 3], {"a": 1}),
]

HEADERS = (
    b"[" * 60_000,
    b'{"a":' * 10_000,
    b'{"circuit": 3, ',
    b'{"parts": [], ',
    b'{"x": NaN, ',
    b"\xef\xbb\xbf{",
    b"{" + b" " * 65_000,
)

Fields = dict[str, Any]
Mutant = tuple[Fields, list[bytes]]


class FindingError(AssertionError):
    """A message was neither taken for what it should be nor refused by an error that is declared."""


class Reader:
    """An evaluator that reads all inputs as others do, and goes on with some."""

    def __init__(self, evaluator: Evaluator, form: Form) -> None:
        self.name, self.threads = evaluator.name, evaluator.threads
        self.is_used = True
        self._evaluator, self._form = evaluator, form

    def evaluate(self, inputs: Sequence[bytes | memoryview]) -> list[bytes]:
        """Answers, if it is to evaluate."""
        if self.is_used:
            return self._evaluator.evaluate(inputs)
        for data in inputs:
            compact.read(data, self._form, expand=False)
        return []


class Subject:
    """The parties of one circuit, and the messages that they have exchanged.

    Attributes:
        name: the circuit's scheme and packing, and "levels" where its interface names the levels of its keys.
        messages: one honest message of each kind, as its fields and parts.
        sizes: how many bytes each of them has.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        scheme, packing, *levels = name.split()
        exact, options = scheme == "bfv", {"packing": packing, "security": "insecure"}
        network: Any = table_network(points=5, hidden=2) if exact else square_graph()
        compile_it: Any = compile_exact if exact else compile_approximate
        circuit = compile_it(network, images=2 if packing == "latency" else None, salt=bytes(32), **options)
        circuit = several(circuit) if levels else circuit
        self._prepared = prepare(circuit)
        self._client = Client(circuit.interface, policy=Policy.trusting("insecure"))
        self._key, self._keys = self._client.secret_key, self._client.evaluation_keys
        self._session = self._prepared.session(self._keys, 1, most=1 << 40)
        self._session._evaluator = self._reader = Reader(self._session.evaluator, Form.fresh(circuit.parameters))
        x = inputs(network, 2)
        request = self._client.encrypt(x)
        answer = self._session.evaluate(request)
        self._open = dict(self._client._questions._open)
        self._logits, self._tolerance = network.logits(x), circuit.interface.tolerance
        sealed = {
            Kind.INTERFACE: interface_bytes(circuit.interface),
            Kind.EVALUATION_KEYS: self._keys.to_bytes(),
            Kind.REQUEST: request,
            Kind.RESPONSE: answer,
            Kind.OFFER: offer_bytes(Family((circuit,)).offer),
            Kind.CLIENT: self._client.state(),
        }
        self.messages: dict[Kind, Mutant] = {}
        for kind, data in sealed.items():
            self.messages[kind] = open_message(kind, data)[0], list(map(bytes, open_message(kind, data)[1]))
            self.take(kind, data, random.Random(0), is_altered=False)
        self.sizes = {kind: len(data) for kind, data in sealed.items()}

    def take(self, kind: Kind, data: bytes, rng: random.Random, is_altered: bool) -> bool:
        """Give a message to the party that it is for; tell whether it was accepted.

        Args:
            kind: what it is given as.
            data: the message.
            rng: chooses which of the messages that are accepted are also used.
            is_altered: whether residues may differ from those of the honest message.
        """
        try:
            match kind:
                case Kind.INTERFACE:
                    self._interface(data, is_used=rng.random() < EVALUATED)
                case Kind.EVALUATION_KEYS:
                    self._prepared.session(data, 1)
                case Kind.REQUEST:
                    self._request(data, is_used=rng.random() < EVALUATED)
                case Kind.RESPONSE:
                    self._response(data, is_altered)
                case Kind.OFFER:
                    read_offer(data)
                case Kind.CLIENT:
                    Client(self._client.interface, self._key, policy=POLICY, state=data)
        except REFUSALS[kind]:
            return False
        except Exception as error:
            raise FindingError(
                f"{self.name}: {kind.name} must be refused by a declared error, got {error!r}"
            ) from error
        return True

    def _interface(self, data: bytes, is_used: bool) -> None:
        if is_used:
            Client(data, policy=POLICY)
        else:  # with keys that are there, none are generated; and these are for no circuit
            Client(data, self._key, NO_KEYS, policy=POLICY)

    def _request(self, data: bytes, is_used: bool) -> None:
        self._reader.is_used = is_used
        self._session._ledger._admitted.clear()
        self._session.evaluate(data)

    def _response(self, data: bytes, is_altered: bool) -> None:
        self._client._questions._open = dict(self._open)
        logits = self._client.decrypt(data)
        if logits.shape != self._logits.shape:
            raise AssertionError(f"logits must have the shape {self._logits.shape}, got {logits.shape}")
        if not is_altered and not (np.abs(logits - self._logits) <= self._tolerance).all():
            raise AssertionError(f"logits must be {self._logits.tolist()}, got {logits.tolist()}")


def mutated(rng: random.Random, kind: Kind, subject: Subject, subjects: list[Subject]) -> tuple[bytes, bool]:
    """A mutated message of a kind for one of these subjects, and whether its residues may be altered."""
    fields, parts = subject.messages[kind]
    parts, is_altered, header = list(parts), False, None
    if rng.random() < 0.6:
        fields = json.loads(json.dumps(fields))  # a copy
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            _mutate_fields(rng, fields)
    if rng.random() < 0.4:
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            is_altered |= _mutate_parts(rng, parts, subjects)
    runs = [[1, len(part)] for part in parts]
    header = json.dumps({**fields, "parts": runs if rng.random() < 0.9 else _scalar(rng)}).encode()
    if rng.random() < 0.2:
        header = _mutated_bytes(rng, header)
    if rng.random() < 0.02:
        header = rng.choice(HEADERS) + header[1:]
    length = len(header) if rng.random() < 0.95 else rng.choice((0, 1, len(header) + 1, 1 << 16, (1 << 32) - 1))
    letter = kind.value if rng.random() < 0.99 else rng.randbytes(1)
    body = b"".join([b"HEINF2", letter, length.to_bytes(4, "big"), header, *parts])
    if rng.random() < 0.05:
        body, is_altered = _mutated_bytes(rng, body), True
    digest = hashlib.sha256(body).digest() if rng.random() < 0.97 else rng.randbytes(32)
    return body + digest, is_altered


def _mutate_fields(rng: random.Random, fields: Fields) -> None:
    """Alter, remove or add something anywhere in a header."""
    place: Any = fields
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = rng.choice(keys)
        if isinstance(place[key], dict | list) and place[key] and rng.random() < 0.8:
            place = place[key]
            continue
        break
    match rng.randrange(6):
        case 0:
            del place[key]
        case 1 if isinstance(place, dict):
            place[rng.choice(["x", *keys])] = place.pop(key)
        case 1:
            place.insert(key, _scalar(rng))
        case 2 if type(place[key]) in (int, float) and abs(place[key]) < 1 << 60:
            place[key] += rng.choice((-1, 1, 0.5, -place[key], place[key]))
        case 3 if isinstance(place, list) and len(place) < 1000:
            place += place * rng.choice((1, 100))
        case _:
            place[key] = _scalar(rng)


def _scalar(rng: random.Random) -> Any:
    value = rng.choice(SCALARS) if rng.random() < 0.998 else rng.choice(("x" * 70_000, [0] * 40_000))
    value = value.copy() if isinstance(value, list | dict) else value  # what is altered later is not the list above
    for _ in range(rng.choice((0,) * 50 + (1, 2, 300))):
        value = [value]
    return value


def _mutate_parts(rng: random.Random, parts: list[bytes], subjects: list[Subject]) -> bool:
    """Alter, move, remove or add parts; tell whether what an honest answer would hold may have changed."""
    if not parts or rng.random() < 0.15:
        messages = rng.choice(subjects).messages
        donor = messages[rng.choice([kind for kind in WEIGHTS if kind in messages])][1]
        parts.insert(rng.randint(0, len(parts)), rng.choice(donor) if donor else rng.randbytes(rng.randrange(99)))
        return True
    i, j = rng.randrange(len(parts)), rng.randrange(len(parts))
    match rng.randrange(6):
        case 0:
            del parts[i]
        case 1:
            parts[i], parts[j] = parts[j], parts[i]
        case 2:
            parts.append(parts[i])
        case 3:
            parts[i] = parts[i][: rng.randrange(len(parts[i]) + 1)]
        case _:
            parts[i] = _mutated_bytes(rng, parts[i])
    return True


def _mutated_bytes(rng: random.Random, original: bytes) -> bytes:
    data = bytearray(original)
    for _ in range(rng.choice((1, 1, 2, 4))):
        place, word = rng.randrange(len(data) + 1), rng.choice((b"\0" * 8, b"\xff" * 8, b"\1" + b"\0" * 7))
        match rng.randrange(7):
            case 0 | 1 if place < len(data):
                data[place] ^= 1 << rng.randrange(8)
            case 2:
                data[place : place + 8] = word
            case 3:
                del data[place:]
            case 4:
                data[place:place] = rng.randbytes(rng.randint(1, 40))
            case 5:
                del data[place : place + rng.randint(1, 40)]
            case _:
                other = rng.randrange(len(data) + 1)
                data[place : place + 64] = data[other : other + 64]
    return bytes(data)


params.is_prime = primes.is_prime = cache(primes.is_prime)  # the same candidates, again and again


@contextmanager
def limited_memory() -> Iterator[None]:
    """For a while this process may take `MEMORY` more than it holds, where the system can say what that is."""
    held, before = Path("/proc/self/statm"), resource.getrlimit(resource.RLIMIT_AS)
    if held.exists():
        most = int(held.read_text().split()[0]) * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


NAMES = ("bfv latency", "bfv throughput", "ckks latency", "ckks throughput", "bfv latency levels")


def attack(
    subjects: list[Subject], count: int, seed: int, report: Callable[[int], None] = lambda done: None
) -> Counter:
    """Give parties so many mutants, under a memory limit; return how many of each kind were accepted and refused.

    Raises:
        FindingError: and the message lies in a file that it names.
    """
    rng, outcomes = random.Random(seed), Counter[str]()
    kinds, weights = list(WEIGHTS), list(WEIGHTS.values())
    for i in range(count):
        (kind,) = rng.choices(kinds, weights)
        (subject,) = rng.choices(subjects, [1 / subject.sizes[kind] for subject in subjects])
        data, is_altered = mutated(rng, kind, subject, subjects)
        before = time.process_time()  # what else the machine does is not the message's fault
        try:
            with limited_memory():
                accepted = subject.take(kind, data, rng, is_altered)
            if time.process_time() - before > SLOWEST_SECONDS:
                raise FindingError(f"{subject.name}: {kind.name} must be refused soon")
        except FindingError as finding:
            path = Path(tempfile.gettempdir(), f"finding-{seed}-{i}")
            path.write_bytes(data)
            raise FindingError(f"{finding}; seed {seed}, message {i}, in {path}") from finding
        outcomes[f"{kind.name} {'accepted' if accepted else 'refused'}"] += 1
        report(i)
    return outcomes


def _work(count: int, seed: int) -> Counter:
    subjects = [Subject(name) for name in NAMES]
    start = time.perf_counter()

    def report(done: int) -> None:
        if done % 50_000 == 49_999:
            print(f"seed {seed}: {done + 1:,} of {count:,} in {time.perf_counter() - start:.0f} s", flush=True)

    return attack(subjects, count, seed, report)


def main(count: int, seed: int) -> None:
    """Share so many mutants out to all processors."""
    workers = os.cpu_count() or 1
    print(f"{count:,} messages, {workers} processes, seeds from {seed}", flush=True)
    start = time.perf_counter()
    outcomes = Counter[str]()
    pool = ProcessPoolExecutor(workers)
    try:
        shares = [pool.submit(_work, -(-count // workers), seed + i) for i in range(workers)]
        for share in as_completed(shares):
            outcomes += share.result()
    except BaseException:  # a finding ends the run: the others are not waited for
        for process in list(pool._processes.values()):
            process.terminate()
        raise
    finally:
        pool.shutdown()
    for what, number in sorted(outcomes.items()):
        print(f"{what}: {number:,}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    print(f"{outcomes.total():,} messages in {time.perf_counter() - start:.0f} s, peak {peak} MB: no finding")


if __name__ == "__main__":
    main(*map(int, [*sys.argv[1:], *("10_000_000", "0")[len(sys.argv) - 1 :]]))
