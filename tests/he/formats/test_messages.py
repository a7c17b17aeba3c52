import hashlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from he.formats import messages
from he.formats.messages import Kind, MessageError, open_message, seal_message

kinds = st.sampled_from(list(Kind))
fields = st.dictionaries(st.text(max_size=5).filter(lambda name: name != "parts"), st.integers() | st.text(max_size=5))
parts = st.lists(st.binary(max_size=20), max_size=4)
MESSAGE = seal_message(Kind.REQUEST, {"images": 3, "circuit": "c"}, [b"first part", b"", b"third"])


@given(kinds, fields, parts)
def test_what_is_sealed_is_opened(kind, fields, parts):
    assert open_message(kind, seal_message(kind, fields, parts)) == (fields, parts)


@given(st.integers(0, len(MESSAGE) - 1))
def test_a_message_cut_anywhere_is_refused(length):
    with pytest.raises(MessageError):
        open_message(Kind.REQUEST, MESSAGE[:length])


def test_a_cut_message_says_so():
    with pytest.raises(
        MessageError, match="the message with request is truncated or damaged: its digest does not match"
    ):
        open_message(Kind.REQUEST, MESSAGE[:-1])


@given(st.integers(0, 8 * len(MESSAGE) - 1))
def test_one_flipped_bit_anywhere_is_found(bit):
    damaged = bytearray(MESSAGE)
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(MessageError):
        open_message(Kind.REQUEST, bytes(damaged))


@given(st.integers(0, len(MESSAGE)), st.binary(min_size=1, max_size=40))
def test_inserted_bytes_are_found(place, extra):
    with pytest.raises(MessageError):
        open_message(Kind.REQUEST, MESSAGE[:place] + extra + MESSAGE[place:])


@given(st.binary(max_size=100))
@example(b"")
@example(b"HEINF1")
@example(b"HEINF1Q")
def test_any_bytes_are_refused(data):
    with pytest.raises(MessageError):
        open_message(Kind.REQUEST, data)


@given(kinds, kinds)
def test_a_message_of_another_kind_is_refused(sent, expected):
    message = seal_message(sent, {})
    if sent is expected:
        assert open_message(expected, message) == ({}, [])
    else:
        name = expected.name.lower().replace("_", " ")
        with pytest.raises(MessageError, match=f"expected a message with {name}, got one of another kind"):
            open_message(expected, message)


def forged(header, body=b"", length=None):
    """A message whose digest is right, whatever its header."""
    data = b"HEINF1Q" + (len(header) if length is None else length).to_bytes(4, "big") + header + body
    return data + hashlib.sha256(data).digest()


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"", "malformed"),
        (b"{", "malformed"),
        (b"\xff\xfe", "malformed"),
        (b"[]", "malformed"),
        (b"3", "malformed"),
        (b"{}", "malformed"),
        (b'{"parts": null}', "malformed"),
        (b'{"parts": 3}', "malformed"),
        (b"[" * 100_000, "malformed"),
        (b'{"parts": [4]}', "must hold the parts that its header lists"),
        (b'{"parts": [1, 1]}', "must hold the parts"),
        (b'{"parts": [-1, 4]}', "must hold the parts"),
        (b'{"parts": [3.0]}', "must hold the parts"),
        (b'{"parts": ["3"]}', "must hold the parts"),
        (b'{"parts": [1e400]}', "must hold the parts"),
        (b'{"parts": {"3": 3}}', "must hold the parts"),
    ],
)
def test_a_malformed_header_is_refused_although_its_digest_is_right(header, message):
    assert open_message(Kind.REQUEST, forged(b'{"parts": [3]}', b"abc")) == ({}, [b"abc"])
    with pytest.raises(MessageError, match=message):
        open_message(Kind.REQUEST, forged(header, b"abc"))


@pytest.mark.parametrize("length", [15, messages.MAX_HEADER_BYTES])
def test_a_header_longer_than_the_message_is_refused(length):
    with pytest.raises(MessageError, match="the header of the message with request is longer than the message"):
        open_message(Kind.REQUEST, forged(b'{"parts": []}', length=length))


@pytest.mark.parametrize("length", [messages.MAX_HEADER_BYTES + 1, 2**32 - 1])
def test_a_header_longer_than_any_is_refused(length):
    with pytest.raises(MessageError, match=f"must have at most {messages.MAX_HEADER_BYTES} bytes, got {length}"):
        open_message(Kind.REQUEST, forged(b'{"parts": []}', length=length))
