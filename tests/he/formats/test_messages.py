import hashlib
import json
import tracemalloc

import pytest
from blake3 import blake3
from hypothesis import example, given
from hypothesis import strategies as st

from he.formats import messages
from he.formats.messages import (
    Kind,
    MessageError,
    VersionError,
    open_message,
    seal_message,
    unchanging,
    unverified_parts,
)
from he.testing.strategies import damaged

kinds = st.sampled_from(list(Kind))
fields = st.dictionaries(
    st.text(max_size=5).filter(lambda name: name != "parts"), st.integers(-(2**63) + 1, 2**63 - 1) | st.text(max_size=5)
)
parts = st.lists(st.binary(min_size=1, max_size=20), max_size=4)
MESSAGE = seal_message(Kind.REQUEST, {"images": 3, "circuit": "c"}, [b"first part", b"other part", b"third"])


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
@example(b"HEINF3")
@example(b"HEINF3Q")
def test_any_bytes_are_refused(data):
    with pytest.raises(MessageError):
        open_message(Kind.REQUEST, data)


@pytest.mark.parametrize("magic", [b"HEINF1", b"HEINF2"])
@pytest.mark.parametrize("most", [None, 100])
def test_a_message_of_an_older_version_is_refused_in_words_of_its_own(magic, most):
    older = magic + MESSAGE[6:-32]
    for message in (older + hashlib.sha256(older).digest(), older + blake3(older).digest(), magic):
        with pytest.raises(MessageError, match="with request was made by an older version of this toolkit; make it"):
            open_message(Kind.REQUEST, message, most)


@pytest.mark.parametrize(
    ("kind", "what", "remedy"),
    [
        (Kind.CLIENT, "client", "answers to its open requests are for that version to decrypt, or they are lost"),
        (Kind.REVOCATION, "revocation", "have the model's owner sign it again"),
        (Kind.JOURNAL, "journal", "go on with that version, or open new instances"),
        (Kind.OFFER, "offer", ("make it again", "use that, or make it again")),
    ],
)
def test_what_is_said_of_another_version_can_be_done(kind, what, remedy):
    for magic, age, here in ((b"HEINF2", "an older", 0), (b"HEINF4", "a newer", 1)):
        message = f"the message with {what} was made by {age} version of this toolkit; "
        with pytest.raises(VersionError, match=message + (remedy if isinstance(remedy, str) else remedy[here])):
            open_message(kind, magic + kind.value + bytes(60))
    for foreign in (b"HEINF0", b"HEINFx", b"HEINF"):
        with pytest.raises(MessageError, match="no message of this toolkit"):
            open_message(kind, foreign)


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
    data = b"HEINF3Q" + (len(header) if length is None else length).to_bytes(4, "big") + header + body
    return data + blake3(data).digest()


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"", "malformed"),
        (b"{", "malformed"),
        (b"\xff\xfe", "malformed"),
        ('{"parts": [[1, 3]]}'.encode("utf-16"), "malformed"),
        (b'\xef\xbb\xbf{"parts": [[1, 3]]}', "malformed"),
        (b"[]", "malformed: an object is due"),
        (b"3", "malformed"),
        (b"[" * 65_000, "malformed: it is nested too deeply"),
        (b'{"parts": ' + b'{"a":' * 12_000, "malformed: it is nested too deeply"),
        (b'{"parts": [[1, 3]], "parts": [[1, 3]]}', "malformed: a key must occur once"),
        (b'{"parts": [[1, 3]], "x": {"a": 1, "a": 1}}', "malformed: a key must occur once"),
        (b'{"parts": [[1, 3]], "x": NaN}', "malformed: numbers must be finite, got NaN"),
        (b'{"parts": [[1, 3]], "x": -Infinity}', "malformed: numbers must be finite, got -Infinity"),
        (b'{"parts": [[1, 3]], "x": 1e400}', "malformed: numbers must be finite, got 1e400"),
        (
            b'{"parts": [[1, 3]], "x": 9223372036854775808}',
            "malformed: integers must fit 64 bits, got 9223372036854775808",
        ),
        (b'{"parts": [[1, 3]], "x": ' + b"9" * 60_000 + b"}", r"malformed: integers must fit 64 bits, got 9{80}$"),
        (b"{}", "must hold the parts that its header lists"),
        (b'{"parts": null}', "must hold the parts"),
        (b'{"parts": 3}', "must hold the parts"),
        (b'{"parts": [3]}', "must hold the parts"),
        (b'{"parts": [[3]]}', "must hold the parts"),
        (b'{"parts": [[1, 4]]}', "must hold the parts"),
        (b'{"parts": [[2, 1]]}', "must hold the parts"),
        (b'{"parts": [[-1, 1], [1, 4]]}', "must hold the parts"),
        (b'{"parts": [[-1, -3]]}', "must hold the parts"),
        (b'{"parts": [[1, 3], [1000000000, 0]]}', "must hold the parts"),
        (b'{"parts": [[1000000000, 1000000000]]}', "must hold the parts"),
        (b'{"parts": [[1, 3.0]]}', "must hold the parts"),
        (b'{"parts": [[true, 3]]}', "must hold the parts"),
        (b'{"parts": [[1, "3"]]}', "must hold the parts"),
        (b'{"parts": [{"1": 3}]}', "must hold the parts"),
        (b'{"parts": {"3": 3}}', "must hold the parts"),
    ],
)
def test_a_malformed_header_is_refused_although_its_digest_is_right(header, message):
    assert open_message(Kind.REQUEST, forged(b'{"parts": [[1, 3]]}', b"abc")) == ({}, [b"abc"])
    with pytest.raises(MessageError, match=message):
        open_message(Kind.REQUEST, forged(header, b"abc"))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1 << 63, -(10**4000)])
