"""Distillation goes on while answers come nearer, and keeps the network that agrees best."""

from itertools import pairwise

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from intnn import Activation, Dense, Graph
from plaintext_models.adaptation.distil import agreement, distil, outputs
from plaintext_models.adaptation.trainable import Trainable


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**31 - 1), st.sampled_from([1, 3]), st.sampled_from([3e-4, 3e-3, 0.3]))
def test_it_ends_where_answers_come_no_nearer_and_keeps_what_agrees_best(seed, classes, learning_rate):
    rng = np.random.default_rng(seed)
    first, last = (Dense(rng.normal(size=(b, a)) / 2, rng.normal(size=b)) for a, b in ((6, 8), (8, classes)))
    teacher, student = (
        Trainable(Graph((6,), (first, activation, last)))
        for activation in (Activation("relu"), Activation("polynomial", (0.2, 0.5, 0.25)))
    )
    x = torch.from_numpy(rng.normal(size=(300, 6)).astype(np.float32))
    trained, held_out = x[:240], x[240:]
    expected = outputs(teacher, held_out)
    before, cycles = agreement(outputs(student, held_out), expected), (1, 1, 2, 2)
    options = {"batch_size": 16, "learning_rate": learning_rate, "seed": seed, "progress": False}
    done = distil(student, teacher, trained, held_out, cycles=cycles, **options)
    assert tuple(cycle.epochs for cycle in done) == cycles[: len(done)]
    assert all(after.loss < earlier.loss for earlier, after in pairwise(done[:-1]))
    if 1 < len(done) < len(cycles):
        assert not done[-1].loss < done[-2].loss
    after = agreement(outputs(student, held_out), expected)
    assert after == max([before, *(cycle.agreement for cycle in done)])
