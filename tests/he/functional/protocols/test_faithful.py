"""Training through functional keys has the bits of training in the clear, whenever it is interrupted."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.functional.errors import BudgetError
from he.functional.parties.authority import Authority
from he.functional.protocols.faithful import batch_vectors, in_batches, train, train_in_clear
from intnn import IntDomain
from intnn.storage.document import FormatError
from intnn.testing import int_arrays
from intnn.training.examples import Changes
from intnn.training.export import to_network
from intnn.training.ops import numpy_
from intnn.training.plan import Convolution, Hidden, plan
from intnn.training.schedule import Schedule, rate_at
from intnn.training.step import Descent, initialise, step
from tests.he.functional.protocols.sources import Clear, Parties, digits
from tests.intnn.training.plans import BYTES, assert_equal

backends = st.sampled_from(["reference", "numpy", "numba"])


@st.composite
def runs(draw_):
    """A network whose first layer is dense, a schedule, examples and labels."""
    kinds = st.sampled_from(["relu", "tanh", "identity"])
    layers = draw_(st.lists(st.builds(Hidden, st.integers(1, 5), kinds), max_size=2))
    layout = plan(tuple(layers), (draw_(st.integers(1, 6)),), draw_(BYTES), draw_(st.integers(2, 4)))
    size, epochs = draw_(st.integers(1, 4)), draw_(st.integers(1, 3))
    n = draw_(st.integers(size, 3 * size + 1))
    rate = draw_(st.fractions(Fraction(1, 100), 1, max_denominator=100))
    schedule = Schedule(epochs, size, rate, Descent(draw_(st.integers(0, 4))), draw_(st.integers(0, 2**63)))
    x = draw_(int_arrays((n, layout.input_shape[0]), layout.inputs.lo, layout.inputs.hi))
    return layout, schedule, x, draw_(int_arrays((n,), 0, layout.classes - 1))


def sources(x, size, kind=Clear):
    """Where a run's products come from: the forward instance, and the gradient instance of every batch."""
    vectors = batch_vectors(x, size)
    return kind(vectors.forward), [kind(vectors_of_batch) for vectors_of_batch in vectors.gradients].__getitem__


@given(st.integers(1, 5), st.integers(0, 14), st.integers(1, 4), st.data())
def test_batches_hold_every_example_of_a_whole_batch_both_ways(size, more, features, data):
    n = size + more
    x = data.draw(int_arrays((n, features), -128, 127))
    vectors = batch_vectors(x, size)
    assert vectors.forward.tolist() == x.tolist()[: n - n % size]
    assert len(vectors.gradients) == n // size
    for b, gradient in enumerate(vectors.gradients):
        assert [list(column) for column in zip(*gradient.tolist(), strict=True)] == x.tolist()[b * size :][:size]


