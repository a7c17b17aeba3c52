"""C: the course report on reactive and preventive models (2017).

Its network is Inception and its images are ImageNet's: here both are smaller, so that signs and orders are compared and
values only stand beside each other. Radii and magnitudes are ours, as it names none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from bench.papers.attacked import ADAPTIVE, COLUMNS, Attacked
from bench.papers.columns import Column, Drawing, curve
from bench.papers.experiment import Experiment, Order, Printed, Scale, Setting, Subject
from bench.papers.reactive import BANDS, SHOWN, Crossed, Geometry, Growing, Judged, Magnitudes, Model, Rebuilt
from plaintext_models.defences.components import SHARE
from plaintext_models.zoo.recipe import Recipe
from plaintext_models.zoo.registry import RECIPES

SMALLER = "digits and a network of one convolution in place of MNIST and CIFAR-10, a tenth of the card"
NOISE = 2.0  # of the radius
MAGNITUDES = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0)
SHARES = (0.5, 1.0, 1.5, 2.0)
CONTROL, PCA, ADDITIVE, HALF, MORE = "control", "PCA", "additive noise", "downsampling to 50 %", "downsampling to 75 %"
TIED, CONVOLUTIONAL = "autoencoder", "convolutional autoencoder"
MOVES = ("clean", "adversarial", "targeted", "universal", "signs drawn")

SMALL = replace(
    RECIPES["digits-mlp"], network="cnn", options={"channels": 16, "kernel": 3, "padding": 1, "hidden": (32,)}
)
RESIDUAL = Recipe("C's.", "cifar10", "resnet", {"channels": (32, 64, 128)}, epochs=20, learning_rate=3e-3)


def networks(quick: bool) -> Mapping[str, Recipe]:
    """The networks, by what the names of their settings end with."""
    return {"": SMALL} if quick else {"": RECIPES["mnist-cnn"], ", CIFAR-10": RESIDUAL}


def models(recipe: Recipe) -> Mapping[str, Model]:
    """All models of a network."""
    plain = Model(recipe)
    return {
        CONTROL: plain,
        PCA: Model(recipe, "PCA"),
        ADDITIVE: Model(recipe, "noise", NOISE * plain.radius),
        HALF: Model(recipe, "downsampling", 0.5),
        MORE: Model(recipe, "downsampling", 0.75),
        TIED: Model(recipe, "autoencoder"),
        CONVOLUTIONAL: Model(recipe, "convolutional"),
    }


def _settings(
    subjects: Callable[[Mapping[str, Model]], Mapping[str, Subject]],
    published: Mapping[str, Mapping[str, float]] = MappingProxyType({}),
) -> Callable[[bool], tuple[Setting, ...]]:
    """Settings of every network, given what is measured of its models, by name."""

    def of(quick: bool) -> tuple[Setting, ...]:
        return tuple(
            Setting(f"{name}{end}", subject, {column: Printed(x) for column, x in published.get(name, {}).items()})
            for end, recipe in networks(quick).items()
            for name, subject in subjects(models(recipe)).items()
        )

    return of


def _judged(*names: str) -> Callable[[Mapping[str, Model]], Mapping[str, Subject]]:
    return lambda every: {name: Judged(every[name]) for name in names}


def _crossed(every: Mapping[str, Model]) -> Mapping[str, Subject]:
    pairs = ((CONTROL, ADDITIVE), (CONTROL, PCA), (ADDITIVE, PCA))
    more = ((CONTROL, HALF), (CONTROL, TIED), (CONTROL, CONVOLUTIONAL))
    return {f"{a} / {b}": Crossed(every[a], every[b]) for a, b in (*pairs, *more)}


def _preventive(quick: bool) -> tuple[Setting, ...]:
    kinds = {CONTROL: None, "generated images": "C10-gan", "two tasks": "C10-multi-task"}
    return tuple(
        Setting(f"{name}{end}", Attacked(recipe, Model(recipe).radius, defence))
        for end, recipe in networks(quick).items()
        for name, defence in kinds.items()
    )


_JUDGED = (
    Column("original"),
    Column("universal"),
    Column("cost", "points"),
    Column("gain", "points"),
    Column("universal, its own"),
    Column("adaptive"),
    Column("adaptive, one draw"),
)
_NOISE = Drawing("accuracy by magnitude", "curve", "magnitude of the noise, in radii", "accuracy")
_RADIUS = Drawing("the report's attacks", "curve", "radius, in those of the other tables", "accuracy")
_ENERGY = Drawing("where energy lies", "curve", "eighth of the components, by variance", "% of the energy")

#: By the identifiers of `bench.tables.course.PUBLISHED`.
EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType(
    {
        "C1": Experiment(
            _settings(lambda every: {"network": Geometry(every[CONTROL])}),
            (
                Column(f"components for {100 * SHARE:g} %", "of them"),
                Column("ways differ by", "of the largest variance"),
                *(Column(f"{name}, beyond", "% of the energy") for name in MOVES),
                *(one for name in MOVES for one in curve(_ENERGY, name, range(1, BANDS + 1), "% of the energy")),
            ),
            full=Scale(5, 1000),
            smaller=SMALLER,
            hours=10,
        ),
        "C2": Experiment(
            _settings(lambda every: {name: Rebuilt(every[name]) for name in (PCA, TIED)}),
            (Column("error", "mean square of an element"), Column("accuracy")),
            smaller=SMALLER,
            hours=2,
        ),
        "C3": Experiment(
            _settings(lambda every: {name: Rebuilt(every[name]) for name in (PCA, CONVOLUTIONAL)}),
            (Column("error", "mean square of an element"), Column("accuracy")),
            smaller=SMALLER,
            hours=3,
        ),
        "C6": Experiment(
            _settings(lambda every: {"network": Growing(every[CONTROL], SHARES)}),
            tuple(
                one
                for line in ("image by image", "gradients", "targeted", "target reached")
                for one in curve(_RADIUS, line, SHARES)
            ),
            smaller=SMALLER,
            hours=50,
        ),
        "C10": Experiment(
            _preventive,
            COLUMNS,
            (Order("generated images", CONTROL, ADAPTIVE), Order("two tasks", CONTROL, ADAPTIVE)),
            smaller=SMALLER,
            hours=60,
        ),
        "C13": Experiment(
            _settings(
                _judged(CONTROL, PCA, ADDITIVE, HALF, TIED, CONVOLUTIONAL),
                {
                    CONTROL: {"original": 0.7585, "universal": 0.5525},
                    PCA: {"original": 0.2335, "universal": 0.2210},
                    ADDITIVE: {"original": 0.7305, "universal": 0.6245},
                    HALF: {"original": 0.6295, "universal": 0.5430},
                },
            ),
            _JUDGED,
            (
                Order(CONTROL, CONTROL, "original", "universal"),
                *(Order(CONTROL, name, "original") for name in (PCA, ADDITIVE, HALF)),
                Order(ADDITIVE, HALF, "original"),
                Order(HALF, PCA, "original"),
                Order(ADDITIVE, CONTROL, "universal"),
                Order(CONTROL, HALF, "universal"),
                Order(CONTROL, PCA, "universal"),
            ),
            quick=Scale(8, 300),
            full=Scale(10, 2000),
            smaller=SMALLER,
            hours=200,
        ),
        "C14": Experiment(
            _settings(
                _crossed,
                {
                    f"{CONTROL} / {ADDITIVE}": {"A": 0.5755, "B": 0.5610},
                    f"{CONTROL} / {PCA}": {"A": 0.3550, "B": 0.1380},
                    f"{ADDITIVE} / {PCA}": {"A": 0.4125, "B": 0.1380},
                },
            ),
            (Column("A"), Column("B"), Column("A, its own"), Column("B, its own")),
            (
                *(Order(name, name, "A", "B") for name in (f"{CONTROL} / {PCA}", f"{ADDITIVE} / {PCA}")),
                Order(f"{ADDITIVE} / {PCA}", f"{CONTROL} / {PCA}", "A"),
                Order(f"{CONTROL} / {ADDITIVE}", f"{CONTROL} / {PCA}", "A"),
            ),
            full=Scale(5, 2000),
            smaller=SMALLER,
            hours=20,
        ),
        "C15": Experiment(
            _settings(
                _judged(HALF, MORE),
                {
                    HALF: {"original": 0.6295, "universal": 0.5430},
                    MORE: {"original": 0.7045, "universal": 0.5370},
                },
            ),
            _JUDGED,
            (Order(MORE, HALF, "original"), Order(HALF, MORE, "universal")),
            full=Scale(5, 2000),
            smaller=SMALLER,
            hours=30,
        ),
        "C16": Experiment(
            _settings(lambda every: {"network": Magnitudes(every[CONTROL], MAGNITUDES)}),
            tuple(one for line in ("original", "universal", "adaptive") for one in curve(_NOISE, line, MAGNITUDES)),
            pictures=dict.fromkeys(SHOWN, "images"),
            full=Scale(5, 2000),
            smaller=SMALLER,
            hours=100,
        ),
        "C17": Experiment(
            _settings(_judged(PCA, ADDITIVE, HALF, MORE, TIED, CONVOLUTIONAL), {ADDITIVE: {"cost": 2.8, "gain": 7.2}}),
            _JUDGED,
            full=Scale(5, 2000),
            smaller=SMALLER,
            hours=100,
        ),
    }
)
