import weakref
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from he.program.algebra import apply, run
from he.program.operations import Add, AddPlain, Input, Multiply, Plain, PlainDot, Rotate, Source, arguments
from he.program.program import Program
from he.program.recorder import Recorder

SLOTS = 8
PLAIN = np.zeros(SLOTS)


class Value:
    """Something that can be watched as it goes."""


class Watcher:
    """An algebra that makes nothing but new values, and knows which of them are alive."""

    def __init__(self):
        self.alive = weakref.WeakSet()
        self.most = 0

    def __getattr__(self, name):
        def operation(*args):
            value = Value()
            self.alive.add(value)
            self.most = max(self.most, len(self.alive))
            return value

        return operation


def test_a_long_chain_holds_two_values_at_a_time():
    recorder = Recorder()
    value = recorder.input(0)
    for _ in range(100):
        value = recorder.relinearise(recorder.multiply(value, value))
    watcher = Watcher()
    results = run(recorder.program(SLOTS, [value]), watcher)
    assert watcher.most == 2
    assert list(watcher.alive) == results


@given(st.integers(0, 2**32 - 1))
def test_run_keeps_only_what_is_read_later(seed):
    rng = np.random.default_rng(seed)
    operations = [Input(0)] + [Add(tuple(rng.integers(0, i, 2).tolist())) for i in range(1, 20)]
    output = int(rng.integers(0, 20))
    program = Program(SLOTS, (Source(),), tuple(operations), (), (output,))
    needed = [
        sum(any(i in arguments(later) for later in operations[now:]) or i == output for i in range(now)) + 1
        for now in range(20)
    ]  # what is read from now on, and the value that is being made
    watcher = Watcher()
    run(program, watcher)
    assert watcher.most <= max(needed)
    assert len(watcher.alive) == 0


@pytest.mark.parametrize(
    ("operations", "outputs", "message"),
    [
        ((Input(0), Add((0, 1))), (1,), "operation 1 must read earlier values only, got "),
        ((Input(0), Add((0, -1))), (1,), "operation 1 must read earlier values only, got "),
        ((Rotate((0,), 1),), (0,), "operation 0 must read earlier values only, got "),
        ((Input(1),), (0,), r"operation 0 must read one of 1 inputs, got Input\(index=1\)"),
        ((Input(-1),), (0,), r"operation 0 must read one of 1 inputs, got Input\(index=-1\)"),
        ((Input(0), AddPlain((0,), Plain(1))), (1,), "operation 1 must use one of 1 plaintexts, got "),
        ((Input(0), PlainDot((0,), (Plain(-1),))), (1,), "operation 1 must use one of 1 plaintexts, got "),
        ((Input(0),), (1,), r"`outputs` must be some of 1 values, got \(1,\)"),
        ((), (0,), r"`outputs` must be some of 0 values, got \(0,\)"),
    ],
)
def test_dangling_references_are_refused(operations, outputs, message):
    with pytest.raises(ValueError, match=message):
        Program(SLOTS, (Source(),), operations, (PLAIN,), outputs)


def test_plaintexts_must_have_the_slots_length():
    with pytest.raises(ValueError, match=r"`plaintexts` must have shape \(8,\), got \(4,\)"):
        Program(SLOTS, (Source(),), (Input(0),), (np.zeros(4),), (0,))


def test_the_recorder_writes_down_what_happens():
    recorder = Recorder()
    a, b = recorder.input(0), recorder.input(1)
    dot = recorder.plain_dot([a, b], [recorder.plaintext(np.zeros(SLOTS)), recorder.plaintext(np.ones(SLOTS))])
    turned = recorder.rotate(dot, 2)
    product = recorder.multiply(recorder.add([dot, turned]), recorder.rotate(dot, 0))
    program = recorder.program(SLOTS, [recorder.relinearise(product)])
    assert program.inputs == (Source(), Source())
    assert program.rotation_steps == {2}  # a rotation by nothing is none
    assert not program.swaps_rows
    assert program.operations[product] == Multiply((4, dot))
    assert program.counts == Counter(
        {"Input": 2, "PlainDot": 1, "Rotate": 1, "Add": 1, "Multiply": 1, "Relinearise": 1, "plain products": 2}
    )
    with pytest.raises(ValueError, match="read-only"):
        program.plaintexts[0][0] = 1


@pytest.mark.parametrize("slots", [0, -1, 8.0, True, None])
def test_slots_are_counted(slots):
    with pytest.raises(ValueError, match=r"`slots` must be a positive integer|as many operands"):
        Program(slots, (Source(),), (Input(0),), (), (0,))


def test_what_is_no_operation_is_refused():
    with pytest.raises(TypeError, match=r"`operation` must be one of `he\.program\.operations`, got 3"):
        apply(Watcher(), 3, [])
