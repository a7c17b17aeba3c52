"""Every attack of both families, each norm of each, with options that make it cheap."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from plaintext_models.attacks.core.ball import Ball, Measure
from plaintext_models.attacks.core.goal import AttackResult, Goal
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.families import NEAREST, WITHIN, Member

RADII: dict[Measure, float] = {"l0": 6, "l1": 4.0, "l2": 1.2, "linf": 0.2}
CHEAP: dict[str, dict[str, Any]] = {
    "pgd": {"steps": 6},
    "apgd": {"steps": 8},
    "adaptive": {"forwards": 40, "steps": 4},
    "apgd-targeted": {"steps": 5, "classes": 3},
    "few-pixel": {"population": 12, "generations": 4},
    "local-search": {"chosen": 2},
    "square": {"steps": 25},
    "random-noise": {"draws": 10},
    "deepfool": {"steps": 15},
    "ddn": {"steps": 15},
    "carlini-wagner": {"rounds": 3, "steps": 12},
    "growing-fgsm": {"steps": 12, "halvings": 4},
    "lbfgs": {"searches": 2, "steps": 6},
    "hop-skip-jump": {"steps": 3, "draws": 40},
}


@dataclass(frozen=True)
class Every:
    """One attack in one norm."""

    name: str
    norm: Measure

    @property
    def within(self) -> bool:
        return self.name in WITHIN

    @property
    def member(self) -> Member[Any]:
        return (WITHIN if self.within else NEAREST)[self.name]

    @property
    def where(self) -> Ball | Measure:
        """The last argument: the ball, or the norm."""
        return Ball(self.norm, RADII[self.norm]) if self.within else self.norm

    def __call__(self, target: Any, images: Any, goal: Any, where: Any = None, **options: Any) -> AttackResult:
        where = self.where if where is None else where
        return self.member.run(target, images, goal, where, **CHEAP.get(self.name, {}) | options)

    def __str__(self) -> str:
        return f"{self.name}-{self.norm}"

    def target(self, model: Callable[[Tensor], Tensor], **options: Any) -> Target:
        """The kind of target that it needs."""
        return (Target if self.member.gradients else Target.oracle)(model, **options)

    def goals(self, labels: Tensor, classes: int = 10) -> list[Goal]:
        """A goal without targets, and one with where it can have them."""
        return [Goal(labels), *([Goal(labels, (labels + 1) % classes)] if self.member.targets else [])]


EVERY = [Every(name, norm) for family in (WITHIN, NEAREST) for name, member in family.items() for norm in member.norms]
