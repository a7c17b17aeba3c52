"""Attacks on one or a few pixels, by differential evolution (Su et al., arXiv:1710.08864)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from intnn.values.arrays import integer
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.entrance import entrance
from plaintext_models.attacks.core.goal import AttackResult, Goal
from plaintext_models.attacks.core.grid import Limits
from plaintext_models.attacks.core.search import Search, pixels_of, pixels_within
from plaintext_models.attacks.core.target import Target

WEIGHT = 0.5  # of a difference; the paper's F. It crosses nothing over.


@entrance
def few_pixel(
    target: Target,
    images: Tensor,
    goal: Goal,
    ball: Ball,
    *,
    population: int = 400,
    generations: int = 100,
    seed: int = 0,
) -> AttackResult:
    """Let places and colours of a few pixels evolve. It needs no gradient.

    A child is one member plus the weighted difference of two others, and takes its parent's place if it is no worse by
    the margin. An image leaves with the first member that reaches the goal.

    Args:
        target: The model.
        images: [batch, channels, height, width], within its bounds.
        goal: What is to be reached, for every image.
        ball: The ball around every image; its norm is "l0", and its radius at least the number of channels. As many
            pixels may change, all channels of each, as it has room for.
        population: How many members an image has, from 3.
        generations: How many generations follow the first, from 0.
        seed: The seed of the evolution.

    Raises:
        TypeError: Where `start` raises it.
        ValueError: A number is out of range, or images that have no pixels; or where `start` raises it.
    """
    channels, height, width = pixels_of(images)
    room = pixels_within(ball, images).clamp_max(height * width)
    if not room.all():
        raise ValueError(f"`radius` must have room for the {channels} elements of a pixel, got {ball.radius}")
    integer(population, "population", 3)
    integer(generations, "generations", 0)
    search = Search(target, images, goal, ball, seed=seed)
    drawn: dict[str, Any] = {"generator": search.generator, "device": images.device, "dtype": torch.float32}

    limits = target.limits(images.flatten(2))

    def scores(rows: Tensor, genes: Tensor) -> Tensor:
        candidates = _drawn(images[rows], genes, limits)
        return search.ask(rows.repeat_interleave(population), candidates).reshape(len(rows), population)

    for rows, pixels in ((part, pixels) for part in search.groups(population) for pixels in room[part].unique()):
        rows = rows[room[rows] == pixels]
        shape = (len(rows), population, int(pixels))
        genes = torch.cat(  # row, column, channels: all from 0 to 1; colours as in the paper, often at a bound
            [
                torch.rand(*shape, 2, **drawn),
                torch.randn(*shape, channels, **drawn) / 2 + 0.5,
            ],
            -1,
        ).clamp(0, 1)
        fitness = scores(rows, genes)
        for _ in range(generations):
            left = search.active[rows]
            rows, genes, fitness = rows[left], genes[left], fitness[left]
            if not len(rows):
                break
            # a shuffled population, and itself rolled by one and by two: three different members for every child
            order = torch.rand(fitness.shape, **drawn).argsort(1)
            one, two, three = (
                genes[torch.arange(len(rows), device=images.device)[:, None], order.roll(turn, 1)] for turn in range(3)
            )
            children = (one + WEIGHT * (two - three)).clamp(0, 1)
            fresh = scores(rows, children)
            search.iterations[rows] += 1
            better = fresh >= fitness
            fitness = torch.where(better, fresh, fitness)
            genes = torch.where(better[:, :, None, None], children, genes)
    return search.conclude()


def _drawn(images: Tensor, genes: Tensor, limits: Limits) -> Tensor:
    """Images [batch * population, channels, height, width] with the pixels that the genes tell."""
    (batch, channels, height, width), population = images.shape, genes.shape[1]
    row, column = ((genes[..., axis] * size).long().clamp_max(size - 1) for axis, size in enumerate((height, width)))
    places = (row * width + column)[:, :, None].expand(-1, -1, channels, -1)
    low, high = limits
    colours = (low + (high - low) * genes[..., 2:].transpose(2, 3)).to(images.dtype)
    copies = images.flatten(2)[:, None].expand(-1, population, -1, -1)
    return copies.scatter(3, places, colours).reshape(batch * population, channels, height, width)