@settings(max_examples=40)
@given(runs(), backends)
def test_training_through_keys_is_training_in_the_clear(run, backend):
    layout, schedule, x, labels = run
    forward, gradient = sources(x, schedule.batch_size)
    state = train(layout, schedule, labels, forward, gradient, backend=backend)
    assert_equal(state, train_in_clear(layout, schedule, labels, x))

    steps = schedule.epochs * (len(x) // schedule.batch_size)
    expected, batches = initialise(layout, schedule.seed), len(x) // schedule.batch_size
    for number in range(steps):
        rows = slice(number % batches * schedule.batch_size, (number % batches + 1) * schedule.batch_size)
        rate = rate_at(schedule, number, steps)
        images = x[rows].reshape(schedule.batch_size, 1, 1, -1)
        step(layout, expected, images, labels[rows], rate, schedule.descent, (schedule.seed, number), numpy_)
    assert_equal(state, expected)
    assert forward.keys_issued == steps * layout.blocks[0].outputs


class Stopped:
    """Products of a trainer who is stopped at the call of a number."""

    def __init__(self, x, calls, last):
        self._products, self._calls, self._last = Clear(x), calls, last

    def products(self, y, start, stop):
        if next(self._calls) == self._last:
            raise KeyboardInterrupt
        return self._products.products(y, start, stop)


@settings(max_examples=15)
@given(runs(), st.data())
def test_a_run_that_is_stopped_anywhere_goes_on_to_the_same_bits(tmp_path_factory, run, data):
    layout, schedule, x, labels = run
    path = tmp_path_factory.mktemp("run") / "state.npz"
    batches = len(x) // schedule.batch_size
    last = data.draw(st.integers(0, 2 * batches * schedule.epochs - 1))
    calls = iter(range(2 * batches * schedule.epochs))
    with pytest.raises(KeyboardInterrupt):
        train(layout, schedule, labels, *sources(x, schedule.batch_size, lambda v: Stopped(v, calls, last)), path=path)
    assert path.exists() == (last >= 2 * batches)

    epochs, steps = [], []
    forward, gradient = sources(x, schedule.batch_size)
    state = train(
        layout, schedule, labels, forward, gradient, path=path, callback=epochs.append,
        progress=lambda *counts: steps.append(counts),
    )  # fmt: skip
    assert_equal(state, train_in_clear(layout, schedule, labels, x))
    done = last // (2 * batches)
    total = batches * schedule.epochs
    assert [(epoch.number, epoch.seen) for epoch in epochs] == [
        (number + 1, batches * schedule.batch_size) for number in range(done, schedule.epochs)
    ]
    assert steps == [(number + 1, total) for number in range(done * batches, total)]


def test_reports_count_right_answers():
    layout = plan((), (3,), IntDomain(0, 9), 2)
    x = np.array([[9, 0, 0], [0, 9, 9]] * 8)
    epochs = []
    schedule = Schedule(20, 4, Fraction(1, 2), Descent(), 0)
    state = train(layout, schedule, np.array([0, 1] * 8), *sources(x, 4), callback=epochs.append)
    assert epochs[-1].correct == epochs[-1].seen == 16
    assert to_network(layout, state).logits(x).argmax(axis=1).tolist() == [0, 1] * 8


LAYOUT = plan((4,), (3,), IntDomain(0, 9), 3)
SCHEDULE = Schedule(2, 2, Fraction(1, 5), Descent(), 0)
X, LABELS = np.arange(15).reshape(5, 3) % 10, np.array([0, 1, 2, 0, 1])


def test_a_checkpoint_of_other_data_labels_or_schedules_is_refused_and_kept(tmp_path):
    path = tmp_path / "run.npz"
    train(LAYOUT, SCHEDULE, LABELS, *sources(X, 2), path=path, data="hospitals")
    kept = path.read_bytes()
    for schedule, labels, data in (
        (SCHEDULE, LABELS, "banks"),
        (SCHEDULE, LABELS[::-1], "hospitals"),
        (replace(SCHEDULE, seed=1), LABELS, "hospitals"),
    ):
        with pytest.raises(FormatError, match="must be that of this run"):
            train(LAYOUT, schedule, labels, *sources(X, 2), path=path, data=data)
    assert path.read_bytes() == kept


def test_a_run_that_is_over_asks_for_nothing_more(tmp_path):
    path, (forward, gradient) = tmp_path / "run.npz", sources(X, 2)
    state = train(LAYOUT, SCHEDULE, LABELS, forward, gradient, path=path)
    issued = forward.keys_issued
    assert_equal(train(LAYOUT, SCHEDULE, LABELS, forward, gradient, path=path), state)
    assert forward.keys_issued == issued == 2 * 2 * 4


def test_a_checkpoint_that_cannot_be_written_is_refused_before_a_key_is_asked_for(tmp_path):
    forward, gradient = sources(X, 2)
    for path, error in ((tmp_path / "run.txt", ValueError), (tmp_path / "none" / "run.npz", OSError)):
        with pytest.raises(error):
            train(LAYOUT, SCHEDULE, LABELS, forward, gradient, path=path)
    assert forward.keys_issued == 0


@pytest.mark.parametrize(
    ("layout", "schedule", "labels", "message"),
    [
        (LAYOUT, SCHEDULE, LABELS + 1, r"`labels` must lie in \[0, 2\], got 3"),
        (LAYOUT, SCHEDULE, LABELS[None], r"`labels` must have shape \[n\], got \[1, 5\]"),
        (LAYOUT, replace(SCHEDULE, batch_size=6), LABELS, "as many examples as a batch has, 6, got 5"),
        (LAYOUT, replace(SCHEDULE, changes=Changes(1)), LABELS, "`schedule.changes` must be none"),
        (plan((Convolution(1, 1),), (3, 1, 2), IntDomain(0, 9), 3), SCHEDULE, LABELS, "first layer must be dense"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_a_key_is_asked_for(layout, schedule, labels, message):
    forward, gradient = sources(X, 2)
    with pytest.raises(ValueError, match=message):
        train(layout, schedule, labels, forward, gradient)
    assert forward.keys_issued == 0


def test_products_that_no_inputs_have_stop_the_run():
    forward, gradient = sources(X, 2)
    with pytest.raises(ValueError, match="`sums` must lie in"):
        train(LAYOUT, SCHEDULE, LABELS, Clear(X + (1 << 20)), gradient)
    with pytest.raises(ValueError, match="`gradient` must lie in"):
        train(LAYOUT, SCHEDULE, LABELS, forward, sources(X + (1 << 20), 2)[1])


def test_owners_whose_examples_make_no_batches_are_told():
    for x, size, message in (
        (X, 6, "as many examples as a batch has, 6, got 5"),
        (X[:, None], 2, r"`x` must have shape \[n, features\], got \[5, 1, 3\]"),
        (X, 0, r"`batch_size` must lie in \[1, "),
    ):
        with pytest.raises(ValueError, match=message):
            batch_vectors(x, size)


def test_the_clear_twin_refuses_inputs_of_another_shape_or_domain():
    for x, message in ((X[:4], r"`x` must have shape \[5, 3\], got \[4, 3\]"), (X - 1, "`x` must lie in")):
        with pytest.raises(ValueError, match=message):
            train_in_clear(LAYOUT, SCHEDULE, LABELS, x)


def encrypted(parties, x, size, budget):
    """Where a run's products come from, through an authority that allows so many directions of the examples."""
    vectors = batch_vectors(x, size)
    gradients = [
        parties.products(columns, "gradient", size, range(b * size, (b + 1) * size))
        for b, columns in enumerate(vectors.gradients)
    ]
    return parties.products(vectors.forward, "forward", budget), gradients.__getitem__


@pytest.mark.parametrize(("name", "batches"), [("pads", 44), ("rlwe", 4)])
def test_digits_train_through_real_keys_to_the_same_bits(tmp_path, name, batches):
    x, labels = digits(32 * batches)
    layout = plan((64,), (64,), IntDomain(0, 16), 10)
    schedule = Schedule(2, 32, Fraction(1, 5), Descent(), 0)
    with Authority(tmp_path / "journal") as authority:
        state = train(layout, schedule, labels, *encrypted(Parties(authority, name, layout.inputs), x, 32, 64))
        told = authority.exposure("data")
    assert_equal(state, train_in_clear(layout, schedule, labels, x))
    assert told.rank_issued == 64
    assert told.known_share == 1


@pytest.mark.parametrize("owners", [("north",), ("north", "south")])
def test_one_instance_may_be_for_the_gradients_of_all_batches(tmp_path, owners):
    x, labels = digits(32 * 6)
    layout, schedule = plan((64,), (64,), IntDomain(0, 16), 10), Schedule(3, 32, Fraction(1, 5), Descent(), 0)
    vectors = batch_vectors(x, 32)
    with Authority(tmp_path / "journal") as authority:
        parties = Parties(authority, "pads", layout.inputs, owners)
        forward = parties.products(vectors.forward, "forward", 64)
        gradients = parties.products(np.concatenate(vectors.gradients), "gradient", 32, range(len(x)), 64)
        state = train(layout, schedule, labels, forward, in_batches(gradients, 64))
        told = authority.exposure("data")
    assert_equal(state, train_in_clear(layout, schedule, labels, x))
    assert (told.batch_rank_issued, told.known_share) == (32, 1)
    with Authority(tmp_path / "journal") as authority:
        assert authority.exposure("data") == told


def test_a_small_network_trains_through_keys_from_discrete_logarithms(tmp_path):
    x, labels = digits(4)
    x = x[:, 20:28]
    layout = plan((3,), (8,), IntDomain(0, 16), 10)
    schedule = Schedule(2, 2, Fraction(1, 5), Descent(), 0)
    with Authority(tmp_path / "journal") as authority:
        state = train(layout, schedule, labels, *encrypted(Parties(authority, "ddh", layout.inputs), x, 2, 8))
    assert_equal(state, train_in_clear(layout, schedule, labels, x))


def test_a_run_that_meets_its_budget_keeps_its_last_whole_epoch(tmp_path):
    x, labels = digits(32)
    layout = plan((8,), (64,), IntDomain(0, 16), 10)
    schedule = Schedule(9, 16, Fraction(1, 5), Descent(), 0)
    path, epochs, more = tmp_path / "run.npz", [], []
    with Authority(tmp_path / "journal") as authority:
        forward, gradient = encrypted(Parties(authority, "pads", layout.inputs), x, 16, 24)
        with pytest.raises(BudgetError):
            train(layout, schedule, labels, forward, gradient, path=path, callback=epochs.append)
        assert authority.exposure("data").rank_issued <= 24
    assert 1 <= len(epochs) < schedule.epochs
    state = train(layout, schedule, labels, *sources(x, 16), path=path, callback=more.append)
    assert_equal(state, train_in_clear(layout, schedule, labels, x))
    assert [epoch.number for epoch in epochs + more] == list(range(1, schedule.epochs + 1))
