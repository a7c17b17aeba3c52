"""Sessions whose engine reads requests while they are verified: the answers and the errors of all others."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.engines.engine import ReadsAhead
from he.formats.compact import Form, require_length
from he.formats.messages import Kind, MessageError, open_message, seal_message
from he.parties.ledger import MemoryLedger
from he.parties.rehearsal import rehearsed_request
from he.parties.session import Session, request_bytes
from he.testing import compiled, square_graph
from he.testing.strategies import damaged
from intnn.machine.cuda.device import DeviceError

CIRCUIT = compiled(square_graph(), packing="throughput", security="insecure", salt=bytes(32))
FORM = Form.fresh(CIRCUIT.parameters)
COUNT = request_bytes(CIRCUIT.interface) // FORM.bytes
REQUEST = rehearsed_request(CIRCUIT.interface, [bytes([i]) * FORM.bytes for i in range(COUNT)], nonce=0)
FIELDS, PARTS = open_message(Kind.REQUEST, REQUEST)
LOST = 255  # the first byte of a request on which the device is lost


class Hashing:
    """An evaluator that answers with the digest of a request's ciphertexts."""

    name, threads = "hashing", 2

    def evaluate(self, given_):
        if len(given_) != COUNT:
            raise ValueError(f"`inputs` must be {COUNT} ciphertexts, got {len(given_)}")
        views = [require_length(data, FORM) for data in given_]
        if views[0][0] == LOST:
            raise DeviceError("the GPU was lost")
        return [hashlib.sha256(b"".join(views)).digest()]


class HashingAhead(Hashing):
    """The same, which reads all that it is given before it is verified."""

    reads_ahead = True

    def __init__(self):
        self.read = []

    def evaluate_ahead(self, unverified, verify):
        self.read.append(b"".join(unverified))
        verify()
        return self.evaluate(unverified)


def session(evaluator):
    return Session(CIRCUIT.interface, "rehearsal", evaluator, MemoryLedger(3), None)


def outcome(session, request):
    try:
        return session.evaluate(request)
    except (MessageError, DeviceError) as error:
        return type(error), str(error), type(error.__cause__)


def with_changed(at):
    """The request with another byte."""
    return REQUEST[:at] + bytes([REQUEST[at] ^ 1]) + REQUEST[at + 1 :]


wrong_parts = st.sampled_from(
    [
        [],
        PARTS[1:],
        [*PARTS, PARTS[0]],
        PARTS[::-1],
        [PARTS[0][:-8], *PARTS[1:]],
        [PARTS[0][:-8], bytes(PARTS[1]) + bytes(8), *PARTS[2:]],
        [bytes([LOST]) * FORM.bytes, *PARTS[1:]],
    ]
)
wrong_fields = st.sampled_from(
    [{}, {**FIELDS, "more": 1}, *({**FIELDS, name: value} for name in FIELDS for value in ("0" * 32, 3))]
)
requests = st.one_of(
    st.just(REQUEST),
    st.integers(0, 2).map(lambda nonce: rehearsed_request(CIRCUIT.interface, PARTS, nonce)),
    st.integers(0, len(REQUEST) - 1).map(with_changed),
    damaged(REQUEST),
    wrong_parts.map(lambda parts: seal_message(Kind.REQUEST, FIELDS, parts)),
    wrong_fields.map(lambda fields: seal_message(Kind.REQUEST, fields, PARTS)),
    wrong_parts.map(lambda parts: seal_message(Kind.REQUEST, FIELDS, parts)[:-1] + b"\0"),
    st.just(seal_message(Kind.RESPONSE, FIELDS, PARTS)),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(requests, min_size=1, max_size=6))
def test_answers_and_errors_are_those_of_other_engines(given_):
    """In any order, also of requests that come again; at the end an honest one is answered, unless all were."""
    plain, ahead = session(Hashing()), session(HashingAhead())
    for request in (*given_, rehearsed_request(CIRCUIT.interface, PARTS, nonce=9)):
        assert outcome(ahead, request) == outcome(plain, request)


@pytest.mark.parametrize("at", [0, 3, 7, 20, 300, len(REQUEST) // 2, len(REQUEST) - 33, len(REQUEST) - 32, -1])
def test_one_byte_that_is_wrong_is_found_although_it_was_read(at):
    evaluator = HashingAhead()
    asked, changed = session(evaluator), with_changed(at % len(REQUEST))
    with pytest.raises(MessageError):
        asked.evaluate(changed)
    assert outcome(asked, REQUEST) == outcome(session(Hashing()), REQUEST)
    assert evaluator.read[-1] == b"".join(PARTS)


def test_a_request_that_may_be_written_to_is_copied_before_it_is_read():
    evaluator = HashingAhead()
    memory = bytearray(REQUEST)

    class Writing(HashingAhead):
        def evaluate_ahead(self, unverified, verify):
            memory[:] = bytes(len(memory))
            return super().evaluate_ahead(unverified, verify)

    assert session(Writing()).evaluate(memory) == session(evaluator).evaluate(REQUEST)


def test_engines_that_read_nothing_ahead_are_given_what_was_verified():
    class Never(HashingAhead):
        reads_ahead = False

    never = Never()
    assert isinstance(never, ReadsAhead)
    assert not isinstance(Hashing(), ReadsAhead)
    assert outcome(session(never), REQUEST) == outcome(session(Hashing()), REQUEST)
    assert not never.read
