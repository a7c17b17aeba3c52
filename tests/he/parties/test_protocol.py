"""What client and session refuse. Whatever arrives, the client returns a right answer or raises."""

import copy
import pickle

import numpy as np
import pytest
import tenseal.sealapi as sealapi
from hypothesis import given, settings
from hypothesis import strategies as st

from he import (
    Client,
    DecryptionError,
    MessageError,
    ParameterError,
    compile_approximate,
    compile_exact,
    interface_bytes,
    prepare,
    run_encrypted,
)
from he.circuit.interface import Interface
from he.engines.seal.engine import SealEngine
from he.formats.messages import Kind, open_message, seal_message
from he.formats.seal_bridge import create_context, level_ids, to_bytes
from he.ring.params import Parameters
from he.testing import inputs, square_graph, table_network
from intnn import Activation, Dense, Graph
from tests.he.conftest import Party
from tests.he.forge import ciphertext_bytes, ciphertext_fields, load_ciphertext, part_of, with_fields, with_part

NETWORKS = {"bfv": table_network(), "ckks": square_graph()}


def network_of(party):
    return NETWORKS[party.circuit.parameters.scheme]


def images_for(party, batch=3):
    return inputs(network_of(party), batch)


def assert_right(party, logits, images):
    tolerance = party.circuit.interface.tolerance
    assert np.all(np.abs(logits - network_of(party).logits(images)) <= tolerance)


@pytest.fixture(scope="module", params=["bfv", "ckks"])
def exchange(request, exact, approximate):
    """A party with a request and a response of three images, made once: tests only alter copies of the bytes."""
    party = exact if request.param == "bfv" else approximate
    asked = party.client.encrypt(images_for(party))
    return party, asked, party.session.evaluate(asked)


@pytest.fixture(scope="module")
def strangers():
    """For each scheme another client and session of the very same circuit."""
    return {
        "bfv": Party(compile_exact(NETWORKS["bfv"], images=4, security="insecure")),
        "ckks": Party(compile_approximate(NETWORKS["ckks"], images=4, security="insecure")),
    }


def stranger(strangers, party):
    return strangers[party.circuit.parameters.scheme]


# ------------------------------------------------------------------------------------------------- as it should be


@pytest.mark.parametrize("batch", [1, 2, 3, 4])
def test_full_and_partial_batches_come_back_right(party, batch):
    x = images_for(party, batch)
    logits = party.client.decrypt(party.session.evaluate(party.client.encrypt(x)))
    assert logits.shape == (batch, 3)
    assert logits.dtype == (np.int64 if party.circuit.parameters.scheme == "bfv" else np.float64)
    assert_right(party, logits, x)


def test_run_encrypted_cuts_batches(exact):
    x = images_for(exact, 9)  # batches of 4, 4 and 1
    assert np.array_equal(run_encrypted(exact.circuit, x), network_of(exact).logits(x))


def test_a_client_may_be_made_of_the_interface_itself(exact):
    client = Client(exact.circuit.interface, security="insecure")
    session = prepare(exact.circuit).session(client.evaluation_keys)
    x = images_for(exact)
    assert np.array_equal(client.decrypt(session.evaluate(client.encrypt(x))), network_of(exact).logits(x))


def test_an_interface_survives_its_bytes(party):
    interface = party.circuit.interface
    assert party.client.interface.to_dict() == interface.to_dict()
    assert party.client.interface.digest == interface.digest


def test_two_encryptions_of_the_same_images_differ(party):
    x = images_for(party)
    assert part_of(Kind.REQUEST, party.client.encrypt(x)) != part_of(Kind.REQUEST, party.client.encrypt(x))


def test_a_client_cannot_be_pickled_or_copied(party):
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="a Client holds a secret key and cannot be pickled or copied"):
            attempt(party.client)


def test_ckks_has_no_noise_budget(approximate):
    with pytest.raises(TypeError, match="no noise budget"):
        approximate.client.noise_budget(b"")


