"""Members of a training set told from others, against plain counting."""

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from plaintext_models.attacks.black_box.discrimination import (
    SCORES,
    Discrimination,
    discriminate,
    discriminate_by_substitute,
)
from plaintext_models.attacks.core.target import Target
from plaintext_models.determinism import deterministic
from plaintext_models.nets.mlp import mlp
from plaintext_models.training.loop import train

HALF = 60


def factory():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10))


def overfitted(digits, begin):
    """A network that has seen 60 images, far too often."""
    part = slice(begin, begin + HALF)
    few = dataclasses.replace(digits, train_images=digits.train_images[part], train_labels=digits.train_labels[part])
    with deterministic(5):
        module = mlp(digits.input_shape, digits.classes, [128])
    train(module, few, epochs=60, batch_size=20, learning_rate=5e-3, seed=0, progress=False)
    return module


@pytest.fixture(scope="module")
def victim(digits):
    return overfitted(digits, 0)


@pytest.fixture(scope="module")
def candidates(digits):
    """60 members, and 60 others."""
    images, labels = (torch.from_numpy(part[: 2 * HALF]) for part in (digits.train_images, digits.train_labels))
    return images, labels, torch.arange(2 * HALF) < HALF


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2).filter(lambda x: len({m for _, m in x}) == 2))
def test_the_measures_are_what_counting_gives(scored):
    scores, members = torch.tensor([float(s) for s, _ in scored]), torch.tensor([m for _, m in scored])
    found = Discrimination(scores, members, 0)
    inside, outside = scores[members], scores[~members]
    pairs = inside[:, None] - outside
    assert found.auc == pytest.approx(float(((pairs > 0).double() + 0.5 * (pairs == 0).double()).mean()))
    advantages = [found.advantage_at(threshold) for threshold in (*scores.tolist(), 9.0)]
    assert found.advantage == pytest.approx(max(advantages))
    assert found.advantage_at(found.threshold) == pytest.approx(max(advantages[:-1]))


@pytest.mark.parametrize("score", ["loss", "margin", "confidence"])
def test_tells_members_from_others(victim, candidates, score):
    found = discriminate(Target.oracle(victim), *candidates, score=score)
    assert found.scores.shape == candidates[1].shape
    assert found.auc > 0.7
    assert found.advantage > 0.4
    assert found.queries == 2 * HALF


def test_right_answers_alone_tell_what_overfitting_does(victim, candidates):
    images, labels, members = candidates
    found = discriminate(Target.oracle(victim), *candidates, score="correctness")
    right = (victim(images).argmax(1) == labels).double()
    assert found.advantage == pytest.approx(float(right[members].mean() - right[~members].mean()))


def test_a_network_that_has_seen_neither_tells_nothing(rival, held_out):
    images, labels = held_out
    members = torch.arange(len(labels)) % 2 == 0
    assert abs(discriminate(Target(rival), images, labels, members).auc - 0.5) < 0.15


def test_a_threshold_is_found_on_a_model_of_ones_own(digits, victim, candidates):
    images, labels = (torch.from_numpy(part[200:320]) for part in (digits.train_images, digits.train_labels))
    shadow = discriminate(Target(overfitted(digits, 200)), images, labels, torch.arange(120) < HALF)
    found = discriminate(Target.oracle(victim), *candidates)
    assert found.advantage_at(shadow.threshold) > 0.25


@pytest.mark.parametrize(("probabilities", "least"), [(True, 0.65), (False, 0.55)])
def test_a_substitute_tells_them_as_well_but_less(victim, candidates, probabilities, least):
    direct = discriminate(Target.oracle(victim), *candidates)
    found = discriminate_by_substitute(Target.oracle(victim), *candidates, factory, probabilities=probabilities)
    assert least < found.auc < direct.auc
    assert found.queries == 2 * HALF


def test_a_substitute_may_ask_about_other_images(victim, candidates, held_out):
    found, again = (
        discriminate_by_substitute(Target.oracle(victim), *candidates, factory, known=held_out[0]) for _ in range(2)
    )
    assert found.queries == len(held_out[0])
    assert found.auc > 0.55
    assert torch.equal(found.scores, again.scores)


def test_refuses(victim, candidates):
    images, labels, members = candidates
    target = Target.oracle(victim)
    with pytest.raises(ValueError, match=f"`score` must be one of {', '.join(SCORES)}, got 'luck'"):
        discriminate(target, images, labels, members, score="luck")
    with pytest.raises(TypeError, match="`members` must be bools"):
        discriminate(target, images, labels, members.long())
    for wrong in (members[1:], members | True, members & False):
        with pytest.raises(ValueError, match=r"`members` must be \[batch\]"):
            discriminate(target, images, labels, wrong)
