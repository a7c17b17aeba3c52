"""DeepFool: to the nearest boundary of the classifier made linear, again and again (arXiv:1511.04599)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from intnn.arrays import integer
from plaintext_models.attacks.goal import AttackResult, Goal, conclude, spread, start
from plaintext_models.attacks.losses import margin, others
from plaintext_models.attacks.norms import TINY, Norm, lengths, steepest
from plaintext_models.attacks.target import Target

LEAST = 1e-4  # of the range, what a step adds to the distance: a point on the boundary itself must leave it
SLACK = 1e-5  # of the largest logit: float32 forwards in batches of other sizes differ by less
DUAL: dict[str, Norm] = {"l2": "l2", "linf": "l1"}


def deepfool(
    target: Target,
    images: Tensor,
    goal: Goal,
    *,
    norm: Literal["l2", "linf"] = "l2",
    steps: int = 50,
    overshoot: float = 0.02,
    candidates: int = 10,
) -> AttackResult:
    """Step over the nearest of the boundaries between the label and other classes, each taken for a hyperplane.

    Moosavi-Dezfooli et al., arXiv:1511.04599, Algorithm 2. A target has one boundary, that with the largest of the
    other logits. One forward feeds the backwards of all boundaries; images leave once a fresh forward finds them over.

    Args:
        target: The model, differentiable.
        images: [batch, *shape], within its bounds.
        goal: Of every image.
        norm: That the perturbation is to be short in.
        steps: At most, from 1; two forwards each.
        overshoot: How much longer than the sum of the steps the perturbation is, not negative.
        candidates: Classes with the largest logits, the label among them, whose boundaries are looked at; from 2.

    Raises:
        TypeError: The target has no gradients; or see `start`.
        ValueError: A number is out of range, another norm; or see `start`.
    """
    if norm not in DUAL:
        raise ValueError(f"`norm` must be one of {', '.join(DUAL)}, got {norm!r}")
    integer(steps, "steps", 1)
    integer(candidates, "candidates", 2)
    if not overshoot >= 0:
        raise ValueError(f"`overshoot` must not be negative, got {overshoot}")
    if not target.differentiable:
        raise TypeError("DeepFool needs gradients, and this target answers queries only")
    active, queries, iterations = start(target, images, goal)
    low, high = target.bounds
    found, rows = images.clone(), active.nonzero().squeeze(1)
    moved, total = images[rows], torch.zeros_like(images[rows])
    for _ in range(steps):
        if not len(rows):
            break
        distance, slope = _nearest(target, moved, goal[rows], norm, candidates)
        total = total + spread(distance + LEAST * (high - low), total) * steepest(slope, norm)
        moved = (images[rows] + (1 + overshoot) * total).clamp(low, high)
        with torch.no_grad():
            over = beyond(goal[rows], target.logits(moved)) > 0
        queries[rows] += 2
        iterations[rows] += 1
        found[rows[over]] = moved[over]
        rows, moved, total = rows[~over], moved[~over], total[~over]
    return conclude(target, images, found, goal, queries, iterations)


def beyond(goal: Goal, logits: Tensor) -> Tensor:
    """How far beyond the boundary, in units of the logits, less a slack that lets it stand any other forward: [batch].

    What is nearest to an image lies so near to the boundary that rounding could take it back.
    """
    return goal.sign * margin(logits, goal.classes) - SLACK * logits.detach().abs().amax(1)


def _nearest(
    target: Target, images: Tensor, goal: Goal, norm: Literal["l2", "linf"], candidates: int
) -> tuple[Tensor, Tensor]:
    """Distance [batch] of the nearest boundary, and the gradient [batch, *shape] of the logits' difference there."""
    leaf = images.detach().requires_grad_()
    logits = target.logits(leaf)
    count = min(candidates, logits.shape[1]) - 1 if goal.targets is None else 1
    rivals = others(logits, goal.classes).topk(count, 1).values
    differences = goal.sign * (rivals - logits.gather(1, goal.classes[:, None]))
    nearest, slope = (
        torch.full_like(differences[:, 0], torch.finfo(images.dtype).max).detach(),
        torch.zeros_like(images),
    )
    for difference in differences.unbind(1):
        (gradient,) = torch.autograd.grad(difference.sum(), leaf, retain_graph=True)
        distance = difference.detach().abs() / lengths(gradient, DUAL[norm]).clamp_min(TINY)
        nearer = distance < nearest
        nearest = torch.where(nearer, distance, nearest)
        slope = torch.where(spread(nearer, slope), gradient, slope)
    return nearest, slope
