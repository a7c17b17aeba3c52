"""Balls that leave some elements alone: every attack within a ball stays in them, and so does the referee."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaintext_models.attacks.ball.ascend import ascend
from plaintext_models.attacks.ball.pgd import fgsm, pgd
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.batches import in_batches
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.masks import MaskedBall, background
from plaintext_models.attacks.core.norms import inside
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.population.universal import universal
from plaintext_models.evaluation.judge import judge
from plaintext_models.evaluation.runner import evaluate
from tests.plaintext_models.attacks.every import EVERY, RADII
from tests.plaintext_models.attacks.soundness import cases, require_sound

WITHIN = [one for one in EVERY if one.within]


@pytest.mark.parametrize("one", WITHIN, ids=map(str, WITHIN))
def test_every_attack_leaves_alone_what_it_must(net, held_out, one):
    images, labels = held_out[0][:12], held_out[1][:12]
    target, goal = one.target(net), Goal(labels)
    free = background(images)
    for mask in (free, ~free, torch.zeros_like(free)):
        ball = MaskedBall(one.norm, RADII[one.norm], mask)
        result = one(target, images, goal, ball)
        require_sound(target, images, goal, result, norm=one.norm, radius=RADII[one.norm])
        assert torch.equal(result.x_adv[~mask], images[~mask])
        assert not judge(target, images, goal, result, ball).complaints
    everything = MaskedBall(one.norm, RADII[one.norm], torch.ones_like(free))
    plain = one(target, images, goal)
    assert all(
        torch.equal(value, getattr(plain, name)) for name, value in vars(one(target, images, goal, everything)).items()
    )


@settings(max_examples=15)
@given(cases(targeted=False), st.integers(0, 9), st.sampled_from(["l1", "l2", "linf"]))
def test_a_step_uses_the_whole_radius_on_what_is_free(case, seed, norm):
    free = torch.rand(case.images.shape, generator=torch.Generator().manual_seed(seed)) < 0.5
    ball = MaskedBall(norm, 0.3, free)
    target = Target(case.model, bounds=(-9, 9))
    moved = ascend(target, case.images, case.goal, ball, steps=1, generator=torch.Generator(), random_start=False)
    assert torch.equal(moved[~free], case.images[~free])
    length = (moved - case.images).flatten(1).double().norm(p={"l1": 1, "l2": 2, "linf": torch.inf}[norm], dim=1)
    assert (length[free.flatten(1).any(1)] > 0.29).all()
    assert inside(ball, case.images, moved).all()


def test_the_background_alone_fools(net, held_out):
    images, labels = held_out
    target, goal, free = Target(net), Goal(labels), background(images)
    masked, whole = (fgsm(target, images, goal, ball) for ball in (MaskedBall("linf", 0.4, free), Ball("linf", 0.4)))
    assert 0.2 < masked.success.double().mean() <= whole.success.double().mean()
    ball = MaskedBall("linf", 0.4, free)
    verdict = judge(target, images, goal, whole.x_adv, ball)
    assert not verdict.inside[whole.success & ~verdict.clean].any()
    parts = in_batches(pgd, target, images, goal, batch_size=7, ball=ball, random_start=False)
    assert torch.equal(parts.x_adv, pgd(target, images, goal, ball, random_start=False).x_adv)


def test_what_cannot_be_masked_is_refused(net, held_out):
    images, goal = held_out[0][:5], Goal(held_out[1][:5])
    ball = MaskedBall("linf", 0.1, background(images))
    for wrong in (
        lambda: universal(Target(net), images, goal, ball),
        lambda: evaluate(Target(net), images, goal.labels, ball),
    ):
        with pytest.raises(ValueError, match="`ball` must be the same for all images here, got one with a mask"):
            wrong()
    with pytest.raises(ValueError, match=r"`free` must be \(5, 1, 8, 8\), as the images, got \(4, 1, 8, 8\)"):
        fgsm(Target(net), images, goal, MaskedBall("linf", 0.1, background(images[:4])))
    with pytest.raises(TypeError, match=r"`free` must be bools, got torch\.float32"):
        MaskedBall("linf", 0.1, images)
