"""The referee: believes nothing that an attack says about its images, and looks for itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from intnn.values.arrays import instance, integer
from plaintext_models.attacks.core.ball import MEASURES, Ball, Measure
from plaintext_models.attacks.core.derived import derived
from plaintext_models.attacks.core.entrance import entrance
from plaintext_models.attacks.core.goal import AttackResult, Goal, spread
from plaintext_models.attacks.core.grid import off_grid
from plaintext_models.attacks.core.norms import inside, lengths
from plaintext_models.attacks.core.target import Target
from plaintext_models.attacks.core.tensors import tensor

Z = 1.959963984540054  # 97.5 % quantile of the normal distribution: 95 % lie between -Z and Z
PART = 17  # images of a forward in the second look; no divisor of usual batches, so that kernels take other paths

Detector = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Share:
    """A share of a number of images.

    Attributes:
        count: How many of them.
        n: How many there are.
        which: Which of them, a bit an image in hexadecimal digits, the first one in the highest bit; None where that
            was not noted. Shares of the same images can be compared image by image by it.

    Raises:
        ValueError: `count` is not from 0 to `n`, or `which` does not hold `count` of `n` images.
    """

    count: int
    n: int
    which: str | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.count <= self.n:
            raise ValueError(f"`count` must be from 0 to {self.n}, got {self.count}")
        if self.which is None:
            return
        size, unused = -(-self.n // 8), -self.n % 8
        bits = int.from_bytes(bytes.fromhex(self.which))
        if len(self.which) != 2 * size or bits % 2**unused or bits.bit_count() != self.count:
            raise ValueError(f"`which` must hold {self.count} of {self.n} images, a bit each, got {self.which!r}")

    @classmethod
    def of(cls, which: Tensor) -> Share:
        """The share of those images for which `which` [n], bool, is true."""
        flags = which.cpu().numpy()
        return cls(int(flags.sum()), len(flags), np.packbits(flags).tobytes().hex())

    @property
    def each(self) -> NDArray[np.bool_] | None:
        """Of each image [n] whether it is one of them; None where that was not noted."""
        if self.which is None:
            return None
        return np.unpackbits(np.frombuffer(bytes.fromhex(self.which), np.uint8), count=self.n).astype(np.bool_)

    @property
    def value(self) -> float:
        """The share, from 0 to 1; NaN where there are no images."""
        return self.count / self.n if self.n else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the share; see `wilson`."""
        return wilson(self.count, self.n)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{100 * self.value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def wilson(count: float, n: int) -> tuple[float, float]:
    """The 95 % interval of Wilson (1927) for a share: all p with |p̂ - p| <= Z √(p (1 - p) / n).

    It asks which true shares make the observed one likely, with the deviation that *they* have. The usual p̂ ± Z
    √(p̂ (1 - p̂) / n) takes that of the observed share, has no width at 0 of n and n of n, and leaves [0, 1] near them:
    where robust accuracies often are. The images are taken for a random sample of all; that the attacks may have missed
    adversarial examples is another error, which no interval covers.

    Args:
        count: How many, from 0 to `n`; of several judgements of the same images, the mean.
        n: Of how many; 0 gives the interval of nothing known, (0, 1).
    """
    if not 0 <= count <= n:
        raise ValueError(f"`count` must be from 0 to {n}, got {count}")
    if not n:
        return 0.0, 1.0
    share, extra = count / n, Z**2 / n
    middle = (share + extra / 2) / (1 + extra)
    reach = Z / (1 + extra) * math.sqrt(share * (1 - share) / n + extra / (4 * n))
    # rounding must not exclude the share itself at the ends
    return (0.0 if not count else middle - reach), (1.0 if count == n else middle + reach)


@dataclass(frozen=True, eq=False)
class Unnoticed(Goal):
    """The goal to be misclassified undetected, on a model made by `guarded`: its last output must not be positive.

    A detector that is to be evaluated must be attacked (Carlini and Wagner, arXiv:1705.07263).
    """

    guarded: ClassVar[bool] = True

    def reached(self, logits: Tensor) -> Tensor:
        """Which images [batch] are misclassified and pass, given logits [batch, classes + 1]."""
        return super().reached(logits[:, :-1]) & (logits[:, -1] <= 0)

    def ballot(self, logits: Tensor) -> Tensor:
        """One vote for a class, and one for or against letting the image pass: [batch, classes + 1]."""
        return torch.cat([super().ballot(logits[:, :-1]), (logits[:, -1:] > 0).double() - 0.5], 1)

    def __getitem__(self, rows: Tensor) -> Unnoticed:
        """The goal of some of the images."""
        return Unnoticed(self.labels[rows], None if self.targets is None else self.targets[rows])


def guarded(target: Target, detector: Detector) -> Target:
    """A target whose last output is the detector's score, one an image; positive where the image is turned away."""
    if not callable(detector):
        raise TypeError(f"`detector` must be a module or a function of images, got {type(detector).__name__}")
    both = derived(target, partial(_with_scores, target, detector))
    both.guarded = True
    return both


def _with_scores(target: Target, detector: Detector, images: Tensor) -> Tensor:
    logits, scores = target.logits(images), instance(detector(images), Tensor, "detector(images)")
    if scores.numel() != len(images):
        raise ValueError(f"`detector` must give a score an image, got {tuple(scores.shape)} for {len(images)}")
    if not torch.isfinite(scores).all():
        raise FloatingPointError("`detector` must give finite scores, got NaN or infinity; check its weights")
    return torch.cat([logits, scores.reshape(-1, 1).to(logits.dtype)], 1)


@dataclass(frozen=True, eq=False)
class Verdict:
    """What a fresh look at images that are said to be adversarial found.

    Attributes:
        finite: [batch], whether all elements are numbers.
        bounded: [batch], whether they are within the bounds.
        inside: [batch], whether the image is within the ball; true where there is no ball.
        gridded: [batch], whether it is on the grid of the target's levels; true where it has none.
        reached: [batch], whether the goal is reached, in forwards of all images and of a few; false of what is not
            admissible. Of a stochastic target most of the draws decide.
        clean: [batch], whether the clean image reaches it.
        once: [batch], whether one forward reaches it, the first of the draws, of the image given or, where that is not
            admissible, of the clean one; `broken` where forwards do not differ.
        chance: [batch], in which share of the draws it is reached, from 0 to 1, of the same images.
        distances: "l0", "l1", "l2" and "linf", [batch]; NaN where the images cannot be compared.
        complaints: What was claimed and does not hold, and what else is wrong.
    """

    finite: Tensor
    bounded: Tensor
    inside: Tensor
    gridded: Tensor
    reached: Tensor
    clean: Tensor
    once: Tensor
    chance: Tensor
    distances: Mapping[Measure, Tensor]
    complaints: tuple[str, ...]

    @property
    def admissible(self) -> Tensor:
        """Which images [batch] an attack may give back."""
        return self.finite & self.bounded & self.inside & self.gridded

    @property
    def broken(self) -> Tensor:
        """Where the goal is reached, by the image given or the clean one, which lies in every ball: [batch]."""
        return self.reached | self.clean

    @property
    def robust(self) -> Share:
        """The images that are not broken: with untargeted goals, the robust accuracy."""
        return Share.of(~self.broken)

    @property
    def robust_once(self) -> Share:
        """The images that are right in one forward: of a stochastic target, what a single answer is worth."""
        return Share.of(~self.once)


@entrance
def judge(
    target: Target,
    images: Tensor,
    goal: Goal,
    x_adv: Tensor | AttackResult,
    ball: Ball | None = None,
    *,
    draws: int = 1,
) -> Verdict:
    """Look at adversarial images afresh.

    Admissible is what has the shape and type of the images, is finite, within the bounds exactly, on the grid where the
    target has levels, and within the ball up to 1e-5 of the radius and 2**-22 of an element's value: what float32 makes
    of a point on the surface.
    The goal must be reached in two forwards, one of all images and one of 17 at a time; of a stochastic target, in the
    majority vote over forwards that are taken by turns in both ways.

    Args:
        target: The model.
        images: Clean images [batch, *shape].
        goal: What was to be reached.
        x_adv: What an attack made of the images, or its result, whose claims are then compared with what is found.
        ball: The ball around every image in which its adversarial image must lie; None where any distance is allowed.
        draws: Forwards that vote, from 1; for stochastic targets.

    Raises:
        TypeError: Where `Target.check` raises it.
        ValueError: `draws` is below 1; or where `Target.check` raises it.
    """
    integer(draws, "draws", 1)
    target.check(images, goal.labels)
    claimed = x_adv.success if isinstance(x_adv, AttackResult) else None
    given = tensor(x_adv.x_adv if isinstance(x_adv, AttackResult) else x_adv, "x_adv")
    complaints = []
    none = torch.zeros(len(images), dtype=torch.bool, device=images.device)
    clean = _look(target, images, goal, draws)
    if given.shape != images.shape or given.dtype != images.dtype:
        what = f"{given.dtype} {tuple(given.shape)} in place of {images.dtype} {tuple(images.shape)}"
        nowhere = torch.full((len(images),), math.nan, device=images.device)
        nothing = none, none, none, none, none
        far, complaint = dict.fromkeys(MEASURES, nowhere), f"it returned {what}"
        return Verdict(*nothing, clean.reached, clean.once, clean.chance, far, (complaint,))
    low, high = limits = target.limits(images)
    finite = given.isfinite().flatten(1).all(1)
    bounded = ((given >= low) & (given <= high)).flatten(1).all(1)
    # in float64, so that summing adds no error to what the attack's own arithmetic made
    compared = torch.where(spread(finite, given), given, images)
    change = compared.double() - images.double()
    distances = {name: lengths(change, name) for name in MEASURES}
    distances = {name: torch.where(finite, values, math.nan) for name, values in distances.items()}
    within = finite if ball is None else finite & inside(ball, images, compared)
    gridded = finite if target.levels is None else finite & ~off_grid(compared, limits, target.levels)
    admissible = finite & bounded & within & gridded
    look = _look(target, torch.where(spread(admissible, given), given, images), goal, draws)
    reached = look.reached & admissible
    once = look.once if target.stochastic else reached | clean.reached
    for wrong, what in (
        (~finite, "are not finite"),
        (finite & ~bounded, "leave the bounds"),
        (finite & ~within, "leave the ball"),
        (finite & bounded & ~gridded, "leave the grid"),
        (admissible & look.wavering, "reach the goal in some batches and not in others"),
    ):
        if wrong.any():
            complaints.append(f"{_these(wrong)} {what}")
    if len(images) > 1 and bool((given == given[:1]).all()) and not bool((images == images[:1]).all()):
        complaints.append("one image is returned for all")
    if claimed is not None:
        if claimed.shape != none.shape:
            complaints.append(f"it claims {tuple(claimed.shape)} successes of {len(images)} images")
        elif (false := claimed.bool() & ~reached).any():
            complaints.append(f"{_these(false)} are claimed to reach the goal, and do not")
    allowed = finite, bounded, within, gridded
    return Verdict(*allowed, reached, clean.reached, once, look.chance, distances, tuple(complaints))


def reached(target: Target, images: Tensor, goal: Goal, *, draws: int = 1) -> Tensor:
    """Whether images [batch, *shape] reach a goal as they are, [batch]: what `judge` finds of clean ones.

    Args:
        target: The model.
        images: Clean images.
        goal: What is to be reached.
        draws: Forwards that vote, from 1; for stochastic targets.
    """
    return _look(target, images, goal, draws).reached


@dataclass(frozen=True, eq=False)
class _Look:
    """Whether images reach a goal, in several forwards.

    Attributes:
        reached: [batch], by vote where the target is stochastic, else in batches of both sizes.
        once: [batch], in the first.
        chance: [batch], in which share of them.
        wavering: [batch], whether it depends on the batch.
    """

    reached: Tensor
    once: Tensor
    chance: Tensor
    wavering: Tensor


def _look(target: Target, images: Tensor, goal: Goal, draws: int) -> _Look:
    sizes = len(images), PART
    with torch.no_grad():
        answers = [_logits(target, images, sizes[draw % 2]) for draw in range(draws if target.stochastic else 2)]
    reached = torch.stack([goal.reached(logits) for logits in answers])
    chance = reached.double().mean(0)
    if not target.stochastic:
        return _Look(reached.all(0), reached[0], chance, reached[0] ^ reached[1])
    ballots = torch.stack([goal.ballot(logits) for logits in answers])
    return _Look(goal.reached(ballots.mean(0)), reached[0], chance, torch.zeros_like(reached[0]))


def _logits(target: Target, images: Tensor, size: int) -> Tensor:
    return torch.cat([target.logits(part) for part in images.split(size)])


def _these(mask: Tensor) -> str:
    """How many images, and which the first ones are."""
    places = mask.nonzero().squeeze(1).tolist()
    return f"{len(places)} images ({', '.join(map(str, places[:5]))}{', ...' if len(places) > 5 else ''})"
