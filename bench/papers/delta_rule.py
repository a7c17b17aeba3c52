"""S: the report on the stochastic delta rule (2019).

What the report leaves open is taken from its authors' code where that explains a figure: deviations grow and decay
twice an epoch, and its FGSM grows until one draw of the weights is fooled. Rates follow one cycle here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from bench.papers.columns import Column, Drawing, curve
from bench.papers.drawn_subjects import (
    RADII,
    VOTES,
    Accuracy,
    Attacks,
    Claims,
    History,
    Pictures,
    Stable,
    Theorem,
    Voted,
)
from bench.papers.drawn_training import DISTURBED, VALIDATION, VARIANCE, DrawnWeights
from bench.papers.experiment import Experiment, Order, Printed, Scale, Setting
from plaintext_models.zoo.recipe import Recipe
from plaintext_models.zoo.registry import RECIPES

SMALLER = "20,000 training images and 10 epochs of 58,000 and 20; the recurrent network 6,400, 8 and a row at a time"
EPOCHS = range(1, 21)

DROPPED: Mapping[str, Any] = MappingProxyType({"kind": "dropconnect", "drop": 0.2})
DECAY: Mapping[str, Any] = MappingProxyType({"kind": "delta rule", "growth": 0.05, "decay": 0.7, "fraction": 0.5})
PRINTED: Mapping[str, Any] = MappingProxyType({**DECAY, "interval": 1})


def learnable(fraction: float) -> Mapping[str, Any]:
    """Weights whose deviations are learnt, and start at a fraction of Xavier's."""
    return MappingProxyType({"kind": "normal", "fraction": fraction})


def mlp(quick: bool, weights: Mapping[str, Any] | None = None, *, drawn: bool = False) -> DrawnWeights:
    """The perceptron on MNIST."""
    recipe = replace(RECIPES["mnist-mlp"], epochs=10) if quick else RECIPES["mnist-mlp"]
    return DrawnWeights(recipe, weights or {}, 20_000 if quick else None, drawn)


def lstm(quick: bool, weights: Mapping[str, Any] | None = None, *, drawn: bool = False) -> DrawnWeights:
    """The recurrent network on MNIST."""
    recipe = RECIPES["mnist-lstm"]
    changed = replace(recipe, epochs=8) if quick else replace(recipe, options={**recipe.options, "steps": 784})
    return DrawnWeights(changed, weights or {}, 6400 if quick else None, drawn)


def resnet(quick: bool, weights: Mapping[str, Any] | None = None, *, drawn: bool = False) -> DrawnWeights:
    """The residual network: of 18 layers on CIFAR-10, or a small one on digits."""
    if quick:
        recipe = replace(RECIPES["digits-mlp"], network="resnet", options={"channels": (8, 16)})
    else:
        options = {"channels": (64, 128, 256, 512), "blocks": 2}
        recipe = Recipe("S's.", "cifar10", "resnet", options, epochs=20, learning_rate=1e-3, batch_size=64)
    return DrawnWeights(recipe, weights or {}, None, drawn, 0.1 if quick else 8 / 255)


def _printed(**values: float) -> dict[str, Printed]:
    return {name: Printed(value) for name, value in values.items()}


def _table_1(quick: bool) -> tuple[Setting, ...]:
    few = 1000 if quick else 10_000

    def line(name: str, training: DrawnWeights, value: float | None = None, votes: int = 1) -> Setting:
        tests = few if votes > 1 and training.recipe.network == "lstm" else 10_000
        comparable = training.recipe.dataset != "digits"
        figures = {"accuracy": value} if value is not None and comparable else {}
        return Setting(name, Accuracy(training, votes, tests), _printed(**figures))

    return (
        line("MLP", mlp(quick), 0.9828),
        line("MLP, decay", mlp(quick, DECAY), 0.9827),
        line("MLP, learnable 0.1", mlp(quick, learnable(0.1), drawn=True)),
        line("MLP, learnable 0.5", mlp(quick, learnable(0.5), drawn=True), 0.9793),
        line("MLP, learnable 1", mlp(quick, learnable(1.0), drawn=True)),
        line("MLP, 50 votes", mlp(quick, learnable(0.5), drawn=True), 0.9839, 50),
        line("LSTM", lstm(quick), 0.878),
        line("LSTM, decay", lstm(quick, DECAY), 0.913),
        line("LSTM, learnable 0.5", lstm(quick, learnable(0.5), drawn=True), 0.897),
        line("LSTM, 50 votes", lstm(quick, learnable(0.5), drawn=True), 0.906, 50),
        line("ResNet", resnet(quick), 0.716),
        line("ResNet, decay", resnet(quick, DECAY), 0.8153),
        line("ResNet, learnable 0.5", resnet(quick, learnable(0.5), drawn=True), 0.7072),
        line("ResNet, 50 votes", resnet(quick, learnable(0.5), drawn=True), 0.7643, 50),
    )


