"""Layouts as an interface writes them: distinct rows once, nothing lost, and nothing large made of little."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.circuit import packing
from he.circuit.inputs import InputSpec
from he.circuit.interface import LEAST_TOLERANCE, Interface
from he.circuit.packing import InputLayout, OutputLayout, Packing
from he.formats.messages import Kind, open_message
from he.parties.interfaces import interface_bytes
from he.program.operations import Source
from he.ring.params import Parameters
from he.testing import compiled, parameter_sets, polynomial_graphs, table_networks

ROWS = Packing(2, 64, 2, split_rows=True)


@st.composite
def interfaces(draw):
    """Interfaces whose parts fit each other and mean nothing; some units have the row of another."""
    parameters = draw(parameter_sets())
    lanes = 1 << draw(st.integers(0, 3))
    packing = Packing(parameters.rows, parameters.row_length, lanes, split_rows=parameters.rows == 2)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    features, width = draw(st.integers(1, 40)), 1 << draw(st.integers(0, 5))
    gather = rng.integers(-1, features, (draw(st.integers(1, width)), draw(st.integers(1, 9))))
    layout = InputLayout.of(packing, features, gather[rng.integers(0, len(gather), width)])
    exact = parameters.scheme.exact
    low, high = (-3, 4) if exact else sorted(draw(st.lists(st.floats(-9, 9), min_size=2, max_size=2)))
    return Interface(
        parameters,
        (InputSpec("images", Source(), (features,), low, high, draw(st.none() | st.floats(1e-9, 1e9)), layout),),
        OutputLayout(packing, 1 << draw(st.integers(0, 5)), draw(st.integers(1, 99))),
        tuple(sorted(draw(st.sets(st.integers(1, parameters.row_length - 1), max_size=5)))),
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.booleans()),
        0.0 if exact else draw(st.floats(LEAST_TOLERANCE, 1)),
        1.0 if exact else draw(st.floats(1, 1e30)),
        draw(st.integers(1, parameters.levels)),
        draw(st.binary(min_size=32, max_size=32)).hex(),
    )


def read_back(interface):
    fields, parts = open_message(Kind.INTERFACE, interface_bytes(interface))
    return Interface.from_dict(fields, [np.frombuffer(part, "<i4") for part in parts])


def assert_same(interface, other):
    assert other.to_dict() == interface.to_dict()
    assert other.digest == interface.digest
    for spec, read in zip(interface.inputs, other.inputs, strict=True):
        assert np.array_equal(spec.layout.gather, read.layout.gather)


@given(interfaces())
def test_every_interface_that_is_written_is_read_back(interface):
    assert_same(interface, read_back(interface))


@settings(max_examples=10)
@given(
    table_networks(1, max_points=9) | polynomial_graphs(max_activations=1), st.sampled_from(["latency", "throughput"])
)
def test_every_compiled_interface_is_read_back(network, packing):
    circuit = compiled(network, packing=packing, security="insecure")
    assert_same(circuit.interface, read_back(circuit.interface))


@given(interfaces())
def test_distinct_rows_are_written_once(interface):
    layout = interface.inputs[0].layout
    assert len(layout.rows) == len(np.unique(layout.gather, axis=0))
    assert layout.shape == (len(layout.rows), layout.taps, layout.width)
    assert layout.table.tolist() == [*layout.rows.ravel(), *layout.row_of]


@given(interfaces())
def test_every_table_has_a_digest_of_its_own(interface):
    """Two interfaces whose fields are equal and whose units read other inputs are two."""
    fields, (table,) = interface.to_dict(), interface.tables
    features = fields["inputs"][0]["features"]
    other = table.copy()
    other[0] = -1 if other[0] == features - 1 else other[0] + 1
    changed = Interface.from_dict(fields, [other])
    assert changed.to_dict() == fields
    assert changed.digest != interface.digest


def test_what_is_given_as_lists_is_kept_as_tuples():
    layout = InputLayout.of(Packing(2, 512), 6, np.zeros((4, 2), np.int64))
    steps, shape = [1, 2], [2, 3]
    spec = InputSpec("images", Source(), shape, 0, 1, 1.0, layout)
    parameters = Parameters("bfv", 1024, (30, 40), 65537, security="insecure")
    output = OutputLayout(Packing(2, 512), 4, 3)
    interface = Interface(parameters, [spec], output, steps, False, False, False, 0.0, 1.0, 1, "0" * 64)
    steps.append(0)
    shape.append(0)
    assert (interface.inputs, interface.rotation_steps, spec.shape) == ((spec,), (1, 2), (2, 3))
    assert spec.check(np.ones((1, 2, 3), int), parameters.scheme).shape == (1, 6)


def table(*numbers):
    return np.array(numbers, np.int32)


@pytest.mark.parametrize(
    ("shape", "numbers"),
    [
        *(([1, 2, 2], [0, 1, 0]), ([1, 2, 2], [0, 1, 0, 0, 0]), ([1, 2, 2], [0, 1, 0, 1]), ([1, 2, 2], [0, 1, 0, -1])),
        *(([1, 2, 2], [0, 9, 0, 0]), ([1, 2, 2], [0, -2, 0, 0]), ([1, 2, 3], [0, 1, 0, 0, 0]), ([0, 2, 2], [0, 0])),
        *(([1, 0, 2], [0, 0]), ([1, 2, 0], [0, 1]), ([-1, -2, 2], [0, 1, 0, 0]), ([1.0, 2, 2], [0, 1, 0, 0])),
        *(([True, 2, 2], [0, 1, 0, 0]), (["1", 2, 2], [0, 1, 0, 0]), ([1, 2], [0, 1, 0, 0]), ([], [])),
        *(([1, 2, 2, 1], [0, 1, 0, 0]), ([None] * 3, [0]), ([1 << 31, 1 << 31, 1], [0])),
    ],
)
def test_tables_that_are_not_as_their_shape_says_are_refused(shape, numbers):
    assert InputLayout.from_table(ROWS, 9, [1, 2, 2], table(0, 8, 0, 0)).gather.tolist() == [[0, 8], [0, 8]]
    with pytest.raises(ValueError, match=r"`(gather|width|rows|row_of)` must"):
        InputLayout.from_table(ROWS, 9, shape, table(*numbers))


def test_the_limit_of_entries_holds_for_who_makes_and_who_reads(monkeypatch):
    layout = InputLayout.of(ROWS, 9, np.zeros((4, 5), np.int64))
    monkeypatch.setattr(packing, "MAX_TAPS", 20)
    assert InputLayout.from_table(ROWS, 9, layout.shape, layout.table).gather.tolist() == layout.gather.tolist()
    monkeypatch.setattr(packing, "MAX_TAPS", 19)
    for make in (lambda: replace(layout), lambda: InputLayout.from_table(ROWS, 9, layout.shape, layout.table)):
        with pytest.raises(ValueError, match="at most 19 entries, got 20: the first layer is too large"):
            make()


@pytest.mark.parametrize(("taps", "width"), [(40_000, 16_384), (2000, 16_384)])
def test_little_cannot_ask_for_much(taps, width):
    """Too many indices are refused, and as many as may be are not written out: 128 MB, of which 74 kB were said."""
    numbers = np.zeros(taps + width, np.int32)
    tracemalloc.start()
    try:
        layout = InputLayout.from_table(Packing(2, 16384), 1, [1, taps, width], numbers)
        assert (layout.taps, layout.width) == (2000, 16_384)
    except ValueError as error:
        assert "`gather` must have at most" in str(error)  # noqa: PT017 - either of the two
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_features_that_nobody_reads_take_no_memory():
    """Every lane held all of them: gigabytes for one large image."""
    layout = InputLayout.of(Packing(1, 16384, 16384), 100_000, [[7]])
    images = np.ones((1, 100_000))
    tracemalloc.start()
    slots = layout.pack(images)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert slots.sum() == 16384
    assert peak < 10 * images.nbytes


def test_a_layout_keeps_its_own_indices():
    gather = np.zeros((4, 2), np.int64)
    layout = InputLayout.of(ROWS, 9, gather)
    gather[:] = 8
    assert not layout.gather.any()
    for change in (lambda: layout.rows.__setitem__(0, 1), lambda: layout.row_of.setflags(write=True)):
        with pytest.raises(ValueError, match=r"read-only|WRITEABLE"):
            change()