# ---------------------------------------------------------------------------------------------- damage on the way


@settings(max_examples=25)
@given(st.data())
def test_messages_cut_or_altered_anywhere_are_refused(exchange, data):
    party, asked, answer = exchange
    message, receive = data.draw(
        st.sampled_from(
            [
                (asked, party.session.evaluate),
                (answer, party.client.decrypt),
                (party.client.evaluation_keys.to_bytes(), lambda keys: prepare(party.circuit).session(keys)),
                (interface_bytes(party.circuit.interface), Client),
            ]
        )
    )
    place = data.draw(st.integers(0, len(message) - 1))
    with pytest.raises(MessageError):
        receive(message[:place])
    damaged = bytearray(message)
    damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(MessageError):
        receive(bytes(damaged))


def test_messages_of_another_kind_are_refused(exchange):
    party, asked, answer = exchange
    keys, interface = party.client.evaluation_keys.to_bytes(), interface_bytes(party.circuit.interface)
    for receive, own, name in (
        (party.session.evaluate, asked, "request"),
        (party.client.decrypt, answer, "response"),
        (lambda data: prepare(party.circuit).session(data), keys, "evaluation keys"),
        (Client, interface, "interface"),
    ):
        for other in {asked, answer, keys, interface} - {own}:
            with pytest.raises(MessageError, match=f"expected a message with {name}, got one of another kind"):
                receive(other)


# ---------------------------------------------------------------------------------- messages that belong elsewhere


def test_another_circuits_messages_are_refused(exchange):
    party, asked, answer = exchange
    scheme = party.circuit.parameters.scheme
    network = table_network(points=7) if scheme == "bfv" else square_graph()
    options = {"images": 2, "security": "insecure"}
    other = Party((compile_exact if scheme == "bfv" else compile_approximate)(network, **options))
    with pytest.raises(MessageError, match="made for another circuit or parameter set"):
        other.session.evaluate(asked)
    with pytest.raises(MessageError, match="made for another circuit or parameter set"):
        other.client.decrypt(answer)
    with pytest.raises(MessageError, match="made for another circuit or parameter set"):
        prepare(other.circuit).session(party.client.evaluation_keys)


def test_another_clients_messages_are_refused(exchange, strangers):
    party, asked, answer = exchange
    other = stranger(strangers, party)
    with pytest.raises(MessageError, match="another key than the evaluation keys that this session holds"):
        other.session.evaluate(asked)
    with pytest.raises(MessageError, match="another key: only the client that encrypted a request can read the answer"):
        other.client.decrypt(answer)


@pytest.mark.parametrize("images", [0, 5, -1, None, "3", 2.0, [3]])
def test_a_wrong_number_of_images_is_refused(exchange, images):
    party, asked, answer = exchange
    with pytest.raises(MessageError, match="a request must be for 1 to 4 images, got"):
        party.session.evaluate(with_fields(Kind.REQUEST, asked, images=images))
    with pytest.raises(MessageError, match=r"a response must hold 1 ciphertext\(s\) for 1 to 4 images"):
        party.client.decrypt(with_fields(Kind.RESPONSE, answer, images=images))


@pytest.mark.parametrize("count", [0, 2])
def test_a_wrong_number_of_ciphertexts_is_refused(exchange, count):
    party, asked, answer = exchange
    fields, parts = open_message(Kind.REQUEST, asked)
    with pytest.raises(MessageError, match=f"`inputs` must be {len(parts)} ciphertexts, got {count * len(parts)}"):
        party.session.evaluate(seal_message(Kind.REQUEST, fields, parts * count))
    fields, parts = open_message(Kind.RESPONSE, answer)
    with pytest.raises(MessageError, match="a response must hold 1 ciphertext"):
        party.client.decrypt(seal_message(Kind.RESPONSE, fields, parts * count))


