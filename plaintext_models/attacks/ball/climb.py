"""The one loop of all attacks that climb a loss within a ball; a step rule says where each step leads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from intnn.values.arrays import integer
from plaintext_models.attacks.core.answers import require_classes, require_rows
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import AttackResult, Goal, conclude, examine, spread, start
from plaintext_models.attacks.core.grid import Limits
from plaintext_models.attacks.core.losses import LOSSES, Loss, others, targeted_dlr
from plaintext_models.attacks.core.norms import project, random_point, steepest, within_norm
from plaintext_models.attacks.core.target import Target
from plaintext_models.determinism import generator

NO_ROOM = 0.01  # of the range: nearer to its bound than this, an element is left where it is by sparse steps


class Step:
    """The plain rule: along the steepest direction, and back into ball and box.

    Every attribute that is a tensor has a row for each image that is still attacked.
    """

    def __init__(
        self, clean: Tensor, *, ball: Ball, limits: Limits, size: float | None = None, share: float = 0
    ) -> None:
        """Begin at clean images [batch, *shape]; steps have the same size, or else a share of the radius."""
        self.clean, self.ball, self.norm, self.limits = clean, ball, within_norm(ball), limits
        self.radius = ball.radii(clean)
        self.size = (share * self.radius if size is None else torch.full_like(self.radius, size)).to(clean.dtype)

    def __call__(self, moved: Tensor, gradient: Tensor, values: Tensor) -> Tensor:  # noqa: ARG002 - for other rules
        """The next points [batch, *shape], given the loss' gradient [batch, *shape] and values [batch] at the last."""
        return self.along(moved, gradient, spread(self.size, moved))

    def along(self, moved: Tensor, gradient: Tensor, size: Tensor) -> Tensor:
        """The points after a step of this size."""
        gradient = self.ball.only(gradient, 0)
        if self.norm == "l1":
            # few elements share the step: it would be lost on those that are at their bounds
            low, high = self.limits
            room = torch.where(gradient > 0, high - moved, moved - low)
            gradient = gradient.masked_fill(room <= NO_ROOM * (high - low), 0)
        return self.back(moved + size * steepest(gradient, self.norm))

    def back(self, moved: Tensor) -> Tensor:
        """The nearest points in ball and box."""
        return project(self.clean, moved, self.norm, self.radius, self.limits)

    def best(self, moved: Tensor) -> Tensor:
        """Of the points that were looked at, those [batch, *shape] to end with; `moved` are the last."""
        return moved

    def keep(self, left: Tensor) -> None:
        """Forget all images but those `left`, [batch]."""
        self.ball = self.ball[left]
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value[left])


