"""Random plans, batches, rates and rules of descent for the tests of training."""

import numpy as np
from hypothesis import strategies as st

from intnn import IntDomain
from intnn.testing import int_arrays
from intnn.training.plan import Convolution, Hidden, plan
from intnn.training.step import Descent, Rate

FIELDS = ("weights", "bias", "weight_velocity", "bias_velocity")


BYTES = st.sampled_from([IntDomain(0, 255), IntDomain(-128, 127), IntDomain(0, 1)])


@st.composite
def plans(draw_):
    """Small networks of every kind of layer."""
    inputs, classes, bits = draw_(BYTES), draw_(st.integers(2, 4)), draw_(st.integers(2, 8))
    kinds = st.sampled_from(["relu", "tanh", "identity"])
    if draw_(st.booleans()):
        layers = draw_(st.lists(st.builds(Hidden, st.integers(1, 6), kinds), max_size=2))
        return plan(tuple(layers), (draw_(st.integers(1, 7)),), inputs, classes, bits)
    convolution = st.builds(
        Convolution,
        st.integers(1, 3),
        st.integers(1, 3),
        st.integers(1, 2),
        st.integers(0, 1),
        st.integers(1, 2),
        kinds,
    )
    layers = (draw_(convolution), *draw_(st.lists(st.builds(Hidden, st.integers(1, 20), kinds), max_size=1)))
    return plan(
        layers, (draw_(st.integers(1, 2)), draw_(st.integers(5, 6)), draw_(st.integers(5, 7))), inputs, classes, bits
    )


def batch_of(layout, draw_, size=3):
    block = layout.blocks[0]
    shape = (size, block.height, block.width, block.channels)
    x = draw_(int_arrays(shape, layout.inputs.lo, layout.inputs.hi))
    return x, draw_(int_arrays((size,), 0, layout.classes - 1))


rates = st.builds(Rate, st.integers(64, 127), st.integers(0, 30))


descents = st.builds(Descent, st.integers(0, 15), st.sampled_from([0, 1, 10, 30]))


def assert_equal(ours, definition):
    for a, b in zip(ours, definition, strict=True):
        assert all(np.array_equal(getattr(a, name), getattr(b, name)) for name in FIELDS)
