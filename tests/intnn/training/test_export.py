"""The exported network gives the logits of the training step."""

from copy import deepcopy

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from intnn.training.export import to_network
from intnn.training.ops import numpy_
from intnn.training.step import Descent, Rate, initialise, step
from tests.intnn.training.plans import batch_of, plans


@settings(max_examples=30)
@given(plans(), st.data())
def test_the_exported_network_gives_the_steps_logits(layout, data):
    x, labels = batch_of(layout, data.draw)
    state = initialise(layout, 7)
    network = to_network(layout, deepcopy(state))
    logits = step(layout, state, x, labels, Rate(64, 20), Descent(), (0, 0), numpy_)
    images = x.reshape(len(x), -1) if len(layout.input_shape) == 1 else x.transpose(0, 3, 1, 2)
    assert np.array_equal(network.logits(images), logits)
