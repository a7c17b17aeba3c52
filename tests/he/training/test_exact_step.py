"""Encrypted gradients are those in the clear, to the bit, also the largest ones; and noise is within its bound."""

import numpy as np
import pytest
import tenseal.sealapi as sealapi

from he.formats import compact
from he.formats.compact import Form
from he.formats.messages import Kind, open_message
from he.formats.seal_bridge import from_bytes, level_ids
from he.formats.seal_bytes import write_ciphertext
from he.training.exact_trainer import ExactTrainer
from intnn.training.squares.plan import FRACTION
from intnn.training.squares.step import SquareState, gradients
from tests.he.training.exact_made import SQUARES, keys, messages, owner, plan, samples, trainer


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