def _histories(*names: str) -> Callable[[bool], tuple[Setting, ...]]:
    def of(quick: bool) -> tuple[Setting, ...]:
        every = {
            "MLP": mlp(quick),
            "MLP, decay": mlp(quick, DECAY),
            "MLP, learnable 0.5": mlp(quick, learnable(0.5), drawn=True),
            "LSTM": lstm(quick),
            "LSTM, decay": lstm(quick, DECAY),
            "LSTM, learnable 0.5": lstm(quick, learnable(0.5), drawn=True),
            "ResNet": resnet(quick),
            "ResNet, decay": resnet(quick, DECAY),
            "ResNet, learnable 0.5": resnet(quick, learnable(0.5), drawn=True),
        }
        return tuple(Setting(name, History(training, names)) for name, training in every.items())

    return of


def _table_2(quick: bool) -> tuple[Setting, ...]:
    def line(name: str, training: DrawnWeights, **values: float) -> Setting:
        return Setting(name, Attacks(training, quick), _printed(**values))

    def printed(clean: float, draws: int, fgsm: float, fooled: float, searched: float) -> dict[str, float]:
        attacks = {"FGSM": fgsm, "DeepFool": fooled, "LocalSearch": searched}
        return {"clean": clean, **{f"{name}, n = {draws}": value for name, value in attacks.items()}}

    # Of the table's and the code's figures, each under the number of draws that it fits.
    return (
        line("MLP", mlp(quick), **printed(0.9759, 1, 0, 0, 0)),
        line("MLP, decay", mlp(quick, DECAY)),
        line(
            "MLP, decay, drawn",
            mlp(quick, DECAY, drawn=True),
            **printed(0.9755, 1, 0.0461, 0.0387, 0.0285),
            **{"FGSM, n = 10": 0.01506},
        ),
        line("MLP, learnable 0.1", mlp(quick, learnable(0.1), drawn=True)),
        line(
            "MLP, learnable 0.5",
            mlp(quick, learnable(0.5), drawn=True),
            **printed(0.9555, 10, 0.9486, 0.4015, 0.4015),
            **{"FGSM, n = 1": 0.85518},
        ),
        line("MLP, learnable 1", mlp(quick, learnable(1.0), drawn=True)),
        line(
            "MLP, DropConnect",
            mlp(quick, DROPPED, drawn=True),
            **printed(0.9795, 1, 0.42742, 0.4548, 0.2653),  # the table's 45.9 % of FGSM are of two draws
            **{"FGSM, n = 10": 0.44952, "LocalSearch, n = 10": 0.18367},
        ),
    )


def _claims(quick: bool) -> tuple[Setting, ...]:
    drawn = mlp(quick, learnable(0.5), drawn=True)
    return (
        Setting("MLP", Claims(mlp(quick))),
        Setting("MLP, decay", Claims(mlp(quick, DECAY))),
        Setting("MLP, learnable 0.5", Claims(drawn)),
        Setting("MLP, 50 votes", Claims(drawn, 50)),
    )


def _voted(quick: bool) -> tuple[Setting, ...]:
    return (
        *(
            Setting(f"MLP, learnable {fraction:g}", Voted(mlp(quick, learnable(fraction), drawn=True)))
            for fraction in (0.1, 0.5, 1.0)
        ),
        Setting("MLP, DropConnect", Voted(mlp(quick, DROPPED, drawn=True))),
    )


def _convolutions(quick: bool) -> tuple[Setting, ...]:
    weights = {**learnable(0.5), "convolutions": True}
    return (
        Setting("ResNet", Accuracy(resnet(quick))),
        Setting("ResNet, random convolutions", Accuracy(resnet(quick, weights, drawn=True))),
    )


_ACCURACY = Drawing("accuracy while training", "curve", "epoch", "accuracy")
_DRAWS = Drawing("accuracy of votes", "curve", "draws", "accuracy")
_FALL = Drawing("sum of variances", "curve", "epoch", "variance")

