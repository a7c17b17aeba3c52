"""The evaluation card as a value: what was tried, how hard, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from intnn.values.arrays import integer
from plaintext_models.attacks.core.ball import Norm
from plaintext_models.evaluation.flags import Finding
from plaintext_models.evaluation.judge import Share


@dataclass(frozen=True)
class Effort:
    """How hard the attacks try.

    Attributes:
        steps: The steps of the short PGD, also at every radius of the curve.
        long_steps: The steps of the long PGD.
        restarts: The runs of the long PGD, for each of its two losses.
        auto_steps: The steps of every run of APGD.
        classes: How many classes the targeted APGD aims at.
        queries: The queries of the Square attack for an image; of a stochastic target, a fifth of it are its steps.
        nearest_steps: The steps of DDN; DeepFool takes half as many, of two forwards each.
        draws: The forwards that a stochastic target is averaged over, for gradients and queries, and that vote about
            it.

        adaptive: The forwards of the adaptive attack for an image, which then takes the place of APGD and of PGD with
            restarts on a target that is not stochastic; 0 for those.

    Raises:
        TypeError: A number is not an integer.
        ValueError: One is below 1, the steps of DDN below 2, or `adaptive` below 0.
    """

    steps: int = 40
    long_steps: int = 100
    restarts: int = 10
    auto_steps: int = 100
    classes: int = 9
    queries: int = 5000
    nearest_steps: int = 100
    draws: int = 30
    adaptive: int = 0

    def __post_init__(self) -> None:
        least = {"nearest_steps": 2, "adaptive": 0}
        for name, value in vars(self).items():
            object.__setattr__(self, name, integer(value, name, least.get(name, 1)))


FULL = Effort()
QUICK = Effort(20, 40, 2, 30, 3, 300, 40, 10)
ECONOMICAL = Effort(20, 40, 1, 30, 3, 150, 20, 30, adaptive=800)


@dataclass(frozen=True, eq=False)
class Entry:
    """One attack.

    Attributes:
        name: The name of the attack.
        kind: "clean", "one step", "white box", "nearest" (shortest perturbations, any radius), "transfer",
            "randomness off", "joint" (with the detector), "surrogate" (another backward pass), "black box" or "curve"
            (another radius).
        radius: The radius of its ball; None where there was none.
        robust: How many of the images that it was tried on are still right. Those that earlier attacks had broken are
            left out where only the worst case matters, so that this may be of fewer images than the card's. Of a
            stochastic model by majority.
        one_draw: How many of the same images are right in one forward of what the attack made of them.
        worst: How many of all images are right in the worst case over this attack and those before it, at the card's
            radius.
        queries: Forwards of the model over all images, as the attack counts them.
        seconds: The time that the attack took, without the referee.
        seed: The seed that the attack began with.
        complaints: What the referee complains of.
        broken: Which of all images [n] it broke.
    """

    name: str
    kind: str
    radius: float | None
    robust: Share
    one_draw: Share
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
        norm: The norm of the ball.
        radius: The radius of the ball; a hundred times that of the box where it was larger.
        seed: The seed of everything random.
        clean: The accuracy without an attack.
        verdict: The accuracy in the worst case, image by image, over all attacks: no more than under any of them. Of a
            stochastic model by majority of `draws` forwards.
        one_draw: The accuracy in the worst case in one fresh forward, of that image within the radius which most of the
            draws took for something else; the verdict, where forwards do not differ.
        draws: How many forwards voted; 1 where they do not differ.
        entries: The attacks, in their order.
        curve: The accuracy against the radius, radii growing from 0 to that of the box, in which everything is allowed.
        nearest: [n], length of the shortest perturbation that anything found and the referee confirmed; 0 where the
            clean image is wrong, inf where there is none.
        adversarial: [n, *shape], that image where it lies within the radius, the clean one elsewhere.
        findings: The red flags.
        left_out: What could not be tried, and why.
        seconds: The time that everything took, with the referee.
    """

    norm: Norm
    radius: float
    seed: int
    clean: Share
    verdict: Share
    one_draw: Share
    draws: int
    entries: tuple[Entry, ...]
    curve: tuple[Point, ...]
    nearest: Tensor
    adversarial: Tensor
    findings: tuple[Finding, ...]
    left_out: tuple[str, ...]
    seconds: float
