"""Tables in place of rescalings: the same bits, or a reason why not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intnn import Dense, IntDomain, IntNetwork, Lut, LutActivation, Requantise, tabulate
from intnn.testing import int_arrays
from intnn.training.export import to_network
from intnn.training.plan import Convolution, plan
from intnn.training.step import initialise


@settings(max_examples=40)
@given(st.data())
def test_the_logits_stay_the_same(data):
    inputs = data.draw(st.sampled_from([IntDomain(0, 1), IntDomain(-2, 1), IntDomain(3, 9)]))
    kinds = st.sampled_from(["relu", "tanh", "identity"])
    convolutional = data.draw(st.booleans())
    layers = (
        (Convolution(2, 2, pool=data.draw(st.integers(1, 2)), activation=data.draw(kinds)), 3)
        if convolutional
        else (4,)
    )
    shape = (1, 4, 4) if convolutional else (5,)
    layout = plan(layers, shape, inputs, 3, weight_bits=data.draw(st.integers(2, 4)))
    network = to_network(layout, initialise(layout, data.draw(st.integers(0, 99))))
    tables = tabulate(network)
    assert not any(isinstance(layer, Requantise) for layer in tables.layers)
    assert len(tables.layers) < len(network.layers)
    x = data.draw(int_arrays((4, *shape), inputs.lo, inputs.hi))
    assert np.array_equal(tables.logits(x), network.logits(x))


def test_runs_at_both_ends_and_networks_without_any():
    square = LutActivation(Lut.from_callable(lambda v: v * v, IntDomain(-3, 3)))
    narrow = Requantise(np.array(3), 1, IntDomain(-9, 9))
    dense = Dense(np.array([[1, -1]]), np.array([2]))
    network = IntNetwork((2,), IntDomain(-3, 3), (square, narrow, dense, narrow, narrow))
    tables = tabulate(network)
    assert [type(layer) for layer in tables.layers] == [LutActivation, Dense, LutActivation]
    x = np.array([[a, b] for a in range(-3, 4) for b in range(-3, 4)])
    assert np.array_equal(tables.logits(x), network.logits(x))
    plain = IntNetwork((2,), IntDomain(-3, 3), (dense,))
    assert tabulate(plain).fingerprint == plain.fingerprint


def test_what_needs_too_large_a_table_is_refused_with_its_size():
    network = IntNetwork(
        (2,),
        IntDomain(0, 255),
        (Dense(np.array([[100, 1]]), np.array([0])), Requantise(np.array(1), 9, IntDomain(0, 9))),
    )
    assert tabulate(network, 25_756).ranges[-1] == IntDomain(0, 9)
    with pytest.raises(ValueError, match=r"layer 1: .* a table of 25756 points, and at most 25755"):
        tabulate(network, 25_755)


def test_a_multiplier_per_channel_is_refused():
    network = IntNetwork(
        (2,),
        IntDomain(0, 1),
        (Dense(np.eye(2, dtype=int), np.zeros(2, int)), Requantise(np.array([1, 2]), 1, IntDomain(0, 9))),
    )
    with pytest.raises(ValueError, match=r"layer 1: .* must have one multiplier"):
        tabulate(network)
