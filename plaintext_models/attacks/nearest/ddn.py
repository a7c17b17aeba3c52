"""DDN: decoupling direction and norm, for L2 (Rony et al., arXiv:1811.09600)."""

from __future__ import annotations

import math
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from intnn.values.arrays import integer
from plaintext_models.attacks.core.ball import require_norm
from plaintext_models.attacks.core.entrance import entrance
from plaintext_models.attacks.core.goal import AttackResult, Goal, conclude, spread, start
from plaintext_models.attacks.core.losses import cross_entropy
from plaintext_models.attacks.core.norms import TINY, lengths, steepest
from plaintext_models.attacks.core.numbers import number
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.nearest.deepfool import beyond, box_around
from plaintext_models.determinism import generator

LAST_STEP = 0.01  # of the range, where the steps' cosine schedule ends


@entrance
def ddn(
    target: Target,
    images: Tensor,
    goal: Goal,
    norm: Literal["l2"],
    *,
    steps: int = 100,
    radius: float = 1.0,
    gamma: float = 0.05,
    seed: int = 0,
) -> AttackResult:
    """Follow the gradient on a sphere that shrinks while the goal is reached, and grows while it is not.

    Algorithm 1 of the paper without its rounding to grey levels. The direction comes from the cross-entropy, the length
    from the radius alone, so that no constant has to be searched for. The nearest image on the way wins.

    Args:
        target: The model, differentiable.
        images: [batch, *shape], within its bounds.
        goal: What is to be reached, for every image.
        norm: In which the perturbation is to be short: "l2".
        steps: How many steps are taken, from 2; each takes a forward and a backward. Where the last one moves to is not
            looked at.
        radius: The radius of the first sphere, in units of the range, positive.
        gamma: The part of itself that a sphere shrinks or grows by, above 0, below 1.
        seed: The seed of the direction that is taken where the cross-entropy is so flat that its gradient is zero.

    Raises:
        TypeError: The target has no gradients; or where `start` raises it.
        ValueError: A number is out of range; or where `start` raises it.
    """
    require_norm(norm, ("l2",))
    integer(steps, "steps", 2)
    number(radius, "radius", above=0)
    number(gamma, "gamma", above=0, below=1)
    active, queries, iterations = start(target, images, goal)
    drawn, limits, width = generator(seed, images.device), target.limits(images), target.width
    clean, goals, found = images[active], goal[active], images.clone()
    nearest, best = torch.full((len(clean),), torch.inf, dtype=images.dtype, device=images.device), clean
    moved, radii = clean, torch.full_like(nearest, radius * width)
    for step in range(steps if len(clean) else 0):
        gradient, logits = target.gradient(moved, partial(cross_entropy, classes=goals.classes))
        distance, over = lengths(moved - clean, "l2"), beyond(goals, logits) > 0
        nearer = over & (distance < nearest)
        nearest, best = torch.where(nearer, distance, nearest), torch.where(spread(nearer, clean), moved, best)
        flat = ~gradient.flatten(1).any(1)
        if flat.any():
            gradient[flat] = torch.randn(
                gradient[flat].shape, generator=drawn, device=images.device, dtype=torch.float32
            ).to(clean)
        size = width * (LAST_STEP + (1 - LAST_STEP) * (1 + math.cos(math.pi * step / steps)) / 2)
        radii = torch.where(over, radii * (1 - gamma), radii * (1 + gamma))
        delta = moved - clean + goal.sign * size * steepest(gradient, "l2")
        delta = delta * spread(radii / lengths(delta, "l2").clamp_min(TINY), delta)
        moved = (clean + delta).clamp(*limits)
    found[active] = best
    queries[active] += steps
    iterations[active] += steps
    return conclude(target, images, found, goal, queries, iterations, box_around(target))
