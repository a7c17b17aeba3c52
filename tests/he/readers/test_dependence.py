"""What is encoded as zero takes the input with it, and nothing else does."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from he.circuit.rounding import rounded_slots
from he.engines.rns.encode import encode_approximate
from he.program.algebra import run
from he.program.operations import Matrix, Plain, PlainDot, Scalar
from he.program.recorder import Recorder
from he.readers.dependence import DependenceAlgebra
from he.ring.slots import polynomial

N = 64


def depends(recorder, outputs, slots=N // 2):
    program = recorder.program(slots, outputs)
    return [bool(flag) for value in run(program, DependenceAlgebra(program)) for flag in value.found]


@settings(max_examples=100)
@given(st.integers(0, 2**32 - 1), st.floats(-6, 6), st.sampled_from(["normal", "one slot", "equal"]))
def test_a_plaintext_keeps_what_every_rounding_of_it_keeps(seed, exponent, kind):
    rng = np.random.default_rng(seed)
    slots = {
        "normal": rng.normal(size=N // 2),
        "one slot": np.eye(N // 2)[seed % (N // 2)],
        "equal": np.full(N // 2, rng.normal()),
    }[kind]
    scale = 2.0**exponent
    recorder = Recorder()
    x = recorder.input(0)
    operand = recorder.plaintext(slots)
    value = recorder._record(PlainDot((x,), (Plain(operand.index, 1, scale),)))
    peak = np.abs(polynomial(slots) * scale).max()
    assume(abs(peak - 1) > 1e-9)
    assert depends(recorder, [value]) == [peak > 1]
    rounded = rounded_slots(slots, Plain(0, 1, scale), seed.to_bytes(32, "big"))
    assert bool(np.any(encode_approximate(rounded, scale))) or peak < 1


@pytest.mark.parametrize(("weight", "kept"), [(0.99, False), (1.0, True), (0.0, False), (-1.01, True)])
def test_scalars_and_rows_of_matrices_are_kept_from_one(weight, kept):
    recorder = Recorder()
    x = recorder.input(0)
    scaled = recorder.scalar_dot([x], [Scalar(weight / 8, 1, 8.0)], Scalar(1.0, 1, 8.0))
    rows = recorder.matrix([x, x], Matrix((0, 0), np.array([[weight / 8, 0.0], [1.0, 1.0]]), np.ones(2), 1, 8.0, 8.0))
    both = recorder.add([scaled, rows[0]])
    square = recorder.relinearise(recorder.multiply(rows[0], rows[0]))
    assert depends(recorder, [scaled, *rows, both, square], 1) == [kept, kept, True, kept, kept]
