"""BLAKE2Xb in plain integers beside the standard library's BLAKE2b, and that of the vectors."""

from hashlib import blake2b

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from he.kernels.instructions import blake
from he.kernels.passes.expand import buffer
from tests.vectors import document

numbers = st.integers(0, 2**63 - 1)


def words(data):
    return np.frombuffer(data, "<u8").tolist()


@given(st.binary(min_size=64, max_size=64), numbers, st.integers(0, 63))
def test_roots_and_nodes_are_those_of_the_document(seed, counter, number):
    root = blake2b(counter.to_bytes(8, "little"), key=seed, node_offset=blake.BUFFER << 32).digest()
    found = blake.root(blake.Integers(), words(seed), counter)
    assert found == words(root)
    of_no_depth = [64 | 64 << 32, number | blake.BUFFER << 32, 64 << 8, 0, 0, 0, 0, 0]  # which the library refuses
    assert blake.node(blake.Integers(), found, number) == [*document.blake2b(of_no_depth, root, 64)]


@given(st.binary(min_size=64, max_size=64), numbers)
def test_a_buffer_has_the_nodes_of_its_root(seed, counter):
    found = np.empty(blake.BUFFER // 8, np.uint64)
    buffer(np.array(words(seed), np.uint64), counter, found)
    root = blake.root(blake.Integers(), words(seed), counter)
    nodes = blake.BUFFER // blake.NODE
    assert found.tolist() == [word for n in range(nodes) for word in blake.node(blake.Integers(), root, n)]
