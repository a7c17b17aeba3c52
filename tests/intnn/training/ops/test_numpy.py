"""numpy trains as plain Python integers do."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from intnn.training.ops import numpy_, reference
from intnn.training.step import initialise, step
from tests.intnn.training.plans import assert_equal, batch_of, descents, plans, rates


@settings(max_examples=40)
@given(plans(), rates, descents, st.integers(0, 2**64 - 1), st.data())
def test_numpy_trains_as_plain_integers_do(layout, rate, descent, seed, data):
    ours, definition = initialise(layout, seed), initialise(layout, seed)
    for number in range(2):
        x, labels = batch_of(layout, data.draw)
        logits = [
            step(layout, state, x, labels, rate, descent, (seed, number), ops)
            for state, ops in ((ours, numpy_), (definition, reference))
        ]
        assert np.array_equal(*logits)
        assert_equal(ours, definition)