def climb(
    target: Target,
    images: Tensor,
    goal: Goal,
    rule: Callable[..., Step],
    *,
    ball: Ball,
    steps: int,
    loss: str | Loss,
    aims: Sequence[Goal],
    random_start: bool,
    leave: bool = True,
    draws: int = 1,
    seed: int = 0,
) -> AttackResult:
    """Ascend, for one aim after the other, and let go of every image as soon as it reaches the goal.

    The forward that a gradient is taken from also judges where it is taken; only after the last step of a run that
    another one follows does it take a forward more. Random starts are drawn for the whole batch, so that those of a run
    are the same however many images are left, and whatever the runs before did.

    Args:
        target: The model, differentiable.
        images: [batch, *shape], within its bounds.
        goal: What counts as success, for every image.
        rule: Makes the step rule from clean images, `ball` and `limits`.
        ball: The ball around every image; its norm is "l1", "l2" or "linf".
        steps: How many steps every run takes, from 1.
        loss: A name from `losses.LOSSES`, or a function of logits [batch, classes] and classes [batch].
        aims: Whose loss is climbed: a run each.
        random_start: Whether the first run starts at random; the others always do.
        leave: Whether an image leaves as soon as it reaches the goal, or when a run is over: what is to fool other
            models as well gains by going on. Images of few levels always go on, since they are rounded in the end.
        draws: Forwards whose gradients and logits are averaged, from 1; for targets that are stochastic. The goal is
            reached where all of them reach it; where they never do, the rule says which points are the best.
        seed: The seed of the random starts.

    Raises:
        TypeError: The target has no gradients; or where `start` raises it.
        ValueError: A number is out of range, another norm or loss, too few classes for it; or where `start` raises it.
    """
    norm, radii, limits = within_norm(ball), ball.radii(images), target.limits(images)
    integer(steps, "steps", 1)
    integer(draws, "draws", 1)
    if not callable(loss) and loss not in LOSSES:
        raise ValueError(f"`loss` must be a function or one of {', '.join(LOSSES)}, got {loss!r}")
    target.require_gradients()
    stops = leave and target.levels is None  # just beyond the boundary, the nearest level may lie before it
    first = None  # gradient and logits of the clean images, whose forward the check needs as well
    if ball.largest and not random_start and draws == 1:
        target.require(images, goal.labels)
        climbed = _objective(loss, aims[0])

        def checked(logits: Tensor) -> Tensor:
            for name, classes in vars(aims[0]).items():
                if classes is not None:
                    require_classes(require_rows(logits, images), classes, name)
            return climbed(logits)

        first = target.gradient(images, checked)
    active, queries, iterations = start(target, images, goal, None if first is None else first[1])
    drawn, found = generator(seed, images.device), images.clone()
    for run, aim in enumerate(aims if ball.largest else ()):
        rows = active.nonzero().squeeze(1)
        if not len(rows):
            break
        begin = random_point(images, norm, radii, limits, drawn) if run or random_start else images
        begin = ball.only(begin, images)
        moved, goals, aimed = begin[rows], goal[rows], _objective(loss, aim[rows])
        next_step = rule(images[rows], ball=ball[rows], limits=limits)
        for step in range(steps):
            if first is not None and not run and not step:
                gradient, logits = (values[rows] for values in first)
                reached = [goals.reached(logits)]
            else:
                reached = []
                gradient, logits = target.gradient(moved, partial(_noted, aimed, goals, reached), draws)
                queries[rows] += draws
            over = torch.stack(reached).all(0) & stops
            if over.any():
                found[rows[over]], active[rows[over]], left = moved[over], False, ~over
                rows, moved, gradient, logits = (values[left] for values in (rows, moved, gradient, logits))
                if not len(rows):
                    break
                goals, aimed = goals[left], _objective(loss, aim[rows])
                next_step.keep(left)
            moved = next_step(moved, gradient, aimed(logits))
            iterations[rows] += 1
        found[rows] = moved if draws == 1 else next_step.best(moved)
        if len(rows) and run + 1 < len(aims):
            with torch.no_grad():
                reached = [goals.reached(target.logits(found[rows])) for _ in range(draws)]
            queries[rows] += draws
            active[rows] = ~torch.stack(reached).all(0)
    return conclude(target, images, found, goal, queries, iterations, ball)


def _noted(objective: Callable[[Tensor], Tensor], goal: Goal, reached: list[Tensor], logits: Tensor) -> Tensor:
    """The objective of a draw, of which is noted whether it reaches the goal."""
    reached.append(goal.reached(logits))
    return objective(logits)


def _objective(loss: str | Loss, aim: Goal) -> Callable[[Tensor], Tensor]:
    """What to ascend, as a function of logits."""
    chosen = LOSSES[loss] if isinstance(loss, str) else loss

    def objective(logits: Tensor) -> Tensor:
        least = 2 if loss != "dlr" else 3 if aim.targets is None else 4
        if logits.shape[1] < least:
            raise ValueError(f"this loss needs {least} classes, got {logits.shape[1]}")
        if loss == "dlr" and aim.targets is not None:
            return targeted_dlr(logits, aim.labels, aim.targets)
        return aim.sign * chosen(logits, aim.classes)

    return objective


def wrong_classes(target: Target, images: Tensor, goal: Goal) -> Tensor:
    """All classes but the label, [batch, classes - 1], the most likely first.

    Raises:
        TypeError: Where `Target.check` raises it.
        ValueError: Where `Target.check` raises it; or the goal has targets already.
    """
    if goal.targets is not None:
        raise ValueError("`goal` must have no targets: this attack chooses them itself")
    labels = goal.labels
    logits = examine(target, images, labels)
    return others(logits, labels).argsort(dim=1, descending=True, stable=True)[:, :-1]
