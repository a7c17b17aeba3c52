"""Turned images: their length and the angle stay what they should be, and they fool."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaintext_models.attacks.ball.rotation import rotate, turned
from plaintext_models.attacks.core.goal import Goal
from plaintext_models.attacks.core.target import Target
from plaintext_models.nets.mlp import mlp


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.floats(0, math.pi / 2))
def test_images_keep_their_length_and_turn_by_the_angle(seed, angle):
    generator = torch.Generator().manual_seed(seed)
    images, gradient = (torch.randn(4, 1, 3, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    moved = turned(images, gradient, angle)
    before, after, slope = (part.flatten(1) for part in (images, moved, gradient))
    assert torch.allclose(after.norm(dim=1), before.norm(dim=1))
    cosine = (after * before).sum(1) / before.square().sum(1)
    assert torch.allclose(cosine, torch.full((4,), math.cos(angle)).double())
    plane = torch.stack([before, slope, after], 1)
    assert bool((torch.linalg.svdvals(plane)[:, 2] < 1e-9).all())  # three vectors in one plane
    assert bool((((after - math.cos(angle) * before) * slope).sum(1) >= -1e-9).all())


def test_what_has_no_direction_stays():
    images = torch.rand(2, 1, 3, 3)
    assert torch.equal(turned(images, torch.zeros_like(images), 0.0), images)
    assert torch.equal(turned(torch.zeros_like(images), torch.rand_like(images), 0.3), torch.zeros_like(images))


def test_it_stays_where_images_may_lie_and_raises_the_loss():
    torch.manual_seed(0)
    target = Target(mlp((1, 4, 4), 3, (16,)).eval(), levels=17)
    images = torch.randint(0, 17, (20, 1, 4, 4)) / 16
    goal = Goal(target.logits(images).argmax(1))
    moved = rotate(target, images, goal, 0.4)
    target.require(moved)
    losses = [torch.nn.functional.cross_entropy(target.logits(x), goal.labels) for x in (images, moved)]
    assert losses[1] > losses[0]
    with pytest.raises(ValueError, match="`angle` must be from 0 to"):
        rotate(target, images, goal, 2)
