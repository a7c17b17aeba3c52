"""Several steps under encryption are those in the clear; what is no answer to the last question changes nothing."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from he.engines.rns.buffers import Buffers
from he.engines.rns.encoder import Encoder
from he.engines.rns.switching_keys import SwitchingKeys
from he.engines.rns.threads import Workers
from he.formats import compact
from he.formats.compact import Form
from he.formats.messages import Kind, MessageError, message_digest
from he.formats.seal_bytes import SealDataError
from he.parties.cipher import ExactCipher
from he.parties.client import DecryptionError
from he.parties.keys import SecretKey
from he.training.exact.messages import opened, sealed
from he.training.exact.owner import ExactOwner
from he.training.exact.plan import ExactPlan
from he.training.exact.slots import packed_slots
from he.training.exact.step import ExactStep
from he.training.exact.trainer import ExactTrainer
from intnn.training.squares.plan import FRACTION, SquarePlan
from intnn.training.squares.step import NAMES, SquareState, fit, gradients
from tests.he.training.exact.made import SQUARES, keys, owner, plan, samples, trainer


def equal(one, other):
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in NAMES)


def test_steps_are_those_in_the_clear_also_by_another_owner_of_the_key():
    training, seen = owner(), []
    fit(SQUARES, *samples(), 3, lambda _, state: seen.append(state))
    for expected in seen[:2]:
        training.update(trainer().answer(training.ask()))
        assert equal(training.state, expected)
    resumed = owner(training.state)
    resumed.update(trainer().answer(resumed.ask()))
    assert equal(resumed.state, seen[2])


@pytest.mark.parametrize(("count", "limits"), [(10, (7, 7)), (100, (7, 7)), (100, (31, 31))])
def test_a_step_at_the_ends_of_all_ranges_is_that_in_the_clear(count, limits):
    """Weights are at their limits, biases too; among the moduli are some whose products of residues exceed int64."""
    squares = SquarePlan(count, 2, 2, 2, 3, *limits, 3, 15, Fraction(1, 15), Fraction(1, 10))
    wide = ExactPlan(squares, "insecure", 1024)
    first, second = (np.full(shape, limit << FRACTION) for shape, limit in zip([(2, 2), (3, 2)], limits, strict=True))
    state = SquareState(first, second * [1, -1], np.zeros_like(first), np.zeros_like(second))
    training = ExactOwner(wide, state=state)
    run = ExactTrainer(wide, training.evaluation_keys, 1)
    x = np.random.default_rng(count).integers(-3, 4, (count, 2))
    x[:, -1] = 3
    labels = x[:, 0] % 2
    for message in training.samples(x, labels):
        run.add(message)
    found, expected = training.update(run.answer(training.ask())), gradients(squares, x, labels, state.weights)
    assert np.array_equal(found.first, expected.first)
    assert np.array_equal(found.second, expected.second)


def test_an_answer_is_taken_once_and_to_the_last_question_only():
    training = owner()
    old = trainer().answer(training.ask())
    answer = trainer().answer(training.ask())
    with pytest.raises(MessageError, match="the message was made for another question"):
        training.update(old)
    assert equal(training.state, SquareState.initial(SQUARES))
    training.update(answer)
    after = training.state
    with pytest.raises(MessageError, match="comes for the second time"):
        training.update(answer)
    assert training.state is after


def received(training):
    """What a trainer's answer to the owner's next question holds."""
    form, answer = Form.result(plan().parameters, plan().levels.answer, 1.0), trainer().answer(training.ask())
    parts, _ = opened(Kind.EXACT_GRADIENTS, plan(), keys()[1].id, answer, form, len(plan().moduli), "asked")
    return [bytes(part) for part in parts], form


@pytest.mark.parametrize("named", ["", None, 0, False, [], "0" * 64])
def test_an_answer_that_names_no_question_is_refused(named):
    training = owner()
    parts, _ = received(owner())
    answer = sealed(Kind.EXACT_GRADIENTS, plan(), keys()[1].id, parts, asked=named)
    for _ in range(2):
        with pytest.raises(MessageError):
            training.update(answer)  # nothing has been asked, and then something else
        assert equal(training.state, SquareState.initial(SQUARES))
        training.ask()


def answered(training, parts):
    """A message with these ciphertexts, to the owner's last question."""
    return sealed(Kind.EXACT_GRADIENTS, plan(), keys()[1].id, parts, asked=message_digest(training.ask()))


