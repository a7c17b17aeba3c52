"""What a client's refusals tell of its key, how many there are, and how a key's life ends."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import tenseal.sealapi as sealapi

from he import Client, DecryptionError, KeyRetiredError, MessageError, Policy, prepare
from he.formats import compact
from he.formats.messages import Kind, message_digest, seal_message
from he.formats.seal_bridge import create_context
from he.formats.seal_bytes import CiphertextArray
from he.parties import client as clients
from he.testing import compiled, inputs
from tests.he.forge import form_of
from tests.he.parties.exchange import NETWORKS, in_order

CIRCUITS = {
    f"{scheme}-{packing}": compiled(network, packing=packing, security="insecure", salt=bytes(32))
    for scheme, network in NETWORKS.items()
    for packing in ("latency", "throughput")
}
each_circuit = pytest.mark.parametrize("name", CIRCUITS)


def new_client(name, **limits):
    return Client(CIRCUITS[name].interface, policy=Policy(security="insecure", **limits))


def images_for(name, count=1):
    return inputs(NETWORKS[name.split("-")[0]], count)


class Forger:
    """A dishonest server: it has the circuit, and what clients send; it answers what it likes."""

    def __init__(self, name):
        self.name, self.interface = name, CIRCUITS[name].interface
        self.parameters = self.interface.parameters
        self.primes = self.parameters.primes[: self.interface.output_level]
        self.q, self.N = int(np.prod(np.array(self.primes, object))), self.parameters.poly_modulus_degree
        self.context = create_context(self.parameters)

    def constant(self, number):
        """A constant polynomial as residues [level, N]."""
        residues = np.array([[number % p] * self.N for p in self.primes], np.uint64)
        if self.parameters.scheme.exact:
            residues[:, 1:] = 0
        return residues

    def polynomial(self, coefficients):
        """A polynomial of integers of any size as residues [level, N], for BFV."""
        residues = np.zeros((len(self.primes), self.N), np.uint64)
        for i, coefficient in coefficients.items():
            residues[:, i] = [coefficient % p for p in self.primes]
        return residues

    def slots(self, values):
        """A polynomial with these slots, for CKKS at the scale of results, for BFV times q / t."""
        plaintext = sealapi.Plaintext()
        if self.parameters.scheme.exact:
            sealapi.BatchEncoder(self.context).encode(np.asarray(values, int).tolist(), plaintext)
            coefficients = [int(plaintext[i]) for i in range(plaintext.coeff_count())]
            t = self.parameters.t
            return self.polynomial({i: (self.q * c + t // 2) // t for i, c in enumerate(coefficients) if c})
        scale = self.interface.output_scale
        parms_id = self.context.first_context_data()
        while parms_id.chain_index() >= len(self.primes):
            parms_id = parms_id.next_context_data()
        sealapi.CKKSEncoder(self.context).encode(
            np.asarray(values, float).tolist(), parms_id.parms_id(), scale, plaintext
        )
        residues = [int(plaintext[i]) for i in range(len(self.primes) * self.N)]
        return np.array(residues, np.uint64).reshape(len(self.primes), self.N)

    def answer(self, client, request, c0, c1):
        """The answer whose every part is (c0, c1)."""
        form = form_of(Kind.RESPONSE, self.interface)
        part = compact.write(CiphertextArray(np.stack([c0, c1]), form.ntt, form.scale), form)
        fields = {"circuit": self.interface.digest, "key": client.evaluation_keys.id}
        names = {**fields, "request": message_digest(request)}
        return seal_message(Kind.RESPONSE, names, [part] * self.interface.output.ciphertexts)

    def secret(self, weight=1):
        """Polynomials under which a ciphertext decrypts to `weight` times the secret key."""
        if self.parameters.scheme.exact:
            t = self.parameters.t
            return self.constant(0), self.constant((self.q * weight + t // 2) // t)
        return self.constant(0), self.constant(weight)


def refused(client, forger, c0, c1):
    """The text with which the client refuses (c0, c1)."""
    request = client.encrypt(images_for(forger.name))
    # A thread of its own handles no other exception, which would be the context of all that are raised: interrupts that
    # a tracer raises (`tests.interrupts`) may leave theirs to a thread for good.
    with ThreadPoolExecutor(1) as alone:
        refusal = alone.submit(client.decrypt, forger.answer(client, request, c0, c1), request).exception()
    assert isinstance(refusal, DecryptionError)
    assert refusal.__cause__ is None
    assert refusal.__context__ is None
    return str(refusal)


def taken(client, forger, c0, c1):
    """What the client takes for logits."""
    request = client.encrypt(images_for(forger.name, forger.interface.images))
    return client.decrypt(forger.answer(client, request, c0, c1), request)


# --------------------------------------------------------------------------------------------------- forged answers


@each_circuit
def test_the_secret_key_is_no_logits(name):
    """(0, round(q / t)) decrypts to it. For throughput its slots were returned, and whoever saw them had the key."""
    forger, client = Forger(name), new_client(name)
    weight = 1 if name.startswith("bfv") else int(forger.interface.output_scale)
    assert "does not decrypt to a result" in refused(client, forger, *forger.secret(weight))


@pytest.mark.parametrize("name", ["bfv-throughput", "ckks-throughput"])
def test_guards_that_nobody_knows_find_secrets_in_the_other_lanes(name, monkeypatch):
    """Guards in known places were left out by a mask, and all other lanes held parts of the key."""
    forger, packing = Forger(name), CIRCUITS[name].interface.packing
    lanes = np.arange(packing.lanes)
    mask = (lanes >= packing.guards) & (lanes < packing.lanes - packing.guards)
    c1 = forger.slots(np.tile(mask, packing.rows) if name.startswith("bfv") else mask)
    client = new_client(name)
    assert "does not decrypt to a result" in refused(client, forger, forger.constant(0), c1)
    monkeypatch.setattr(clients, "secret_order", in_order)  # as it was
    told = taken(client, forger, forger.constant(0), c1)
    assert len(np.unique(told.round(3))) > 100


def test_few_lanes_that_are_wrong_mostly_pass():
    """Guards are a sample of the lanes: the docstring of `Packing` says what they find."""
    forger, packing = Forger("bfv-throughput"), CIRCUITS["bfv-throughput"].interface.packing
    one, half = np.zeros(packing.slots, int), np.arange(packing.slots) % 2
    one[100], client = 7, new_client("bfv-throughput", most_refusals=100)
    accepted = {"one": 0, "half": 0}
    for what, values in (("one", one), ("half", half * np.arange(packing.slots))):
        for _ in range(20):
            request = client.encrypt(images_for(forger.name))
            try:
                client.decrypt(forger.answer(client, request, forger.slots(values), forger.constant(1)), request)
            except DecryptionError:
                continue
            accepted[what] += 1
    assert accepted["one"] >= 15  # each with a chance of 1 - 16 / 512
    assert accepted["half"] == 0  # each with a chance of 2^-16


@each_circuit
def test_logits_of_the_servers_choice_are_taken(name):
    """(round(q m / t), 1) needs no key: nothing here proves what was computed, and no docstring says so."""
    forger, client = Forger(name), new_client(name)
    packing = forger.interface.packing
    values = np.full(packing.slots if name.startswith("bfv") else packing.row_length, 5)
    if forger.interface.both_parts:
        values = values[: packing.row_length] * 1.0
    logits = taken(client, forger, forger.slots(values), forger.constant(1))
    assert set(np.unique(logits.round(2)).tolist()) <= {5.0, 0.0}  # an imaginary part that is not there is 0


@pytest.mark.parametrize("name", ["ckks-latency", "ckks-throughput"])
def test_a_small_multiple_of_the_secret_is_within_the_tolerance(name):
    """Guards do not see it, and float64 shows it: who answers must not see a CKKS result as it was decrypted."""
    forger, client = Forger(name), new_client(name)
    logits = taken(client, forger, *forger.secret())
    assert 0 < np.abs(logits).max() <= forger.interface.tolerance / 2
    larger = int(8 * forger.interface.tolerance / np.abs(logits).max())
    assert "does not decrypt to a result" in refused(client, forger, *forger.secret(larger))


@each_circuit
def test_what_is_legible_without_a_key_is_refused_without_the_key(name):
    forger, client = Forger(name), new_client(name, most_refusals=1)
    for c0 in (forger.constant(0), forger.constant(1), forger.slots([1] * (forger.N // 2))):
        request = client.encrypt(images_for(name))
        c1 = forger.constant(0)
        with pytest.raises(MessageError, match="it is legible without a key"):
            client.decrypt(forger.answer(client, request, c0, c1), request)
        c1[0] = 1  # for one prime alone
        if len(forger.primes) > 1:
            with pytest.raises(MessageError, match="it is legible without a key"):
                client.decrypt(forger.answer(client, request, c0, c1), request)


# --------------------------------------------------------------------------------------------- one text, and a count


@each_circuit
def test_all_refusals_say_the_same(name):
    """No budget left, copies that disagree, another key: the text said which, and how much."""
    forger, client = Forger(name), new_client(name)
    rng = np.random.default_rng(0)
    uniform = np.stack([rng.integers(0, p, forger.N, np.uint64) for p in forger.primes])
    weight = 1 if name.startswith("bfv") else int(forger.interface.output_scale)
    said = {refused(client, forger, uniform, uniform), refused(client, forger, *forger.secret(weight))}
    if name.startswith("bfv"):
        said.add(refused(client, forger, forger.slots(np.arange(forger.N)), forger.constant(1)))
        said.add(refused(client, forger, forger.polynomial({3: forger.q // 2 // 65537}), forger.constant(1)))
    else:
        ramp = np.arange(forger.N // 2) % 3 + 1  # nowhere zero, as all guards might find it by chance
        said.add(refused(client, forger, forger.slots(ramp), forger.constant(1)))
    assert said == {"the answer does not decrypt to a result: it was damaged, computed with other keys, or forged"}


def test_accepting_and_refusing_tells_few_coefficients():
    """An answer at the edge of the noise budget is refused if coefficient i of the secret is 1: 256 in 424 answers."""
    forger, client = Forger("bfv-latency"), new_client("bfv-latency")
    edge = ((1 << (forger.q.bit_length() - 2)) - 1) // forger.parameters.t
    told = []

    def accepts(i):
        request = client.encrypt(images_for("bfv-latency"))
        try:
            client.decrypt(forger.answer(client, request, forger.polynomial({i: edge}), forger.constant(1)), request)
        except DecryptionError:
            return False
        return True

    while sum(told) < 8:
        told.append(not accepts(len(told)))
    with pytest.raises(KeyRetiredError, match=f"after {len(told)} answers, of which it refused 8: make a new client"):
        accepts(len(told))
    assert len(told) < 100  # a third of the coefficients is 1


@each_circuit
def test_a_key_is_destroyed_after_so_many_refusals(name):
    forger, client = Forger(name), new_client(name, most_refusals=2)
    weight = 1 if name.startswith("bfv") else int(forger.interface.output_scale)
    session = prepare(CIRCUITS[name]).session(client.evaluation_keys)
    waiting = client.encrypt(images_for(name))
    refused(client, forger, *forger.secret(weight))
    good = client.encrypt(images_for(name))
    client.decrypt(session.evaluate(good), good)  # good ones in between change nothing
    refused(client, forger, *forger.secret(weight))
    answer = session.evaluate(waiting)
    for call in (
        lambda: client.decrypt(answer, waiting),
        lambda: client.encrypt(images_for(name)),
        lambda: client.secret_key,
    ):
        with pytest.raises(KeyRetiredError, match="after 3 answers, of which it refused 2: make a new client"):
            call()
    assert not any(isinstance(value, sealapi.Decryptor | sealapi.Encryptor) for value in vars(client).values())
    assert not client._ciphers


def test_a_key_is_destroyed_after_so_many_answers():
    name = "bfv-latency"
    client = new_client(name, most_answers=2)
    session = prepare(CIRCUITS[name]).session(client.evaluation_keys)
    for _ in range(2):
        client.decrypt(session.evaluate(client.encrypt(images_for(name))))
    with pytest.raises(KeyRetiredError, match="after 2 answers, of which it refused 0"):
        client.encrypt(images_for(name))
    assert client.prepare(np.zeros((1, 5))).shape == (1, 5)  # which needs no key


@each_circuit
def test_what_is_refused_without_the_key_is_not_counted(name):
    forger, client = Forger(name), new_client(name, most_refusals=1)
    session = prepare(CIRCUITS[name]).session(client.evaluation_keys)
    request = client.encrypt(images_for(name))
    honest = session.evaluate(request)
    whole, count = form_of(Kind.RESPONSE, forger.interface).bytes, forger.interface.output.ciphertexts
    parts = [b"\0", b"\xff" * whole, bytes(whole), bytes(whole - 1), bytes(whole + 1), bytes(3 * whole // 2)]
    names = {
        "circuit": forger.interface.digest,
        "key": client.evaluation_keys.id,
        "request": message_digest(request),
    }
    forged = [seal_message(Kind.RESPONSE, names, [part] * count) for part in parts]
    forged += [seal_message(Kind.RESPONSE, names, parts[1:2] * (count + 1)), honest[:-1], b"", request]
    forged += [seal_message(Kind.RESPONSE, {**names, name: "0" * 64}, parts[1:2] * count) for name in names]
    for answer in forged:
        with pytest.raises(MessageError):
            client.decrypt(answer, request)
    assert client.decrypt(honest, request).shape == (1, 3)


@each_circuit
def test_a_request_that_is_legible_without_a_key_is_not_evaluated(name):
    """There is no way to say it: a seed names the second polynomial, and a seed of zeros names no zeros."""
    circuit, client = CIRCUITS[name], new_client(name)
    form = form_of(Kind.REQUEST, circuit.interface)
    assert compact.read(bytes(form.bytes), form).residues[1].any(axis=1).all()
    fields = {"circuit": circuit.interface.digest, "key": client.evaluation_keys.id, "nonce": "0" * 32}
    for engine in ("rns", "seal"):
        session = prepare(circuit, engine).session(client.evaluation_keys)
        for part in (bytes(replace(form, seeded=False).bytes), bytes(form.bytes - 64)):
            parts = [part] * circuit.interface.inputs[0].layout.ciphertexts
            with pytest.raises(MessageError, match=r"must have \d+ bytes|must have at most"):
                session.evaluate(seal_message(Kind.REQUEST, fields, parts))


def test_parties_cannot_be_given_another_interface(exact):
    for thing, name in (
        (exact.client, "interface"),
        (exact.client, "policy"),
        (exact.session, "interface"),
        (exact.session, "evaluator"),
        (prepare(exact.circuit), "circuit"),
        (prepare(exact.circuit), "engine"),
        (exact.client.secret_key, "parameters"),
        (exact.client.secret_key, "context"),
        (exact.client.secret_key, "id"),
    ):
        with pytest.raises(AttributeError, match=re.escape(name)):
            setattr(thing, name, getattr(thing, name))
