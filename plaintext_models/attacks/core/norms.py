"""Lengths of perturbations, exact projections onto a ball within the input range, and steepest directions."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from plaintext_models.attacks.core.ball import NORMS, Ball, Measure, Norm, require_norm
from plaintext_models.attacks.core.grid import Limits

TINY = 1e-30  # keeps a gradient of zeros from being divided by zero
SQUARED = 1e-12, 1e18  # lengths between which squares of float32 neither underflow, where it matters, nor overflow
SLACK = 1e-5  # of the radius: float32 projections sum squares and divide by lengths
ROUNDING = 2.0**-22  # of an element's value: x + step in float32 is off by 2**-24 of it, a few times over


def spread(values: Tensor, images: Tensor) -> Tensor:
    """One value an image, shaped to be combined with the images: [batch] as [batch, 1, ...]."""
    return values.reshape(-1, *(1,) * (images.ndim - 1))


def within_norm(ball: Ball, norms: tuple[Norm, ...] = NORMS) -> Norm:
    """The norm of a ball, if it is one of those that an attack can use; else a ValueError that names them."""
    require_norm(ball.norm, norms)
    return cast(Norm, ball.norm)


def lengths(perturbations: Tensor, norm: Measure) -> Tensor:
    """Length of every perturbation, [batch]; "l0" counts the elements that differ from 0."""
    flat = perturbations.flatten(1)
    if norm == "l0":
        return (flat != 0).sum(1).to(flat.dtype)
    length = torch.linalg.vector_norm(flat, {"l1": 1.0, "l2": 2.0, "linf": float("inf")}[norm], dim=1)
    if norm == "l2" and not bool(((length > SQUARED[0]) & (length < SQUARED[1])).all()):
        unit = _power_of_two(flat)
        length = unit * torch.linalg.vector_norm(flat / unit[:, None], dim=1)
    return length


def _power_of_two(flat: Tensor) -> Tensor:
    """The power of two below the largest element of every row, [batch], division by which changes no digit."""
    largest = flat.abs().amax(1)
    mantissa = 2 * torch.frexp(largest).mantissa
    return torch.where(mantissa.isfinite() & (mantissa > 0), largest / mantissa, 1)


def reach(limits: Limits, images: Tensor, norm: Measure) -> float:
    """The length from corner to corner of the box of the bounds: no perturbation of an image is longer."""
    low, high = (torch.as_tensor(limit, dtype=torch.float64, device=images.device) for limit in limits)
    return lengths((high - low).expand(1, *images.shape[1:]), norm).item()


def inside(ball: Ball, images: Tensor, moved: Tensor) -> Tensor:
    """Which images [batch] lie in the ball around the clean ones, up to what float32 makes of a point on its surface.

    Forgiven are 1e-5 of the radius and 2**-22 of an element's own value: a tolerance taken from the largest value of
    all would let small elements go anywhere.
    """
    change = (moved.double() - images.double()).abs()
    if ball.norm != "l0":
        change = (change - ROUNDING * torch.maximum(images.abs(), moved.abs()).double()).clamp_min(0)
    still = (ball.only(moved, images) == moved).flatten(1).all(1)
    return still & (lengths(change, ball.norm) <= ball.radii(images) * (1 + SLACK))


def project(images: Tensor, moved: Tensor, norm: Norm, radius: float | Tensor, limits: Limits) -> Tensor:
    """The point nearest to `moved` (Euclidean) in the ball around `images` and in the box of the bounds, at once.

    Clipping to the box after projecting onto the ball is not the projection onto both: for L1 it leaves most of the
    ball unused (Croce and Hein, "Mind the Box", arXiv:2103.01208). With room b_i to the bound on its side, the
    projection of u is sign(u_i) min(max(|u_i| - λ, 0), b_i) for L1 and min(s u_i, b_i) for L2; λ and s are found
    exactly, from the sorted points where a term begins or ends to change.

    Args:
        images: Centres [batch, *shape], within the bounds.
        moved: Points [batch, *shape].
        norm: The norm of the ball.
        radius: The radius of the ball, not negative; one for all, or [batch].
        limits: The least and the greatest value of an element, as `Target.limits` gives them.
    """
    low, high = limits
    radii = torch.as_tensor(radius, dtype=images.dtype, device=images.device).expand(len(images))
    step = moved - images
    if norm == "linf":
        limit = spread(radii, images)
        return (images + step.clamp(-limit, limit)).clamp(low, high)
    sign, size = step.sign().flatten(1), step.abs().flatten(1)
    room = torch.where(step > 0, high - images, images - low).flatten(1).clamp_min(0)
    kept = _l1(size, room, radii) if norm == "l1" else _l2(size, room, radii)
    return (images + (sign * kept).reshape(images.shape)).clamp(low, high)


def _l1(size: Tensor, room: Tensor, radii: Tensor) -> Tensor:
    """Sizes after projection: min(max(size - λ, 0), room), with the least λ >= 0 to sum to the radius at most."""
    # The sum, as λ falls, gains slope where it passes a size and loses it where it passes size - room.
    points = torch.cat([size, (size - room).clamp_min(0)], 1)
    slopes = torch.cat([torch.ones_like(size), -torch.ones_like(size)], 1)
    points, order = points.sort(1, descending=True)
    slope = slopes.gather(1, order).cumsum(1)
    sums = torch.cat([torch.zeros_like(points[:, :1]), (slope[:, :-1] * (points[:, :-1] - points[:, 1:])).cumsum(1)], 1)
    # the last point whose sum is within the radius, and from there along the slope
    last = ((sums <= radii[:, None]).sum(1, keepdim=True) - 1).clamp_min(0)
    rest = (radii[:, None] - sums.gather(1, last)).clamp_min(0)
    incline = slope.gather(1, last)
    level = torch.where(
        incline > 0, points.gather(1, last) - rest / incline.clamp_min(1), torch.zeros_like(rest)
    ).clamp_min(0)
    kept = torch.minimum((size - level).clamp_min(0), room)
    # the difference of two large sizes is as rough as they are
    return kept * (radii / kept.sum(1).clamp_min(TINY)).clamp_max(1)[:, None]


def _l2(size: Tensor, room: Tensor, radii: Tensor) -> Tensor:
    """Sizes after projection: min(s * size, room), with the greatest s <= 1 to be no longer than the radius."""
    ends = torch.where(size > 0, room / size.clamp_min(TINY), torch.full_like(size, float("inf")))
    ends, order = ends.sort(1)
    squares, rooms = size.square().gather(1, order), room.square().gather(1, order)
    # up to the k-th end, the elements before it are at their bounds and the others grow with s
    bound = torch.cat([torch.zeros_like(rooms[:, :1]), rooms.cumsum(1)], 1)
    growing = torch.cat([squares.flip(1).cumsum(1).flip(1), torch.zeros_like(squares[:, :1])], 1)
    scale = ((radii.square()[:, None] - bound).clamp_min(0) / growing.clamp_min(TINY)).sqrt()
    starts = torch.cat([torch.zeros_like(ends[:, :1]), ends], 1)
    finishes = torch.cat([ends, torch.full_like(ends[:, :1], float("inf"))], 1)
    inside = (scale >= starts) & (scale <= finishes) & (growing > 0)
    found = torch.where(inside, scale, torch.ones_like(scale)).amin(1, keepdim=True)
    whole = torch.minimum(size, room).square().sum(1, keepdim=True) <= radii.square()[:, None]
    return torch.minimum(torch.where(whole, torch.ones_like(found), found.clamp_max(1)) * size, room)


def steepest(gradients: Tensor, norm: Norm, sparsity: float = 0.99) -> Tensor:
    """The direction of length 1 that a linear function with this gradient grows most in.

    For L1 that is a single element; as in Croce and Hein (arXiv:2103.01208, sparse steps) the largest elements, a
    fraction of 1 - `sparsity` of them, share the step equally.
    """
    flat = gradients.flatten(1)
    if norm == "linf":
        return gradients.sign()
    if norm == "l2":
        return gradients / spread(lengths(gradients, "l2").clamp_min(TINY), gradients)
    count = max(1, round((1 - sparsity) * flat.shape[1]))
    largest = flat.abs().topk(count, 1).indices
    direction = torch.zeros_like(flat).scatter(1, largest, flat.gather(1, largest).sign() / count)
    return direction.reshape(gradients.shape)


def random_point(
    images: Tensor,
    norm: Norm,
    radius: float | Tensor,
    limits: Limits,
    generator: torch.Generator,
) -> Tensor:
    """A random point of the ball, projected into the box.

    Uniform in the cube for Linf; for L2 and L1 a uniform direction (Gaussian, or Laplace) at a radius that makes the
    point uniform in the ball. The draws are float32, whatever the images are and torch's default is.
    """
    shape = (len(images), images[0].numel())
    drawn: dict[str, Any] = {"generator": generator, "device": images.device, "dtype": torch.float32}
    size = torch.as_tensor(radius, dtype=torch.float32, device=images.device).reshape(-1, 1)
    uniform = torch.rand(shape, **drawn)
    if norm == "linf":
        step = size * (2 * uniform - 1)
    else:
        outward = torch.rand((shape[0], 1), **drawn) ** (1 / shape[1])
        if norm == "l2":
            direction = torch.randn(shape, **drawn)
            step = size * outward * direction / lengths(direction, "l2").clamp_min(TINY)[:, None]
        else:
            exponential = -torch.log(uniform.clamp_min(TINY))
            signs = torch.randint(0, 2, shape, generator=generator, device=images.device) * 2 - 1
            step = size * outward * signs * exponential / exponential.sum(1, keepdim=True)
    return project(images, images + step.to(images.dtype).reshape(images.shape), norm, radius, limits)
