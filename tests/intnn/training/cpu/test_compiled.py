"""The compiled step gives the bits of the step on arrays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intnn import IntDomain
from intnn.training.cpu.compiled import CompiledStep
from intnn.training.examples import offset_of
from intnn.training.ops import numpy_
from intnn.training.plan import Convolution, Hidden, plan
from intnn.training.step import ArrayStep, Descent, Rate, initialise
from tests.intnn.training.plans import assert_equal, batch_of, descents, plans, rates


@settings(max_examples=60)
@given(plans(), rates, descents, st.integers(0, 2**64 - 1), st.integers(1, 9), st.data())
def test_the_compiled_step_gives_the_same_bits(layout, rate, descent, seed, size, data):
    start = initialise(layout, seed)
    compiled, arrays = CompiledStep(layout, start, size, descent), ArrayStep(layout, start, size, descent, numpy_)
    assert_equal(compiled.state(), start)
    for number in range(3):
        x, labels = batch_of(layout, data.draw, size)
        for stepper in (compiled, arrays):
            stepper.inputs[...] = x + offset_of(layout.inputs)
        assert np.array_equal(compiled.step(labels, rate, (seed, number)), arrays.step(labels, rate, (seed, number)))
        assert_equal(compiled.state(), arrays.state())


WIDE = {
    "several panels, many rows": (Hidden(37, "relu"), Hidden(33, "tanh")),
    "wide runs, strides, odd windows": (Convolution(19, 3, 2, 1, 3, "tanh"), Convolution(7, 2, 1, 1, 2), Hidden(9)),
    "signed inputs to a convolution": (Convolution(4, 5, 1, 2, 2, "identity"), Convolution(17, 3, 1, 0, 1)),
}


@pytest.mark.parametrize("layers", WIDE.values(), ids=WIDE)
@pytest.mark.parametrize("size", [5, 16])
def test_the_compiled_step_on_layers_beyond_one_tile(layers, size):
    rng = np.random.default_rng(0)
    domain = IntDomain(-128, 127)
    layout = plan(layers, (3, 20, 21), domain, 11)
    steppers = step_pair(layout, size, Descent(3, 12))
    for number in range(3):
        x = rng.integers(domain.lo, domain.hi + 1, (size, 20, 21, 3))
        labels = rng.integers(0, 11, size)
        for stepper in steppers:
            stepper.inputs[...] = x + 128
        logits = [stepper.step(labels, Rate(90, 12), (3, number)) for stepper in steppers]
        assert np.array_equal(*logits)
        assert_equal(*(stepper.state() for stepper in steppers))


def step_pair(layout, size, descent):
    start = initialise(layout, 5)
    return CompiledStep(layout, start, size, descent), ArrayStep(layout, start, size, descent, numpy_)
