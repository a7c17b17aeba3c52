"""Answers that two owners open: right with both, noise with one, and only what an evaluator has vouched for."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he import (
    Client,
    DecryptionError,
    MessageError,
    ModelOwner,
    NotPermittedError,
    ParameterError,
    SecretKey,
    compile_exact,
    prepare,
    run_encrypted,
)
from he.formats.digest import DIGEST_BYTES
from he.formats.messages import Kind
from he.parties.ledger import ReplayError, SpentError
from he.parties.threshold.opening import Opener
from he.parties.threshold.parts import opened_part
from he.parties.threshold.together import Together
from he.parties.threshold.voucher import Vouching
from he.program.algebra import run
from he.readers import flooding
from he.readers.clear import ClearAlgebra
from he.testing import damaged, inputs, polynomial_graphs, table_network, table_networks
from tests.he.forge import part_of, residues_of, with_fields, with_part, with_residues, written_to
from tests.he.parties.threshold.owners import BITS, CIRCUITS, NETWORKS, POLICY, Owners, decrypted, joint, secret_of

PARTIES = {scheme: Owners(circuit) for scheme, circuit in CIRCUITS.items()}
EXACT = PARTIES["bfv"]
X = inputs(NETWORKS["bfv"], 2)
ANSWER = EXACT.answer(X)
REQUEST, VOUCHER = EXACT.request, EXACT.vouching.vouch(ANSWER)
PART = EXACT.new_opener().part(ANSWER, VOUCHER)


def spread(values):
    return float(np.sqrt(np.mean(values.astype(float) ** 2)))


@pytest.mark.parametrize("scheme", PARTIES)
def test_answers_that_both_open_are_right(scheme):
    owners, network = PARTIES[scheme], NETWORKS[scheme]
    x = inputs(network, 2)
    for _ in range(2):
        assert np.abs(owners.parties.predict(x) - network.logits(x)).max() <= owners.circuit.interface.tolerance / 2
    invitation = owners.client.invite(2)
    answer = owners.session.evaluate_in_the_clear(invitation, x)
    found = owners.client.decrypt(answer, invitation, part=owners.parties.open(answer))
    assert np.abs(found - network.logits(x)).max() <= owners.circuit.interface.tolerance / 2


@settings(max_examples=3, deadline=None)
@given(network=table_networks(1, max_points=9))
def test_any_table_networks_answers_are_exact(network):
    x = inputs(network, 2)
    assert np.array_equal(Together.of(joint(network, "bfv", images=2)).predict(x), network.logits(x))


@settings(max_examples=3, deadline=None)
@given(network=polynomial_graphs(max_activations=1))
def test_any_polynomial_networks_answers_are_within_their_bound(network):
    circuit, x = joint(network, "ckks", images=2), inputs(network, 2)
    assert np.abs(Together.of(circuit).predict(x) - network.logits(x)).max() <= circuit.output_bound


@pytest.mark.parametrize("scheme", PARTIES)
def test_the_noise_of_an_answer_is_hidden_by_that_of_the_part(scheme):
    """Under the sum of both shares an answer has little noise; with the part, under one share, that of the flood."""
    owners = PARTIES[scheme]
    interface, N = owners.circuit.interface, owners.circuit.parameters.poly_modulus_degree
    answer = owners.answer(inputs(NETWORKS[scheme], 2))
    own, theirs = secret_of(owners.data), secret_of(owners.model)
    message = decrypted(interface, answer, own + theirs)
    (added,) = opened_part(owners.parties.open(answer), interface, owners.data.evaluation_keys.id, digest(answer))
    residues = residues_of(Kind.RESPONSE, interface, answer)
    residues[0] = (residues[0] + added) % np.array(interface.parameters.primes[: len(added)], np.uint64)[:, None]
    seen = decrypted(interface, with_residues(Kind.RESPONSE, interface, answer, residues), own)
    flood = seen - message
    q, t = math.prod(interface.parameters.primes[: interface.output_level]), interface.parameters.plain_modulus
    if scheme == "bfv":
        bits = flooding.uniform_bits(interface.parameters, interface.output_level)
        assert -(1 << bits - 1) <= min(flood) < -(1 << bits - 2)
        assert 1 << bits - 2 < max(flood) < 1 << bits - 1
        assert spread(flood) == pytest.approx(2.0**bits / math.sqrt(12), rel=0.1)
        noise = (message * t + q // 2) % q - q // 2  # times t / q
        norm = math.sqrt(sum(int(n) ** 2 for n in noise)) / q
        assert norm + flooding.added_noise(interface.parameters, interface.output_level) <= flooding.hidden_noise(
            N, interface.ciphertexts, BITS["bfv"]
        )
    else:
        deviation = flooding.normal_deviation(N, interface.output_scale, interface.tolerance / 2)
        assert spread(flood) == pytest.approx(deviation, rel=0.12)


def digest(message):
    return bytes(message[-32:]).hex()


@pytest.mark.parametrize("scheme", PARTIES)
def test_one_share_alone_decrypts_to_noise(scheme):
    """What either owner sees of an answer with its share alone is uniform modulo q."""
    owners = PARTIES[scheme]
    interface = owners.circuit.interface
    q = math.prod(interface.parameters.primes[: interface.output_level])
    answer = owners.answer(inputs(NETWORKS[scheme], 2))
    for key in (owners.data, owners.model):
        seen = decrypted(interface, answer, secret_of(key)).astype(float) / q + 0.5
        counts = np.histogram(seen, 16, (0, 1))[0]
        expected = len(seen) / 16
        assert ((counts - expected) ** 2 / expected).sum() < 60  # chi-squared of 15 degrees: a chance below 10^-6


def test_an_answer_is_not_read_without_its_own_part():
    client, x = EXACT.new_client(), X
    client.admit(EXACT.session.permission, EXACT.owner.verification_key)
    requests = [client.encrypt(x) for _ in range(2)]
    answers = [EXACT.session.evaluate(request) for request in requests]
    parts = [EXACT.parties.open(answer) for answer in answers]
    with pytest.raises(MessageError, match="`part`, the model owner's of the decryption, must be given"):
        client.decrypt(answers[0], requests[0])
    with pytest.raises(MessageError, match="a part opens the answer alone for which it was made"):
        client.decrypt(answers[0], requests[0], part=parts[1])
    for fields, message in (({"key": "0" * 64}, "another key"), ({"circuit": "0" * 64}, "another circuit")):
        with pytest.raises(MessageError, match=message):
            client.check(answers[0], requests[0], part=with_fields(Kind.PARTIAL_DECRYPTION, parts[0], **fields))
    with pytest.raises(MessageError, match=r"must have 1 polynomial\(s\), got 0"):
        client.decrypt(answers[0], requests[0], part=with_part(Kind.PARTIAL_DECRYPTION, parts[0], b""))
    # The part of another answer under this one's name is noise, and says nothing that looks like a result.
    forged = with_part(Kind.PARTIAL_DECRYPTION, parts[0], part_of(Kind.PARTIAL_DECRYPTION, parts[1]))
    with pytest.raises(DecryptionError):
        client.decrypt(answers[0], requests[0], part=forged)
    assert np.array_equal(client.decrypt(answers[1], requests[1], part=parts[1]), NETWORKS["bfv"].logits(x))


def test_another_pair_of_owners_opens_nothing():
    other = Owners(CIRCUITS["bfv"])
    answer = EXACT.answer(X)
    with pytest.raises(MessageError, match="another key than the one that this owner has a share of"):
        Opener(other.owner, other.model, EXACT.vouching.verification_key).part(answer, EXACT.vouching.vouch(answer))
    mixed = other.model._replace(evaluation_keys=EXACT.model.evaluation_keys)  # a share that is not this key's
    part = Opener(other.owner, mixed, EXACT.vouching.verification_key).part(answer, EXACT.vouching.vouch(answer))
    with pytest.raises(DecryptionError):
        EXACT.client.decrypt(answer, EXACT.request, part=part)


def test_what_no_evaluator_has_vouched_for_is_not_opened():
    answer, other = EXACT.answer(X), EXACT.answer(X)
    with pytest.raises(NotPermittedError, match="the evaluator has not signed this"):
        EXACT.opener.part(answer, Vouching().vouch(answer))
    with pytest.raises(NotPermittedError, match="has vouched for another answer"):
        EXACT.opener.part(answer, EXACT.vouching.vouch(other))
    weight = EXACT.owner.issue(EXACT.model.public_key).ciphertexts[0]  # passed for an answer
    forged = with_part(Kind.RESPONSE, answer, bytes(weight[: len(part_of(Kind.RESPONSE, answer))]))
    with pytest.raises(NotPermittedError, match="has vouched for another answer"):
        EXACT.opener.part(forged, EXACT.vouching.vouch(answer))
    for data in (EXACT.client.encrypt(X), b""):
        with pytest.raises(MessageError):
            EXACT.vouching.vouch(data)


def test_an_answer_that_is_given_its_voucher_once_it_was_checked_is_not_opened(monkeypatch):
    answer = EXACT.answer(X)
    forged = with_fields(Kind.RESPONSE, answer, request="0" * 64)
    later = forged[:-DIGEST_BYTES] + answer[-DIGEST_BYTES:]
    memory = written_to(monkeypatch, "he.parties.threshold.opening", forged, later)
    with pytest.raises(NotPermittedError, match="has vouched for another answer"):
        EXACT.opener.part(memory, EXACT.vouching.vouch(answer))


def test_a_voucher_is_for_the_answer_that_was_checked(monkeypatch):
    answer = EXACT.answer(X)
    with monkeypatch.context() as patch:
        voucher = EXACT.vouching.vouch(written_to(patch, "he.parties.threshold.voucher", answer, bytes(len(answer))))
    EXACT.opener.part(answer, voucher)


def test_an_answer_is_opened_once_and_no_more_than_are_allowed():
    opener = EXACT.new_opener(most=2)
    answers = [EXACT.answer(X) for _ in range(3)]
    for answer in answers[:2]:
        opener.part(answer, EXACT.vouching.vouch(answer))
    with pytest.raises(ReplayError):
        opener.part(answers[0], EXACT.vouching.vouch(answers[0]))
    with pytest.raises(SpentError):
        opener.part(answers[2], EXACT.vouching.vouch(answers[2]))


def test_nothing_is_opened_after_a_revocation_whatever_the_evaluator_does():
    owners = Owners(CIRCUITS["bfv"])
    answers, name = [owners.answer(X) for _ in range(2)], owners.model.public_key.id
    owners.parties.open(answers[0])
    owners.owner.revoke(name)  # of which the evaluator takes no note
    late = owners.answer(X)
    for answer in (answers[1], late):
        with pytest.raises(NotPermittedError, match="not among those that the model's owner permits"):
            owners.parties.open(answer)
    owners.owner.permit(name)  # the request has not been spent by what was refused
    owners.parties.open(answers[1])


@pytest.mark.parametrize("change", [str.upper, lambda name: name + "0", lambda name: ""])
def test_a_request_has_one_name_so_that_no_other_spelling_opens_its_answer_again(change):
    opener, vouching, name = EXACT.new_opener(), EXACT.vouching, digest(REQUEST)
    opener.part(ANSWER, VOUCHER)
    other = with_fields(Kind.RESPONSE, ANSWER, request=change(name))
    with pytest.raises(MessageError, match="must name its request"):
        opener.part(other, vouching.vouch(other))


@settings(max_examples=40, deadline=None)
@given(data=st.data(), number=st.integers(0, 2))
def test_damaged_messages_open_nothing(data, number):
    messages = [ANSWER, VOUCHER, PART]
    messages[number] = data.draw(damaged(messages[number]))
    answer, voucher, part = messages
    read = [lambda: EXACT.opener.part(answer, voucher), lambda: EXACT.client.check(answer, REQUEST, part=part)]
    with pytest.raises((MessageError, NotPermittedError)):
        read[number // 2]()


def test_a_client_goes_on_with_its_share_from_files(tmp_path):
    key = EXACT.data
    key.share.save(tmp_path / "share", "a password")
    share = SecretKey.load(tmp_path / "share", "a password", EXACT.circuit.parameters)
    client = EXACT.new_client()
    client.admit(EXACT.session.permission, EXACT.owner.verification_key)
    request = client.encrypt(X)
    answer = EXACT.session.evaluate(request)
    again = Client(
        EXACT.circuit.interface, share, public_key=key.public_key, policy=POLICY, state=client.state()
    )  # fmt: skip
    assert np.array_equal(again.decrypt(answer, part=EXACT.parties.open(answer)), NETWORKS["bfv"].logits(X))


def test_slots_hold_logits_and_zeros_alone():
    """A data owner who decrypts sees all slots."""
    circuit, network = EXACT.circuit, NETWORKS["bfv"]
    (spec,), output, packing = circuit.interface.inputs, circuit.interface.output, circuit.interface.packing
    slots = spec.layout.pack(spec.check(X, circuit.parameters.scheme))
    algebra = ClearAlgebra(circuit.parameters.t, slots, circuit.program.plaintexts, circuit.parameters.rows)
    view = packing.view(np.array(run(circuit.program, algebra)), output.width)
    by_unit = np.moveaxis(view, 3, 1).reshape(len(view) * output.width, -1)
    assert not by_unit[output.outputs :].any()
    for unit, logits in enumerate(network.logits(X).T):
        assert set(by_unit[unit].tolist()) == set(logits.tolist())


def test_arguments_that_do_not_go_together_are_refused():
    one = compile_exact(table_network(), weights="encrypted", security="insecure")
    key, interface = EXACT.data, EXACT.circuit.interface
    with pytest.raises(ParameterError, match=r"`public_key`, and with it .* must be given"):
        Client(interface, policy=POLICY)
    with pytest.raises(ParameterError, match=r"`Together.of\(circuit\)` .* returns all parties"):
        run_encrypted(EXACT.circuit, X)
    with pytest.raises(ParameterError, match="`evaluation_keys` must be given with `public_key`"):
        Client(interface, key.share, public_key=key.public_key, policy=POLICY)
    with pytest.raises(ParameterError, match="must be left out: the key has one owner"):
        Client(one.interface, public_key=key.public_key, policy=POLICY)
    with pytest.raises(MessageError, match="another secret key"):
        Client(interface, EXACT.model.share, key.evaluation_keys, public_key=key.public_key, policy=POLICY)
    client = Client(one.interface, policy=POLICY)
    client._require_permission = lambda: None
    request = client.encrypt(X[:1])
    response = with_fields(
        Kind.RESPONSE, ANSWER, circuit=one.interface.digest, key=client.evaluation_keys.id, request=digest(request)
    )
    with pytest.raises(MessageError, match="must be left out: the key has one owner"):
        client.decrypt(response, part=PART)
    for circuit in (one, CIRCUITS["ckks"]):
        with pytest.raises(ParameterError, match="for which two owners have made this key"):
            Opener(ModelOwner(circuit), EXACT.model, EXACT.vouching.verification_key)
    for evaluator in (b"", EXACT.vouching.verification_key[1:]):
        with pytest.raises(ValueError, match=r"`evaluator` must be 32 bytes, `Vouching\.verification_key`, got"):
            Opener(EXACT.owner, EXACT.model, evaluator)
    with pytest.raises(TypeError, match="`evaluator` must be bytes"):
        Opener(EXACT.owner, EXACT.model, EXACT.vouching)
    with pytest.raises(TypeError, match="`owner` must be"):
        Opener(EXACT.circuit, EXACT.model, EXACT.vouching.verification_key)
    with pytest.raises(TypeError, match="must be bytes, got"):
        EXACT.opener.part(ANSWER, 32)
    with pytest.raises(ValueError, match="`seed` must have 32 bytes"):
        Vouching(b"")
    with pytest.raises(ValueError, match="`most` must"):
        EXACT.new_opener(most=0)


def test_an_evaluation_is_rehearsed_before_there_is_a_key():
    assert prepare(EXACT.owner.circuit).rehearse(1, 0) > 0
