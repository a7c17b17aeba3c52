"""Owners refresh the next weights of their run and no others, and refuse what is out of reach once."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from he.formats.messages import Kind, MessageError, message_digest
from he.formats.seal_bytes import SealDataError
from he.parties.cipher import PairCipher
from he.training.arithmetic import read, written
from he.training.refreshed.messages import PackedWeights
from he.training.refreshed.network import ReachError, SquareNetwork
from he.training.refreshed.network_parties import NetworkOwner
from tests.he.forge import written_to
from tests.he.training.made import CLASSES, FEATURES
from tests.he.training.made import plan as head_plan
from tests.he.training.refreshed.made import keys, owner, plan, whitening


def pairs(network):
    """Both layers as pairs, zeros behind the last class."""
    return np.concatenate([network.first.reshape(-1, 2), np.pad(network.second, [(0, 0), (0, 1)]).reshape(-1, 2)])


def sent(of, message):
    """The weights in an owner's message."""
    given = PackedWeights.from_bytes(Kind.FRESH_WEIGHTS, message, of)
    return given, PairCipher(keys(of)[0]).decrypt_packed(given.ciphertext, of.fresh_form, of.weights) / of.fresh_scales


def worn(of, to, weights, **change):
    """What a trainer answers, who has these weights: encrypted under the secret key, which no trainer could."""
    numbers, seeded = weights * of.worn_scales, replace(of.worn_form, seeded=True)
    whole = written(read(PairCipher(keys(of)[0]).encrypt_packed(numbers, seeded), seeded), of.worn_form)
    before = PackedWeights.from_bytes(Kind.FRESH_WEIGHTS, to, of)
    fields = {"origin": before.origin, "step": before.step + 1, "before": message_digest(to), "ciphertext": whole}
    return PackedWeights(Kind.WORN_WEIGHTS, **{**fields, **change}).to_bytes()


def drawn(of, seed, reach=0.9):
    return np.random.default_rng(seed).uniform(-reach, reach, (of.weights, 2)) * of.descent.reach


def test_a_run_begins_with_the_weights_that_everybody_knows():
    of, run = plan(), owner()
    given, found = sent(of, run.begin())
    assert given.step == run.steps == 0
    assert np.abs(found - pairs(SquareNetwork.initial(FEATURES + 1, CLASSES, of.descent))).max() < 1e-8
    assert run.begin() == run.begin()


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_weights_come_back_fresh_and_are_read(seed):
    of, run = plan(), owner()
    message, weights = run.begin(), None
    for step in range(1, of.descent.steps + 1):
        weights = drawn(of, seed + step)
        asked = worn(of, message, weights)
        message = run.refresh(asked)
        given, found = sent(of, message)
        assert (given.step, given.before, run.steps) == (step, message_digest(asked), step)
        assert np.abs(found - weights).max() < 1e-6
        assert np.abs(run.weights - weights).max() < 1e-6
        wanted = [weights[:8].reshape(4, 4), weights[8:].reshape(5, 4)[:, :3]]
        assert np.abs(run.network.first - wanted[0]).max() < 1e-6
        assert np.abs(run.network.second - wanted[1]).max() < 1e-6


def test_what_was_answered_last_gets_the_same_answer():
    of, run = plan(), owner()
    asked = worn(of, run.begin(), drawn(of, 0))
    assert run.refresh(asked) == run.refresh(asked)
    assert run.steps == 1


def test_weights_that_others_write_to_are_answered_under_their_name(monkeypatch):
    of, run = plan(), owner()
    asked = worn(of, run.begin(), drawn(of, 0))
    with monkeypatch.context() as patch:
        answer = run.refresh(written_to(patch, "he.training.origin", asked, bytes(len(asked))))
    assert PackedWeights.from_bytes(Kind.FRESH_WEIGHTS, answer, of).before == message_digest(asked)
    assert run.refresh(asked) == answer


def state(run):
    return run.steps, run.weights.tolist(), run._sent, run._asked, run._over


