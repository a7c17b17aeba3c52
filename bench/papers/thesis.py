"""T: the defences of the thesis on encrypted and robust learning, each beside the same network without it.

The numbers of the defences are ours where the document is silent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from bench.papers.attacked import ADAPTIVE, CLEAN, COLUMNS, PUBLISHED, Attacked
from bench.papers.experiment import Experiment, Order, Scale, Setting
from plaintext_models.zoo.registry import RECIPES

BARE = "undefended"
RADIUS = 0.1  # ours: the document names none for any defence
SMALLER = "digits and a perceptron in place of MNIST and a convolutional network, a tenth of the card"


def _defences(settings: Mapping[str, str | None]) -> Callable[[bool], tuple[Setting, ...]]:
    """Settings of one network, by name, each with a defence or none."""

    def of(quick: bool) -> tuple[Setting, ...]:
        recipe = RECIPES["digits-mlp" if quick else "mnist-cnn"]
        return tuple(Setting(name, Attacked(recipe, RADIUS, defence)) for name, defence in settings.items())

    return of


def _compared(settings: Mapping[str, str | None], *orders: Order, hours: float) -> Experiment:
    """Several defences of one network."""
    return Experiment(_defences(settings), COLUMNS, orders, smaller=SMALLER, hours=hours)


def _beside(name: str, defence: str, *orders: Order, hours: float) -> Experiment:
    """A defence beside the same network without it."""
    return _compared({BARE: None, name: defence}, *orders, hours=hours)


#: By the identifiers of `bench.tables.thesis.PUBLISHED`.
EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType(
    {
        "T22": _beside("autoencoder", "T22", Order(BARE, "autoencoder", ADAPTIVE), hours=8),
        "T23": _compared(
            {BARE: None, "penalty": "T23", "adversarial": "T33", "both": "T23-adversarial"},
            Order("both", BARE, ADAPTIVE),
            Order("both", "penalty", ADAPTIVE),
            hours=20,
        ),
        "T24": _beside("noise", "T24", hours=6),
        "T25": _beside("distilled", "T25", Order("distilled", BARE, PUBLISHED), hours=6),
        "T26": replace(
            _compared(
                {"without": "T26-none", "Gaussian": "T26", "mean": "T26-mean", "median": "T26-median"},
                Order("Gaussian", "without", ADAPTIVE),
                hours=300,
            ),
            quick=Scale(4, 100),  # its networks are larger
        ),
        "T27": _beside("generator", "T27", Order("generator", BARE, ADAPTIVE), hours=8),
        "T28": _beside("squeezing", "T28", Order("squeezing", BARE, PUBLISHED), hours=7),
        "T29": _beside("MagNet", "T29", Order("MagNet", BARE, PUBLISHED), hours=7),
        "T30": _compared(
            {BARE: None, "JPEG": "T30", "low pass": "T30-low-pass"}, Order("JPEG", BARE, PUBLISHED), hours=9
        ),
        "T31": _beside("foveation", "T31", Order("foveation", BARE, PUBLISHED), hours=10),
        "T32": _beside("resizing", "T32", Order("resizing", BARE, PUBLISHED), hours=8),
        "T33": _compared(
            {BARE: None, "FGSM": "T33-fgsm", "PGD": "T33", "half PGD": "T33-mixed"},
            Order("PGD", BARE, ADAPTIVE),
            Order(BARE, "PGD", CLEAN),
            hours=20,
        ),
    }
)
