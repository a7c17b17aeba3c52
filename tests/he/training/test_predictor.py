"""Encrypted heads give encrypted samples their clear twin's logits, and answer nothing that does not belong."""

from dataclasses import replace

import numpy as np
import pytest

from he.formats.messages import Kind, MessageError, message_digest, open_message, seal_message
from he.ring.params import ParameterError
from he.training.encrypted_head import Answer, EncryptedHead, Query
from he.training.errors import head_error, logit_error
from he.training.head import fit
from he.training.owner import Owner
from he.training.predictor import Predictor
from he.training.trainer import Trainer
from tests.he.forge import written_to
from tests.he.training.made import blocks, keys, owner, plan, samples, whitening

PLAN = replace(plan(), inference=True)
OWNER = owner(PLAN)


@pytest.fixture(scope="module")
def head():
    """A head as a message, and a predictor that holds it."""
    trainer = Trainer(PLAN, keys(PLAN)[1], 1)
    for block in blocks(PLAN):
        trainer.add(block)
    made = trainer.fit().to_bytes()
    return made, Predictor(PLAN, keys(PLAN)[1].to_bytes(), made, 1)


def test_logits_are_those_of_the_twin_within_the_bound(head):
    x, labels = samples()
    asked = samples(7, 600)[0] / 3
    twin = fit(whitening().apply(x), labels, PLAN.classes, PLAN.descent)
    assert np.abs(OWNER.decrypt(head[0]) - twin).max() <= head_error(PLAN)
    assert len(head[0]) < 2 * EncryptedHead.form(PLAN).bytes  # one ciphertext, for all features and classes
    found = []
    for query in OWNER.ask(asked):
        message = query.to_bytes()
        found.append(OWNER.logits(message, head[1].answer(message)))
    assert [len(part) for part in found] == [512, 88]
    wanted = whitening().apply(asked) @ twin
    error, bound = np.abs(np.concatenate(found) - wanted).max(), logit_error(PLAN)
    assert bound / 50_000 < error <= bound  # no query is as long as the longest one that there is
    assert bound < 0.05


def test_samples_at_the_ends_of_their_range_have_room(head):
    """Whatever may be encrypted fits, in its worst combination with the head."""
    twin = OWNER.decrypt(head[0])
    largest = np.abs(twin).sum(axis=0).max() * 16
    assert largest <= PLAN.logit_bound
    assert PLAN.logit_bound * PLAN.logit_scale < PLAN.parameters.primes[0] / 2


def asked(of_owner=OWNER):
    return next(of_owner.ask(samples()[0][:5])).to_bytes()


def test_answers_belong_to_one_query(head):
    one, other = asked(), asked()
    answer = head[1].answer(one)
    with pytest.raises(MessageError, match="got one to another"):
        OWNER.logits(other, answer)
    assert OWNER.logits(one, answer).shape == (5, PLAN.classes)


def test_a_query_that_others_write_to_is_answered_under_its_name(head, monkeypatch):
    one, other = asked(), asked()
    with monkeypatch.context() as patch:
        answer = head[1].answer(written_to(patch, "he.training.origin", one, other))
    assert answer == head[1].answer(one)


def test_an_answer_is_read_only_if_the_query_is_of_this_run(head):
    """Also one that names the query, as anybody can write."""
    one, foreign = asked(), asked(owner(PLAN, of_whitening=whitening(0, 0.5)))
    answer = Answer.from_bytes(head[1].answer(one), PLAN, one)
    with pytest.raises(MessageError, match="another whitening"):
        OWNER.logits(foreign, replace(answer, query=message_digest(foreign)).to_bytes())


def resealed(message, **change):
    fields, parts = open_message(Kind.HEAD_QUERY, message)
    return seal_message(Kind.HEAD_QUERY, {**fields, **change}, parts)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (lambda: asked(owner(PLAN, of_whitening=whitening(0, 0.5))), "another whitening"),
        (lambda: asked(owner(plan())), "another plan"),
        (lambda: asked()[:-1], "truncated or damaged"),
        (lambda: resealed(asked(), keys="0" * 64), "another pair of keys"),
        (lambda: resealed(asked(), samples=513), "`samples` must lie in"),
        (lambda: resealed(asked(), samples="5"), "`samples` must be an integer"),
        (lambda: blocks(PLAN)[0], "another kind"),
    ],
)
def test_queries_that_do_not_belong_are_refused(head, query, text):
    with pytest.raises(MessageError, match=text):
        head[1].answer(query())


def test_queries_come_back():
    query = next(OWNER.ask(samples()[0][:5]))
    read = Query.from_bytes(query.to_bytes(), PLAN)
    assert (read.origin, read.samples) == (query.origin, 5)
    assert tuple(map(bytes, read.ciphertexts)) == query.ciphertexts


def test_heads_under_other_keys_are_refused(head):
    other = keys(PLAN)[0].keys_of(PLAN.key_elements, PLAN.digest)
    with pytest.raises(MessageError, match="another pair of keys"):
        Predictor(PLAN, other, head[0], 1)


def test_a_plan_without_a_level_for_answers_says_so():
    made = owner()
    trainer = Trainer(plan(), keys(plan())[1], 1)
    for block in blocks():
        trainer.add(block)
    message = trainer.fit().to_bytes()
    with pytest.raises(ParameterError, match="`inference` must be true"):
        Predictor(plan(), keys(plan())[1], message, 1)
    with pytest.raises(ParameterError, match="`inference` must be true"):
        made.logits(b"", b"")


def test_bad_samples_are_refused_before_anything_is_encrypted():
    with pytest.raises(ValueError, match="whitened features must lie in"):
        OWNER.ask(samples()[0] * 1000)


def test_an_owner_who_asks_needs_no_labels():
    again = Owner("other", PLAN, whitening(), *keys(PLAN))
    assert asked(again) != asked()
