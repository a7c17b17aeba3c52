"""A training run refuses labels that its kernels would read beyond their arrays for."""

from fractions import Fraction

import numpy as np
import pytest

from intnn import IntDomain
from intnn.training.plan import plan
from intnn.training.run import Progress, train, train_on
from intnn.training.schedule import Schedule
from intnn.training.step import Descent, initialise

LAYOUT = plan((), (2,), IntDomain(0, 9), 3)
SCHEDULE = Schedule(1, 2, Fraction(1, 20), Descent(), 0)
X = np.arange(8).reshape(4, 1, 1, 2) % 10


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (np.array([0, 1, 2, 3]), ValueError, r"`labels` must lie in \[0, 2\], got 3 at index \(3,\)"),
        (np.array([0, -1, 2, 1]), ValueError, r"`labels` must lie in \[0, 2\], got -1"),
        (np.array([[0], [1], [2], [0]]), ValueError, r"`labels` must have shape \(4,\), .*, got \(4, 1\)"),
        (np.array([0, 1]), ValueError, r"`labels` must have shape \(4,\)"),
        (np.array([0.0, 1.0, 2.0, 0.0]), TypeError, "`labels` must hold integers"),
    ],
)
def test_labels_are_classes_one_for_each_example(labels, error, message):
    with pytest.raises(error, match=message):
        train(LAYOUT, X, labels, SCHEDULE)
    with pytest.raises(error, match=message):
        train_on(Progress(LAYOUT, initialise(LAYOUT, 0)), X, labels, SCHEDULE)


def test_a_checkpoint_of_another_suffix_is_refused_before_the_first_epoch(tmp_path):
    seen = []
    with pytest.raises(ValueError, match=r"must end in \.npz or \.json"):
        train(LAYOUT, X, np.array([0, 1, 2, 0]), SCHEDULE, tmp_path / "run.txt", seen.append)
    assert not seen
