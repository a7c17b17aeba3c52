import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from he.formats.messages import Kind, MessageError, seal_message
from he.functional.errors import MismatchError
from he.functional.instance import SCHEMES, Instance
from he.functional.messages import (
    number,
    opened,
    require_lengths,
    seal,
    vectors_bytes,
    vectors_from_bytes,
    vectors_to_bytes,
)
from intnn.values.domain import IntDomain

OURS = Instance("rlwe", 5, IntDomain(0, 15), id="0" * 32)
DESCRIBED = {"scheme": "rlwe", "length": 5, "inputs": [0, 15], "key_limit": 127, "id": "0" * 32}


@st.composite
def instances(draw):
    lo = draw(st.integers(-128, 254))
    hi = draw(st.integers(lo + 1, 255))
    length, limit = draw(st.integers(1, 1 << 16)), draw(st.integers(1, 32767))
    return Instance(draw(st.sampled_from(SCHEMES)), length, IntDomain(lo, hi), limit)


@given(instances(), st.lists(st.binary(min_size=1, max_size=9), max_size=3), st.integers(0, 99))
def test_what_is_sealed_is_opened(instance, parts, samples):
    data = seal(Kind.FUNCTIONAL_CIPHERTEXT, instance, {"samples": samples}, parts)
    found = instance, {"samples": samples}, parts
    assert opened(Kind.FUNCTIONAL_CIPHERTEXT, data, names=("samples",)) == found
    assert opened(Kind.FUNCTIONAL_CIPHERTEXT, data, instance, sum(map(len, parts)), ("samples",)) == found


def test_an_instance_of_a_ring_is_that_of_its_interval():
    assert Instance("ddh", 3, IntDomain.ring(256), id=OURS.id) == Instance("ddh", 3, IntDomain(-128, 127), id=OURS.id)


def test_a_message_of_another_instance_is_refused():
    other = Instance("rlwe", 5, IntDomain(0, 15))
    with pytest.raises(MismatchError, match=f"must belong to instance {OURS.id}, got one of {other.id}"):
        opened(Kind.FUNCTIONAL_KEY, seal(Kind.FUNCTIONAL_KEY, other, {}), OURS)


def test_a_message_of_an_instance_of_the_same_id_and_another_shape_is_refused():
    other = Instance("rlwe", 6, IntDomain(0, 15), id=OURS.id)
    with pytest.raises(MismatchError, match="got one of the same id and another shape"):
        opened(Kind.FUNCTIONAL_KEY, seal(Kind.FUNCTIONAL_KEY, other, {}), OURS)


@pytest.mark.parametrize(
    "described",
    [
        *(None, 3, "rlwe", [], {}, list(DESCRIBED), {**DESCRIBED, "more": 1}),
        *({**DESCRIBED, "scheme": scheme} for scheme in ("aes", None, ["rlwe"], {"rlwe": 1})),
        *({**DESCRIBED, "length": length} for length in (0, -1, (1 << 16) + 1, 5.0, True, "5", None)),
        *({**DESCRIBED, "inputs": inputs} for inputs in ([0], [0, 15, 1], [15, 0], [3, 3], [0, 256], [-129, 0], "ab")),
        *({**DESCRIBED, "inputs": inputs} for inputs in (None, 3, [0, True], [0, 15.0], {"0": 1, "15": 2}, [[], []])),
        *({**DESCRIBED, "key_limit": limit} for limit in (0, 32768, False, 127.0)),
        *({**DESCRIBED, "id": name} for name in ("", "0" * 31, "0" * 33, "A" * 32, "0" * 31 + "\n", 0, None)),
    ],
)
def test_a_header_that_names_no_instance_is_refused(described):
    good = seal_message(Kind.FUNCTIONAL_PUBLIC, {"instance": DESCRIBED})
    assert opened(Kind.FUNCTIONAL_PUBLIC, good)[0] == OURS
    with pytest.raises(MessageError, match="the message names no instance"):
        opened(Kind.FUNCTIONAL_PUBLIC, seal_message(Kind.FUNCTIONAL_PUBLIC, {"instance": described}))


