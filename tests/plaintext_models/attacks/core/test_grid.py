"""Bounds a channel, levels and radii an image: what every attack keeps."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.grid import off_grid, roundings
from plaintext_models.attacks.core.norms import inside, lengths
from plaintext_models.attacks.core.target import Target
from plaintext_models.evaluation.judge import judge
from tests.plaintext_models.attacks.every import EVERY, RADII, Every
from tests.plaintext_models.attacks.soundness import require_sound

every = pytest.mark.parametrize("attack", EVERY, ids=str)
#: Three channels of other ranges, as images have whose mean and deviation were taken away.
LOW, HIGH = (-2.0, -1.0, 0.0), (2.0, 3.0, 0.5)


def colours(seed=0, count=5):
    """A random network on colours in those bounds, images of which many elements are at them, and their classes."""
    generator = torch.Generator().manual_seed(seed)
    first, second = torch.randn(48, 12, generator=generator), torch.randn(12, 5, generator=generator)
    low, high = (torch.tensor(ends).reshape(3, 1, 1) for ends in (LOW, HIGH))
    images = low + (high - low) * (1.4 * torch.rand(count, 3, 4, 4, generator=generator) - 0.2).clamp(0, 1)
    images = images.maximum(low).minimum(high)

    def model(x):
        return torch.tanh(x.flatten(1) @ first / 3) @ second

    return model, images, model(images).argmax(1)


def sound(attack, target, images, goal, result):
    if attack.name not in ("ilcm", "one-step-least-likely"):  # those succeed with one class alone
        require_sound(target, images, goal, result)
    assert judge(target, images, goal, result, attack.where if attack.within else None).admissible.all()


@every
def test_bounds_of_channels(attack: Every):
    model, images, labels = colours()
    target = attack.target(model, bounds=(LOW, HIGH))
    low, high = target.limits(images)
    assert low.shape == high.shape == (3, 1, 1)
    for goal in attack.goals(labels, 5):
        result = attack(target, images, goal)
        assert ((result.x_adv >= low) & (result.x_adv <= high)).all()
        assert judge(target, images, goal, result, attack.where if attack.within else None).admissible.all()


@every
def test_equal_bounds_of_channels_are_bounds(attack: Every):
    model, _, _ = colours()
    images = torch.rand(4, 3, 4, 4, generator=torch.Generator().manual_seed(3))
    goal = Goal(model(images).argmax(1))
    one, three = (attack(attack.target(model, bounds=ends), images, goal) for ends in ((0, 1), ([0] * 3, np.ones(3))))
    assert torch.equal(one.x_adv, three.x_adv)
    assert torch.equal(one.queries, three.queries)


@pytest.mark.parametrize(
    "bounds",
    [((0, 1), (1, 1)), ((0, 0), (1, 1, 1)), (0.0, float("inf")), (0, "1"), (0, 1, 2), 1, ((), ()), ([[0]], [[1]])],
)
def test_bounds_that_are_none(bounds):
    with pytest.raises(ValueError, match="`bounds` must be increasing"):
        Target(lambda x: x, bounds=bounds)


def test_as_many_channels_as_bounds():
    model, images, labels = colours()
    with pytest.raises(ValueError, match="`images` must have the 3 channels of the bounds, got"):
        Target(model, bounds=(LOW, HIGH)).check(images[:, :2], labels)
    target = Target(model, bounds=((0.0, -1.0, 0.0), HIGH))
    with pytest.raises(ValueError, match=r"`images` must be numbers from \(0.0, -1.0, 0.0\) to"):
        target.check(images, labels)
    flat = Target(lambda x: x, bounds=([0.0, 1.0], [1.0, 3.0]))  # of vectors, every element is a channel
    assert flat.check(torch.tensor([[0.5, 2.5]]), torch.tensor([0])).shape == (1, 2)


@every
@pytest.mark.parametrize("bounds", [(0.0, 1.0), (LOW, HIGH)], ids=["one", "channels"])
def test_images_of_8_bits(attack: Every, bounds):
    model, images, _ = colours()
    low, high = (torch.as_tensor(ends).reshape(-1, 1, 1) for ends in bounds)
    levels = torch.randint(0, 256, images.shape, generator=torch.Generator().manual_seed(1))
    images = (low + levels * (high - low) / 255).float().maximum(low).minimum(high)
    target = attack.target(model, bounds=bounds, levels=256)
    for goal in attack.goals(model(images).argmax(1), 5):
        result = attack(target, images, goal)
        sound(attack, target, images, goal, result)
        assert not off_grid(result.x_adv, target.limits(images), 256).any()
        places = (result.x_adv.double() - low) / (high - low) * 255
        assert (places - places.round()).abs().max() < 1e-3  # of a level: float32
        if bounds == (0.0, 1.0):
            assert torch.equal(result.x_adv, (255 * result.x_adv).round() / 255)  # the very bytes, as float32 has them


def test_levels_hardly_cost_success(net, held_out):
    images, labels = held_out
    images = (255 * images).round() / 255
    for attack in EVERY:
        if attack.name in ("pgd", "ddn", "deepfool", "square", "apgd") and attack.norm in ("l2", "linf"):
            found = [attack(attack.target(net, levels=n), images, Goal(labels)).success.sum() for n in (256, None)]
            assert found[0] >= 0.95 * found[1]


def test_the_referee_looks_at_the_grid(net, held_out):
    images, labels = (part[:5] for part in held_out)
    images = (255 * images).round() / 255
    moved = (images + 0.001).clamp(0, 1)
    verdict = judge(Target(net, levels=256), images, Goal(labels), moved, Ball("linf", 0.1))
    assert not verdict.admissible.any()
    assert any("leave the grid" in complaint for complaint in verdict.complaints)
    assert not judge(Target(net), images, Goal(labels), moved, Ball("linf", 0.1)).complaints
    with pytest.raises(ValueError, match="must lie on the grid of 256 levels, got 5 of 5 off it; round them first"):
        judge(Target(net, levels=256), moved, Goal(labels), moved)
    for levels, error in ((1, ValueError), (2.0, TypeError)):
        with pytest.raises(error, match="`levels` must"):
            Target(net, levels=levels)


@given(st.integers(0, 2**32), st.sampled_from([2, 16, 256, 65536]), st.sampled_from(["l1", "l2", "linf"]))
def test_towards_the_image_stays_in_every_ball(seed, levels, norm):
    generator = torch.Generator().manual_seed(seed)
    low, high = -1.0, 2.0
    images = low + (high - low) * torch.randint(0, levels, (4, 9), generator=generator) / (levels - 1)
    moved = (images + torch.randn(4, 9, generator=generator)).clamp(low, high)
    towards, nearest, away = roundings(images, moved, (low, high), levels)
    for rounded in (towards, nearest, away):
        assert not off_grid(rounded, (low, high), levels).any()
        assert ((rounded >= low) & (rounded <= high)).all()
    assert inside(Ball(norm, lengths(moved - images, norm)), images, towards).all()
    assert (((towards - images) * (moved - images)) >= -1e-6).all()  # a level in float32
    assert ((nearest - moved).abs() <= (high - low) / (levels - 1) / 2 + 1e-6).all()


@pytest.mark.parametrize("attack", [attack for attack in EVERY if attack.within], ids=str)
def test_radii_of_images(attack: Every):
    model, images, labels = colours(1, 8)
    target = attack.target(model, bounds=(LOW, HIGH))
    radii = torch.tensor([0.5, 1, 1, 2, 3, 1, 0.5, 1]) * RADII[attack.norm]
    if attack.norm == "l0":
        radii = radii.floor().clamp_min(3)
    for goal in attack.goals(labels, 5):
        result = attack(target, images, goal, Ball(attack.norm, radii))
        assert judge(target, images, goal, result, Ball(attack.norm, radii)).admissible.all()
        assert (lengths(result.x_adv - images, attack.norm) <= radii * (1 + 1e-5) + 1e-5).all()
        # equal radii are one radius
        same = attack(target, images, goal, Ball(attack.norm, [radii[3].item()] * len(images)))
        assert torch.equal(same.x_adv, attack(target, images, goal, Ball(attack.norm, radii[3])).x_adv)
    with pytest.raises(ValueError, match="`radius` must be one for all images or one each, got 7 for 8"):
        attack(target, images, Goal(labels), Ball(attack.norm, radii[:7]))


def test_a_ball_of_some_images():
    ball = Ball("l2", [1.0, 2.0, 3.0])
    assert ball[torch.tensor([2, 0])] == Ball("l2", (3.0, 1.0))
    assert ball[torch.tensor([False, True, True])] == Ball("l2", (2.0, 3.0))
    assert Ball("l2", 1)[torch.tensor([0])] == Ball("l2", 1.0)
    assert (ball.largest, Ball("l1", 2).largest) == (3, 2)
    assert hash(ball) != hash(Ball("l2", 1))