def encrypted(first, second):
    """Pairs of totals, as a trainer would send them: for every modulus."""
    parts = []
    for parameters in plan().each:
        encoder = Encoder.of(parameters)
        read = SwitchingKeys.read(encoder, keys()[1].data, plan().key_elements)
        step = ExactStep(plan(), encoder, read, Workers(1), Buffers())
        slots = packed_slots(first, second, parameters.poly_modulus_degree, parameters.t)
        parts.append(step._written(step.read(ExactCipher(keys()[0].with_modulus(parameters)).encrypt(slots))))
    return parts


def totals():
    return np.zeros((2, plan().answers), object)


def test_what_could_be_a_gradient_is_one():
    training = owner()
    pairs = totals()
    pairs[:, 0] = 1 << 40, -1
    pairs[:, -1] = 7
    found = training.update(answered(training, encrypted(*pairs)))
    assert found.first[0].tolist() == [1 << 40, -1, 0, 0]
    assert found.second[-1].tolist() == [0, 0, 7 * SQUARES.bias]


@pytest.mark.parametrize(
    ("place", "pair"),
    [(0, (SQUARES.bounds.first + 1, 0)), (0, (0, -SQUARES.bounds.first - 1)), (-1, (7, 8)), (-1, (1 << 60, 1 << 60))],
)
def test_what_no_gradient_can_be_is_refused(place, pair):
    training, pairs = owner(), totals()
    pairs[:, place] = pair
    with pytest.raises(DecryptionError, match="decrypts to no gradients of this plan"):
        training.update(answered(training, encrypted(*pairs)))
    assert equal(training.state, SquareState.initial(SQUARES))


def test_more_than_the_totals_is_refused():
    training = owner()
    with pytest.raises(DecryptionError, match="decrypts to no gradients of this plan"):
        training.update(answered(training, encrypted(*np.ones((2, 300), np.int64))))


def test_noise_and_what_is_legible_are_refused():
    training = owner()
    parts, form = received(training)
    with pytest.raises(SealDataError, match="legible without a key"):
        training.update(answered(training, [bytes(len(part)) for part in parts]))
    with pytest.raises(DecryptionError, match="decrypts to no gradients of this plan"):
        training.update(answered(training, [parts[0], *[noisy(part, form) for part in parts[1:]]]))
    assert equal(training.state, SquareState.initial(SQUARES))


def test_an_owner_refuses_once():
    """Each refusal is a bit of whatever was made up: so nothing is decrypted behind the first one, by any question."""
    training = owner()
    parts, form = received(training)
    with pytest.raises(DecryptionError, match="the run is over"):
        training.update(answered(training, [noisy(part, form) for part in parts]))
    for _ in range(2):
        with pytest.raises(MessageError, match="the run is over, and nothing is decrypted any more"):
            training.update(trainer().answer(training.ask()))
    assert equal(training.state, SquareState.initial(SQUARES))


def test_what_needs_no_key_is_refused_before_anything_is_decrypted():
    """Otherwise a bit of the first ciphertext could be had at no cost, by a second one that is refused in any case."""
    training = owner()
    parts, form = received(training)
    assert len(parts) > 1
    for first in (parts[0], noisy(parts[0], form)):
        with pytest.raises(SealDataError, match="legible without a key"):
            training.update(answered(training, [first, *[bytes(len(part)) for part in parts[1:]]]))
    training.update(trainer().answer(training.ask()))


def noisy(part, form):
    """A ciphertext whose second polynomial is another one."""
    read = compact.read(part, form)
    primes = np.array(form.primes, np.uint64)[:, None]
    read.residues[1] = np.random.default_rng(0).integers(0, primes, read.residues[1].shape, np.uint64)
    return compact.write(read, form)


def test_keys_of_others_are_refused():
    other = SecretKey.generate(plan().parameters)
    with pytest.raises(MessageError, match="the evaluation keys were made from another secret key"):
        ExactOwner(plan(), other, keys()[1])
    wider = ExactPlan(replace(SQUARES, samples=99), "insecure", 1024)
    with pytest.raises(MessageError, match="`evaluation_keys` must be for this plan"):
        ExactOwner(wider, keys()[0], keys()[1])
    with pytest.raises(ValueError, match="`secret_key` must be for the plan's parameters"):
        ExactOwner(plan(), keys()[0].with_modulus(plan().each[1]))


def test_variables_beyond_the_proof_are_refused():
    weights = SquareState.initial(SQUARES)
    with pytest.raises(ValueError, match="`state` must have `first` within"):
        owner(replace(weights, first=weights.first + (16 << FRACTION)))
    with pytest.raises(ValueError, match="`state` must have weights of shapes"):
        owner(replace(weights, second=weights.second[:, :2], second_velocity=weights.second_velocity[:, :2]))


def test_samples_beyond_the_proof_are_not_encrypted():
    x, labels = samples()
    with pytest.raises(ValueError, match="`x` must be within"):
        next(owner().samples(2 * x, labels))
