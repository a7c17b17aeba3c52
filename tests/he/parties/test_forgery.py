"""Envelopes whose digest is right and whose contents are not: a right answer, or an error."""

import tracemalloc
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he import (
    Client,
    DecryptionError,
    MessageError,
    Policy,
    compile_approximate,
    compile_exact,
    prepare,
)
from he.formats import compact, switching
from he.formats.messages import Kind, message_digest
from he.formats.seal_bridge import create_context, level_ids
from he.formats.seal_bytes import CiphertextArray
from he.ring.packed import word_bits
from he.testing import inputs, table_network
from intnn import Activation, Dense, Graph
from tests.he.conftest import Party
from tests.he.forge import (
    form_of,
    load_ciphertext,
    part_of,
    residues_of,
    seal_bomb,
    travelling,
    with_fields,
    with_part,
    with_residues,
)
from tests.he.parties.exchange import assert_right, decrypted, images_for, renewed, stranger


def forgeries(party, kind, message):
    """What is no ciphertext of the circuit, in place of the message's first one."""
    original, interface = part_of(kind, message), party.circuit.interface
    parameters, form = party.circuit.parameters, form_of(kind, interface)
    ids, residues = level_ids(create_context(parameters), parameters), residues_of(kind, interface, message)
    above = residues.copy()
    above[0, 0, 5] = form.primes[0]
    whole = replace(form, seeded=False)
    widths = sum(map(word_bits, form.primes)) * parameters.poly_modulus_degree // 8
    return [
        b"\xff" * len(original),
        original[:-1],
        original + b"\0",
        original[: len(original) // 2],
        original[:1],
        original + original[:widths],  # three polynomials
        original[: len(original) - 64],  # no seed
        compact.write(
            CiphertextArray(above, form.ntt, form.scale, np.zeros(8, np.uint64) if form.seeded else None), form
        ),
        seal_bomb(ids[len(form.primes)], form.degree, len(form.primes), keys=False),
        compact.restored(original, form, ids),  # SEAL's own serialisation of the very same
        part_of(Kind.EVALUATION_KEYS, party.client.evaluation_keys.to_bytes()),
        *([travelling(interface, load_ciphertext(kind, interface, original))] if form != whole else []),
    ]


def test_what_is_no_ciphertext_of_the_circuit_is_refused_on_both_sides(exchange):
    party, asked, answer = exchange
    for forged in forgeries(party, Kind.REQUEST, asked):
        with pytest.raises(MessageError, match=r"the request cannot be evaluated|with request must have at most"):
            party.session.evaluate(renewed(with_part(Kind.REQUEST, asked, forged)))
    for forged in forgeries(party, Kind.RESPONSE, answer):
        with pytest.raises(MessageError, match=r"the response cannot be decrypted|with response must have at most"):
            decrypted(party, with_part(Kind.RESPONSE, answer, forged))


def test_a_forged_ciphertext_with_nothing_wrong_is_accepted(exchange):
    """The forger writes what honest parties write, so that the other tests test what they say."""
    party, asked, answer = exchange
    for kind, message in ((Kind.REQUEST, asked), (Kind.RESPONSE, answer)):
        forged = with_residues(
            kind, party.circuit.interface, message, residues_of(kind, party.circuit.interface, message)
        )
        assert forged == message
        forged = party.session.evaluate(renewed(forged)) if kind is Kind.REQUEST else forged
        assert_right(party, decrypted(party, forged), images_for(party))


def bomb(party, keys):
    """Some hundred bytes that make SEAL allocate eight gigabytes."""
    parameters = party.circuit.parameters
    context = create_context(parameters)
    parms_id = context.key_parms_id() if keys else context.first_parms_id()
    data = seal_bomb(parms_id, parameters.poly_modulus_degree, parameters.levels + keys, keys)
    assert len(data) < 200
    return data


@contextmanager
def refused_without_memory():
    tracemalloc.start()
    try:
        with pytest.raises(MessageError):
            yield
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_sizes_that_seal_would_believe_are_no_ciphertext(exchange):
    party, asked, answer = exchange
    data = bomb(party, keys=False)
    with refused_without_memory():
        decrypted(party, with_part(Kind.RESPONSE, answer, data))
    with refused_without_memory():
        party.session.evaluate(renewed(with_part(Kind.REQUEST, asked, data)))


def test_sizes_that_seal_would_believe_are_no_evaluation_keys(exchange):
    party, _, _ = exchange
    prepared = prepare(party.circuit)
    forged = with_part(Kind.EVALUATION_KEYS, party.client.evaluation_keys.to_bytes(), bomb(party, keys=True))
    with refused_without_memory():
        prepared.session(forged)
    with refused_without_memory():
        Client(party.circuit.interface, party.client.secret_key, forged, policy=Policy(security="insecure"))


def random_answer(party, answer, seed):
    """An answer of residues drawn uniformly: what decrypting with a wrong key amounts to."""
    interface, rng = party.circuit.interface, np.random.default_rng(seed)
    primes = form_of(Kind.RESPONSE, interface).primes
    residues = [[rng.integers(0, p, interface.parameters.poly_modulus_degree, np.uint64) for p in primes] for _ in "ab"]
    return with_residues(Kind.RESPONSE, interface, answer, np.array(residues))


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1))
def test_random_residues_are_never_decrypted(exchange, seed):
    party, _, answer = exchange
    with pytest.raises(DecryptionError):
        decrypted(party, random_answer(party, answer, seed))


