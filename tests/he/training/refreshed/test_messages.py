"""Messages with weights come back as they were, and only the next one of a chain is taken."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from he.formats.messages import Kind, MessageError, open_message, seal_message
from he.training.origin import Origin
from he.training.refreshed.messages import START, PackedWeights
from tests.he.training.refreshed.made import plan

ORIGIN = Origin(plan().digest, "1" * 64, "2" * 64)
KINDS = [Kind.FRESH_WEIGHTS, Kind.WORN_WEIGHTS]


def weights(kind=Kind.FRESH_WEIGHTS, **change):
    fields = {"step": 3, "before": "5" * 64, "ciphertext": bytes(PackedWeights.form(kind, plan()).bytes)}
    return PackedWeights(kind, **{"origin": ORIGIN, **fields, **change})


@given(st.sampled_from(KINDS), st.integers(0, 1 << 16), st.text("0123456789abcdef", min_size=64, max_size=64))
def test_they_come_back(kind, step, before):
    sent = weights(kind, step=step, before=before)
    read = PackedWeights.from_bytes(kind, sent.to_bytes(), plan())
    assert (read.origin, read.step, read.before) == (ORIGIN, step, before)
    assert bytes(read.ciphertext) == sent.ciphertext


def test_a_message_states_its_place_and_nothing_of_its_ciphertext():
    for kind in KINDS:
        fields, parts = open_message(kind, weights(kind).to_bytes())
        assert sorted(fields) == ["before", "keys", "plan", "step", "whitening"]
        assert [len(part) for part in parts] == [PackedWeights.form(kind, plan()).bytes]


def test_the_next_message_is_taken():
    weights().require_next(ORIGIN, 3, "5" * 64)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"step": 2}, "must be those after 3 steps, got those after 2"),
        ({"before": START}, "another message than the last one of this run"),
        ({"origin": replace(ORIGIN, keys="3" * 64)}, "another pair of keys"),
        ({"origin": replace(ORIGIN, whitening="3" * 64)}, "another whitening"),
        ({"origin": replace(ORIGIN, plan="3" * 64)}, "another plan"),
    ],
)
def test_any_other_is_refused(change, text):
    with pytest.raises(MessageError, match=text):
        weights(**change).require_next(ORIGIN, 3, "5" * 64)


def resealed(change):
    """A message in which something has changed, its digest right."""
    fields, parts = open_message(Kind.FRESH_WEIGHTS, weights().to_bytes())
    fields, parts = change(fields, [bytes(part) for part in parts])
    return seal_message(Kind.FRESH_WEIGHTS, fields, parts)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda f, p: ({**f, "step": -1}, p), "`step` must lie in"),
        (lambda f, p: ({**f, "step": 1.0}, p), "`step` must be an integer"),
        (lambda f, p: ({**f, "before": 7}, p), "`before` must be a digest"),
        (lambda f, p: ({**f, "before": "5"}, p), "`before` must be a digest"),
        (lambda f, p: ({**f, "before": "5" * 63 + "\n"}, p), "`before` must be a digest"),
        (lambda f, p: ({**f, "more": 1}, p), "must have the fields"),
        (lambda f, p: ({**f, "plan": "3" * 64}, p), "another plan"),
        (lambda f, p: (f, [p[0][:-1]]), "must hold 1 ciphertexts"),
        (lambda f, p: (f, p + p), "must hold 1 ciphertexts|must have at most"),
        (lambda f, p: (f, []), "must hold 1 ciphertexts"),
    ],
)
def test_what_is_no_message_of_the_plan_is_refused(change, text):
    with pytest.raises(MessageError, match=text):
        PackedWeights.from_bytes(Kind.FRESH_WEIGHTS, resealed(change), plan())


@pytest.mark.parametrize("kind", KINDS)
def test_messages_of_the_other_side_are_refused(kind):
    (other,) = {*KINDS} - {kind}
    with pytest.raises(MessageError, match="of another kind"):
        PackedWeights.from_bytes(kind, weights(other).to_bytes(), plan())
