"""What every attack's result must be, and small cases to try that on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from plaintext_models.attacks.core.ball import Ball, Measure
from plaintext_models.attacks.core.goal import AttackResult, Goal, conclude, start
from plaintext_models.attacks.core.norms import lengths
from plaintext_models.attacks.core.target import Target


@dataclass
class Counted:
    """A random network of two layers that counts the images it sees."""

    first: Tensor
    second: Tensor
    seen: int = 0

    def __call__(self, images: Tensor) -> Tensor:
        assert len(images)
        self.seen += len(images)
        return torch.tanh(images.flatten(1) @ self.first) @ self.second


@dataclass
class Case:
    model: Counted
    images: Tensor
    goal: Goal
    bounds: tuple[float, float]

    @property
    def oracle(self) -> Target:
        return Target.oracle(self.model, bounds=self.bounds)

    @property
    def target(self) -> Target:
        return Target(self.model, bounds=self.bounds)


@st.composite
def cases(draw: st.DrawFn, targeted: bool | None = None) -> Case:
    """Tiny images of any shape, elements at the bounds among them, some of them misclassified to begin with."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    shape = draw(st.tuples(st.integers(1, 5), st.sampled_from((1, 3)), st.integers(1, 7), st.integers(1, 7)))
    low, high = draw(st.sampled_from(((0.0, 1.0), (-1.0, 1.0), (-0.5, 2.5))))
    classes, elements = draw(st.integers(3, 5)), shape[1] * shape[2] * shape[3]
    model = Counted(torch.randn(elements, 8, generator=generator), torch.randn(8, classes, generator=generator))
    images = low + (high - low) * (1.5 * torch.rand(shape, generator=generator) - 0.25).clamp(0, 1)
    labels = model(images).argmax(1)
    labels[:1] = draw(st.integers(0, classes - 1))
    targeted = draw(st.booleans()) if targeted is None else targeted
    goal = Goal(labels, (labels + draw(st.integers(1, classes - 1))) % classes if targeted else None)
    return Case(model, images, goal, (low, high))


def require_sound(
    target: Target,
    images: Tensor,
    goal: Goal,
    result: AttackResult,
    *,
    norm: str | None = None,
    radius: float = 0,
    pixels: int | None = None,
) -> None:
    """Within bounds, ball and budget; failures and finished images untouched; success as a fresh forward says."""
    assert result.x_adv.shape == images.shape
    assert result.x_adv.dtype == images.dtype
    assert not result.x_adv.requires_grad
    low, high = target.limits(images)
    assert ((result.x_adv >= low) & (result.x_adv <= high)).all()
    with torch.no_grad():
        assert torch.equal(result.success, goal.reached(target.logits(result.x_adv)))
    still = ~result.success | ~start(target, images, goal)[0]
    assert torch.equal(result.x_adv[still], images[still])
    before = ~start(target, images, goal)[0]
    assert result.success[before].all()
    assert not result.queries[before].any()
    assert not result.iterations[before].any()
    change = result.x_adv - images
    if norm is not None:
        # float32 rounds x + step and the sum of squares: a few units in the last place of values up to 2.5
        assert (lengths(change, norm) <= radius * (1 + 1e-5) + 1e-6 * (images[0].numel() if norm == "l1" else 1)).all()
    if pixels is not None:
        assert ((change != 0).any(1).flatten(1).sum(1) <= pixels).all()


def require_repeatable(attack: Callable[[], AttackResult]) -> AttackResult:
    """Equal results whatever torch's generator does, which is left alone."""
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        results.append(attack())
        assert torch.equal(torch.get_rng_state(), state)
    first, second = results
    assert all(torch.equal(value, getattr(second, name)) for name, value in vars(first).items())
    return first


def require_counted(case: Case, target: Target, attack: Callable[[Target], AttackResult]) -> None:
    """`queries` are what the model saw, check and verdict aside."""

    def seen(action: Callable[[], AttackResult]) -> tuple[int, AttackResult]:
        before = case.model.seen
        result = action()
        return case.model.seen - before, result

    def nothing() -> AttackResult:
        _, queries, iterations = start(target, case.images, case.goal)
        return conclude(target, case.images, case.images, case.goal, queries, iterations)

    target.check(case.images, case.goal.labels)  # whose forwards agree is looked at once
    aside, _ = seen(nothing)
    total, result = seen(lambda: attack(target))
    assert total - aside == int(result.queries.sum())


def in_ball(radius: float, norm: Measure = "linf", **options: Any) -> dict[str, Any]:
    """The arguments of an attack within a ball, by keyword."""
    return {"ball": Ball(norm, radius), **options}


def success_rate(result: AttackResult, attacked: Tensor) -> float:
    """Of the images that had to be attacked."""
    return float(result.success[attacked].double().mean())