#: By the identifiers of `bench.tables.delta_rule.PUBLISHED`.
EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType(
    {
        "S12": Experiment(
            lambda quick: (
                Setting("with every batch", Stable(mlp(quick, PRINTED))),
                Setting("twice an epoch", Stable(mlp(quick, DECAY))),
            ),
            (Column("epochs finished", "of 10 or 20"),),
            quick=Scale(1, 100),
            full=Scale(3, 1000),
            smaller=SMALLER,
            hours=0.1,
        ),
        "S15": Experiment(
            _voted,
            tuple(
                column for name in ("clean", "growing FGSM", "mean attacked") for column in curve(_DRAWS, name, VOTES)
            ),
            quick=Scale(2, 200),
            full=Scale(5, 2000),
            smaller=SMALLER,
            hours=1.5,
        ),
        "S16": Experiment(
            lambda _: tuple(Setting(f"deviation {one:g}", Theorem("digits", one)) for one in (0.01, 0.1, 1.0)),
            (Column("closed form", "error"), Column("by drawing", "error"), Column("deviation of that", "error")),
            quick=Scale(2, 0),
            full=Scale(10, 0),
            hours=0.1,
        ),
        "S18": Experiment(
            _table_1,
            (Column("accuracy"), Column("best epoch")),
            (
                Order("LSTM, decay", "LSTM", "accuracy"),
                Order("ResNet, decay", "ResNet", "accuracy"),
                Order("MLP", "MLP, learnable 0.5", "accuracy"),
                Order("MLP, 50 votes", "MLP, learnable 0.5", "accuracy"),
                Order("ResNet, 50 votes", "ResNet, learnable 0.5", "accuracy"),
            ),
            quick=Scale(4, 100),
            full=Scale(3, 1000),
            smaller=f"{SMALLER}; a residual network of 4 convolutions in blocks on digits",
            hours=60,
        ),
        "S19": Experiment(
            _histories(VALIDATION),
            curve(_ACCURACY, VALIDATION, EPOCHS),
            quick=Scale(4, 100),
            full=Scale(3, 1000),
            smaller=f"{SMALLER}; a residual network of 4 convolutions in blocks on digits",
            hours=60,
        ),
        "S20": Experiment(
            _table_2,
            (
                Column("clean"),
                *(
                    Column(f"{name}{what}")
                    for name in ("FGSM", "DeepFool", "LocalSearch")
                    for what in (", n = 1", ", n = 10", " fools")
                ),
                *(Column(f"{name} {radius}") for name in ("FGSM", "adaptive", "one draw") for radius in RADII),
            ),
            (
                Order("MLP, learnable 0.5", "MLP", "FGSM, n = 1"),
                Order("MLP, DropConnect", "MLP", "FGSM, n = 1"),
                Order("MLP, learnable 0.5", "MLP, DropConnect", "FGSM, n = 1"),
                *(Order("MLP, learnable 0.5", "MLP", f"adaptive {radius}") for radius in RADII),
            ),
            quick=Scale(8, 300),
            full=Scale(8, 2000),
            smaller=f"{SMALLER}; local search of 30 rounds and 25 images in place of 150 and 49",
            hours=16,
        ),
        "S21": Experiment(
            _convolutions,
            (Column("accuracy"), Column("best epoch")),
            (Order("ResNet", "ResNet, random convolutions", "accuracy"),),
            quick=Scale(4, 100),
            full=Scale(3, 1000),
            smaller="a residual network of 4 convolutions in blocks on digits",
            hours=40,
        ),
        "S22": Experiment(
            _histories(VARIANCE, VALIDATION, DISTURBED),
            (
                *curve(_FALL, VARIANCE, EPOCHS, ""),
                *curve(_ACCURACY, VALIDATION, EPOCHS),
                *curve(_ACCURACY, DISTURBED, EPOCHS),
            ),
            quick=Scale(4, 100),
            full=Scale(3, 1000),
            smaller=f"{SMALLER}; a residual network of 4 convolutions in blocks on digits",
            hours=60,
        ),
        "S23": Experiment(
            lambda quick: (Setting("MLP", Pictures(mlp(quick))),),
            (Column("least radius", "of [0, 1]"),),
            pictures={"a 7 and its FGSM image": "images"},
            quick=Scale(2, 100),
            full=Scale(3, 100),
            smaller=SMALLER,
            hours=0.1,
        ),
        "S24": Experiment(
            _claims,
            (Column("accuracy"), Column("growing FGSM"), Column("mean attacked")),
            (
                Order("MLP", "MLP, learnable 0.5", "accuracy"),
                Order("MLP, 50 votes", "MLP, learnable 0.5", "accuracy"),
                Order("MLP, learnable 0.5", "MLP", "growing FGSM"),
                Order("MLP, learnable 0.5", "MLP", "mean attacked"),
                Order("MLP, learnable 0.5", "MLP, 50 votes", "growing FGSM"),
                Order("MLP, learnable 0.5", "MLP, 50 votes", "mean attacked"),
            ),
            quick=Scale(8, 2000),
            full=Scale(10, 2000),
            smaller=SMALLER,
            hours=2,
        ),
    }
)
