"""What is no bytes is refused in one sentence, wherever bytes are taken."""

import numpy as np
import pytest

from he.formats import compact, hybrid
from he.formats.compact import Form
from he.formats.limits import require_bytes
from he.formats.messages import Kind, message_digest, open_message, require_size
from he.parties.evaluation_keys import EvaluationKeys
from he.parties.public_key import PublicKey
from he.ring.gadget import Gadget
from he.ring.params import Parameters
from he.ring.scheme import Scheme

PARAMETERS = Parameters("ckks", 1024, (40, 40, 44), security="insecure", scale_bits=30)
TOP = Gadget.of(PARAMETERS, PARAMETERS.levels)
SIZE = hybrid.key_bytes(TOP)
DATA = bytes(SIZE)

DOORS = {
    "a message with request": lambda data: open_message(Kind.REQUEST, data),
    "a message with response": lambda data: require_size(Kind.RESPONSE, data, SIZE),
    "a message with evaluation keys": EvaluationKeys,
    "a message with public key": PublicKey,
    "a message": message_digest,
    "a ciphertext": lambda data: compact.read(data, Form.fresh(PARAMETERS)),
    "an evaluation key": lambda data: hybrid.read(data, TOP, Scheme.CKKS),
    "evaluation keys": lambda data: next(hybrid.read_all(data, [(1, TOP)], Scheme.CKKS)),
    "anything": lambda data: require_bytes(data, "anything"),
}

OTHERS = {
    "gaps": memoryview(2 * DATA)[::2],
    "backwards": memoryview(DATA)[::-1],
    "two axes": memoryview(DATA).cast("B", (SIZE, 1)),
    "no axis": memoryview(np.array(5, np.uint8)),
    "words": memoryview(DATA).cast("Q"),
    "as many words": memoryview(np.zeros(SIZE, np.uint64)),
    "signed": memoryview(DATA).cast("b"),
    "characters": memoryview(DATA).cast("c"),
    "no words": memoryview(b"").cast("Q"),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("view", OTHERS)
def test_other_views_are_refused_in_one_sentence(door, view):
    said = f"^{door} must be bytes, got a memoryview of other than single bytes one behind the other; give its `tobytes"
    with pytest.raises(TypeError, match=said):
        DOORS[door](OTHERS[view])


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("data", ["text", None, 3, np.zeros(SIZE, np.uint8)])
def test_what_is_no_bytes_is_refused_by_its_kind(door, data):
    with pytest.raises(TypeError, match=f"^{door} must be bytes, got {type(data).__name__}$"):
        DOORS[door](data)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: memoryview(bytearray(b"x" + data))[1:]])
@pytest.mark.parametrize("data", [b"", b"some"])
def test_bytes_come_as_a_view_that_cannot_be_written_to(kind, data):
    view = require_bytes(kind(data), "anything")
    assert view.readonly
    assert view == data


def test_a_bytearray_keeps_its_length_while_it_is_viewed():
    data = bytearray(9)
    view = require_bytes(data, "anything")
    with pytest.raises(BufferError):
        data.append(1)
    assert len(view) == 9