@pytest.mark.parametrize("fields", [{}, {"instance": DESCRIBED}, {"instance": DESCRIBED, "keys": 1, "more": 1}])
def test_other_fields_than_expected_are_refused(fields):
    with pytest.raises(MessageError, match="the header must have the fields instance, keys"):
        opened(Kind.FUNCTIONAL_KEY, seal_message(Kind.FUNCTIONAL_KEY, fields), names=("keys",))


def test_a_message_longer_than_expected_is_refused_before_it_is_looked_at():
    data = seal(Kind.FUNCTIONAL_KEY, OURS, {}, [bytes(1 << 20)])
    with pytest.raises(MessageError, match="must have at most"):
        opened(Kind.FUNCTIONAL_KEY, data[:-1] + b"x", most=100)


@pytest.mark.parametrize("value", [0, 101, -1, True, 1.0, "1", None, [1], {}])
def test_a_number_out_of_its_range_is_refused(value):
    assert number({"keys": 100}, "keys", 100) == 100
    assert number({"start": 0}, "start", 100, least=0) == 0
    with pytest.raises(MessageError, match="the header of the message is wrong: `keys` must"):
        number({"keys": value}, "keys", 100)


@given(st.lists(st.integers(0, 9), max_size=12), st.lists(st.integers(0, 9), max_size=12))
def test_parts_have_the_lengths_that_follow_or_are_refused(found, due):
    parts = [memoryview(bytes(length)) for length in found]
    if found == due:
        require_lengths(parts, *due)
    else:
        with pytest.raises(MessageError, match="the parts of the message must have"):
            require_lengths(parts, *due)


@given(st.data(), st.integers(1, 6), st.integers(1, 5), st.sampled_from([1, 127, 32767]))
def test_vectors_are_read_as_they_were_written(data, length, keys, limit):
    instance = Instance("pads", length, IntDomain(0, 1), limit)
    values = st.lists(st.integers(-limit, limit), min_size=keys * length, max_size=keys * length)
    y = np.array(data.draw(values), np.int64).reshape(keys, length)
    part = memoryview(vectors_to_bytes(y))
    assert len(part) == vectors_bytes(instance, keys)
    found = vectors_from_bytes(instance, part)
    assert found.dtype == np.int64
    assert not found.flags.writeable
    np.testing.assert_array_equal(found, y)


@pytest.mark.parametrize("value", [128, -128, 32767, -32768])
def test_vectors_beyond_the_limit_are_refused(value):
    y = np.full((2, 5), 127, np.int64)
    y[1, 3] = value
    with pytest.raises(MessageError, match=rf"the vectors in the message are wrong: `y` must lie in .* got {value}"):
        vectors_from_bytes(OURS, memoryview(vectors_to_bytes(y)))


def test_nothing_is_allocated_for_what_a_header_merely_claims():
    huge = Instance("rlwe", 1 << 16, IntDomain(0, 255))
    data = seal(Kind.FUNCTIONAL_KEY, huge, {"keys": 1 << 16}, [b"short"])
    tracemalloc.start()
    instance, fields, parts = opened(Kind.FUNCTIONAL_KEY, data, names=("keys",))
    with pytest.raises(MessageError, match=f"must have {1 << 33} bytes, got 5"):
        require_lengths(parts, vectors_bytes(instance, number(fields, "keys", 1 << 16)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 16


def test_the_header_is_the_same_whenever_it_is_written():
    """Who compares digests of messages compares what they say."""
    data = seal(Kind.FUNCTIONAL_KEY, OURS, {"keys": 1}, [b"y"])
    header = data[11 : 11 + int.from_bytes(data[7:11], "big")]
    assert header == json.dumps({"instance": DESCRIBED, "keys": 1, "parts": [[1, 1]]}, sort_keys=True).encode()
    assert data == seal(Kind.FUNCTIONAL_KEY, OURS, {"keys": 1}, [b"y"])
