"""DeepFool: to the nearest boundary of the classifier made linear, again and again (arXiv:1511.04599)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from intnn.values.arrays import integer
from plaintext_models.attacks.core.ball import Ball, Norm, require_norm
from plaintext_models.attacks.core.entrance import entrance
from plaintext_models.attacks.core.goal import AttackResult, Goal, conclude, spread, start
from plaintext_models.attacks.core.losses import logit, margin, others
from plaintext_models.attacks.core.norms import TINY, lengths, steepest
from plaintext_models.attacks.core.numbers import number
from plaintext_models.attacks.core.target import Target

LEAST = 1e-4  # of the range, what a step adds to the distance: a point on the boundary itself must leave it
SLACK = 1e-5  # of the logits that matter: float32 forwards in batches of other sizes differ by less
ULPS = 16  # of the two logits that meet, in units of the last place: what their own roundings hide
DUAL: dict[str, Norm] = {"l2": "l2", "linf": "l1"}


ANEW, NEAR = 4, 3  # steps after which all boundaries are looked at again, and how many are looked at between


@entrance
def deepfool(
    target: Target,
    images: Tensor,
    goal: Goal,
    norm: Literal["l2", "linf"],
    *,
    steps: int = 50,
    overshoot: float = 0.02,
    candidates: int = 10,
) -> AttackResult:
    """Step over the nearest of the boundaries between the label and other classes, each taken for a hyperplane.

    Moosavi-Dezfooli et al., arXiv:1511.04599, Algorithm 2. A target has one boundary, that with the largest of the
    other logits. One forward feeds the backwards of all boundaries; images leave once a fresh forward finds them over.
    Which boundaries are near changes slowly: all are looked at every fourth step, between them the nearest three.

    Args:
        target: The model, differentiable.
        images: [batch, *shape], within its bounds.
        goal: What is to be reached, for every image.
        norm: In which the perturbation is to be short.
        steps: The most steps, from 1; each takes two forwards.
        overshoot: How much longer than the sum of the steps the perturbation is, as a fraction, not negative.
        candidates: How many classes have their boundaries looked at, from 2: those with the largest logits, the label
            among them.

    Raises:
        TypeError: The target has no gradients; or where `start` raises it.
        ValueError: A number is out of range, another norm; or where `start` raises it.
    """
    require_norm(norm, ("l2", "linf"))
    integer(steps, "steps", 1)
    integer(candidates, "candidates", 2)
    number(overshoot, "overshoot", least=0)
    target.require_gradients()
    active, queries, iterations = start(target, images, goal)
    limits, least = target.limits(images), LEAST * target.narrowest
    found, rows = images.clone(), active.nonzero().squeeze(1)
    moved, total = images[rows], torch.zeros_like(images[rows])
    near: Tensor | None = None
    for step in range(steps):
        if not len(rows):
            break
        distance, slope, near = _nearest(
            target, moved, goal[rows], norm, candidates, None if step % ANEW == 0 else near
        )
        length = spread(distance + least, total).to(total.dtype)  # logits may be finer than images
        total = total + length * steepest(slope, norm)
        moved = (images[rows] + (1 + overshoot) * total).clamp(*limits)
        with torch.no_grad():
            over = beyond(goal[rows], target.logits(moved)) > 0
        queries[rows] += 2
        iterations[rows] += 1
        found[rows[over]] = moved[over]
        rows, moved, total, near = (values[~over] for values in (rows, moved, total, near))
    return conclude(target, images, found, goal, queries, iterations, box_around(target))


def beyond(goal: Goal, logits: Tensor) -> Tensor:
    """How far beyond the boundary, in units of the logits, less a slack that lets it stand any other forward: [batch].

    What is nearest to an image lies so near to the boundary that rounding could take it back.
    """
    return goal.sign * margin(logits, goal.classes) - slack(goal, logits)


def slack(goal: Goal, logits: Tensor) -> Tensor:
    """What roundings may change of the margin, [batch], as far as the logits tell.

    It is measured by the two that meet at the boundary, since a class far below, masked, says nothing of it; and of
    these not by a constant that was added to all, but by the spread of the three largest, as in `losses.dlr`.
    """
    known = logits.detach()
    size = torch.maximum(logit(known, goal.classes).abs(), others(known, goal.classes).amax(1).abs())
    largest = known.topk(min(3, known.shape[1]), 1).values
    return SLACK * torch.minimum(size, largest[:, 0] - largest[:, -1]) + ULPS * torch.finfo(known.dtype).eps * size


def box_around(target: Target) -> Ball:
    """A ball that holds every image within the bounds: where the nearest images may be, however far."""
    return Ball("linf", target.width)


def _nearest(
    target: Target,
    images: Tensor,
    goal: Goal,
    norm: Literal["l2", "linf"],
    candidates: int,
    near: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The nearest boundary, of all candidates or of those `near`.

    Returns:
        Its distance [batch], the gradient [batch, *shape] of the logits' difference there, and the classes of the
        nearest boundaries [batch, NEAR] or fewer.
    """
    leaf, logits = target.traced(images)
    rivals = others(logits, goal.classes)
    if goal.targets is not None:
        near = rivals.argmax(1, keepdim=True)
    elif near is None:
        near = rivals.topk(min(candidates, logits.shape[1]) - 1, 1).indices
    differences = goal.sign * (logits.gather(1, near) - logits.gather(1, goal.classes[:, None]))
    distances, least = torch.empty_like(differences).detach(), slack(goal, logits)
    nearest, slope = torch.full_like(distances[:, 0], torch.finfo(distances.dtype).max), torch.zeros_like(images)
    for rank, difference in enumerate(differences.unbind(1)):
        gradient = target.slope(leaf, difference, again=True)
        distances[:, rank] = (difference.detach().abs() + least) / lengths(gradient, DUAL[norm]).clamp_min(TINY)
        nearer = distances[:, rank] < nearest
        nearest = torch.where(nearer, distances[:, rank], nearest)
        slope = torch.where(spread(nearer, slope), gradient, slope)
    kept = distances.topk(min(NEAR, distances.shape[1]), 1, largest=False).indices
    return nearest, slope, near.gather(1, kept)
