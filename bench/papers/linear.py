"""A: the article that retells "Explaining and harnessing adversarial examples" (arXiv:1412.6572).

Where it gives no figure or none of its own, the paper's is taken. Errors are of images that no bound clips, as neither
says; those that are clipped stand beside them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from bench.papers.columns import Column, Drawing, curve
from bench.papers.experiment import Experiment, Order, Printed, Scale, Setting
from bench.papers.fitted import ByLikelihood, ByPrediction, Fitted, Plain, WorstCase
from bench.papers.steps import RADIUS, Agreeing, Growth, Nothing, OneStep, Together, Tracing, Turning
from plaintext_models.defences.defence import Training
from plaintext_models.defences.lasso import Lasso
from plaintext_models.defences.noise import NoiseTraining
from plaintext_models.defences.places import HiddenTraining
from plaintext_models.defences.turned import TurnedTraining
from plaintext_models.zoo.registry import RECIPES

SMALLER = "10,000 training images and 15 epochs of 60,000 and 60; 120 units of 3 maps for 240 of 5, 300 for 1600"
PART = 10_000
PLAIN = Plain()
ADVERSARIAL = HiddenTraining(0, RADIUS)  # at the first layer: what enters it is the image
ANGLES = (0.1, 0.2, 0.3, 0.5, math.pi / 4)
DISTANCES = tuple(2.5 * place for place in range(-6, 7))


def maxout(quick: bool, how: Training = PLAIN, *, large: bool = False) -> Fitted:
    """The maxout network, of 240 units a layer or of 1600."""
    recipe = RECIPES["mnist-maxout"]
    if quick:
        units = 300 if large else 120
        return Fitted(replace(recipe, options={"hidden": (units, units), "pieces": 3}, epochs=15), how, PART)
    return Fitted(replace(recipe, options={"hidden": (1600, 1600)}) if large else recipe, how)


def linear(quick: bool) -> Fitted:
    """The shallow softmax network."""
    return Fitted(RECIPES["mnist-softmax"], part=PART if quick else None)


def radial(quick: bool) -> Fitted:
    """The shallow network of radial basis functions."""
    return Fitted(RECIPES["mnist-rbf"], ByLikelihood(), PART if quick else None)


def logistic(how: Training = PLAIN) -> Fitted:
    """Logistic regression of 3 against 7."""
    recipe = replace(RECIPES["mnist-softmax"], network="logistic", options={}, epochs=20)
    return Fitted(recipe, how, classes=(3, 7))


def _printed(figures: Mapping[str, float]) -> dict[str, Printed]:
    return {name: Printed(value) for name, value in figures.items()}


def _line(
    name: str, training: Fitted, figures: Mapping[str, float] = MappingProxyType({}), *, learnt: bool = False
) -> Setting:
    return Setting(name, OneStep(training, learnt=learnt), _printed(figures))


def _mutual(quick: bool) -> tuple[Setting, ...]:
    plain, hardened = maxout(quick), maxout(quick, ADVERSARIAL)
    on_plain = {"error": 0.0094, "error FGSM": 0.894, "confidence FGSM": 97.6, "from the other": 0.409}
    on_hardened = {"error": 0.0084, "error FGSM": 0.179, "confidence FGSM": 81.4, "from the other": 0.196}
    return (
        Setting("240 units", OneStep(plain, hardened), _printed(on_plain)),
        Setting("240 units, adversarial", OneStep(hardened, plain), _printed(on_hardened)),
        _line("1600 units", maxout(quick, large=True), {"error": 0.0114}),
        _line("1600 units, adversarial", maxout(quick, ADVERSARIAL, large=True), {"error": 0.00782}),
    )


def _noise(quick: bool) -> tuple[Setting, ...]:
    return (
        _line("plain", maxout(quick)),
        _line("signs", maxout(quick, NoiseTraining("signs", RADIUS)), {"error FGSM": 0.862, "confidence FGSM": 97.3}),
        _line(
            "uniform", maxout(quick, NoiseTraining("uniform", RADIUS)), {"error FGSM": 0.904, "confidence FGSM": 97.8}
        ),
        _line("adversarial", maxout(quick, ADVERSARIAL)),
    )


def _places(quick: bool) -> tuple[Setting, ...]:
    return (
        _line("plain", maxout(quick)),
        _line("input", maxout(quick, ADVERSARIAL)),
        _line("first hidden", maxout(quick, HiddenTraining(1, RADIUS))),
        _line("last hidden", maxout(quick, HiddenTraining(-1, RADIUS))),
    )


def _turned(quick: bool) -> tuple[Setting, ...]:
    trainings: dict[str, Training] = {
        "plain": PLAIN,
        "by turns of 0.3": TurnedTraining(0.3),
        "adversarial": ADVERSARIAL,
    }
    return tuple(Setting(name, Turning(maxout(quick, how), ANGLES)) for name, how in trainings.items())


def _generative(quick: bool) -> tuple[Setting, ...]:
    members, recipe = 4 if quick else 12, RECIPES["mnist-dbm"]
    machine = Fitted(replace(recipe, options={"hidden": (200, 200)}, epochs=10), ByPrediction(), PART)
    return (
        Setting(
            f"{members} maxout networks",
            Together(maxout(quick), members),
            _printed({"whole": 0.911, "one member": 0.879}),
        ),
        Setting(
            "MP-DBM",
            Together(machine if quick else Fitted(recipe, ByPrediction()), 1),
            _printed({"whole": 0.975}),
        ),
    )


def _nothing(quick: bool) -> tuple[Setting, ...]:
    trainings = {
        "softmax": linear(quick),
        "maxout": maxout(quick),
        "maxout, adversarial": maxout(quick, ADVERSARIAL),
        "RBF": radial(quick),
    }
    return tuple(Setting(name, Nothing(training)) for name, training in trainings.items())


_TURNS = Drawing("error on turned images", "curve", "angle in radians", "error")
_TRACE = Drawing("logits along the sign of the gradient", "curve", "t", "mean logit")
_RIGHT = Drawing("right answers along the sign of the gradient", "curve", "t", "right")

_STEPS = (
    Column("error"),
    Column("confidence", "percent"),
    Column("error FGSM"),
    Column("confidence FGSM", "percent"),
    Column("error clipped"),
    Column("confidence clipped", "percent"),
    Column("adaptive"),
)
_TOGETHER = ("error", "whole", "one member", "whole, clipped", "one member, clipped", "adaptive")
_AGREEMENTS = ("softmax, mistakes", "RBF, mistakes", "softmax, both wrong", "RBF, both wrong", "RBF with softmax")
_QUICK, _FEW, _FULL = Scale(4, 1000), Scale(2, 200), Scale(5, 10_000)

#: By the identifiers of `bench.tables.linear.PUBLISHED`.
EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType(
    {
        "A1": Experiment(
            lambda _: (Setting("3 against 7", Growth(logistic())),),
            (
                Column("radius x mean weight x size", ""),
                Column("growth", ""),
                Column("activation", "mean magnitude"),
            ),
            quick=_QUICK,
            full=_FULL,
            hours=0.1,
        ),
        "A2": Experiment(
            lambda quick: (_line("shallow softmax", linear(quick), {"error FGSM": 0.999, "confidence FGSM": 79.3}),),
            _STEPS,
            quick=_QUICK,
            full=_FULL,
            smaller="10,000 training images",
            hours=0.1,
        ),
        "A3": Experiment(
            _turned,
            (Column("FGSM"), *curve(_TURNS, "turned", ANGLES), Column("adaptive")),
            quick=_FEW,
            full=_FULL,
            smaller=SMALLER,
            hours=80,
        ),
        "A4": Experiment(
            lambda _: (
                _line("plain", logistic(), {"error": 0.016, "error FGSM": 0.99}),
                _line("worst case of 0.25", logistic(WorstCase(RADIUS))),
                _line("worst case of 0.1", logistic(WorstCase(0.1))),
            ),
            _STEPS,
            (Order("plain", "worst case of 0.25", "error FGSM"), Order("worst case of 0.25", "plain", "error")),
            quick=_QUICK,
            full=Scale(5, 2000),
            hours=0.3,
        ),
        "A5": Experiment(
            lambda quick: (
                _line("without", maxout(quick), learnt=True),
                _line("0.0025", maxout(quick, Lasso(0.0025)), {"training error": 0.05}, learnt=True),
                _line("0.25", maxout(quick, Lasso(0.25)), {"training error": 0.05}, learnt=True),
            ),
            (Column("training error"), *_STEPS),
            (Order("0.0025", "without", "training error"),),
            quick=_QUICK,
            full=_FULL,
            smaller=SMALLER,
            hours=5,
        ),
        "A7": Experiment(
            _mutual,
            (*_STEPS, Column("from the other"), Column("from the other, clipped")),
            (
                Order("240 units", "240 units, adversarial", "error"),
                Order("240 units", "240 units, adversarial", "error FGSM"),
                Order("240 units", "240 units, adversarial", "from the other"),
                Order("1600 units", "1600 units, adversarial", "error"),
            ),
            quick=_QUICK,
            full=_FULL,
            smaller=SMALLER,
            hours=60,
        ),
        "A8": Experiment(
            _noise,
            _STEPS,
            (Order("signs", "adversarial", "error FGSM"), Order("uniform", "adversarial", "error FGSM")),
            quick=_QUICK,
            full=_FULL,
            smaller=SMALLER,
            hours=6,
        ),
        "A9": Experiment(
            _places,
            _STEPS,
            (Order("first hidden", "input", "error FGSM"), Order("last hidden", "input", "error FGSM")),
            quick=_QUICK,
            full=_FULL,
            smaller=SMALLER,
            hours=8,
        ),
        "A10": Experiment(
            lambda quick: (
                _line("RBF", radial(quick), {"error FGSM": 0.554, "confidence FGSM": 1.2, "confidence": 60.6}),
                _line("shallow softmax", linear(quick)),
            ),
            _STEPS,
            (
                Order("shallow softmax", "RBF", "error FGSM"),
                Order("shallow softmax", "RBF", "confidence FGSM"),
            ),
            quick=_QUICK,
            full=_FULL,
            smaller="10,000 training images",
            hours=1,
        ),
        "A11": Experiment(
            lambda quick: (
                Setting(
                    "answers as maxout",
                    Agreeing(maxout(quick), linear(quick), radial(quick)),
                    _printed(dict(zip(_AGREEMENTS, (0.546, 0.16, 0.846, 0.543, 0.536), strict=True))),
                ),
            ),
            tuple(map(Column, _AGREEMENTS)),
            (Order("answers as maxout", "answers as maxout", "softmax, both wrong", "RBF, both wrong"),),
            quick=_QUICK,
            full=_FULL,
            smaller=SMALLER,
            hours=2,
        ),
        "A12": Experiment(
            lambda quick: (Setting("maxout", Tracing(maxout(quick), DISTANCES)),),
            (
                Column("straight", "R^2"),
                *curve(_RIGHT, "right", DISTANCES),
                *(column for line in ("own", "best other") for column in curve(_TRACE, line, DISTANCES, "logit")),
            ),
            quick=_QUICK,
            full=_FULL,
            smaller=SMALLER,
            hours=2,
        ),
        "A13": Experiment(
            _generative,
            tuple(
                Column(name)
                for name in ("error", "whole", "one member", "whole, clipped", "one member, clipped", "adaptive")
            ),
            quick=_FEW,
            full=_FULL,
            smaller=f"{SMALLER}; 4 members of 12; 200 units for 500, 10 epochs for 30",
            hours=200,
        ),
        "A14": Experiment(
            _nothing,
            (Column("error"), Column("confidence", "percent")),
            (Order("softmax", "RBF", "error"), Order("maxout", "RBF", "error")),
            quick=_QUICK,
            full=_FULL,
            smaller=SMALLER,
            hours=4,
        ),
    }
)
