"""What a trainer asks for: requests survive the trip as bytes, and what is none is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from he.formats.messages import Kind, MessageError
from he.functional.instance import Instance
from he.functional.messages import seal
from he.functional.parties.request import KeyRequest
from he.functional.scheme import Scope
from intnn import IntDomain

INSTANCE = Instance("pads", 3, IntDomain(0, 15), 127)
Y = np.array([[1, -127, 127]])


@st.composite
def scopes(draw):
    start = draw(st.integers(0, (1 << 48) - 1))
    stop = draw(st.integers(start + 1, min(start + (1 << 20), 1 << 48)))
    return Scope(draw(st.binary(min_size=1, max_size=64)), start, stop)


@given(st.lists(st.lists(st.integers(-127, 127), min_size=3, max_size=3), min_size=1, max_size=9), st.none() | scopes())
def test_a_request_survives_the_trip(rows, scope):
    request = KeyRequest(INSTANCE, rows, scope)
    again = KeyRequest.from_bytes(request.to_bytes())
    assert (again.instance, again.scope) == (INSTANCE, scope)
    assert again.y.tolist() == rows
    for each in (again, KeyRequest(INSTANCE, again.y.copy(), scope)):
        with pytest.raises(ValueError, match="read-only"):
            each.y[0] = 0


@given(st.data())
def test_damage_is_refused(data):
    sound = bytearray(KeyRequest(INSTANCE, Y, Scope(b"abc", 0, 2)).to_bytes())
    at = data.draw(st.integers(0, len(sound) - 1))
    with pytest.raises(MessageError):
        KeyRequest.from_bytes(bytes(sound[:at]))
    sound[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(MessageError):
        KeyRequest.from_bytes(bytes(sound))


@pytest.mark.parametrize(
    ("fields", "parts", "message"),
    [
        ({"keys": 2}, [bytes(6)], "must have 12 bytes, got 6"),
        ({"keys": 1}, [bytes(6), b"a", b"b"], "must have 6 bytes, got 6, 1, 1"),
        ({"keys": 1}, [bytes(6), bytes(65)], "must have 6 bytes, got 6, 65"),
        ({"keys": 1}, [], "must have 6 bytes, got no"),
        ({"keys": 0}, [bytes(6)], "`keys` must lie in"),
        ({"keys": 1 << 40}, [bytes(6)], "`keys` must lie in"),
        ({"keys": 1, "start": -1}, [bytes(6)], "`start` must lie in"),
        ({"keys": 1, "stop": True}, [bytes(6)], "`stop` must be"),
        ({"keys": 1, "start": 2, "stop": 2}, [bytes(6), b"a"], "no request: `scope` must hold one sample or more"),
        ({"keys": 1, "stop": 2}, [bytes(6)], "no request: `scope` must have a header of 1 to 64"),
        ({"keys": 1}, [b"\x80\0\0\0\0\0"], "the vectors in the message are wrong"),
        ({"keys": 1, "more": 1}, [bytes(6)], "more"),
    ],
)
def test_what_is_no_request_is_refused(fields, parts, message):
    whole = {"keys": 1, "start": 0, "stop": 0, **fields}
    with pytest.raises(MessageError, match=message):
        KeyRequest.from_bytes(seal(Kind.KEY_REQUEST, INSTANCE, whole, parts))


@pytest.mark.parametrize(
    ("y", "scope", "error", "message"),
    [
        (np.zeros((65537, 3), int), None, ValueError, "at most 65536 vectors, got 65537"),
        (np.zeros((0, 3), int), None, ValueError, "`y` must have shape"),
        ([[128, 0, 0]], None, ValueError, "`y`"),
        ([[0.5, 0, 0]], None, TypeError, "`y`"),
        (
            Y,
            Scope(b"a", 0, (1 << 26) + 1),
            ValueError,
            "at most 67108864 products, got 1 vectors and 67108865 samples",
        ),
        (Y, (b"a", 0, 1), TypeError, "`scope`"),
    ],
)
def test_what_cannot_be_asked_is_refused(y, scope, error, message):
    with pytest.raises(error, match=message):
        KeyRequest(INSTANCE, y, scope)


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        ((b"", 0, 1), ValueError, "header of 1 to 64 bytes, got one of 0"),
        ((bytes(65), 0, 1), ValueError, "header of 1 to 64 bytes, got one of 65"),
        ((b"a", -1, 1), ValueError, "one sample or more of .*, got -1 to 1"),
        ((b"a", 1, 1), ValueError, "one sample or more of .*, got 1 to 1"),
        ((b"a", 0, (1 << 48) + 1), ValueError, "one sample or more"),
        (("a", 0, 1), TypeError, "`scope.header`"),
        ((b"a", 0.0, 1), TypeError, "`scope.start`"),
        ((b"a", 0, True), TypeError, "`scope.stop`"),
    ],
)
def test_a_scope_that_cannot_be_is_not_made(parts, error, message):
    with pytest.raises(error, match=message):
        Scope(*parts)
