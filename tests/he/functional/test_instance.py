import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from he.functional.instance import SCHEMES, Instance
from intnn import IntDomain
from tests.he.functional.made import instances

schemes = st.sampled_from(SCHEMES)


def test_instances_have_ids_of_their_own() -> None:
    first, second = (Instance("pads", 4, IntDomain(0, 15)) for _ in range(2))
    assert first != second
    assert first == dataclasses.replace(second, id=first.id)


@given(schemes.flatmap(instances))
def test_centred_inputs_reach_as_far_as_is_said(instance: Instance) -> None:
    centred = [value - instance.centre for value in range(instance.inputs.lo, instance.inputs.hi + 1)]
    assert instance.magnitude == max(map(abs, centred))
    assert instance.width == max(centred) - min(centred)
    assert abs(max(centred) + min(centred)) <= 1
    assert instance.bound == sum(max(map(abs, centred)) * instance.key_limit for _ in range(instance.length))


@given(schemes, st.integers(2, 128))
def test_a_ring_of_inputs_counts_as_an_interval(name: str, size: int) -> None:
    ring = IntDomain.ring(size)
    instance = Instance(name, 4, ring)
    assert instance.inputs == IntDomain(ring.lo, ring.hi)
    assert instance.inputs.modulus is None


def test_vectors_are_returned_as_int64() -> None:
    instance = Instance("ddh", 2, IntDomain(0, 15))
    x, y = instance.require_inputs(np.array([[0, 15]], np.uint8)), instance.require_keys([[-127, 127], [0, 1]])
    assert x.dtype == y.dtype == np.int64
    assert x.tolist() == [[0, 15]]
    assert y.tolist() == [[-127, 127], [0, 1]]


def test_vectors_of_keys_are_looked_at_once_and_stay_as_they_are() -> None:
    instance, y = Instance("pads", 2, IntDomain(0, 15)), np.array([[-127, 127], [0, 1]])
    found = instance.require_keys(y)
    assert instance.require_keys(found) is found
    y[0, 0] = 128
    with pytest.raises(ValueError, match=r"`y` must lie in \[-127, 127\], got 128 at index \(0, 0\)"):
        instance.require_keys(y)
    assert found.tolist() == [[-127, 127], [0, 1]]
    with pytest.raises(ValueError, match="read-only"):
        found[0, 0] = 128
    with pytest.raises(ValueError, match=r"`y` must lie in \[-126, 126\], got -127"):
        Instance("pads", 2, IntDomain(0, 15), 126).require_keys(found)
    columns = np.array([[-127, 0, 3], [127, 1, 128]])
    with pytest.raises(ValueError, match=r"`y` must lie in \[-127, 127\], got 128 at index \(2, 1\)"):
        instance.require_keys(columns.T)
    columns[1, 2] = 4
    by_column = instance.require_keys(columns.T)
    columns[:] = 0
    assert by_column.tolist() == [[-127, 127], [0, 1], [3, 4]]
    assert by_column.flags.f_contiguous
    with pytest.raises(ValueError, match="cannot set WRITEABLE"):
        by_column.setflags(write=True)
    memory = np.array([[1, 2], [3, 4]])  # which others write to, and the vectors lie in a view that does not tell
    for lying in (np.asarray(memory.data.toreadonly()), np.asarray(memory.data.toreadonly()).T):
        vectors = instance.require_keys(lying)
        before = vectors.tolist()
        memory += 1
        assert vectors.tolist() == before
        assert instance.require_keys(lying).tolist() == lying.tolist() != before
    del found
    with pytest.raises(TypeError, match="`y` must hold integers"):
        instance.require_keys(None)
    for extreme in (2**63 - 1, -(2**63)):
        with pytest.raises(ValueError, match="`y` must lie in"):
            instance.require_keys(np.array([[0, extreme]]))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Instance("lwe", 4, IntDomain(0, 15)), ValueError, "`scheme`"),
        (lambda: Instance("pads", 0, IntDomain(0, 15)), ValueError, "`length`"),
        (lambda: Instance("pads", 65537, IntDomain(0, 15)), ValueError, "`length`"),
        (lambda: Instance("pads", 4.0, IntDomain(0, 15)), TypeError, "`length`"),
        (lambda: Instance("pads", True, IntDomain(0, 15)), TypeError, "`length`"),
        (lambda: Instance("pads", 4, (0, 15)), TypeError, "`inputs` must be an IntDomain"),
        (lambda: Instance("pads", 4, IntDomain(-129, 0)), ValueError, "`inputs`"),
        (lambda: Instance("pads", 4, IntDomain(0, 256)), ValueError, "`inputs`"),
        (lambda: Instance("pads", 4, IntDomain(7, 7)), ValueError, "`inputs`"),
        (lambda: Instance("pads", 4, IntDomain(0, 15), 0), ValueError, "`key_limit`"),
        (lambda: Instance("pads", 4, IntDomain(0, 15), 32768), ValueError, "`key_limit`"),
        (lambda: Instance("pads", 4, IntDomain(0, 15), id="0" * 31), ValueError, "`id`"),
        (lambda: Instance("pads", 4, IntDomain(0, 15), id="0" * 32 + "\n"), ValueError, "`id`"),
        (lambda: Instance("pads", 4, IntDomain(0, 15), id="A" * 32), ValueError, "`id`"),
        (lambda: Instance("pads", 4, IntDomain(0, 15), id=bytes(32)), ValueError, "`id`"),
    ],
)
def test_what_cannot_be_is_not_made(make: Callable[[], Instance], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
