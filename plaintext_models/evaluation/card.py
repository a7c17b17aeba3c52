"""The evaluation card as a value: what was tried, how hard, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from plaintext_models.attacks.core.ball import Norm
from plaintext_models.evaluation.flags import Finding
from plaintext_models.evaluation.judge import Share


@dataclass(frozen=True)
class Effort:
    """How hard the attacks try.

    Attributes:
        steps: Of the short PGD, also at every radius of the curve.
        long_steps: Of the long one.
        restarts: Of the long one, for each of its two losses.
        auto_steps: Of APGD, for every run.
        classes: That the targeted APGD aims at.
        queries: Of the Square attack.
        nearest_steps: Of DDN; DeepFool takes half as many, of two forwards each.
        draws: Forwards that a stochastic target is averaged over, and that vote about it.
    """

    steps: int = 40
    long_steps: int = 100
    restarts: int = 10
    auto_steps: int = 100
    classes: int = 9
    queries: int = 5000
    nearest_steps: int = 100
    draws: int = 30


FULL = Effort()
QUICK = Effort(20, 40, 2, 30, 3, 300, 40, 10)


@dataclass(frozen=True, eq=False)
class Entry:
    """One attack.

    Attributes:
        name: Of the attack.
        kind: "clean", "one step", "white box", "nearest" (shortest perturbations, any radius), "transfer",
            "randomness off", "joint" (with the detector), "black box" or "curve" (another radius).
        radius: Of its ball; None where there was none.
        robust: How many of the images that it was tried on are still right. Those that earlier attacks had broken are
            left out where only the worst case matters, so that this may be of fewer images than the card's.
        worst: How many of all images are right in the worst case over this attack and those before it, at the card's
            radius.
        queries: Forwards of the model over all images, as the attack counts them.
        seconds: Of the attack, without the referee's.
        seed: That it began with.
        complaints: Of the referee.
        broken: [n] of all images, which it broke.
    """

    name: str
    kind: str
    radius: float | None
    robust: Share
    worst: Share
    queries: int
    seconds: float
    seed: int
    complaints: tuple[str, ...]
    broken: Tensor


@dataclass(frozen=True)
class Point:
    """The accuracy in the worst case over everything that was found within a radius."""

    radius: float
    robust: Share


@dataclass(frozen=True, eq=False)
class Card:
    """What all attacks together say.

    Attributes:
        norm: Of the ball.
        radius: Of the ball.
        seed: Of everything random.
        clean: Accuracy without an attack.
        verdict: Accuracy in the worst case, image by image, over all attacks: no more than under any of them.
        entries: The attacks, in their order.
        curve: Accuracy against radius, radii growing from 0 to that of the box, in which everything is allowed.
        nearest: [n], length of the shortest perturbation that anything found and the referee confirmed; 0 where the
            clean image is wrong, inf where there is none.
        adversarial: [n, *shape], that image where it lies within the radius, the clean one elsewhere.
        findings: Red flags.
        left_out: What could not be tried, and why.
        seconds: Of everything, with the referee.
    """

    norm: Norm
    radius: float
    seed: int
    clean: Share
    verdict: Share
    entries: tuple[Entry, ...]
    curve: tuple[Point, ...]
    nearest: Tensor
    adversarial: Tensor
    findings: tuple[Finding, ...]
    left_out: tuple[str, ...]
    seconds: float