def stranger(of):
    """Another owner, of the same run but under a key of its own."""
    return NetworkOwner("b", of, whitening())


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (lambda of, first, second: first, "those after 2 steps, got those after 1"),
        (lambda of, first, second: worn(of, second, drawn(of, 3), step=3), "those after 2 steps, got those after 3"),
        (lambda of, first, second: worn(of, second, drawn(of, 3), before="7" * 64), "another message than the last"),
        (lambda of, first, second: worn(of, stranger(of).begin(), drawn(of, 3), step=2), "another pair of keys"),
        (lambda of, first, second: second, "of another kind"),
        (lambda of, first, second: worn(of, second, drawn(of, 3))[:-1], "truncated or damaged"),
        (
            lambda of, first, second: worn(plan(seed=1), owner(plan(seed=1)).begin(), drawn(of, 3)),
            "another plan",
        ),
    ],
)
def test_any_other_message_is_refused_and_nothing_changes(message, text):
    """Replayed, of another step or message before, under another key, of another kind, damaged, of another plan."""
    of, run = plan(), owner()
    first = worn(of, run.begin(), drawn(of, 1))
    second = run.refresh(first)
    asked = worn(of, second, drawn(of, 2))
    other = message(of, first, second)
    if other == first:  # a message to which the last answer was given may come twice: see that it is older
        run.refresh(asked)
        before, text = state(run), "those after 3 steps, got those after 1"
    else:
        before = state(run)
    with pytest.raises(MessageError, match=text):
        run.refresh(other)
    assert state(run) == before
    run.refresh(asked)


def test_a_message_that_is_legible_without_a_key_is_refused():
    of, run = plan(), owner()
    before = state(run)
    zeros = bytes(of.worn_form.bytes)
    with pytest.raises(SealDataError, match="legible without a key"):
        run.refresh(worn(of, run.begin(), drawn(of, 1), ciphertext=zeros))
    assert state(run) == before


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 200))
def test_a_ciphertext_that_was_changed_is_refused_by_what_is_declared(seed, count):
    """Its digest right: bytes of it are drawn anew. What it decrypts to is uniform, and never all within reach."""
    of, run, generator = plan(), owner(), np.random.default_rng(seed)
    start = run.begin()
    given = PackedWeights.from_bytes(Kind.WORN_WEIGHTS, worn(of, start, drawn(of, seed)), of)
    changed = np.frombuffer(given.ciphertext, np.uint8).copy()
    changed[generator.integers(0, len(changed), count)] ^= generator.integers(1, 256, count, np.uint8)
    with pytest.raises((SealDataError, ReachError)):
        run.refresh(worn(of, start, drawn(of, seed), ciphertext=changed.tobytes()))
    assert run.steps == 0


@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize("factor", [1.01, 1.9, -1.01])
def test_weights_out_of_reach_end_the_run(place, factor):
    """After one refusal nothing is decrypted: not even what would be within reach."""
    of, run = plan(), owner()
    weights = drawn(of, 1)
    weights[place, place] = factor * of.descent.reach
    start, before = run.begin(), state(run)
    with pytest.raises(ReachError, match=r"within `reach`, 5, got larger ones after step 1: the run is over"):
        run.refresh(worn(of, start, weights))  # by how much, is told to nobody
    assert state(run) == (*before[:-1], True)
    for again in (weights, drawn(of, 1)):
        with pytest.raises(MessageError, match="the run is over, and nothing is decrypted"):
            run.refresh(worn(of, start, again))
    assert state(run)[:-1] == before[:-1]


def test_no_more_steps_are_refreshed_than_planned():
    of = plan(steps=2)
    run = owner(of)
    message = run.begin()
    for step in (1, 2):
        message = run.refresh(worn(of, message, drawn(of, step)))
    with pytest.raises(MessageError, match="the run is over"):
        run.refresh(worn(of, message, drawn(of, 3)))
    with pytest.raises(MessageError, match="the run has begun, 2 steps ago"):
        run.begin()


def test_plans_of_another_kind_are_refused():
    with pytest.raises(TypeError, match="`plan` must be a NetworkPlan"):
        NetworkOwner("a", head_plan(), whitening())


def test_a_network_of_another_width_does_not_fit_the_whitening():
    with pytest.raises(ValueError, match="must give 4 features"):
        NetworkOwner("a", replace(plan(), features=FEATURES + 2), whitening())
