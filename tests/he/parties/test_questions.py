"""One question, one answer: what is swapped, replayed or relabelled is refused, before the key is used."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import he.parties.session
from he import Client, MessageError, Policy, compile_exact, connect, prepare
from he.circuit.packing import Packing
from he.formats.messages import Kind, message_digest, open_message, seal_message
from he.parties.questions import Question, Questions, secret_order
from he.testing import compiled, inputs
from tests.he.conftest import Party
from tests.he.forge import with_fields
from tests.he.parties.exchange import NETWORKS, decrypted, images_for, network_of

CIRCUITS = {
    f"{scheme}-{packing}": (network, compiled(network, packing=packing, security="insecure", salt=bytes(32)))
    for scheme, network in NETWORKS.items()
    for packing in ("latency", "throughput")
}
INSECURE = Policy(security="insecure")


@pytest.fixture(params=CIRCUITS)
def pair(request):
    """A network with a client and a session of its own, both with the limits that they have by default."""
    network, circuit = CIRCUITS[request.param]
    client = Client(circuit.interface, policy=INSECURE)
    return network, client, prepare(circuit).session(client.evaluation_keys)


def right(network, client, logits, images):
    return np.abs(logits - network.logits(images)).max() <= client.interface.tolerance


def test_answers_in_any_order_are_each_to_their_own_request(pair):
    network, client, session = pair
    batches = [inputs(network, 1, seed) for seed in range(3)]
    requests = [client.encrypt(batch) for batch in batches]
    answers = [session.evaluate(request) for request in requests]
    for i in (2, 0, 1):
        assert right(network, client, client.decrypt(answers[i], requests[i]), batches[i])


def test_swapped_answers_are_refused(pair):
    """Both honest; each was taken for the other's."""
    network, client, session = pair
    requests = [client.encrypt(inputs(network, 1, seed)) for seed in range(2)]
    answers = [session.evaluate(request) for request in requests]
    for answer in answers:
        with pytest.raises(MessageError, match="must be given with its `request` while 2 are open"):
            client.decrypt(answer)
    for answer, request in zip(answers, reversed(requests), strict=True):
        with pytest.raises(MessageError, match="must be to the given `request`, got one to another request"):
            client.decrypt(answer, request)
    for answer, request in zip(answers, requests, strict=True):  # nothing has been used up
        client.decrypt(answer, request)


def test_a_replayed_answer_is_refused(pair):
    network, client, session = pair
    answer = session.evaluate(client.encrypt(inputs(network, 1)))
    client.decrypt(answer)
    request = client.encrypt(inputs(network, 1))
    for again in (answer, seal_message(Kind.RESPONSE, *open_message(Kind.RESPONSE, answer))):
        with pytest.raises(MessageError, match="the first one to an open request"):
            client.decrypt(again)
        with pytest.raises(MessageError, match="the first one to an open request"):
            client.decrypt(again, request)


def test_permuted_parts_are_refused_unless_the_digest_is_made_anew(pair):
    """The order of an answer's parts is what whoever made it says: a dishonest server is free to compute anything."""
    network, client, session = pair
    for kind, message in (
        (Kind.REQUEST, client.encrypt(inputs(network, 1))),
        (Kind.RESPONSE, session.evaluate(client.encrypt(inputs(network, 1)))),
    ):
        fields, parts = open_message(kind, message)
        turned = seal_message(kind, fields, parts[::-1])[:-32] + message[-32:]
        if len(parts) > 1:
            with pytest.raises(MessageError, match="its digest does not match"):
                (client.decrypt if kind is Kind.RESPONSE else session.evaluate)(turned)


@pytest.mark.parametrize("name", ["bfv-throughput", "ckks-throughput"])
def test_an_answer_to_a_request_with_its_parts_permuted_is_refused(name):
    """On the way to the session, with every digest right: the answer names what the session received."""
    network, circuit = CIRCUITS[name]
    client, session = connect(circuit)
    request = client.encrypt(inputs(network, 1))
    fields, parts = open_message(Kind.REQUEST, request)
    answer = session.evaluate(seal_message(Kind.REQUEST, fields, parts[::-1]))
    with pytest.raises(MessageError, match="the first one to an open request"):
        client.decrypt(answer)


@pytest.mark.parametrize("images", [1, 2, 4, 0, True])
def test_an_answer_does_not_say_how_many_images_it_is_for(party, images):
    """It did, and so many logits were returned as it said."""
    request = party.client.encrypt(images_for(party, 3))
    answer = party.session.evaluate(request)
    with pytest.raises(MessageError, match="the header must have the fields circuit, key, request, got"):
        party.client.decrypt(with_fields(Kind.RESPONSE, answer, images=images), request)
    assert party.client.decrypt(answer, request).shape == (3, 3)


