"""The two families of attacks, as data: what each attack is called, which norms it has, and what it needs.

`WITHIN` holds the attacks within a ball, all called as `attack(target, images, goal, ball, **options)`. Each looks for
any image of the ball that reaches the goal, and never leaves the ball. `NEAREST` holds the attacks for the shortest
perturbation, all called as `attack(target, images, goal, norm, **options)`. Each looks for the nearest image that
reaches the goal, however far that is. Both return an `AttackResult`, both leave an image that reaches the goal already
as it is, and both give back the clean image where they fail. `core.attack` has the two signatures as types.

What is not an attack of its own but made of one belongs to neither family: `transferred` and `Substitute.attack` try on
one model what an attack of either family finds on another, and `without_data` what it finds on one that was trained on
what it takes for the victim's training images; `clipped_after` attacks as if images knew no bounds; `Upset.attack` and
`UniversalResult.apply` use a perturbation that was made on other images; `evolved` and `ascended` make images of
nothing; `discriminate` asks which images a model was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic, TypeVar

from plaintext_models.attacks.ball.adaptive import adaptive
from plaintext_models.attacks.ball.auto import apgd, apgd_targeted
from plaintext_models.attacks.ball.least_likely import ilcm, one_step_least_likely
from plaintext_models.attacks.ball.noise import random_noise
from plaintext_models.attacks.ball.pgd import bim, fgsm, pgd
from plaintext_models.attacks.black_box.square import square
from plaintext_models.attacks.core.attack import Nearest, Within
from plaintext_models.attacks.core.ball import NORMS, Measure
from plaintext_models.attacks.nearest.carlini_wagner import carlini_wagner
from plaintext_models.attacks.nearest.ddn import ddn
from plaintext_models.attacks.nearest.deepfool import deepfool
from plaintext_models.attacks.nearest.growing import growing_fgsm
from plaintext_models.attacks.nearest.hop_skip_jump import hop_skip_jump
from plaintext_models.attacks.nearest.lbfgs import lbfgs
from plaintext_models.attacks.population.universal import one_for_all
from plaintext_models.attacks.sparse.few_pixel import few_pixel
from plaintext_models.attacks.sparse.jsma import jsma
from plaintext_models.attacks.sparse.local_search import local_search

Run = TypeVar("Run", Within, Nearest)


@dataclass(frozen=True)
class Member(Generic[Run]):
    """An attack of a family.

    Attributes:
        run: The attack.
        norms: The norms that it has.
        gradients: Whether the target must have gradients.
        pixels: Whether the images must be [batch, channels, height, width].
        targets: Whether the goal may have targets; otherwise the attack chooses them itself.
    """

    run: Run
    norms: tuple[Measure, ...]
    gradients: bool = True
    pixels: bool = False
    targets: bool = True


WITHIN: Mapping[str, Member[Within]] = MappingProxyType(
    {
        "fgsm": Member[Within](fgsm, NORMS),
        "bim": Member[Within](bim, NORMS),
        "pgd": Member[Within](pgd, NORMS),
        "apgd": Member[Within](apgd, NORMS),
        "apgd-targeted": Member[Within](apgd_targeted, NORMS, targets=False),
        "adaptive": Member[Within](adaptive, NORMS),
        "ilcm": Member[Within](ilcm, NORMS, targets=False),
        "one-step-least-likely": Member[Within](one_step_least_likely, NORMS, targets=False),
        "universal": Member[Within](one_for_all, NORMS),
        "jsma": Member[Within](jsma, ("l0",)),
        "few-pixel": Member[Within](few_pixel, ("l0",), gradients=False, pixels=True),
        "local-search": Member[Within](local_search, ("l0",), gradients=False, pixels=True),
        "square": Member[Within](square, ("l2", "linf"), gradients=False, pixels=True),
        "random-noise": Member[Within](random_noise, NORMS, gradients=False),
    }
)

NEAREST: Mapping[str, Member[Nearest]] = MappingProxyType(
    {
        "deepfool": Member[Nearest](deepfool, ("l2", "linf")),
        "ddn": Member[Nearest](ddn, ("l2",)),
        "carlini-wagner": Member[Nearest](carlini_wagner, ("l0", "l2", "linf")),
        "lbfgs": Member[Nearest](lbfgs, ("l2",)),
        "growing-fgsm": Member[Nearest](growing_fgsm, ("l2", "linf")),
        "hop-skip-jump": Member[Nearest](hop_skip_jump, ("l2", "linf"), gradients=False),
    }
)
