"""What a card tries, as data: the attacks in their order, on which images, and what is left out and why.

What to evaluate, and in which order to believe it: Carlini et al., "On evaluating adversarial robustness"
(arXiv:1902.06705); Athalye et al. (arXiv:1802.00420); the parameter-free attacks of Croce and Hein (arXiv:2003.01690).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal

import torch
from torch import Tensor

from plaintext_models.attacks.ball.adaptive import adaptive
from plaintext_models.attacks.ball.ascend import ascend
from plaintext_models.attacks.ball.auto import apgd, apgd_targeted
from plaintext_models.attacks.ball.pgd import pgd
from plaintext_models.attacks.black_box.square import square
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.goal import AttackResult, Goal
from plaintext_models.attacks.core.losses import LOSSES, Loss, cross_entropy, margin
from plaintext_models.attacks.core.norms import reach, within_norm
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.families import NEAREST, WITHIN
from plaintext_models.attacks.nearest.ddn import ddn
from plaintext_models.attacks.nearest.deepfool import deepfool
from plaintext_models.evaluation.card import Effort
from plaintext_models.evaluation.judge import Detector, Unnoticed, guarded

WEIGHTS = (0.1, 1.0, 10.0)  # of the detector's score beside the margin: which is right depends on both scales

Run = Callable[[Tensor, Tensor, int], AttackResult | Tensor]  # of images, labels and a seed
Rows = Callable[[Tensor], Tensor]  # from the distances of `Card.nearest` to a mask of images, [n] both
#: For which comparison of `flags` a trial counts: one step, many steps, examples of other models, other backward
#: passes of the same, queries alone.
Role = Literal["one step", "many steps", "other models", "other gradients", "queries"]


@dataclass(frozen=True, eq=False)
class Problem:
    """A model to evaluate, and with what.

    Attributes:
        target: The model.
        images: Clean images [n, *shape].
        labels: Their classes [n].
        ball: The ball around every image; its norm is "l1", "l2" or "linf".
        radii: More radii, for the curve.
        effort: How hard the attacks try.
        transfer_from: Models whose adversarial examples are tried.
        randomness_off: The same model without its randomness, or None.
        surrogates: The same model with other backward passes.
        detector: Scores of images, positive where an image is turned away, or None.
        classes: How many the model tells apart.
    """

    target: Target
    images: Tensor
    labels: Tensor
    ball: Ball
    radii: tuple[float, ...]
    effort: Effort
    transfer_from: tuple[Target, ...]
    randomness_off: Target | None
    surrogates: tuple[Target, ...]
    detector: Detector | None
    classes: int

    @cached_property
    def judged(self) -> Target:
        """What the referee asks: the model, with its detector if there is one."""
        return self.target if self.detector is None else guarded(self.target, self.detector)

    @property
    def goal(self) -> Goal:
        """Any wrong class, unnoticed if there is a detector."""
        return Goal(self.labels) if self.detector is None else Unnoticed(self.labels)

    @property
    def draws(self) -> int:
        """How many forwards are averaged."""
        return self.effort.draws if self.target.stochastic else 1

    @property
    def radius(self) -> float:
        """The radius of the ball, one for all images."""
        return self.ball.require_one_radius()

    @property
    def box(self) -> Ball:
        """A ball that holds the box of the bounds wherever its centre is."""
        return self.within(reach(self.target.limits(self.images), self.images, within_norm(self.ball)))

    @property
    def can_query(self) -> bool:
        """Whether the Square attack applies."""
        return self.images.ndim == 4 and self.ball.norm in WITHIN["square"].norms

    def within(self, radius: float) -> Ball:
        """A ball of another radius."""
        return Ball(self.ball.norm, radius)


@dataclass(frozen=True, eq=False)
class Trial:
    """One attack on some of the images.

    Attributes:
        name: The name of the attack, for people.
        kind: See `Entry`.
        radius: The radius of the ball in which the result must lie; None for the shortest perturbations.
        run: The attack.
        rows: On which images it is tried, given how near the nearest adversarial image is so far.
        claims: Whether what the attack claims is held against it. What it says about another model is not.
        role: For which red flag the images that it breaks count, if any.
        quiet: Whether nothing is noted where there is no image to try it on.
        whole: Whether the attack is given all of the images at once, since it learns from some about others.
    """

    name: str
    kind: str
    radius: float | None
    run: Run
    rows: Rows
    claims: bool = True
    role: Role | None = None
    quiet: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Omission:
    """What is not tried, and why; the reason goes to `Card.left_out`."""

    reason: str


Item = Trial | Omission


def trials(problem: Problem) -> Iterator[Item]:
    """All trials of a card in their order: cheap attacks and those that are compared first, on all images."""
    for section in SECTIONS:
        yield from section(problem)


def everything(nearest: Tensor) -> Tensor:
    """All images: for attacks that are compared with each other."""
    return torch.ones_like(nearest, dtype=torch.bool)


def standing(nearest: Tensor, *, radius: float) -> Tensor:
    """The images that nothing found within the radius breaks."""
    return nearest > radius


def undecided(nearest: Tensor, *, radius: float, other: float) -> Tensor:
    """The images of which it is not known whether they stand within another radius than the card's.

    What stood every attack within the radius is not tried within a smaller one; what broke, not within a larger one.
    """
    return (nearest > other) & ((nearest <= radius) if other < radius else True)


def _clean(_: Problem) -> Iterator[Item]:
    yield Trial("clean images", "clean", 0.0, lambda images, *_: images, everything)


def _compared(problem: Problem) -> Iterator[Item]:
    """One step and many, which are compared."""
    if not problem.target.differentiable:
        yield Omission("attacks by gradients: the model answers queries only")
        return
    radius, steps = problem.radius, problem.effort.steps
    single = _pgd(problem, problem.ball, steps=1, step_size=radius, random_start=False)
    yield Trial("FGSM", "one step", radius, single, everything, role="one step")
    many = _pgd(problem, problem.ball, steps=steps)
    yield Trial(f"PGD-{steps}", "white box", radius, many, everything, role="many steps")


def _transferred(problem: Problem) -> Iterator[Item]:
    """What the gradients of other models lead to."""
    for number, source in enumerate(problem.transfer_from, 1):
        run = _ascent(problem, source, cross_entropy)
        name = f"transfer from model {number}"
        yield Trial(name, "transfer", problem.radius, run, everything, role="other models")


def _randomness_off(problem: Problem) -> Iterator[Item]:
    """What the gradients of the same model without its randomness lead to."""
    if problem.randomness_off is None:
        return
    for loss in ("cross-entropy", "margin"):
        run = _ascent(problem, problem.randomness_off, LOSSES[loss])
        name = f"randomness off, {loss}"
        yield Trial(name, "randomness off", problem.radius, run, _left(problem), role="many steps")


def _nearest(problem: Problem) -> Iterator[Item]:
    """The shortest perturbations, which answer for all radii at once; of a stochastic model, without randomness."""
    model, norm, steps = problem.randomness_off or problem.target, problem.ball.norm, problem.effort.nearest_steps
    if not model.differentiable:
        return
    same = model is problem.target
    if norm in NEAREST["deepfool"].norms:

        def linear(images: Tensor, labels: Tensor, _: int) -> AttackResult:
            return deepfool(model, images, Goal(labels), "linf" if norm == "linf" else "l2", steps=steps // 2)

        yield Trial("DeepFool", "nearest", None, linear, everything, same)
    if norm in NEAREST["ddn"].norms:

        def decoupled(images: Tensor, labels: Tensor, seed: int) -> AttackResult:
            return ddn(model, images, Goal(labels), "l2", steps=steps, seed=seed)

        yield Trial(f"DDN-{steps}", "nearest", None, decoupled, everything, same)


def _joint(problem: Problem) -> Iterator[Item]:
    """Attacks on model and detector together."""
    if problem.detector is None or not problem.judged.differentiable:
        return
    for weight in WEIGHTS:

        def run(images: Tensor, labels: Tensor, seed: int, weight: float = weight) -> AttackResult:
            return pgd(
                problem.judged,
                images,
                Unnoticed(labels),
                problem.ball,
                steps=problem.effort.long_steps,
                loss=partial(_both, weight=weight),
                draws=problem.draws,
                seed=seed,
            )

        name = f"joint PGD, weight {weight:g}"
        yield Trial(name, "joint", problem.radius, run, _left(problem), role="many steps")


def _strongest(problem: Problem) -> Iterator[Item]:
    """The strongest, on what is left: APGD, which decides most verdicts of AutoAttack, then PGD with restarts.

    Or the adaptive attack, which finds what they do and spends less.
    """
    target, ball, effort = problem.target, problem.ball, problem.effort
    if not target.differentiable:
        return

    def auto(loss: str) -> Trial:
        return Trial(f"APGD, {loss}", "white box", problem.radius, _auto(problem, target, loss), _left(problem))

    def targeted(images: Tensor, labels: Tensor, seed: int) -> AttackResult:
        steps, classes = effort.auto_steps, effort.classes
        return apgd_targeted(target, images, Goal(labels), ball, steps=steps, classes=classes, seed=seed)

    if target.stochastic:
        # restarts and classes times draws would take days; what is certain is found without the randomness
        yield Omission("targeted APGD and PGD with restarts: the model is stochastic")
        yield auto("cross-entropy")
        if problem.classes > 2:
            yield auto("dlr")
        return
    if effort.adaptive:

        def economical(images: Tensor, labels: Tensor, seed: int) -> AttackResult:
            return adaptive(target, images, Goal(labels), ball, forwards=effort.adaptive, seed=seed)

        yield Trial(f"adaptive, {effort.adaptive}", "white box", problem.radius, economical, _left(problem), whole=True)
        return
    yield auto("cross-entropy")
    if problem.classes > 3:
        yield Trial("APGD, targeted DLR", "white box", problem.radius, targeted, _left(problem))
    else:
        yield Omission("targeted DLR: it needs 4 classes")
    for loss in ("margin", "cross-entropy"):
        steps, restarts = effort.long_steps, effort.restarts
        long = _pgd(problem, ball, steps=steps, restarts=restarts, loss=loss)
        yield Trial(f"PGD-{steps} x {restarts}, {loss}", "white box", problem.radius, long, _left(problem))


def _surrogates(problem: Problem) -> Iterator[Item]:
    """What the gradients of other backward passes lead to, on what its own could not break."""
    steps = problem.effort.long_steps
    for number, model in enumerate(problem.surrogates, 1):
        runs = {
            "APGD": _auto(problem, model, "cross-entropy"),
            f"PGD-{steps}, margin": _pgd(problem, problem.ball, model, steps=steps, loss="margin"),
        }
        for name, run in runs.items():
            title, rows = f"surrogate {number}, {name}", _left(problem)
            yield Trial(title, "surrogate", problem.radius, run, rows, claims=False, role="other gradients")


def _queries(problem: Problem) -> Iterator[Item]:
    """What queries alone break."""
    if not problem.can_query:
        yield Omission("Square: for Linf and L2, and images with pixels")
        return
    steps = problem.effort.queries // (5 if problem.target.stochastic else 1)  # a step takes a forward a draw
    run = _square(problem, problem.ball, steps)
    yield Trial(f"Square-{steps}", "black box", problem.radius, run, _left(problem), role="queries")


def _curve(problem: Problem) -> Iterator[Item]:
    """Fill in the radii between which it is not known where images break."""
    models = {"": problem.target} if problem.target.differentiable else {}
    models |= {f"surrogate {number}, ": model for number, model in enumerate(problem.surrogates, 1)}
    if not models and not problem.can_query:
        return
    steps, queries, reach = problem.effort.steps, problem.effort.queries // 5, problem.box.require_one_radius()
    for radius in curve_radii(problem):
        if radius in (0, problem.radius) or (problem.ball.norm == "l2" and radius < reach):
            continue  # it is known: DDN is better than PGD
        ball, rows = problem.within(radius), partial(undecided, radius=problem.radius, other=radius)
        for name, model in models.items():
            run, own = _pgd(problem, ball, model, steps=steps), model is problem.target
            yield Trial(f"{name}PGD-{steps} within {radius:g}", "curve", radius, run, rows, own, quiet=True)
        if not models:
            run = _square(problem, ball, queries)
            yield Trial(f"Square-{queries} within {radius:g}", "curve", radius, run, rows, quiet=True)


SECTIONS: Sequence[Callable[[Problem], Iterator[Item]]] = (
    _clean,
    _compared,
    _transferred,
    _randomness_off,
    _nearest,
    _joint,
    _strongest,
    _surrogates,
    _queries,
    _curve,
)


def curve_radii(problem: Problem) -> list[float]:
    """The radii of the curve, growing from 0 to that of the box."""
    return sorted({0.0, *map(float, problem.radii), problem.radius, problem.box.require_one_radius()})


def _left(problem: Problem) -> Rows:
    return partial(standing, radius=problem.radius)


def _pgd(problem: Problem, ball: Ball, model: Target | None = None, **options: Any) -> Run:
    attacked = problem.target if model is None else model

    def run(images: Tensor, labels: Tensor, seed: int) -> AttackResult:
        return pgd(attacked, images, Goal(labels), ball, draws=problem.draws, seed=seed, **options)

    return run


def _auto(problem: Problem, model: Target, loss: str) -> Run:
    def run(images: Tensor, labels: Tensor, seed: int) -> AttackResult:
        goal, steps = Goal(labels), problem.effort.auto_steps
        return apgd(model, images, goal, problem.ball, steps=steps, loss=loss, seed=seed, draws=problem.draws)

    return run


def _ascent(problem: Problem, source: Target, loss: Loss) -> Run:
    def run(images: Tensor, labels: Tensor, seed: int) -> Tensor:
        generator = torch.Generator(images.device).manual_seed(seed)
        steps = problem.effort.steps
        return ascend(source, images, Goal(labels), problem.ball, steps=steps, generator=generator, loss=loss)

    return run


def _square(problem: Problem, ball: Ball, steps: int) -> Run:
    def run(images: Tensor, labels: Tensor, seed: int) -> AttackResult:
        return square(problem.target, images, Goal(labels), ball, steps=steps, seed=seed, draws=problem.draws)

    return run


def _both(logits: Tensor, classes: Tensor, weight: float) -> Tensor:
    """Margin and, against it, the detector's score; each counts until it is where it should be."""
    return margin(logits[:, :-1], classes).clamp_max(0) - weight * logits[:, -1].clamp_min(0)
