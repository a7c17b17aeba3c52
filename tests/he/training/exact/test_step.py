"""Encrypted gradients are those in the clear, to the bit, also the largest ones; and noise is within its bound."""

from fractions import Fraction

import numpy as np
import pytest
import tenseal.sealapi as sealapi
from hypothesis import given, settings
from hypothesis import strategies as st

from he.formats import compact
from he.formats.compact import Form
from he.formats.messages import Kind, open_message
from he.formats.seal_bridge import from_bytes, level_ids
from he.formats.seal_bytes import write_ciphertext
from he.training.exact.owner import ExactOwner
from he.training.exact.plan import ExactPlan
from he.training.exact.trainer import ExactTrainer
from intnn.training.squares.plan import FRACTION, SquarePlan
from intnn.training.squares.step import NAMES, SquareState, fit, gradients
from tests.he.training.exact.made import SQUARES, keys, messages, owner, plan, samples, trainer


def state(first, second):
    return SquareState(first << FRACTION, second << FRACTION, np.zeros_like(first), np.zeros_like(second))


def drawn(seed):
    rng = np.random.default_rng(seed)
    return state(rng.integers(-15, 16, (4, 4)), rng.integers(-15, 16, (5, 3)))


LARGEST = state(np.full((4, 4), 15), np.full((5, 3), -15))


@pytest.mark.parametrize("at", [SquareState.initial(SQUARES), drawn(0), drawn(1)])
def test_gradients_are_those_in_the_clear(at):
    asking = owner(at)
    found, clear = asking.update(trainer().answer(asking.ask())), gradients(SQUARES, *samples(), at.weights)
    assert np.array_equal(found.first, clear.first)
    assert np.array_equal(found.second, clear.second)


def test_the_largest_gradients_are_exact_and_noise_is_bounded():
    x, labels = np.full((100, 4), 7), np.zeros(100, np.int64)
    asking, training = owner(LARGEST), ExactTrainer(plan(), keys()[1], 1)
    for message in asking.samples(x, labels):
        training.add(message)
    answer = training.answer(asking.ask())
    for parameters, part in zip(plan().each, open_message(Kind.EXACT_GRADIENTS, answer)[1], strict=True):
        assert budget(parameters, part) >= np.floor(plan().levels.budget_bits)
    found, clear = asking.update(answer), gradients(SQUARES, x, labels, LARGEST.weights)
    assert np.array_equal(found.first, clear.first)
    assert np.array_equal(found.second, clear.second)
    assert abs(found.first).max() > 0.9 * SQUARES.bounds.first


def budget(parameters, part):
    """The noise budget that SEAL finds."""
    secret = keys()[0].with_modulus(parameters)
    read = compact.read(part, Form.result(parameters, plan().levels.answer, 1.0))
    data = write_ciphertext(read, level_ids(secret.context, parameters))
    return secret.decryptor().invariant_noise_budget(from_bytes(sealapi.Ciphertext(), secret.context, data))


def test_threads_change_no_bit():
    alone, question = ExactTrainer(plan(), keys()[1], 1), owner(drawn(2)).ask()
    for message in messages():
        alone.add(message)
    assert alone.answer(question) == trainer().answer(question)


@settings(max_examples=5, deadline=None)
@given(
    st.tuples(st.integers(1, 512), st.integers(2, 5), st.sampled_from([2, 4, 6]), st.integers(2, 4)),
    st.integers(0, 2**32 - 1),
)
def test_networks_of_any_geometry_train_exactly(geometry, seed):
    samples, features, hidden, classes = geometry
    rng, rate = np.random.default_rng(seed), Fraction(1, 20)
    squares = SquarePlan(samples, features, hidden, classes, 3, 7, 7, 20, 15, rate, rate, int(rng.integers(0, 4)))
    x, labels = rng.integers(-3, 4, (samples, features)), rng.integers(0, classes, samples)
    x[:, -1] = 3
    asking = ExactOwner(ExactPlan(squares, "insecure", 1024))
    training = ExactTrainer(asking.plan, asking.evaluation_keys.to_bytes(), 1)
    for message in asking.samples(x, labels):
        training.add(message)
    asking.update(training.answer(asking.ask()))
    expected = fit(squares, x, labels, 1)
    assert all(np.array_equal(getattr(asking.state, name), getattr(expected, name)) for name in NAMES)