# --------------------------------------------------- forged envelopes: the digest is right, the contents are not


def foreign_parameters(party):
    """Parameters of the same scheme, ring and number of primes, and of other primes."""
    own = party.circuit.parameters
    bits = tuple(b - 1 for b in own.coeff_modulus_bits)
    return Parameters(own.scheme, own.poly_modulus_degree, bits, own.plain_modulus, own.scale_bits, "insecure")


def fresh_ciphertext(party, parameters=None):
    """Zeros, encrypted under a new key at the top level of the party's parameters, or of others."""
    parameters = parameters or party.circuit.parameters
    context = create_context(parameters)
    encryptor = sealapi.Encryptor(context, sealapi.KeyGenerator(context).secret_key())
    plaintext, ciphertext = sealapi.Plaintext(), sealapi.Ciphertext()
    if parameters.scheme == "bfv":
        sealapi.BatchEncoder(context).encode([0] * parameters.slots, plaintext)
    else:
        sealapi.CKKSEncoder(context).encode([0.0] * parameters.slots, 2.0**parameters.scale_bits, plaintext)
    encryptor.encrypt_symmetric(plaintext, ciphertext)
    return ciphertext


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
        with pytest.raises(DecryptionError):
            party.client.decrypt(with_part(Kind.RESPONSE, answer, forged))


def test_a_forged_ciphertext_with_nothing_wrong_is_accepted(exchange):
    """The forger writes SEAL's format as SEAL does, so that the other tests test what they say."""
    party, asked, answer = exchange
    for kind, message in ((Kind.REQUEST, asked), (Kind.RESPONSE, answer)):
        same = ciphertext_bytes(**ciphertext_fields(load_ciphertext(party.circuit.parameters, part_of(kind, message))))
        forged = with_part(kind, message, same)
        forged = party.session.evaluate(forged) if kind is Kind.REQUEST else forged
        assert_right(party, party.client.decrypt(forged), images_for(party))


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
    """Residues drawn uniformly, at any level of the party's parameters: what decrypting with a wrong key amounts to."""
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
    level = data.draw(st.integers(1, party.circuit.parameters.levels))
    forged = random_ciphertext(party, level, data.draw(st.integers(0, 2**32 - 1)))
    with pytest.raises(DecryptionError):
        party.client.decrypt(with_part(Kind.RESPONSE, answer, forged))


def test_an_answer_under_another_key_is_never_decrypted(exchange, strangers):
    party, _, answer = exchange
    other = stranger(strangers, party)
    theirs = other.session.evaluate(other.client.encrypt(images_for(other)))
    with pytest.raises(DecryptionError):
        party.client.decrypt(with_part(Kind.RESPONSE, answer, part_of(Kind.RESPONSE, theirs)))
    fresh = fresh_ciphertext(party)
    fresh.scale = party.circuit.interface.output_scale
    with pytest.raises(DecryptionError):
        party.client.decrypt(with_part(Kind.RESPONSE, answer, to_bytes(fresh)))


def test_an_answer_to_a_request_under_another_key_is_never_decrypted(exchange, strangers):
    """The session cannot see that the ciphertext is not of the key that the envelope names; the client does."""
    party, asked, _ = exchange
    foreign = part_of(Kind.REQUEST, stranger(strangers, party).client.encrypt(images_for(party)))
    with pytest.raises(DecryptionError):
        party.client.decrypt(party.session.evaluate(with_part(Kind.REQUEST, asked, foreign)))


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
        party.client.decrypt(answer)


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
        forged = with_fields(Kind.RESPONSE, theirs, key=party.client.evaluation_keys.id)
        with pytest.raises(DecryptionError):
            party.client.decrypt(forged)