def test_the_request_itself_is_no_answer(pair):
    """As it is, and as what it is not. A linear circuit's answers have a request's form: there, copies tell."""
    network, client, _ = pair
    request = client.encrypt(inputs(network, 1))
    with pytest.raises(MessageError, match="got one of another kind"):
        client.decrypt(request)
    fields, parts = open_message(Kind.REQUEST, request)
    names = {"circuit": fields["circuit"], "key": fields["key"], "request": message_digest(request)}
    count = client.interface.output.ciphertexts
    with pytest.raises(MessageError, match=r"a ciphertext must have \d+ bytes|must have at most"):
        client.decrypt(seal_message(Kind.RESPONSE, names, (parts * count)[:count]), request)


def test_another_network_of_the_same_architecture_is_another_circuit():
    network = NETWORKS["bfv"]
    first, table, last = network.layers
    other = type(network)(
        network.input_shape, network.input_domain, (type(first)(-first.weight, first.bias), table, last)
    )
    mine, theirs = (Party(compile_exact(n, images=4, security="insecure")) for n in (network, other))
    request = mine.client.encrypt(inputs(network, 1))
    answer = mine.session.evaluate(request)
    for refused in (
        lambda: theirs.session.evaluate(request),
        lambda: theirs.client.decrypt(answer),
        lambda: prepare(theirs.circuit).session(mine.client.evaluation_keys),
    ):
        with pytest.raises(MessageError, match="made for another circuit or parameter set"):
            refused()


def test_the_oldest_question_is_forgotten():
    network, circuit = CIRCUITS["bfv-latency"]
    client = Client(circuit.interface, policy=Policy(security="insecure", most_open=2))
    session = prepare(circuit).session(client.evaluation_keys)
    requests = [client.encrypt(inputs(network, 1, seed)) for seed in range(3)]
    with pytest.raises(MessageError, match="the first one to an open request"):
        client.decrypt(session.evaluate(requests[0]), requests[0])
    for seed in (2, 1):
        logits = client.decrypt(session.evaluate(requests[seed]), requests[seed])
        assert np.array_equal(logits, network.logits(inputs(network, 1, seed)))


def test_only_one_of_many_threads_gets_an_answer(party):
    request = party.client.encrypt(images_for(party))
    answer = party.session.evaluate(request)

    def attempt(_):
        try:
            return party.client.decrypt(answer, request) is not None
        except MessageError:
            return False

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(attempt, range(8))) == 1


@pytest.mark.parametrize("name", [None, 3, "", "0" * 64, ["0"], {}])
def test_an_answer_to_nothing_is_refused(exchange, name):
    party, _, answer = exchange
    with pytest.raises(MessageError, match=r"the first one to an open request|while \d+ are open"):
        party.client.decrypt(with_fields(Kind.RESPONSE, answer, request=name))
    request = party.client.encrypt(images_for(party))
    with pytest.raises(MessageError, match="the first one to an open request"):
        party.client.decrypt(with_fields(Kind.RESPONSE, answer, request=name), request)


def test_what_names_no_question_is_refused():
    questions = Questions(4)
    questions.ask(b"request" * 9, Question(1, np.zeros((1, 1), np.uint16)))
    assert questions.require_open(message_digest(b"request" * 9), None)
    with pytest.raises(MessageError, match="the first one to an open request"):
        questions.require_open(["unhashable"], None)


@pytest.mark.parametrize("request_", ["request", 3, [b"request"], object()])
def test_a_request_is_given_as_bytes(exchange, request_):
    party, asked, answer = exchange
    asked = party.client.encrypt(images_for(party))
    named = with_fields(Kind.RESPONSE, answer, request=message_digest(asked))
    with pytest.raises(TypeError, match="a message must be bytes, got"):
        party.client.decrypt(named, request_)
    for kind in (bytearray, memoryview):
        asked = party.client.encrypt(images_for(party))
        named = with_fields(Kind.RESPONSE, answer, request=message_digest(asked))
        assert party.client.decrypt(named, kind(asked)).shape == (3, 3)


# ------------------------------------------------------------------------------------------------- the session's side


def test_a_repeated_request_is_refused(pair):
    """Whoever sees a request on its way could have it evaluated again and again."""
    network, client, session = pair
    request = client.encrypt(inputs(network, 1))
    session.evaluate(request)
    for _ in range(2):
        with pytest.raises(MessageError, match="a request must be evaluated once only"):
            session.evaluate(request)


