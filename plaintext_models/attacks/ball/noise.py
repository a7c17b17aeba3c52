"""Random noise: what an attack has to be better than."""

from __future__ import annotations

from torch import Tensor

from intnn.values.arrays import integer
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.entrance import entrance
from plaintext_models.attacks.core.goal import AttackResult, Goal
from plaintext_models.attacks.core.norms import random_point, within_norm
from plaintext_models.attacks.core.search import Search
from plaintext_models.attacks.core.target import Target


@entrance
def random_noise(
    target: Target, images: Tensor, goal: Goal, ball: Ball, *, draws: int = 100, seed: int = 0
) -> AttackResult:
    """Try random points of the ball, uniform as in `random_point`. It needs no gradient.

    Args:
        target: The model.
        images: [batch, *shape], within its bounds.
        goal: What is to be reached, for every image.
        ball: The ball around every image; its norm is "l1", "l2" or "linf".
        draws: The most points that are tried for an image, from 1.
        seed: The seed of the points.

    Raises:
        TypeError: Where `start` raises it.
        ValueError: A number is out of range; or where `start` raises it.
    """
    norm, radii, limits = within_norm(ball), ball.radii(images), target.limits(images)
    integer(draws, "draws", 1)
    search = Search(target, images, goal, ball, seed=seed)
    for _ in range(draws):
        rows = search.rows
        if not len(rows):
            break
        search.ask(rows, random_point(images[rows], norm, radii[rows], limits, search.generator))
        search.iterations[rows] += 1
    return search.conclude()