def test_a_ciphertext_that_needs_no_key_is_no_answer(exchange):
    """All residues zero decrypt to zero under every key, with the largest of noise budgets."""
    party, _, answer = exchange
    fields = ciphertext_fields(load_ciphertext(party.circuit.parameters, part_of(Kind.RESPONSE, answer)))
    half = len(fields["residues"]) // 2
    for residues in ([0] * 2 * half, [*fields["residues"][:half], *[0] * half]):
        forged = ciphertext_bytes(**{**fields, "residues": residues})
        with pytest.raises(DecryptionError, match="not in the form of a result"):
            party.client.decrypt(with_part(Kind.RESPONSE, answer, forged))
    empty = ciphertext_bytes(**{**fields, "size": 0, "residues": []})
    with pytest.raises(DecryptionError, match="not in the form of a result"):
        party.client.decrypt(with_part(Kind.RESPONSE, answer, empty))


def test_an_answer_in_the_other_form_or_at_another_scale_is_refused(exchange):
    party, _, answer = exchange
    fields = ciphertext_fields(load_ciphertext(party.circuit.parameters, part_of(Kind.RESPONSE, answer)))
    scales = [{"scale": fields["scale"] * factor} for factor in (2.0, 0.5, 1 + 1e-6, -1.0, 0.0, np.nan, np.inf)]
    for change in ({"ntt": not fields["ntt"]}, *scales):
        forged = with_part(Kind.RESPONSE, answer, ciphertext_bytes(**{**fields, **change}))
        with pytest.raises(DecryptionError):
            party.client.decrypt(forged)


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
        logits = party.client.decrypt(party.session.evaluate(forged) if kind is Kind.REQUEST else forged)
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
        logits = party.client.decrypt(party.session.evaluate(forged) if kind is Kind.REQUEST else forged)
    except DecryptionError:
        return
    assert_right(party, logits, images_for(party))


# --------------------------------------------------------------------------------------------------- evaluation keys


