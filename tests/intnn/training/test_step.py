"""A training step: it learns, saturates instead of wrapping, and never makes a float."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intnn import IntDomain
from intnn.training.ops import numpy_
from intnn.training.plan import plan
from intnn.training.step import Descent, Rate, initialise, step
from tests.intnn.training.plans import FIELDS, batch_of, plans


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


@given(plans(), st.integers(0, 3))
@settings(max_examples=20, deadline=None)
def test_the_largest_batch_is_the_last_that_is_not_refused(layout, less):
    for block in layout.blocks:
        block.gradient_shifts(max(1, layout.largest_batch - less))
    tightest = min(layout.blocks, key=lambda block: block.largest_batch)
    with pytest.raises(ValueError, match=f"at most {layout.largest_batch} so"):
        tightest.gradient_shifts(layout.largest_batch + 1)


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