def test_an_answer_under_another_key_is_never_decrypted(exchange, strangers):
    party, _, answer = exchange
    other = stranger(strangers, party)
    theirs = other.session.evaluate(other.client.encrypt(images_for(other)))
    with pytest.raises(DecryptionError):
        decrypted(party, with_part(Kind.RESPONSE, answer, part_of(Kind.RESPONSE, theirs)))


def test_an_answer_to_a_request_under_another_key_is_never_decrypted(exchange, strangers):
    """The session cannot see that the ciphertext is not of the key that the envelope names; the client does."""
    party, asked, _ = exchange
    foreign = part_of(Kind.REQUEST, stranger(strangers, party).client.encrypt(images_for(party)))
    answer = party.session.evaluate(with_part(Kind.REQUEST, asked, foreign))
    with pytest.raises(MessageError, match="the first one to an open request"):
        party.client.decrypt(answer, asked)
    with pytest.raises(DecryptionError):
        decrypted(party, answer)


@pytest.mark.parametrize("relinearisation", [True, False])
def test_an_answer_by_another_clients_evaluation_keys_is_never_decrypted(exchange, strangers, relinearisation):
    party, asked, _ = exchange
    own = party.client.evaluation_keys
    one = switching.key_bytes(party.circuit.parameters, party.circuit.parameters.levels)
    foreign = bytes(stranger(strangers, party).client.evaluation_keys.data)
    mixed = foreign[:one] + bytes(own.data[one:]) if relinearisation else bytes(own.data[:one]) + foreign[one:]
    session = prepare(party.circuit).session(with_part(Kind.EVALUATION_KEYS, own.to_bytes(), mixed))
    with pytest.raises(MessageError, match="another key than the evaluation keys"):
        session.evaluate(asked)
    forged = with_fields(Kind.REQUEST, asked, key=session._key_id)
    answer = with_fields(Kind.RESPONSE, session.evaluate(forged), key=own.id)
    with pytest.raises(DecryptionError):
        decrypted(party, answer)


def test_a_full_ring_of_logits_is_checked_too():
    """As many images as the slots hold: a wrong key must show although nothing seems to be left to compare."""
    rng = np.random.default_rng(0)
    wide = Graph(
        (2,),
        (
            Dense(rng.normal(size=(2, 2)), np.zeros(2)),
            Activation("square"),
            Dense(rng.normal(size=(8, 2)), np.zeros(8)),
        ),
    )
    for network, compile_it in ((table_network(hidden=2), compile_exact), (wide, compile_approximate)):
        circuit = compile_it(network, images=None, security="insecure")
        party, other = Party(circuit), Party(circuit)
        theirs = other.session.evaluate(other.client.encrypt(inputs(network, circuit.interface.images)))
        request = party.client.encrypt(inputs(network, circuit.interface.images))
        names = {"key": party.client.evaluation_keys.id, "request": message_digest(request)}
        with pytest.raises(DecryptionError):
            party.client.decrypt(with_fields(Kind.RESPONSE, theirs, **names), request)


def test_a_ciphertext_that_needs_no_key_is_no_answer(exchange):
    """All residues zero decrypt to zero under every key, with the largest of noise budgets."""
    party, _, answer = exchange
    interface = party.circuit.interface
    residues = residues_of(Kind.RESPONSE, interface, answer)
    half = np.stack([residues[0], np.zeros_like(residues[1])])
    for forged in (np.zeros_like(residues), half):
        with pytest.raises(MessageError, match="it is legible without a key"):
            decrypted(party, with_residues(Kind.RESPONSE, interface, answer, forged))


@settings(max_examples=30)
@given(st.data())
def test_bits_flipped_in_a_seed_give_an_error_or_the_right_answer(exchange, data):
    """Behind the digest's back: a seed names another polynomial then."""
    party, asked, _ = exchange
    damaged = bytearray(part_of(Kind.REQUEST, asked))
    places = st.integers(len(damaged) - 64, len(damaged) - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=3, unique=True)):
        damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        logits = decrypted(party, party.session.evaluate(with_part(Kind.REQUEST, asked, bytes(damaged))))
    except (MessageError, DecryptionError):
        return
    assert_right(party, logits, images_for(party))


@settings(max_examples=30)
@given(st.data())
def test_residues_altered_at_random_give_an_error_or_the_right_answer(exchange, data):
    """At least eight of them: a single one, chosen well, adds a constant, for ciphertexts are malleable by design."""
    party, asked, answer = exchange
    kind, message = data.draw(st.sampled_from([(Kind.REQUEST, asked), (Kind.RESPONSE, answer)]))
    interface = party.circuit.interface
    residues, primes = residues_of(kind, interface, message).copy(), form_of(kind, interface).primes
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    flat, N = residues.reshape(-1), residues.shape[2]
    for place in rng.choice(len(flat), data.draw(st.integers(8, 100)), replace=False):
        flat[place] = rng.integers(0, primes[place // N % len(primes)])
    forged = with_residues(kind, interface, message, residues)
    try:
        logits = decrypted(party, party.session.evaluate(renewed(forged)) if kind is Kind.REQUEST else forged)
    except DecryptionError:
        return
    assert_right(party, logits, images_for(party))
