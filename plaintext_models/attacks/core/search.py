"""What attacks share that try many candidates for every image: whom they still have to attack, and what it took."""

from __future__ import annotations

import torch
from torch import Tensor

from intnn.values.arrays import integer
from plaintext_models.attacks.core.ball import Ball, require_norm
from plaintext_models.attacks.core.goal import AttackResult, Goal, conclude, start
from plaintext_models.attacks.core.losses import Loss, margin
from plaintext_models.attacks.core.target import Target
from plaintext_models.determinism import generator

CANDIDATES = 8192  # held in memory at once


class Search:
    """An attack under way, which needs nothing of the target but its logits.

    Attributes:
        active: [batch], which images still have to be attacked.
        found: [batch, *shape], an adversarial image where one was found, the clean image elsewhere.
        queries: See `AttackResult`; `ask` counts them.
        iterations: See `AttackResult`; the attack counts them.
        generator: Seeded, on the device of the images.
    """

    def __init__(
        self, target: Target, images: Tensor, goal: Goal, ball: Ball | None = None, *, seed: int = 0, draws: int = 1
    ) -> None:
        """Check the input; see `start` for what it raises. Every query is made in so many `draws`, from 1."""
        self._target, self._images, self._goal, self._ball = target, images, goal, ball
        self._draws = integer(draws, "draws", 1)
        self.active, self.queries, self.iterations = start(target, images, goal)
        self.found = images.clone()
        self.generator = generator(seed, images.device)

    @property
    def rows(self) -> Tensor:
        """The numbers of the images that still have to be attacked."""
        return self.active.nonzero().squeeze(1)

    def groups(self, candidates: int) -> tuple[Tensor, ...]:
        """`rows`, if any, in parts that can be attacked at once with so many candidates an image."""
        return self.rows.split(max(1, CANDIDATES // candidates)) if self.active.any() else ()

    def allowed(self, rows: Tensor, candidates: Tensor) -> Tensor:
        """Candidates [n, *shape] for the images of these rows, [n], with what the ball leaves alone as it was."""
        return candidates if self._ball is None else self._ball[rows].only(candidates, self._images[rows])

    def ask(self, rows: Tensor, candidates: Tensor, loss: Loss = margin) -> Tensor:
        """Query the target; the first candidate of an image to reach the goal is what was found, and the image is done.

        Args:
            rows: [n], the images that the candidates are for; an image may occur often.
            candidates: [n, *shape], within the bounds; only what is `allowed` of them is asked.
            loss: The loss of the logits by which candidates are compared.

        Returns:
            Scores [n], the greater the nearer to the goal; those of the margin are positive beyond it. Of several draws
            they are the mean, and the goal is reached if all of them reach it.
        """
        goal, candidates = self._goal[rows], self.allowed(rows, candidates)
        with torch.no_grad():
            answers = [self._target.logits(candidates) for _ in range(self._draws)]
        self.queries += self._draws * torch.bincount(rows, minlength=len(self.queries))
        hits = torch.stack([goal.reached(logits) for logits in answers]).all(0).nonzero().squeeze(1)
        first = torch.full_like(self.queries, len(rows)).scatter_reduce(0, rows[hits], hits, "amin")
        done = first < len(rows)
        self.found[done] = candidates[first[done]]
        self.active &= ~done
        return goal.sign * torch.stack([loss(logits, goal.classes) for logits in answers]).mean(0)

    def conclude(self) -> AttackResult:
        """Put what was found to the proof; see `goal.conclude`."""
        found = self._target, self._images, self.found, self._goal
        return conclude(*found, self.queries, self.iterations, self._ball)


def pixels_of(images: Tensor) -> tuple[int, int, int]:
    """The (channels, height, width) of images; a ValueError for what has no pixels."""
    if images.ndim != 4:
        raise ValueError(f"`images` must be [batch, channels, height, width], got {tuple(images.shape)}")
    _, channels, height, width = images.shape
    return channels, height, width


def pixels_within(ball: Ball, images: Tensor) -> Tensor:
    """How many whole pixels of every image, [batch], an "l0" ball has room for, all channels of each.

    There may be more of them than the image has.

    Raises:
        ValueError: The ball has another norm, or the images have no pixels.
    """
    channels, _, _ = pixels_of(images)
    require_norm(ball.norm, ("l0",))
    return ball.radii(images).long() // channels
