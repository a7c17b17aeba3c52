"""Layouts as an interface writes them: distinct rows once, nothing lost, and nothing large made of little."""

import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.circuit import packing
from he.circuit.interface import InputSpec, Interface
from he.circuit.packing import InputLayout, OutputLayout, Packing
from he.formats.messages import Kind, open_message
from he.parties.client import interface_bytes
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
    layout = InputLayout(packing, features, gather[rng.integers(0, len(gather), width)])
    exact = parameters.scheme.exact
    low, high = (-3, 4) if exact else sorted(draw(st.lists(st.floats(-9, 9), min_size=2, max_size=2)))
    return Interface(
        parameters,
        (InputSpec("images", Source(), (features,), low, high, draw(st.none() | st.floats(1e-9, 1e9)), layout),),
        OutputLayout(packing, 1 << draw(st.integers(0, 5)), draw(st.integers(1, 99))),
        tuple(sorted(draw(st.sets(st.integers(1, parameters.row_length - 1), max_size=5)))),
        draw(st.booleans()),
        draw(st.booleans()),
        0.0 if exact else draw(st.floats(0, 1)),
        1.0 if exact else draw(st.floats(1, 1e30)),
        draw(st.integers(1, parameters.levels)),
        draw(st.binary(min_size=32, max_size=32)).hex(),
    )


def read_back(interface):
    return Interface.from_dict(open_message(Kind.INTERFACE, interface_bytes(interface))[0])


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
    rows = [entry for entry in layout.listed() if isinstance(entry, list)]
    assert len(rows) == len(np.unique(layout.gather, axis=0))
    assert len(layout.listed()) == layout.width
    as_before = json.dumps(layout.gather.tolist())
    assert len(json.dumps(layout.listed())) <= len(as_before) or layout.gather.shape[1] == 1


@given(interfaces())
def test_rows_that_are_written_out_are_read_as_well(interface):
    fields = interface.to_dict()
    fields["inputs"][0]["gather"] = interface.inputs[0].layout.gather.tolist()
    assert_same(interface, Interface.from_dict(fields))


def test_what_is_given_as_lists_is_kept_as_tuples():
    layout = InputLayout(Packing(2, 512), 6, np.zeros((4, 2), np.int64))
    steps, shape = [1, 2], [2, 3]
    spec = InputSpec("images", Source(), shape, 0, 1, 1.0, layout)
    parameters = Parameters("bfv", 1024, (30, 40), 65537, security="insecure")
    output = OutputLayout(Packing(2, 512), 4, 3)
    interface = Interface(parameters, [spec], output, steps, False, False, 0.0, 1.0, 1, "0" * 64)
    steps.append(0)
    shape.append(0)
    assert (interface.inputs, interface.rotation_steps, spec.shape) == ((spec,), (1, 2), (2, 3))
    assert spec.check(np.ones((1, 2, 3), int), parameters.scheme).shape == (1, 6)


def test_different_rows_are_written_as_they_are():
    gather = np.arange(64).reshape(32, 2)
    assert InputLayout(ROWS, 64, gather).listed() == gather.tolist()


@pytest.mark.parametrize(
    "entries",
    [
        *([0], [[0, 1], 1], [[0, 1], -1], [[0, 1], True], [[0, 1], 0.0], [[0, 1], None], [[0, 1], "0"]),
        *([[[0]], 0], [[], 0], [[0, 1], [0], 0, 1], [[0.5], 0], [["0"], 0], [[2**63], 0], [[True], 0], {}, [[0], 0, 0]),
    ],
)
def test_entries_that_are_no_rows_are_refused(entries):
    assert InputLayout.from_listed(ROWS, 9, [[0, 8], 0]).gather.tolist() == [[0, 8], [0, 8]]
    with pytest.raises(ValueError, match=r"`(gather|width)` must"):
        InputLayout.from_listed(ROWS, 9, entries)


def test_the_limit_of_entries_holds_for_who_makes_and_who_reads(monkeypatch):
    layout = InputLayout(ROWS, 9, np.zeros((4, 5), np.int64))
    monkeypatch.setattr(packing, "MAX_TAPS", 20)
    assert InputLayout.from_listed(ROWS, 9, layout.listed()).gather.tolist() == layout.gather.tolist()
    monkeypatch.setattr(packing, "MAX_TAPS", 19)
    for make in (lambda: replace(layout), lambda: InputLayout.from_listed(ROWS, 9, layout.listed())):
        with pytest.raises(ValueError, match="at most 19 entries, got 20: the first layer is too large"):
            make()


def test_little_cannot_ask_for_much():
    entries = [[0] * 40_000, *[0] * 16_383]  # 150 kB, for 5 GB of indices
    tracemalloc.start()
    with pytest.raises(ValueError, match="`gather` must have at most"):
        InputLayout.from_listed(Packing(2, 16384), 1, entries)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 22


def test_a_layout_keeps_its_own_indices():
    gather = np.zeros((4, 2), np.int64)
    layout = InputLayout(ROWS, 9, gather)
    gather[:] = 8
    assert not layout.gather.any()
    for change in (lambda: layout.gather.__setitem__(0, 1), lambda: layout.gather.setflags(write=True)):
        with pytest.raises(ValueError, match=r"read-only|WRITEABLE"):
            change()