@pytest.mark.parametrize("part", [0, 1])
def test_unusable_evaluation_keys_are_refused(exchange, part):
    party, _, _ = exchange
    keys = party.client.evaluation_keys.to_bytes()
    original = part_of(Kind.EVALUATION_KEYS, keys, part)
    other = create_context(foreign_parameters(party))
    generator = sealapi.KeyGenerator(other)
    elements = party.circuit.interface.galois_elements
    foreign = generator.create_galois_keys(elements) if part else generator.create_relin_keys()
    for forged in (
        b"",
        b"noise",
        original[:-1],
        original[: len(original) // 2],
        bytes(len(original)),
        to_bytes(foreign),
        to_bytes(fresh_ciphertext(party)),
    ):
        with pytest.raises(MessageError, match="the evaluation keys are unusable"):
            prepare(party.circuit).session(with_part(Kind.EVALUATION_KEYS, keys, forged, part))


def test_keys_in_each_others_place_are_refused(exchange):
    party, _, _ = exchange
    fields, (relin, galois) = open_message(Kind.EVALUATION_KEYS, party.client.evaluation_keys.to_bytes())
    with pytest.raises(MessageError, match="the evaluation keys are unusable"):
        prepare(party.circuit).session(seal_message(Kind.EVALUATION_KEYS, fields, [galois, relin]))


def test_a_missing_rotation_key_is_counted(exchange):
    party, _, _ = exchange
    generator = sealapi.KeyGenerator(create_context(party.circuit.parameters))
    fewer = to_bytes(generator.create_galois_keys(party.circuit.interface.galois_elements[:-1]))
    with pytest.raises(MessageError, match="a key for every rotation of the circuit; 1 are missing"):
        prepare(party.circuit).session(
            with_part(Kind.EVALUATION_KEYS, party.client.evaluation_keys.to_bytes(), fewer, 1)
        )


@pytest.mark.parametrize("count", [0, 1, 3])
def test_evaluation_keys_have_two_parts(exchange, count):
    party, _, _ = exchange
    fields, parts = open_message(Kind.EVALUATION_KEYS, party.client.evaluation_keys.to_bytes())
    with pytest.raises(MessageError, match=f"evaluation keys must have two parts, got {count}"):
        prepare(party.circuit).session(seal_message(Kind.EVALUATION_KEYS, fields, (parts * 2)[:count]))


def test_the_engine_says_which_key_is_missing(exact):
    galois = part_of(Kind.EVALUATION_KEYS, exact.client.evaluation_keys.to_bytes(), 1)
    with pytest.raises(ValueError, match="`relinearisation_key` must be given: the circuit multiplies"):
        SealEngine().prepare(exact.circuit).bind(None, galois)


# --------------------------------------------------------------------------------------------------------- interfaces


@pytest.mark.parametrize(
    "changes",
    [
        {"parameters": None},
        {"parameters": {}},
        {"parameters": {"scheme": "bfv"}},
        {"inputs": []},
        {"inputs": None},
        {"inputs": [{}]},
        {"inputs": "images"},
        {"shape": 5},
        {"shape": ["5"]},
        {"owner": "model"},
        {"owner": "nobody"},
        {"kind": "secret"},
        {"name": "two words"},
        {"scale": 0.0},
        {"scale": float("nan")},
        {"scale": "1"},
        {"range": [0]},
        {"range": [1, 0]},
        {"range": ["0", "1"]},
        {"packing": [2, 512, 3, True]},
        {"packing": [2, 1024, 2, True]},
        {"packing": [1, 512, 2, False]},
        {"packing": "2"},
        {"features": 6},
        {"features": "5"},
        {"gather": []},
        {"gather": [[0, 5]]},
        {"gather": [[0], [0], [0]]},
        {"gather": [[0.5]] * 8},
        {"gather": [[0]] * 1024},
        {"gather": [[0, 1], [2]]},
        {"output": [4]},
        {"output": [0, 3]},
        {"output": [3, 3]},
        {"packing": [2, 512, 2, True, 2]},
        {"output": [4, 0]},
        {"output": [4096, 3]},
        {"rotation_steps": None},
        {"rotation_steps": ["1"]},
        {"swaps_rows": "no"},
        {"multiplies": None},
        {"tolerance": "0"},
        {"tolerance": -1.0},
        {"tolerance": float("nan")},
        {"output_scale": None},
        {"output_scale": 0.0},
    ],
)
def test_a_malformed_interface_is_refused(exact, changes):
    fields = exact.circuit.interface.to_dict()
    for name, value in changes.items():
        (fields["inputs"][0] if name in fields["inputs"][0] else fields)[name] = value
    with pytest.raises(MessageError, match="the interface is malformed"):
        Client(seal_message(Kind.INTERFACE, fields))
    with pytest.raises(ValueError, match=r"\w"):
        Interface.from_dict(fields)


def test_an_interface_without_a_field_names_it(exact):
    whole = exact.circuit.interface.to_dict()
    for name in (*whole, *whole["inputs"][0]):
        fields = exact.circuit.interface.to_dict()
        del (fields if name in fields else fields["inputs"][0])[name]
        with pytest.raises(MessageError, match=f"the interface is malformed: an interface must have a field '{name}'"):
            Client(seal_message(Kind.INTERFACE, fields))


def test_an_insecure_interface_is_refused_unless_it_was_asked_for(party):
    data = interface_bytes(party.circuit.interface)
    with pytest.raises(ParameterError, match="below 128-bit security"):
        Client(data)
    assert Client(data, security="insecure").interface.digest == party.circuit.interface.digest


def test_nothing_in_an_interface_is_a_weight(exact):
    """The client of a network with other weights in the same places is told the same."""
    network = table_network()
    first, table, last = network.layers
    other = type(network)(
        network.input_shape,
        network.input_domain,
        (type(first)(-first.weight, first.bias), table, type(last)(last.weight[::-1] + 1, last.bias * 2)),
    )
    assert compile_exact(other, images=4, security="insecure").interface.to_dict() == exact.circuit.interface.to_dict()
