"""Steps without the inputs give the bits of steps with them, and refuse products that no inputs have."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intnn import IntDomain
from intnn.training.blind import BlindStep
from intnn.training.cpu.compiled import CompiledStep
from intnn.training.examples import offset_of
from intnn.training.plan import Convolution, Hidden, plan
from intnn.training.step import Descent, Rate, initialise
from tests.intnn.training.plans import BYTES, assert_equal, batch_of, descents, rates

DESCENT = Descent(3, 12)


@st.composite
def dense_plans(draw_):
    """Networks whose first layer is dense, on features or on images."""
    kinds = st.sampled_from(["relu", "tanh", "identity"])
    layers = draw_(st.lists(st.builds(Hidden, st.integers(1, 40), kinds), max_size=2))
    sides = st.integers(1, 12)
    shape = draw_(st.one_of(st.tuples(sides), st.tuples(st.integers(1, 2), sides, sides)))
    return plan(tuple(layers), shape, draw_(BYTES), draw_(st.integers(2, 11)), draw_(st.integers(2, 8)))


def step_blindly(stepper, x, labels, rate, rounding):
    """A step of which only these products see the inputs."""
    rows = x.reshape(len(x), -1)
    logits, errors = stepper.begin(rows @ stepper.weights.T, labels, rate, rounding)
    stepper.finish(errors.T @ rows)
    return logits


@settings(max_examples=50)
@given(dense_plans(), rates, descents, st.integers(0, 2**64 - 1), st.integers(1, 9), st.data())
def test_every_backend_gives_the_bits_of_a_step_that_sees_the_inputs(layout, rate, descent, seed, size, data):
    start = initialise(layout, seed)
    seeing = CompiledStep(layout, start, size, descent)
    blind = [BlindStep(layout, start, size, descent, backend) for backend in ("reference", "numpy", "numba")]
    for number in range(3):
        x, labels = batch_of(layout, data.draw, size)
        seeing.inputs[...] = x + offset_of(layout.inputs)
        logits = seeing.step(labels, rate, (seed, number))
        for stepper in blind:
            assert np.array_equal(step_blindly(stepper, x, labels, rate, (seed, number)), logits)
            assert_equal(stepper.state(), seeing.state())


@pytest.mark.parametrize("outputs", [16, 37, 130])
def test_layers_of_several_tiles_and_batches_beyond_the_cache(outputs):
    rng, size = np.random.default_rng(0), 150
    layout = plan((outputs, 33), (1, 28, 28), IntDomain(-128, 127), 10)
    start = initialise(layout, 1)
    seeing, blind = CompiledStep(layout, start, size, DESCENT), BlindStep(layout, start, size, DESCENT)
    for number in range(2):
        x, labels = rng.integers(-128, 128, (size, 28, 28, 1)), rng.integers(0, 10, size)
        seeing.inputs[...] = x + 128
        logits = seeing.step(labels, Rate(90, 14), (3, number))
        assert np.array_equal(step_blindly(blind, x, labels, Rate(90, 14), (3, number)), logits)
        assert_equal(blind.state(), seeing.state())


LAYOUT = plan((5,), (7,), IntDomain(0, 9), 3)
RATE = Rate(90, 9)
SUMS, LABELS = np.zeros((4, 5), np.int64), np.array([0, 1, 2, 0])


def fresh(backend="numba"):
    return BlindStep(LAYOUT, initialise(LAYOUT, 0), 4, DESCENT, backend)


@pytest.mark.parametrize(
    ("sums", "labels", "message"),
    [
        (SUMS[:3], LABELS, r"`sums` must have shape \[4, 5\], got \[3, 5\]"),
        (SUMS.T, LABELS, r"`sums` must have shape"),
        (SUMS + 7 * 127 * 9 + 1, LABELS, r"`sums` must lie in \[-8001, 8001\], got 8002"),
        (np.full_like(SUMS, -(2**63)), LABELS, r"`sums` must lie in \[-8001, 8001\], got -9223372036854775808"),
        (SUMS, LABELS[:3], r"`labels` must have shape \[4\], got \[3\]"),
        (SUMS, LABELS + 1, r"`labels` must lie in \[0, 2\], got 3"),
        (SUMS, LABELS - 1, r"`labels` must lie in \[0, 2\], got -1"),
    ],
)
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_sums_and_labels_that_cannot_be_are_refused_and_change_nothing(sums, labels, message, backend):
    stepper = fresh(backend)
    with pytest.raises(ValueError, match=message):
        stepper.begin(sums, labels, RATE, (0, 0))
    assert_equal(stepper.state(), initialise(LAYOUT, 0))


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_a_gradient_that_the_errors_rule_out_is_refused_and_the_right_one_taken_after_it(backend):
    stepper, other, x = fresh(backend), fresh(), np.arange(28).reshape(4, 7) % 10
    sums = x @ stepper.weights.T
    _, errors = stepper.begin(sums, LABELS, RATE, (0, 0))
    bound = 9 * np.abs(errors).sum(axis=0).max()
    for gradient, message in (
        (np.full((5, 7), bound + 1), "`gradient` must lie in"),
        (np.full((5, 7), -(2**63)), "`gradient` must lie in"),
        (np.zeros((7, 5), np.int64), r"`gradient` must have shape \[5, 7\], got \[7, 5\]"),
    ):
        with pytest.raises(ValueError, match=message):
            stepper.finish(gradient)
    stepper.finish(errors.T @ x)
    step_blindly(other, x, LABELS, RATE, (0, 0))
    assert_equal(stepper.state(), other.state())


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_halves_come_in_their_order(backend):
    stepper = fresh(backend)
    with pytest.raises(RuntimeError, match="call `begin` first"):
        stepper.finish(np.zeros((5, 7), np.int64))
    stepper.begin(SUMS, LABELS, RATE, (0, 0))
    with pytest.raises(RuntimeError, match="must be finished first"):
        stepper.begin(SUMS, LABELS, RATE, (0, 1))
    with pytest.raises(RuntimeError, match="half of it is no state"):
        stepper.state()


def test_what_cannot_be_trained_blindly_is_refused():
    for convolution, sides in ((Convolution(2, 3), "6 x 6"), (Convolution(2, 10, 1, 1), "1 x 1")):
        images = plan((convolution, 4), (1, 8, 8), IntDomain(0, 9), 3)
        with pytest.raises(ValueError, match=f"must be dense, got a convolution with {sides} outputs.*layer first"):
            BlindStep(images, initialise(images, 0), 4, DESCENT)
    with pytest.raises(ValueError, match='`backend` must be "reference", "numpy" or "numba"'):
        fresh("cuda")
    with pytest.raises(ValueError, match="`batch_size` must be at most"):
        BlindStep(LAYOUT, initialise(LAYOUT, 0), 1 << 21, DESCENT)
