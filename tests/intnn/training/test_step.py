"""A training step: the same integers by both backends, and never a float."""

from copy import deepcopy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intnn import IntDomain
from intnn.testing import int_arrays
from intnn.training.cpu.compiled import CompiledStep
from intnn.training.examples import offset_of
from intnn.training.export import to_network
from intnn.training.generator import draw, draws, key
from intnn.training.ops import numpy_, reference
from intnn.training.plan import Convolution, Hidden, plan
from intnn.training.step import ArrayStep, Descent, Rate, initialise, step
from intnn.training.tables import DOMAIN, activation, exponential

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


class IntegersOnly(np.ndarray):
    """An array that no operation can turn into floats."""

    def __array_finalize__(self, parent):
        if self.dtype.kind == "f":
            raise TypeError("a float array was made")

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        plain = [np.asarray(i) if isinstance(i, IntegersOnly) else i for i in inputs]
        if out := options.get("out"):
            options["out"] = tuple(np.asarray(o) if isinstance(o, IntegersOnly) else o for o in out)
        result = getattr(ufunc, method)(*plain, **options)
        for part in result if isinstance(result, tuple) else (result,):
            if np.asarray(part).dtype.kind in "fc":
                raise TypeError(f"{ufunc} made a float")
        return np.asarray(result).view(IntegersOnly) if not isinstance(result, tuple) else result


def test_the_guard_against_floats_works():
    x = np.arange(3).view(IntegersOnly)
    for make_a_float in (lambda: x / 2, lambda: np.sqrt(x), lambda: x.astype(float), lambda: x * 0.5, lambda: x.mean()):
        with pytest.raises(TypeError, match="float"):
            make_a_float()
    assert isinstance(x + 1, IntegersOnly)


@settings(max_examples=20)
@given(plans(), st.data())
def test_no_float_occurs_in_a_step(layout, data):
    x, labels = batch_of(layout, data.draw)
    state = initialise(layout, 1)
    for block in state:
        for name in FIELDS:
            setattr(block, name, getattr(block, name).view(IntegersOnly))
    logits = step(
        layout, state, x.view(IntegersOnly), labels.view(IntegersOnly), Rate(100, 10), Descent(3, 12), (1, 0), numpy_
    )
    assert isinstance(logits, IntegersOnly)


@settings(max_examples=30)
@given(plans(), st.data())
def test_the_exported_network_gives_the_steps_logits(layout, data):
    x, labels = batch_of(layout, data.draw)
    state = initialise(layout, 7)
    network = to_network(layout, deepcopy(state))
    logits = step(layout, state, x, labels, Rate(64, 20), Descent(), (0, 0), numpy_)
    images = x.reshape(len(x), -1) if len(layout.input_shape) == 1 else x.transpose(0, 3, 1, 2)
    assert np.array_equal(network.logits(images), logits)


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


def assert_equal(ours, definition):
    for a, b in zip(ours, definition, strict=True):
        assert all(np.array_equal(getattr(a, name), getattr(b, name)) for name in FIELDS)


def test_repeated_steps_on_one_batch_learn_it():
    layout = plan((16,), (8,), IntDomain(0, 255), 4)
    rng = np.random.default_rng(0)
    x, labels = rng.integers(0, 256, (16, 1, 1, 8)), rng.integers(0, 4, 16)
    state = initialise(layout, 0)
    for number in range(200):
        logits = step(layout, state, x, labels, Rate(100, 14), Descent(), (0, number), numpy_)
    assert np.array_equal(logits.argmax(axis=1), labels)


def test_extreme_rates_saturate_and_never_wrap():
    layout = plan((4,), (3,), IntDomain(0, 255), 2)
    x, labels = np.full((2, 1, 1, 3), 255), np.array([0, 1])
    state = initialise(layout, 0)
    for number in range(60):
        step(layout, state, x, labels, Rate(127, 0), Descent(15), (0, number), numpy_)
    for block, parameters in zip(layout.blocks, state, strict=True):
        assert np.abs(parameters.weights).max() <= block.weight_limit << block.fraction
        assert np.abs(parameters.weight_velocity).max() <= 1 << 29
        assert np.abs(parameters.bias).max() <= 1 << 30


def test_the_exponential_covers_sixteen_nats():
    table = exponential()
    assert len(table) == 16 * 64
    assert table[0] == 1 << 15
    # Rounded to the nearest integer, from thirty digits.
    assert np.abs(table - 2**15 * np.exp(-np.arange(1024) / 64)).max() <= 0.5
    assert np.all(np.diff(table) <= 0)


def test_slopes_are_zero_where_values_saturate():
    for name in ("relu", "tanh", "identity"):
        slopes = activation(name).slopes
        assert slopes(np.array([DOMAIN.lo, DOMAIN.hi])).tolist() == [0, 0]


@given(st.integers(0, 2**64 - 1), st.lists(st.integers(0, 2**32 - 1), max_size=3))
def test_draws_are_functions_of_seed_and_position(seed, path):
    stream = key(seed, *path)
    assert draws(stream, 5).tolist() == [draw(stream, i) for i in range(5)]


def test_draws_are_uniform_enough():
    values = draws(key(0, 3, 1), 1 << 16)
    # Sixteen bins of 4096 expected each; five standard deviations of a binomial are 5 * sqrt(4096 * 15/16) = 310.
    assert np.abs(np.bincount(values >> 28, minlength=16) - 4096).max() < 310
    assert len(np.unique(values)) > 65_000


@pytest.mark.parametrize(
    ("layers", "shape", "message"),
    [
        ((0,), (3,), "units"),
        ((Convolution(2, 9),), (1, 5, 5), "must fit into the padded image"),
        ((Convolution(2, 3, pool=4),), (1, 5, 5), "pooling window"),
        ((Hidden(3, "swish"),), (3,), "`activation` must be one of"),
        ((3,), (2, 2), "`input_shape` must be"),
        ((1,), (70_000,), "sums must stay below 2\\*\\*31"),
    ],
)
def test_plans_that_cannot_be_are_refused(layers, shape, message):
    with pytest.raises(ValueError, match=message):
        plan(layers, shape, IntDomain(0, 255), 3)


def test_batches_whose_gradients_could_overflow_are_refused():
    layout = plan((4,), (3,), IntDomain(0, 255), 2)
    state = initialise(layout, 0)
    size = 1 << 17
    with pytest.raises(ValueError, match="`batch_size` must be at most"):
        step(
            layout,
            state,
            np.zeros((size, 1, 1, 3), np.int64),
            np.zeros(size, np.int64),
            Rate(64, 9),
            Descent(),
            (0, 0),
            numpy_,
        )
