"""The evaluation card: goes through the trials, lets the referee say what came of each, and draws the conclusions."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import get_args

import torch
from torch import Tensor

from intnn.values.arrays import instance, integer
from plaintext_models.attacks.black_box.transfer import require_alike
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.batches import parts
from plaintext_models.attacks.core.entrance import entrance
from plaintext_models.attacks.core.goal import AttackResult, spread
from plaintext_models.attacks.core.losses import cross_entropy
from plaintext_models.attacks.core.norms import within_norm
from plaintext_models.attacks.core.numbers import several
from plaintext_models.attacks.core.target import Target
from plaintext_models.evaluation import flags
from plaintext_models.evaluation.card import FULL, Card, Effort, Entry, Point
from plaintext_models.evaluation.flags import Finding
from plaintext_models.evaluation.judge import Detector, Share, judge
from plaintext_models.evaluation.trials import Omission, Problem, Role, Trial, curve_radii, trials

Report = Callable[[str], None]


@entrance
def evaluate(
    target: Target,
    images: Tensor,
    labels: Tensor,
    ball: Ball,
    *,
    radii: Sequence[float] = (),
    seed: int = 0,
    transfer_from: Sequence[Target] = (),
    randomness_off: Target | None = None,
    surrogates: Sequence[Target] = (),
    detector: Detector | None = None,
    report: Report | None = None,
    effort: Effort = FULL,
) -> Card:
    """Attack a model in every way that applies, cheap attacks first, and let the referee say what came of it.

    One step, PGD and transfer are tried on all images, since they are compared; stronger attacks only on what stood
    everything before. Of a stochastic target gradients are averaged over draws, and an image counts as broken if it is
    by majority vote; what one draw says is told beside. With a detector it is broken if it is misclassified and not
    detected.

    Args:
        target: The model.
        images: Clean images [batch, *shape].
        labels: Their classes [batch].
        ball: The ball around every image; its norm is "l1", "l2" or "linf".
        radii: More radii, from 0, for the curve of accuracy against radius.
        seed: The seed of everything random, the model's own forwards included; torch's generator is put back after.
        transfer_from: Models whose adversarial examples are tried, differentiable.
        randomness_off: The same model without its randomness, which is attacked as well.
        surrogates: The same model with other backward passes, such as through a probability and not through the coin
            that it is tossed with; what their gradients lead to is tried on the model.
        detector: Differentiable scores of images [batch, *shape], one each; positive where an image is turned away.
        report: Told which attack is under way.
        effort: How hard the attacks try.

    Raises:
        TypeError: An argument is not of its type; or where `Target.check` raises it.
        ValueError: A radius or norm is out of range, models' bounds or levels differ, or there is more than one radius;
            or where `Target.check` raises it.
    """
    started = time.perf_counter()
    within_norm(ball)
    ball.require_one_radius()
    integer(seed, "seed")
    instance(effort, Effort, "effort", "take FULL or QUICK, or make one, as in Effort(steps=20)")
    sources, others = several(transfer_from, "transfer_from"), several(surrogates, "surrogates")
    for model in (*sources, *others, *([] if randomness_off is None else [randomness_off])):
        require_alike(target, model)
    with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []):
        torch.manual_seed(seed)
        logits = target.check(images, labels)
        problem = Problem(
            target,
            images,
            labels,
            ball,
            tuple(Ball(ball.norm, radius).require_one_radius() for radius in several(radii, "radii")),
            effort,
            sources,
            randomness_off,
            others,
            detector,
            logits.shape[1],
        )
        run = _Run(problem, logits, seed, report or (lambda _: None))
        for item in trials(problem):
            if isinstance(item, Omission):
                run.left_out.append(item.reason)
            else:
                run.take(item)
        if not target.stochastic:
            target.require_same(images, logits)
        return run.card(started)


class _Run:
    """A card that is being filled in.

    Attributes:
        nearest: See `Card`.
        adversarial: See `Card`.
        entries: See `Card`.
        left_out: See `Card`.
        broken: [n], which images the trials of a role broke.
        before: [n], which images were broken before the first trial of a role.
    """

    def __init__(self, problem: Problem, logits: Tensor, seed: int, report: Report) -> None:
        images = problem.images
        self._problem, self._logits, self._seed, self._report = problem, logits, seed, report
        self.nearest = torch.full((len(images),), math.inf, dtype=torch.float64, device=images.device)
        self.adversarial = images.clone()
        self.entries: list[Entry] = []
        self.left_out: list[str] = []
        nothing = torch.zeros_like(problem.labels, dtype=torch.bool)
        self.broken: dict[Role, Tensor] = dict.fromkeys(get_args(Role), nothing)
        self.before: dict[Role, Tensor] = {}
        self._likely, self._chance = images.clone(), torch.zeros_like(self.nearest)

    def share(self, radius: float) -> Share:
        """How many images nothing found within the radius breaks."""
        return Share.of(self.nearest > radius)

    def take(self, trial: Trial) -> None:
        """Attack the images of a trial, and note what the referee confirms."""
        problem, rows = self._problem, trial.rows(self.nearest)
        places = rows.nonzero().squeeze(1)
        if not len(places) and trial.quiet:
            return
        self._report(trial.name)
        if trial.role is not None:
            self.before.setdefault(trial.role, self.nearest <= problem.radius)
        if not len(places):
            self.left_out.append(f"{trial.name}: no image is left")
            return
        begin = time.perf_counter()
        try:
            found = self._attack(trial, places)
        except FloatingPointError as error:  # a model that has no numbers for one attack may have some for another
            self.left_out.append(f"{trial.name}: {error}")
            return
        seconds = time.perf_counter() - begin
        # what an attack says about another model, or about one of many draws, is not to be held against it
        claims = trial.claims and not problem.target.stochastic and problem.detector is None
        images, ball = problem.images[places], None if trial.radius is None else problem.within(trial.radius)
        given = found if claims else found.x_adv
        verdict = judge(problem.judged, images, problem.goal[places], given, ball, draws=problem.draws)
        limit = math.inf if trial.radius is None else trial.radius
        length = verdict.distances[problem.ball.norm].clamp_max(limit)
        likelier = verdict.admissible & (length <= problem.radius) & (verdict.chance > self._chance[places])
        self._likely[places[likelier]] = found.x_adv[likelier]
        self._chance[places[likelier]] = verdict.chance[likelier]
        distance = torch.where(verdict.reached, length, math.inf)
        distance = torch.where(verdict.clean, 0.0, distance)
        taken = (distance < self.nearest[places]) & (distance <= problem.radius)
        best = torch.where(spread(verdict.clean, images), images, found.x_adv)
        self.adversarial[places[taken]] = best[taken]
        self.nearest[places] = torch.minimum(self.nearest[places], distance)
        broken = torch.zeros_like(rows).index_put((places,), verdict.broken)
        if trial.role is not None:
            self.broken[trial.role] = self.broken[trial.role] | broken
        self.entries.append(
            Entry(
                trial.name,
                trial.kind,
                trial.radius,
                verdict.robust,
                verdict.robust_once,
                self.share(problem.radius),
                int(found.queries.sum()),
                seconds,
                self._seed,
                verdict.complaints,
                broken,
            )
        )

    def _attack(self, trial: Trial, places: Tensor) -> AttackResult:
        """Attack part after part of the images, if the trial does not take all of them; put the results together."""
        problem = self._problem
        results = [
            _result(trial.run(problem.images[part], problem.labels[part], self._seed + number))
            for number, part in enumerate([places] if trial.whole else parts(places, problem.images))
        ]
        return AttackResult(*(torch.cat([vars(result)[field] for result in results]) for field in vars(results[0])))

    def card(self, started: float) -> Card:
        """What all trials together say."""
        problem, findings = self._problem, tuple[Finding | None, ...]()
        if problem.target.differentiable:
            one, many = self.broken["one step"], self.broken["many steps"]
            findings = (
                flags.one_step_beats_many(one, many),
                self._afterwards(flags.black_box_beats_white_box, "queries"),
                self._afterwards(flags.surrogate_beats_own, "other gradients"),
                flags.transfer_beats_direct(self.broken["other models"], many),
                flags.accuracy_stays(self.nearest > problem.box.require_one_radius()),
                flags.zero_gradients(self._gradients()),
                flags.probabilities(self._logits),
                flags.ties(self._logits),
            )
        else:
            self.left_out.append("red flags: without gradients there is nothing to compare with")
        return Card(
            within_norm(problem.ball),
            problem.radius,
            self._seed,
            self.entries[0].worst,
            self.share(problem.radius),
            self._one_draw(),
            problem.draws,
            tuple(self.entries),
            tuple(Point(radius, self.share(radius)) for radius in curve_radii(problem)),
            self.nearest,
            self.adversarial,
            tuple(finding for finding in findings if finding is not None),
            tuple(self.left_out),
            time.perf_counter() - started,
        )

    def _afterwards(self, flag: Callable[[Tensor, Tensor], Finding | None], role: Role) -> Finding | None:
        """What a flag says of the images that a role broke, and of those that were broken before."""
        return flag(self.broken[role], self.before.get(role, self.broken[role]))

    def _one_draw(self) -> Share:
        """How many images are right in one fresh forward, in the worst case: chance chose none of them."""
        problem = self._problem
        if not problem.target.stochastic:
            return self.share(problem.radius)
        return judge(problem.judged, problem.images, problem.goal, self._likely, problem.ball).robust_once

    def _gradients(self) -> Tensor:
        """Gradients [m, *shape] of the cross-entropy at the images that are right; 0 where they are not numbers."""
        problem, slopes = self._problem, [self._problem.images[:0]]
        for part in parts((self.nearest > 0).nonzero().squeeze(1), self._problem.images):
            loss = partial(cross_entropy, classes=problem.labels[part])
            try:
                slopes.append(problem.target.gradient(problem.images[part], loss, problem.draws)[0])
            except FloatingPointError:
                slopes.append(torch.zeros_like(problem.images[part]))
        return torch.cat(slopes)


def _result(found: AttackResult | Tensor) -> AttackResult:
    """The result of an attack; images alone make one that claims no success and asked nothing."""
    if isinstance(found, AttackResult):
        return found
    nothing = torch.zeros(len(found), dtype=torch.int64, device=found.device)
    return AttackResult(found, nothing.bool(), nothing, nothing)
