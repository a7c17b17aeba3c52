"""The strategies draw what they say, and all kinds of it."""

from collections import Counter

import numpy as np
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from intnn import Conv2d, Dense, Flatten, IntDomain, Interval, LutActivation, Requantise, SumPool2d
from intnn.layers.intervals import propagate
from intnn.testing import domains, float_graphs, float_inputs, int_arrays, int_inputs, int_networks, luts, nodes

DOMAIN = IntDomain(-3, 3)


@given(st.data(), st.integers(-5, 5), st.integers(0, 9), st.booleans())
def test_domains_keep_to_their_ends(data, lowest, extra, rings):
    domain = data.draw(domains(lowest, lowest + extra, rings))
    assert IntDomain(lowest, lowest + extra).issuperset(domain)
    assert rings or domain.modulus is None


def test_domains_are_intervals_and_rings():
    assert find(domains(), lambda domain: domain.modulus == 4) == IntDomain.ring(4)
    assert find(domains(-9, -2), lambda domain: domain.size > 1).hi <= -2


@given(st.data(), domains(), st.integers(0, 9))
def test_tables_contain_what_reaches_them(data, hull, room):
    table = data.draw(luts(hull, hull.size + room))
    assert table.domain.issuperset(hull)
    assert table.domain.size <= hull.size + min(room, 4)
    assert IntDomain(-8, 8).issuperset(table.range)


@given(st.data(), st.sampled_from([(4,), (3, 3), (2, 3, 4)]))
def test_layers_fit_their_input(data, shape):
    x = Interval.full(DOMAIN, shape)
    layer = data.draw(nodes(x, value_bound=50))
    y, bound = propagate(layer, x)
    assert y.lo.shape == layer.output_shape(shape)
    assert not isinstance(layer, Dense | Conv2d) or bound <= 50


def test_layers_of_every_kind_are_drawn():
    for kind in (Dense, Flatten, SumPool2d, Conv2d, Requantise, LutActivation):
        shape = (4,) if kind is Dense else (2, 3, 4)
        assert find(nodes(Interval.full(DOMAIN, shape)), lambda layer, kind=kind: isinstance(layer, kind))


@settings(max_examples=30)
@given(int_networks(max_table_size=9, max_layers=2, dense_only=True, value_bound=100, min_tables=1))
def test_networks_keep_to_what_was_asked_for(network):
    tables = [layer.lut for layer in network.layers if isinstance(layer, LutActivation)]
    assert [type(layer) for layer in network.layers] == [Dense, LutActivation, Dense]
    assert tables[0].domain.size <= 9
    assert network.accumulator_bound <= 100


@settings(max_examples=30)
@given(int_networks(value_bound=32767, rescale=False))
def test_networks_that_shall_be_encrypted_are_small_and_rescale_nothing(network):
    assert not any(isinstance(layer, Requantise) for layer in network.layers)
    assert network.accumulator_bound <= 32767


def test_networks_have_layers_of_every_kind_and_sums_of_every_size():
    seen = Counter()

    @settings(max_examples=900, phases=[Phase.generate], database=None)
    @given(int_networks())
    def draw(network):
        assert network.accumulator_bound <= 1 << 60
        kinds = {type(layer) for layer in network.layers}
        sizes = {size for size in (15, 24, 53) if network.accumulator_bound >= 1 << size}
        seen.update(kinds | sizes)

    draw()
    for kind in (Dense, Conv2d, SumPool2d, Requantise, LutActivation, 15, 24, 53):
        assert seen[kind] >= 15, (kind, seen)  # seen: 65 and more


@settings(max_examples=30)
@given(st.data())
def test_inputs_fit_their_network(data):
    network, graph = data.draw(int_networks()), data.draw(float_graphs(max_layers=2))
    x, images = data.draw(int_inputs(network, max_batch=2)), data.draw(float_inputs(graph, batch=2, magnitude=1.0))
    assert x.shape in ((1, *network.input_shape), (2, *network.input_shape))
    assert network.input_domain.contains_array(x)
    assert images.shape == (2, *graph.input_shape)
    assert np.abs(images).max() <= 1.0
    assert graph.logits(images).shape == (2, int(np.prod(graph.output_shape)))
    assert sum(isinstance(node, Dense | Conv2d) for node in graph.nodes) <= 2


@given(int_arrays((2, 3), -4, 5))
def test_arrays_are_int64_and_within_their_ends(x):
    assert x.dtype == np.int64
    assert x.shape == (2, 3)
    assert -4 <= x.min() <= x.max() <= 5