def test_what_would_be_refused_is_not_written(value):
    with pytest.raises(MessageError, match=r"malformed: (numbers must be finite|integers must fit 64 bits)"):
        seal_message(Kind.REQUEST, {"x": value})
    with pytest.raises(MessageError, match="none of no bytes"):
        seal_message(Kind.REQUEST, {}, [b""])


def test_parts_lie_in_their_message():
    """A message was copied three times before anything was known of it."""
    data = seal_message(Kind.RESPONSE, {}, [bytes(1 << 20)] * 8)
    tracemalloc.start()
    _, parts = open_message(Kind.RESPONSE, data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 16
    assert all(part.obj is data and part.readonly for part in parts)


@given(kinds, fields, parts, st.integers(0, 255))
def test_parts_that_nobody_has_verified_are_those_that_are_opened(kind, fields, parts, byte):
    message = seal_message(kind, fields, parts)
    found = unverified_parts(kind, message)
    assert found == open_message(kind, message)[1]
    assert all(part.obj is message and part.readonly for part in found)
    assert unverified_parts(kind, message[:-1] + bytes([byte])) == found  # whatever the digest


numbers = st.integers(-1, 12) | st.sampled_from([1 << 16, (1 << 63) - 1, -(1 << 63) + 1, 2.0, True, "1", None])
runs = st.lists(st.lists(numbers, min_size=1, max_size=3) | numbers, max_size=3) | numbers


@given(runs, st.binary(max_size=24), st.sampled_from([None, 0, 1, 13, 14, 1 << 16, (1 << 32) - 1]))
@example([[2, 12]], bytes(24), None)
@example([[1, 12]], bytes(24), None)
@example([[1, 25]], bytes(24), None)
@example([[1, 4], [2, 10]], bytes(24), None)
def test_lengths_that_lie_name_no_parts(runs, body, length):
    """By a header that nobody has verified, as by one whose digest is right; and nothing beyond the message is read."""
    message = forged(json.dumps({"parts": runs}).encode(), body, length)
    try:
        _, expected = open_message(Kind.REQUEST, message)
    except MessageError:
        expected = []
    for data in (message, message[:-1] + bytes([message[-1] ^ 1])):
        found = unverified_parts(Kind.REQUEST, data)
        assert found == expected
        assert not found or b"".join(found) == body


@given(damaged(MESSAGE) | st.binary(max_size=100))
@example(b"")
@example(b"HEINF3")
@example(b"HEINF3Q")
@example(b"HEINF2Q")
@example(MESSAGE[:11])
def test_unverified_parts_of_anything_lie_in_it(data):
    found = unverified_parts(Kind.REQUEST, data)
    assert not found or b"".join(found) == data[-32 - sum(map(len, found)) : -32]


def test_what_others_may_write_to_is_copied_for_who_reads_it_twice():
    assert unchanging(Kind.REQUEST, MESSAGE, 25) is MESSAGE
    memory = bytearray(MESSAGE)
    for given_ in (memory, memoryview(memory), memoryview(memory).toreadonly()):
        memory[:] = MESSAGE
        kept = unchanging(Kind.REQUEST, given_)
        memory[:] = bytes(len(MESSAGE))
        assert kept == MESSAGE
    for wrong in (MESSAGE + bytes(1 << 17), b"", bytearray(b"HEINF2Q")):
        with pytest.raises(MessageError):
            unchanging(Kind.REQUEST, wrong, 25)


def test_a_message_longer_than_any_is_refused_before_it_is_looked_at():
    data = MESSAGE[:7] + bytes(2 * messages.MAX_HEADER_BYTES)
    with pytest.raises(
        MessageError, match=r"a message with request must have at most 65\d+ bytes, got 131079; it is for"
    ):
        open_message(Kind.REQUEST, data, 100)
    assert open_message(Kind.REQUEST, MESSAGE, 25) == open_message(Kind.REQUEST, MESSAGE)


@pytest.mark.parametrize("data", ["text", None, 3, memoryview(bytes(8)).cast("Q"), memoryview(bytes(8))[::2]])
@pytest.mark.parametrize("most", [None, 100])
def test_what_is_no_bytes_is_a_type_error(data, most):
    with pytest.raises(TypeError, match="a message with request must be bytes, got"):
        open_message(Kind.REQUEST, data, most)


@pytest.mark.parametrize("length", [15, messages.MAX_HEADER_BYTES])
def test_a_header_longer_than_the_message_is_refused(length):
    with pytest.raises(MessageError, match="the header of the message with request is longer than the message"):
        open_message(Kind.REQUEST, forged(b'{"parts": []}', length=length))


@pytest.mark.parametrize("length", [messages.MAX_HEADER_BYTES + 1, 2**32 - 1])
def test_a_header_longer_than_any_is_refused(length):
    with pytest.raises(MessageError, match=f"must have at most {messages.MAX_HEADER_BYTES} bytes, got {length}"):
        open_message(Kind.REQUEST, forged(b'{"parts": []}', length=length))
