"""The evaluation card: many attacks on the same images, the worst of them for every image, and signs of self-deception.

What to evaluate, and in which order to believe it: Carlini et al., "On evaluating adversarial robustness"
(arXiv:1902.06705); Athalye et al. (arXiv:1802.00420); the parameter-free attacks of Croce and Hein (arXiv:2003.01690).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from plaintext_models.attacks.ball.ascend import ascend
from plaintext_models.attacks.ball.auto import apgd, apgd_targeted
from plaintext_models.attacks.ball.gradient import pgd
from plaintext_models.attacks.black_box.square import square
from plaintext_models.attacks.core.ball import Ball, Norm
from plaintext_models.attacks.core.goal import AttackResult, Goal, spread
from plaintext_models.attacks.core.losses import LOSSES, Loss, cross_entropy, margin
from plaintext_models.attacks.core.norms import check_norm
from plaintext_models.attacks.core.search import check_radius
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.nearest.ddn import ddn
from plaintext_models.attacks.nearest.deepfool import deepfool
from plaintext_models.evaluation import flags
from plaintext_models.evaluation.card import FULL, Card, Effort, Entry, Point
from plaintext_models.evaluation.flags import Finding
from plaintext_models.evaluation.judge import Detector, Share, Unnoticed, guarded, judge

PART = 1 << 16  # elements of the images that are attacked at once: what a convolution makes of more leaves the caches
WEIGHTS = (0.1, 1.0, 10.0)  # of the detector's score beside the margin: which is right depends on both scales

Attack = Callable[[Tensor, Tensor, int], AttackResult | Tensor]  # of images, labels and a seed
Report = Callable[[str], None]


def evaluate(
    target: Target,
    images: Tensor,
    labels: Tensor,
    *,
    norm: Norm,
    radius: float,
    radii: Sequence[float] = (),
    seed: int = 0,
    transfer_from: Sequence[Target] = (),
    randomness_off: Target | None = None,
    detector: Detector | None = None,
    report: Report | None = None,
    effort: Effort = FULL,
) -> Card:
    """Attack a model in every way that applies, cheap attacks first, and let the referee say what came of it.

    One step, PGD and transfer are tried on all images, since they are compared; stronger attacks only on what stood
    everything before. Of a stochastic target gradients are averaged over draws, and an image counts as broken if it is
    by majority vote. With a detector it is broken if it is misclassified and not detected.

    Args:
        target: The model.
        images: Clean images [batch, *shape].
        labels: Their classes [batch].
        norm: Of the ball.
        radius: Of the ball, from 0.
        radii: More radii, for the curve.
        seed: Of everything random, the model's own forwards included; torch's generator is put back after.
        transfer_from: Models whose adversarial examples are tried, differentiable.
        randomness_off: The same model without its randomness, which is attacked as well.
        detector: Differentiable scores of images [batch, *shape], one each; positive where an image is turned away.
        report: Told which attack is under way.
        effort: How hard to try.

    Raises:
        TypeError: see `Target.check`.
        ValueError: A radius or norm is out of range, models' bounds differ; or see `Target.check`.
    """
    check_norm(norm)
    for value in (radius, *radii):
        check_radius(value)
    for model in (*transfer_from, *([] if randomness_off is None else [randomness_off])):
        if model.bounds != target.bounds:
            raise ValueError(f"all models must have the same bounds, got {target.bounds} and {model.bounds}")
    with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []):
        torch.manual_seed(seed)
        run = _Evaluation(target, images, labels, norm, radius, seed, detector, report or (lambda _: None), effort)
        return run.card(radii, transfer_from, randomness_off)


class _Evaluation:
    """A card that is being filled in.

    Attributes:
        nearest: See `Card`.
        entries: See `Card`.
    """

    def __init__(
        self,
        target: Target,
        images: Tensor,
        labels: Tensor,
        norm: Norm,
        radius: float,
        seed: int,
        detector: Detector | None,
        report: Report,
        effort: Effort,
    ) -> None:
        self._started = time.perf_counter()
        self._target, self._images, self._labels = target, images, labels
        self._norm, self._radius, self._seed, self._report, self._effort = norm, radius, seed, report, effort
        self._classes = target.check(images, labels).shape[1]
        self._part = max(1, PART // images[0].numel())
        self._detector = detector
        self._judged = target if detector is None else guarded(target, detector)
        self._goal = Goal(labels) if detector is None else Unnoticed(labels)
        self._draws = effort.draws if target.stochastic else 1
        self.nearest = torch.full((len(images),), math.inf, dtype=torch.float64, device=images.device)
        self._adversarial = images.clone()
        self.entries: list[Entry] = []
        self._left_out: list[str] = []

    def standing(self, radius: float) -> Tensor:
        """Which images [n] nothing found within the radius breaks."""
        return self.nearest > radius

    def card(self, radii: Sequence[float], transfer_from: Sequence[Target], randomness_off: Target | None) -> Card:
        """Fill it in."""
        everything = torch.ones_like(self._labels, dtype=torch.bool)
        self._try("clean images", "clean", lambda images, *_: images, everything, 0.0)
        clean = self._worst()
        one, many = self._compared(everything)
        moved = torch.zeros_like(everything)
        for number, source in enumerate(transfer_from, 1):
            moved |= self._transfer(f"transfer from model {number}", "transfer", source, everything, cross_entropy)
        if randomness_off is not None:
            for name in ("cross-entropy", "margin"):
                what = f"randomness off, {name}"
                many = many | self._transfer(what, "randomness off", randomness_off, None, LOSSES[name])
        self._shortest(randomness_off or self._target, everything)
        many = many | self._joint()
        self._strongest()
        black, white = self._black_box()
        curve = self._curve(radii)
        findings: tuple[Finding | None, ...] = ()
        if self._target.differentiable:
            findings = (
                flags.one_step_beats_many(one, many),
                flags.black_box_beats_white_box(black, white),
                flags.transfer_beats_direct(moved, many),
                flags.accuracy_stays(self.standing(self._box())),
                flags.zero_gradients(self._gradients()),
            )
        else:
            self._left_out.append("red flags: without gradients there is nothing to compare with")
        return Card(
            self._norm,
            self._radius,
            self._seed,
            clean,
            self._worst(),
            tuple(self.entries),
            curve,
            self.nearest,
            self._adversarial,
            tuple(finding for finding in findings if finding is not None),
            tuple(self._left_out),
            time.perf_counter() - self._started,
        )

    def _try(
        self, name: str, kind: str, attack: Attack, rows: Tensor | None, radius: float | None, claims: bool = True
    ) -> Tensor:
        """Attack some images, by default those that stand, and note what the referee confirms: [n], what broke."""
        self._report(name)
        places = (self.standing(self._radius) if rows is None else rows).nonzero().squeeze(1)
        broken = torch.zeros_like(self._labels, dtype=torch.bool)
        if not len(places):
            self._left_out.append(f"{name}: no image is left")
            return broken
        begin = time.perf_counter()
        try:
            results = [
                _result(attack(self._images[part], self._labels[part], self._seed + number))
                for number, part in enumerate(places.split(self._part))
            ]
        except FloatingPointError as error:  # a model that has no numbers for one attack may have some for another
            self._left_out.append(f"{name}: {error}")
            return broken
        seconds = time.perf_counter() - begin
        found = AttackResult(*(torch.cat([vars(result)[field] for result in results]) for field in vars(results[0])))
        # what an attack says about another model, or about one of many draws, is not to be held against it
        claims = claims and not self._target.stochastic and self._detector is None
        verdict = judge(
            self._judged,
            self._images[places],
            self._goal[places],
            found if claims else found.x_adv,
            norm=self._norm,
            radius=radius,
            draws=self._draws,
        )
        limit = math.inf if radius is None else radius
        distance = torch.where(verdict.reached, verdict.distances[self._norm].clamp_max(limit), math.inf)
        distance = torch.where(verdict.clean, 0.0, distance)
        taken = (distance < self.nearest[places]) & (distance <= self._radius)
        self._adversarial[places[taken]] = torch.where(
            spread(verdict.clean, self._images[places]), self._images[places], found.x_adv
        )[taken]
        self.nearest[places] = torch.minimum(self.nearest[places], distance)
        broken[places] = verdict.broken
        queries = int(found.queries.sum())
        self.entries.append(
            Entry(
                name,
                kind,
                radius,
                verdict.robust,
                self._worst(),
                queries,
                seconds,
                self._seed,
                verdict.complaints,
                broken,
            )
        )
        return broken

    def _worst(self) -> Share:
        return Share(int(self.standing(self._radius).sum()), len(self._images))

    def _compared(self, everything: Tensor) -> tuple[Tensor, Tensor]:
        """One step and many, on all images."""
        nothing = torch.zeros_like(everything)
        if not self._target.differentiable:
            self._left_out.append("attacks by gradients: the model answers queries only")
            return nothing, nothing
        single = partial(self._pgd, steps=1, radius=self._radius, step_size=self._radius, random_start=False)
        one = self._try("FGSM", "one step", single, everything, self._radius)
        short = partial(self._pgd, steps=self._effort.steps, radius=self._radius)
        many = self._try(f"PGD-{self._effort.steps}", "white box", short, everything, self._radius)
        return one, many

    def _pgd(self, images: Tensor, labels: Tensor, seed: int, **options: Any) -> AttackResult:
        return pgd(self._target, images, Goal(labels), norm=self._norm, draws=self._draws, seed=seed, **options)

    def _transfer(self, name: str, kind: str, source: Target, rows: Tensor | None, loss: Loss) -> Tensor:
        """What another model's gradients lead to."""

        def attack(images: Tensor, labels: Tensor, seed: int) -> Tensor:
            generator = torch.Generator(images.device).manual_seed(seed)
            return ascend(
                source,
                images,
                Goal(labels),
                Ball(self._norm, self._radius),
                steps=self._effort.steps,
                generator=generator,
                loss=loss,
            )

        return self._try(name, kind, attack, rows, self._radius)

    def _shortest(self, model: Target, everything: Tensor) -> None:
        """The shortest perturbations, which answer for all radii at once; of a stochastic model, without randomness."""
        if not model.differentiable or self._norm == "l1":
            return
        steps, same = self._effort.nearest_steps, model is self._target

        def nearest(images: Tensor, labels: Tensor, _: int) -> AttackResult:
            norm: Literal["l2", "linf"] = "linf" if self._norm == "linf" else "l2"
            return deepfool(model, images, Goal(labels), norm=norm, steps=steps // 2)

        def decoupled(images: Tensor, labels: Tensor, seed: int) -> AttackResult:
            return ddn(model, images, Goal(labels), steps=steps, seed=seed)

        self._try("DeepFool", "nearest", nearest, everything, None, same)
        if self._norm == "l2":
            self._try(f"DDN-{steps}", "nearest", decoupled, everything, None, same)

    def _joint(self) -> Tensor:
        """Model and detector together."""
        broken = torch.zeros_like(self._labels, dtype=torch.bool)
        if self._detector is None or not self._judged.differentiable:
            return broken
        for weight in WEIGHTS:

            def attack(images: Tensor, labels: Tensor, seed: int, weight: float = weight) -> AttackResult:
                return pgd(
                    self._judged,
                    images,
                    Unnoticed(labels),
                    norm=self._norm,
                    radius=self._radius,
                    steps=self._effort.long_steps,
                    loss=partial(_both, weight=weight),
                    draws=self._draws,
                    seed=seed,
                )

            broken |= self._try(f"joint PGD, weight {weight:g}", "joint", attack, None, self._radius)
        return broken

    def _strongest(self) -> None:
        """APGD, of which two kinds decide most verdicts of AutoAttack, then PGD with restarts; on what is left."""
        if not self._target.differentiable:
            return
        target, norm, radius, effort = self._target, self._norm, self._radius, self._effort

        def auto(images: Tensor, labels: Tensor, seed: int, loss: str) -> AttackResult:
            return apgd(
                target,
                images,
                Goal(labels),
                norm=norm,
                radius=radius,
                steps=effort.auto_steps,
                loss=loss,
                seed=seed,
                draws=self._draws,
            )

        def targeted(images: Tensor, labels: Tensor, seed: int) -> AttackResult:
            steps, classes = effort.auto_steps, effort.classes
            return apgd_targeted(
                target, images, labels, norm=norm, radius=radius, steps=steps, classes=classes, seed=seed
            )

        if target.stochastic:
            # restarts and classes times draws would take days; what is certain is found without the randomness
            self._left_out.append("targeted APGD and PGD with restarts: the model is stochastic")
            names = ("cross-entropy", "dlr") if self._classes > 2 else ("cross-entropy",)
            for name in names:
                self._try(f"APGD, {name}", "white box", partial(auto, loss=name), None, radius)
            return
        self._try("APGD, cross-entropy", "white box", partial(auto, loss="cross-entropy"), None, radius)
        if self._classes > 3:
            self._try("APGD, targeted DLR", "white box", targeted, None, radius)
        else:
            self._left_out.append("targeted DLR: it needs 4 classes")
        for name in ("margin", "cross-entropy"):
            long = partial(self._pgd, steps=effort.long_steps, restarts=effort.restarts, radius=radius, loss=name)
            self._try(f"PGD-{effort.long_steps} x {effort.restarts}, {name}", "white box", long, None, radius)

    def _square(self, images: Tensor, labels: Tensor, seed: int, radius: float, queries: int) -> AttackResult:
        return square(self._target, images, Goal(labels), norm=self._norm, radius=radius, steps=queries, seed=seed)

    def _black_box(self) -> tuple[Tensor, Tensor]:
        """What queries break, and what was broken before."""
        before = ~self.standing(self._radius)
        if not self._can_query():
            self._left_out.append("Square: for Linf and L2, and images with pixels")
            return torch.zeros_like(before), before
        attack = partial(self._square, radius=self._radius, queries=self._effort.queries)
        return self._try(f"Square-{self._effort.queries}", "black box", attack, None, self._radius), before

    def _can_query(self) -> bool:
        return self._images.ndim == 4 and self._norm in ("linf", "l2")

    def _box(self) -> float:
        """The radius of a ball that holds the box of the bounds wherever its centre is."""
        low, high = self._target.bounds
        size = self._images[0].numel()
        return (high - low) * {"linf": 1.0, "l2": math.sqrt(size), "l1": float(size)}[self._norm]

    def _curve(self, radii: Sequence[float]) -> tuple[Point, ...]:
        """Fill in the radii between which it is not known where images break.

        What stood every attack within the radius is not tried within smaller ones; what broke, not within larger ones.
        """
        box = self._box()
        chosen = sorted({0.0, *map(float, radii), self._radius, box})
        steps, queries = self._effort.steps, self._effort.queries // 5
        for radius in chosen if self._target.differentiable or self._can_query() else ():
            known = radius in (0, self._radius) or (self._norm == "l2" and radius < box)  # DDN is better than PGD
            rows = self.standing(radius)
            rows &= ~self.standing(self._radius) if radius < self._radius else True
            if known or not rows.any():
                continue
            if self._target.differentiable:
                name, attack = f"PGD-{steps}", partial(self._pgd, steps=steps, radius=radius)
            else:
                name, attack = f"Square-{queries}", partial(self._square, radius=radius, queries=queries)
            self._try(f"{name} within {radius:g}", "curve", attack, rows, radius)
        return tuple(Point(radius, Share(int(self.standing(radius).sum()), len(rows))) for radius in chosen)

    def _gradients(self) -> Tensor:
        """Of the cross-entropy at the clean images that are classified rightly, [m, *shape]; 0 where not a number."""
        parts = [self._images[:0]]
        for part in self.standing(0).nonzero().squeeze(1).split(self._part):
            loss = partial(cross_entropy, classes=self._labels[part])
            try:
                parts.append(self._target.gradient(self._images[part], loss, self._draws)[0])
            except FloatingPointError:
                parts.append(torch.zeros_like(self._images[part]))
        return torch.cat(parts)


def _both(logits: Tensor, classes: Tensor, weight: float) -> Tensor:
    """Margin and, against it, the detector's score; each counts until it is where it should be."""
    return margin(logits[:, :-1], classes).clamp_max(0) - weight * logits[:, -1].clamp_min(0)


def _result(found: AttackResult | Tensor) -> AttackResult:
    """What claims nothing and asked nothing, as a result."""
    if isinstance(found, AttackResult):
        return found
    nothing = torch.zeros(len(found), dtype=torch.int64, device=found.device)
    return AttackResult(found, nothing.bool(), nothing, nothing)
