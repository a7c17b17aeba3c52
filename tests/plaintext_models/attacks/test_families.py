"""Every attack of a family keeps what the family promises, with the arguments that all of them share."""

from dataclasses import FrozenInstanceError

import pytest
import torch

from plaintext_models.attacks.core.ball import MEASURES, Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.norms import lengths
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.families import NEAREST, WITHIN
from tests.plaintext_models.attacks.soundness import require_sound

RADII = {"l0": 6, "l1": 3.0, "l2": 1.0, "linf": 0.15}
EVERY = [(name, norm) for name, member in WITHIN.items() for norm in member.norms]
SHORTEST = [(name, norm) for name, member in NEAREST.items() for norm in member.norms]


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize(("name", "norm"), EVERY)
def test_what_is_within_stays_within(net, held_out, name, norm, targeted):
    member, (images, labels) = WITHIN[name], (part[:6] for part in held_out)
    goal = Goal(labels, (labels + 1) % 10 if targeted else None)
    target, ball = (Target if member.gradients else Target.oracle)(net), Ball(norm, RADII[norm])
    if targeted and not member.targets:
        with pytest.raises(ValueError, match="must have no targets"):
            member.run(target, images, goal, ball)
        return
    result = member.run(target, images, goal, ball)
    if name not in ("ilcm", "one-step-least-likely"):  # those succeed with one class alone
        require_sound(target, images, goal, result)
    # float32 rounds x + step: a few units in the last place, an element
    slack = {"l0": 0, "l1": 1e-4, "l2": 1e-5, "linf": 1e-6}[norm]
    assert (lengths(result.x_adv - images, norm) <= ball.radius + slack).all()


@pytest.mark.parametrize(("name", "norm"), [(n, m) for n in WITHIN for m in MEASURES if m not in WITHIN[n].norms])
def test_other_norms_are_refused(net, held_out, name, norm):
    images, labels = (part[:2] for part in held_out)
    with pytest.raises(ValueError, match=f"`norm` must be one of .*, got '{norm}'"):
        WITHIN[name].run(Target(net), images, Goal(labels), Ball(norm, 1))


@pytest.mark.parametrize(("name", "norm"), SHORTEST)
def test_the_nearest_is_found_without_a_ball(net, held_out, name, norm):
    member, (images, labels) = NEAREST[name], (part[:3] for part in held_out)
    target = Target(net)
    result = member.run(target, images, Goal(labels), norm)
    require_sound(target, images, Goal(labels), result)
    assert result.success.all()
    assert torch.isfinite(lengths(result.x_adv - images, norm)).all()


@pytest.mark.parametrize(("name", "norm"), [(n, m) for n in NEAREST for m in MEASURES if m not in NEAREST[n].norms])
def test_other_norms_are_refused_by_the_nearest(net, held_out, name, norm):
    images, labels = (part[:2] for part in held_out)
    with pytest.raises(ValueError, match=f"`norm` must be one of .*, got '{norm}'"):
        NEAREST[name].run(Target(net), images, Goal(labels), norm)


@pytest.mark.parametrize("family", [WITHIN, NEAREST])
def test_needs_are_those_that_are_stated(net, held_out, family):
    images, labels = (part[:2] for part in held_out)
    for member in family.values():
        norm = member.norms[0]
        where = Ball(norm, RADII[norm]) if family is WITHIN else norm
        if member.gradients:
            with pytest.raises(TypeError, match="answers queries only"):
                member.run(Target.oracle(net), images, Goal(labels), where)
        if member.pixels:
            with pytest.raises(ValueError, match=r"`images` must be \[batch, channels, height, width\]"):
                member.run(Target(net), images.flatten(1), Goal(labels), where)


def test_families_are_data():
    assert not set(WITHIN) & set(NEAREST)
    with pytest.raises(TypeError):
        WITHIN["pgd"] = None
    with pytest.raises(FrozenInstanceError):
        WITHIN["pgd"].gradients = False
