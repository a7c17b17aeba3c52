"""Envelopes whose digest is right and whose contents are not: a right answer, or an error."""

import numpy as np
import pytest
import tenseal.sealapi as sealapi
from hypothesis import given, settings
from hypothesis import strategies as st

from he import (
    DecryptionError,
    MessageError,
    compile_approximate,
    compile_exact,
    prepare,
)
from he.formats.messages import Kind, message_digest
from he.formats.seal_bridge import create_context, level_ids, to_bytes
from he.testing import inputs, table_network
from intnn import Activation, Dense, Graph
from tests.he.conftest import Party
from tests.he.forge import ciphertext_bytes, ciphertext_fields, load_ciphertext, part_of, with_fields, with_part
from tests.he.parties.exchange import (
    assert_right,
    decrypted,
    foreign_parameters,
    fresh_ciphertext,
    images_for,
    renewed,
    stranger,
)


def forgeries(party, kind, message):
    """What SEAL itself must refuse in place of the message's first ciphertext."""
    original = part_of(kind, message)
    fields = ciphertext_fields(load_ciphertext(party.circuit.parameters, original))
    residues = fields["residues"]
    return [
        b"",
        np.random.default_rng(0).bytes(len(original)),
        original[:-1],
        original[: len(original) // 2],
        original[:16],  # header only
        original[:8],
        bytes(len(original)),
        part_of(Kind.EVALUATION_KEYS, party.client.evaluation_keys.to_bytes(), 1),  # a key
        to_bytes(fresh_ciphertext(party, foreign_parameters(party))),  # other parameters
        ciphertext_bytes(**{**fields, "parms_id": [1, 2, 3, 4]}),  # an unknown parameter set
        ciphertext_bytes(**{**fields, "N": 2 * fields["N"]}),  # a longer ring
        ciphertext_bytes(**{**fields, "levels": fields["levels"] + 1}),  # more primes
        ciphertext_bytes(**{**fields, "size": 1, "residues": residues[: len(residues) // 2]}),  # one polynomial
        ciphertext_bytes(**{**fields, "residues": residues[:-1]}),  # a residue short
        ciphertext_bytes(**{**fields, "residues": [2**62] * len(residues)}),  # residues beyond their prime
    ]


def test_what_seal_cannot_read_is_refused_on_both_sides(exchange):
    party, asked, answer = exchange
    for forged in forgeries(party, Kind.REQUEST, asked):
        with pytest.raises(MessageError, match="the request cannot be evaluated"):
            party.session.evaluate(with_part(Kind.REQUEST, asked, forged))
    for forged in forgeries(party, Kind.RESPONSE, answer):
        with pytest.raises(MessageError, match="the response cannot be decrypted"):
            decrypted(party, with_part(Kind.RESPONSE, answer, forged))


def test_a_forged_ciphertext_with_nothing_wrong_is_accepted(exchange):
    """The forger writes SEAL's format as SEAL does, so that the other tests test what they say."""
    party, asked, answer = exchange
    for kind, message in ((Kind.REQUEST, asked), (Kind.RESPONSE, answer)):
        same = ciphertext_bytes(**ciphertext_fields(load_ciphertext(party.circuit.parameters, part_of(kind, message))))
        forged = with_part(kind, message, same)
        forged = party.session.evaluate(renewed(forged)) if kind is Kind.REQUEST else forged
        assert_right(party, decrypted(party, forged), images_for(party))


def not_fresh(party, message):
    """The request's first ciphertext at a lower level, with three polynomials, in the other form, at another scale."""
    context = create_context(party.circuit.parameters)
    evaluator, parameters = sealapi.Evaluator(context), party.circuit.parameters
    ciphertext = load_ciphertext(party.circuit.parameters, part_of(Kind.REQUEST, message))
    lower, square, turned = sealapi.Ciphertext(), sealapi.Ciphertext(), sealapi.Ciphertext()
    evaluator.mod_switch_to_next(ciphertext, lower)
    evaluator.square(ciphertext, square)
    transform = evaluator.transform_to_ntt if parameters.scheme == "bfv" else evaluator.transform_from_ntt
    transform(ciphertext, turned)
    yield from map(to_bytes, (lower, square, turned))
    if parameters.scheme == "ckks":
        yield ciphertext_bytes(**{**ciphertext_fields(ciphertext), "scale": 2 * ciphertext.scale})


def test_requests_that_are_not_fresh_are_refused(exchange):
    party, asked, _ = exchange
    for forged in not_fresh(party, asked):
        with pytest.raises(
            MessageError, match="input 0 must be a fresh ciphertext of two polynomials at the top level"
        ):
            party.session.evaluate(with_part(Kind.REQUEST, asked, forged))


def random_ciphertext(party, level, seed):
    """Residues drawn uniformly: what decrypting with a wrong key amounts to."""
    parameters, rng = party.circuit.parameters, np.random.default_rng(seed)
    residues = [rng.integers(0, p, parameters.poly_modulus_degree) for _ in range(2) for p in parameters.primes[:level]]
    return ciphertext_bytes(
        parms_id=level_ids(create_context(parameters), parameters)[level],
        ntt=parameters.scheme == "ckks",
        size=2,
        N=parameters.poly_modulus_degree,
        levels=level,
        scale=party.circuit.interface.output_scale,
        residues=np.concatenate(residues),
    )


@settings(max_examples=15)
@given(st.data())
def test_random_residues_are_never_decrypted(exchange, data):
    party, _, answer = exchange
    level = party.circuit.interface.output_level
    forged = random_ciphertext(party, level, data.draw(st.integers(0, 2**32 - 1)))
    with pytest.raises(DecryptionError):
        decrypted(party, with_part(Kind.RESPONSE, answer, forged))


def test_an_answer_under_another_key_is_never_decrypted(exchange, strangers):
    party, _, answer = exchange
    other = stranger(strangers, party)
    theirs = other.session.evaluate(other.client.encrypt(images_for(other)))
    with pytest.raises(DecryptionError):
        decrypted(party, with_part(Kind.RESPONSE, answer, part_of(Kind.RESPONSE, theirs)))
    fresh = fresh_ciphertext(party)
    fresh.scale = party.circuit.interface.output_scale
    with pytest.raises(MessageError, match="not in the form of a result"):  # it has all primes
        decrypted(party, with_part(Kind.RESPONSE, answer, to_bytes(fresh)))


def test_an_answer_to_a_request_under_another_key_is_never_decrypted(exchange, strangers):
    """The session cannot see that the ciphertext is not of the key that the envelope names; the client does."""
    party, asked, _ = exchange
    foreign = part_of(Kind.REQUEST, stranger(strangers, party).client.encrypt(images_for(party)))
    answer = party.session.evaluate(with_part(Kind.REQUEST, asked, foreign))
    with pytest.raises(MessageError, match="the first one to an open request"):
        party.client.decrypt(answer, asked)
    with pytest.raises(DecryptionError):
        decrypted(party, answer)


@pytest.mark.parametrize("part", [0, 1])
def test_an_answer_by_another_clients_evaluation_keys_is_never_decrypted(exchange, strangers, part):
    party, asked, _ = exchange
    foreign = part_of(Kind.EVALUATION_KEYS, stranger(strangers, party).client.evaluation_keys.to_bytes(), part)
    keys = with_part(Kind.EVALUATION_KEYS, party.client.evaluation_keys.to_bytes(), foreign, part)
    session = prepare(party.circuit).session(keys)
    with pytest.raises(MessageError, match="another key than the evaluation keys"):
        session.evaluate(asked)
    forged = with_fields(Kind.REQUEST, asked, key=session._key_id)
    answer = with_fields(Kind.RESPONSE, session.evaluate(forged), key=party.client.evaluation_keys.id)
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
    fields = ciphertext_fields(load_ciphertext(party.circuit.parameters, part_of(Kind.RESPONSE, answer)))
    half = len(fields["residues"]) // 2
    for residues in ([0] * 2 * half, [*fields["residues"][:half], *[0] * half]):
        forged = ciphertext_bytes(**{**fields, "residues": residues})
        with pytest.raises(MessageError, match="not in the form of a result"):
            decrypted(party, with_part(Kind.RESPONSE, answer, forged))
    empty = ciphertext_bytes(**{**fields, "size": 0, "residues": []})
    with pytest.raises(MessageError, match="the response cannot be decrypted"):
        decrypted(party, with_part(Kind.RESPONSE, answer, empty))


def test_an_answer_in_the_other_form_or_at_another_scale_is_refused(exchange):
    party, _, answer = exchange
    fields = ciphertext_fields(load_ciphertext(party.circuit.parameters, part_of(Kind.RESPONSE, answer)))
    scales = [{"scale": fields["scale"] * factor} for factor in (2.0, 0.5, 1 + 1e-6, -1.0, 0.0, np.nan, np.inf)]
    for change in ({"ntt": not fields["ntt"]}, *scales):
        forged = with_part(Kind.RESPONSE, answer, ciphertext_bytes(**{**fields, **change}))
        with pytest.raises(MessageError, match="the response cannot be decrypted"):
            decrypted(party, forged)


@settings(max_examples=30)
@given(st.data())
def test_bits_flipped_in_a_ciphertexts_frame_give_an_error_or_the_right_answer(exchange, data):
    """Behind the digest's back: in the header, and in the seed of what is asked."""
    party, asked, answer = exchange
    kind, message = data.draw(st.sampled_from([(Kind.REQUEST, asked), (Kind.RESPONSE, answer)]))
    damaged = bytearray(part_of(kind, message))
    places = st.integers(0, 15)
    if kind is Kind.REQUEST:
        places |= st.integers(len(damaged) - 64, len(damaged) - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=3, unique=True)):
        damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    forged = with_part(kind, message, bytes(damaged))
    try:
        logits = decrypted(party, party.session.evaluate(renewed(forged)) if kind is Kind.REQUEST else forged)
    except (MessageError, DecryptionError):
        return
    assert_right(party, logits, images_for(party))


@settings(max_examples=30)
@given(st.data())
def test_residues_altered_at_random_give_an_error_or_the_right_answer(exchange, data):
    """At least eight of them: a single one, chosen well, adds a constant, for ciphertexts are malleable by design."""
    party, asked, answer = exchange
    kind, message = data.draw(st.sampled_from([(Kind.REQUEST, asked), (Kind.RESPONSE, answer)]))
    parameters = party.circuit.parameters
    fields = ciphertext_fields(load_ciphertext(parameters, part_of(kind, message)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    residues, N = np.array(fields["residues"], dtype=np.uint64), fields["N"]
    for place in rng.choice(len(residues), data.draw(st.integers(8, 100)), replace=False):
        residues[place] = rng.integers(0, parameters.primes[place // N % fields["levels"]])
    forged = with_part(kind, message, ciphertext_bytes(**{**fields, "residues": residues}))
    try:
        logits = decrypted(party, party.session.evaluate(renewed(forged)) if kind is Kind.REQUEST else forged)
    except DecryptionError:
        return
    assert_right(party, logits, images_for(party))