def test_a_request_that_is_changed_once_it_was_checked_keeps_its_name(party, monkeypatch):
    """Under another name the session would evaluate it again and again."""
    session = prepare(party.circuit).session(party.client.evaluation_keys)
    request = party.client.encrypt(images_for(party))

    def changed(*given, **more):
        opened = open_message(*given, **more)
        memory[-100:] = bytes(100)  # another thread, or whoever shares the memory
        return opened

    monkeypatch.setattr(he.parties.session, "open_message", changed)
    memory = bytearray(request)
    answer = session.evaluate(memory)
    memory[:] = request
    with pytest.raises(MessageError, match="a request must be evaluated once only"):
        session.evaluate(memoryview(memory))
    assert party.client.decrypt(answer, request).shape == (3, 3)


def test_a_request_that_was_refused_is_not_counted(party):
    session = prepare(party.circuit).session(party.client.evaluation_keys, most=1)
    request = party.client.encrypt(images_for(party))
    fields, parts = open_message(Kind.REQUEST, request)
    for _ in range(3):
        with pytest.raises(MessageError, match="the request cannot be evaluated"):
            session.evaluate(seal_message(Kind.REQUEST, fields, [parts[0][:-1], *parts[1:]]))
    assert session.evaluate(request)


def test_a_session_has_a_budget_of_questions(party):
    session = prepare(party.circuit).session(party.client.evaluation_keys, most=3)
    for _ in range(3):
        request = party.client.encrypt(images_for(party))
        party.client.decrypt(session.evaluate(request), request)
    for _ in range(2):
        with pytest.raises(MessageError, match="the session must evaluate at most 3 requests, and has"):
            session.evaluate(party.client.encrypt(images_for(party)))


def test_a_budget_is_kept_by_many_threads(exact):
    session = prepare(exact.circuit).session(exact.client.evaluation_keys, 1, most=5)
    requests = [exact.client.encrypt(images_for(exact)) for _ in range(12)]

    def attempt(request):
        try:
            return len(session.evaluate(request)) > 0
        except MessageError:
            return False

    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(attempt, requests)) == 5


@pytest.mark.parametrize(("most", "error"), [(0, ValueError), (-1, ValueError), (1.0, TypeError), (None, TypeError)])
def test_a_budget_is_a_number(exact, most, error):
    with pytest.raises(error, match="`most` must"):
        prepare(exact.circuit).session(exact.client.evaluation_keys, most=most)


# ------------------------------------------------------------------------------------------------------ order of lanes


def test_an_order_of_lanes_is_a_permutation_that_differs_from_request_to_request():
    packing = Packing(2, 64, 32, split_rows=True, guards=8)
    orders = [secret_order(packing) for _ in range(20)]
    rows = {row.tobytes() for order in orders for row in order}
    assert len(rows) == 40
    assert all(sorted(row.tolist()) == list(range(32)) for order in orders for row in order)
    places = np.bincount([int(np.argmax(secret_order(packing)[0])) for _ in range(3200)], minlength=32)
    assert places.min() > 50  # of 100: five deviations
    copies = secret_order(Packing(2, 64, 32))  # rows that hold the same images stay copies
    assert np.array_equal(*copies)


def test_permuted_lanes_come_back():
    rng = np.random.default_rng(0)
    for rows, lanes, split in itertools.product((1, 2), (1, 4, 16), (False, True)):
        packing = Packing(rows, 64, lanes, split_rows=split and rows == 2)
        order, slots = secret_order(packing), rng.integers(0, 99, (3, packing.slots))
        there = packing.permuted(slots, order)
        assert np.array_equal(packing.permuted(there, order.argsort(axis=1)), slots)
        view = slots.reshape(3, rows, -1, lanes)
        for row in range(rows):
            expected = view[:, row][..., order[row]]
            assert np.array_equal(there.reshape(view.shape)[:, row], expected)


def test_guards_lie_in_other_places_for_every_request():
    """The same images, encrypted twice: lanes that are alike lie elsewhere."""
    network, circuit = CIRCUITS["bfv-throughput"]
    (spec,), packing = circuit.interface.client_inputs, circuit.interface.packing
    slots = spec.layout.pack(inputs(network, circuit.interface.images))
    first, second = (packing.permuted(slots, secret_order(packing)) for _ in range(2))
    assert (first != second).any(axis=-1).all()


def test_an_answer_that_is_relabelled_is_the_servers_choice(exact):
    """Nothing proves what was computed: an honest answer to one request passes for another's, if the server says so."""
    answer = exact.session.evaluate(exact.client.encrypt(images_for(exact)))
    logits = {tuple(row) for row in decrypted(exact, answer).tolist()}
    assert logits & {tuple(row) for row in network_of(exact).logits(images_for(exact)).tolist()}
