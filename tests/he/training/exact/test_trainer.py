"""A trainer takes the samples of its plan once, and answers questions of its run only."""

from dataclasses import replace

import pytest

from he.formats.compact import Form
from he.formats.messages import Kind, MessageError
from he.training.exact.messages import opened, sealed
from he.training.exact.owner import ExactOwner
from he.training.exact.plan import ExactPlan
from he.training.exact.trainer import ExactTrainer
from tests.he.forge import written_to
from tests.he.training.exact.made import SQUARES, keys, messages, owner, plan, samples, trainer


def test_samples_are_taken_once_and_must_be_complete():
    training, (first, *_) = ExactTrainer(plan(), keys()[1]), messages()
    with pytest.raises(MessageError, match="samples must have come modulo every prime of the plan"):
        training.answer(owner().ask())
    training.add(first)
    with pytest.raises(MessageError, match="samples must be modulo each prime of the plan once, got"):
        training.add(first)
    with pytest.raises(MessageError, match=f"{min(plan().moduli)}.* missing"):
        training.answer(owner().ask())


@pytest.mark.parametrize("named", [[1], {"t": 1}, None, float(plan().moduli[0]), str(plan().moduli[0]), 65537])
def test_samples_must_name_a_prime_of_the_plan(named):
    training, form = ExactTrainer(plan(), keys()[1]), Form.fresh(plan().parameters)
    count = SQUARES.features + SQUARES.classes
    parts, _ = opened(Kind.EXACT_SAMPLES, plan(), keys()[1].id, messages()[0], form, count, "modulus")
    with pytest.raises(MessageError, match="samples must be modulo each prime of the plan once, got"):
        training.add(sealed(Kind.EXACT_SAMPLES, plan(), keys()[1].id, [bytes(part) for part in parts], modulus=named))


def test_weights_that_others_write_to_are_answered_under_their_name(monkeypatch):
    run, training = owner(), trainer()
    asked = run.ask()
    with monkeypatch.context() as patch:
        answer = training.answer(written_to(patch, "he.training.exact.messages", asked, bytes(len(asked))))
    assert answer == training.answer(asked)
    run.update(answer)


def test_messages_of_other_runs_are_refused():
    other = ExactOwner(plan())
    with pytest.raises(MessageError, match="another pair of keys"):
        trainer().answer(other.ask())
    with pytest.raises(MessageError, match="another pair of keys"):
        ExactTrainer(plan(), keys()[1]).add(next(other.samples(*samples())))
    foreign = ExactOwner(ExactPlan(replace(SQUARES, seed=1), "insecure", 1024))
    with pytest.raises(MessageError, match="another plan"):
        trainer().answer(foreign.ask())
    with pytest.raises(MessageError, match="the evaluation keys were made for another plan"):
        ExactTrainer(plan(), foreign.evaluation_keys)


def test_damaged_messages_are_refused():
    question = owner().ask()
    for damaged in (question[:-1], question[:-1] + bytes([question[-1] ^ 1])):
        with pytest.raises(MessageError, match="truncated or damaged"):
            trainer().answer(damaged)
    with pytest.raises(MessageError, match="got one of another kind"):
        trainer().answer(messages()[0])
    with pytest.raises(TypeError, match="must be bytes"):
        trainer().answer("weights")
