"""Any attack, batch by batch: memory stays bounded, and long ones show how far they are."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from rich.progress import track
from torch import Tensor

from intnn.values.arrays import instance, integer
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.entrance import entrance
from plaintext_models.attacks.core.goal import AttackResult, Goal
from plaintext_models.attacks.core.target import Target

PART = 1 << 16  # elements of the images that are attacked at once: what a convolution makes of more leaves the caches


def parts(rows: Tensor, images: Tensor) -> tuple[Tensor, ...]:
    """Numbers of images [n] in parts that are attacked at once, given the images [batch, *shape]."""
    return rows.split(max(1, PART // images[0].numel()))


@entrance
def in_batches(
    attack: Callable[..., AttackResult],
    target: Target,
    images: Tensor,
    goal: Goal,
    *,
    batch_size: int,
    progress: bool = False,
    **options: Any,
) -> AttackResult:
    """The results of `attack(target, images, goal, **options)` for a batch of images after the other, as one.

    Random attacks draw the same numbers for every batch: what they find depends on its size.

    Args:
        attack: An attack of this package.
        target: The model.
        images: [n, *shape], within its bounds.
        goal: What is to be reached, for every image.
        batch_size: Images at a time, from 1.
        progress: Whether to show a bar.
        options: The attack's own arguments; of a ball with a radius for each image, every batch gets its own.

    Raises:
        TypeError: see the attack.
        ValueError: A `batch_size` below 1, or not as many labels or radii as images; or see the attack.
    """
    integer(batch_size, "batch_size", 1)
    if isinstance(attack, partial) and not attack.args:  # what it holds may be one for each image as well
        options, attack = attack.keywords | options, attack.func
    for option in options.values():
        if isinstance(option, Ball):
            option.radii(images)
    batches = torch.arange(len(images)).split(batch_size)
    name = getattr(attack, "__name__", "attack")
    results = [
        instance(
            attack(target, images[rows], goal[rows], **{name: _part(value, rows) for name, value in options.items()}),
            AttackResult,
            "attack(...)",
        )
        for rows in track(batches, name, disable=not progress, transient=True)
    ]
    return AttackResult(
        *(torch.cat([getattr(r, part) for r in results]) for part in ("x_adv", "success", "queries", "iterations"))
    )


def _part(option: Any, rows: Tensor) -> Any:
    """What an argument of an attack is for some of the images."""
    return option[rows] if isinstance(option, Ball) else option
