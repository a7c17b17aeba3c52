"""M: the doctoral thesis on learnt stochastic weight masking (SGBN), chapters 3 and 4, on MNIST and CIFAR-10."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from bench.papers.columns import Column
from bench.papers.experiment import Experiment, Order, Printed, Scale, Setting, Shown
from bench.papers.masked import Network
from bench.papers.masked_hours import full_hours
from bench.papers.masked_kinds import (
    ADDED,
    binarised,
    coloured,
    dropouts,
    gates_as_attackers,
    gates_as_classifiers,
    penalties,
    seen,
    surer,
    view_of,
)
from bench.papers.masked_subjects import (
    CLEAN,
    CLUSTERED,
    CONFIDENT,
    DISTANCES,
    GATED,
    SLOPED,
    SPREAD,
    STEPPED,
    SWEPT,
    Clustered,
    Confident,
    Distances,
    Gated,
    Seen,
    Sloped,
    Spread,
    Stepped,
    Swept,
    Transferred,
    transfer,
)
from bench.papers.masked_toy import TOY, TOYS

SMALLER = (
    "half as many maps, the first 5,000 training images and 4 epochs; gates of 64 units and step 2, numbers times 30; "
    "trained against attacks of 7 steps from the start, their radius growing in half of it; attacked by all means on "
    "a fortieth of the images"
)
FGSM = "FGSM {:g}"
QUICK, FEWER_SEEDS, FEWER_IMAGES, FULL = Scale(4, 1000), Scale(2, 1000), Scale(4, 100), Scale(10, 10_000)
MORE_SEEDS = Scale(8, 1000)  # where seeds differ by more than the document's networks do
PICTURES: Mapping[str, Shown] = MappingProxyType({"clean, moved": "images", "perturbations": "signed images"})


def printed(*values: float, deviations: tuple[float, ...] = ()) -> dict[str, Printed]:
    """A row of Table 4.11, in %: clean, and FGSM at 0.1, 0.2 and 0.3."""
    names = (CLEAN, *(FGSM.format(radius) for radius in (0.1, 0.2, 0.3)))
    spread = deviations or (None,) * len(values)
    return {
        name: Printed(value / 100, None if off is None else off / 100)
        for name, value, off in zip(names, values, spread, strict=True)
    }


def at(radius: float, value: float, deviation: float | None = None) -> dict[str, Printed]:
    """One accuracy under FGSM, in %."""
    return {FGSM.format(radius): Printed(value / 100, None if deviation is None else deviation / 100)}


#: Table 4.11, MNIST.
TABLE: Mapping[str, Mapping[str, Printed]] = MappingProxyType(
    {
        "SGBN": printed(98.3, 98.0, 96.8, 93.1, deviations=(0.1, 0.1, 0.2, 1.2)),
        "1W-SGBN": printed(98.1, 97.9, 97.1, 93.8, deviations=(0.1, 0.1, 0.1, 0.3)),
        "SGBN (DT)": printed(98.3, 93.0, 80.8, 61.5, deviations=(0.1, 0.5, 2.3, 3.7)),
        "BNN with PGD": printed(95.4, 92.6, 86.2, 76.8, deviations=(0.4, 0.5, 1.0, 1.1)),
        "BNN with PGD (add params)": printed(98.1, 91.6, 83.4, 70.3, deviations=(0.2, 2.0, 2.7, 2.9)),
        "BNN": {},
        "SAP": printed(96.0, 95.4, 93.0, 73.5, deviations=(0.3, 0.4, 1.6, 3.1)),
        "SAP (add params)": printed(89.1, 84.7, 76.7, 63.7, deviations=(2.9, 5.9, 7.3, 6.8)),
        "CNN-BIN": printed(98.3, 91.8, 76.5, 44.6, deviations=(0.1, 0.6, 3.0, 2.7)),
        "CNN-BIN (add params)": printed(94.3, 78.3, 68.4, 61.7, deviations=(6.8, 15.4, 13.0, 11.9)),
        "CNN": printed(99.0, 72.5, 31.8, 15.3, deviations=(0.1, 2.3, 3.1, 2.2)),
        "CNN (add params)": printed(99.1, 69.8, 18.6, 7.2, deviations=(0.1, 2.8, 2.1, 0.9)),
        "adaptive dropout (ST)": printed(98.3, 92.8, 82.1, 62.7, deviations=(0.1, 0.2, 0.6, 1.6)),
        "adaptive dropout (DT)": printed(98.3, 91.5, 76.9, 54.8, deviations=(0.1, 0.5, 3.6, 4.7)),
        "adaptive dropout (ST) (add params)": printed(96.2, 88.4, 74.2, 59.3, deviations=(3.7, 2.9, 3.3, 3.2)),
        "adaptive dropout (DT) (add params)": printed(97.2, 87.9, 72.8, 57.0, deviations=(3.0, 2.6, 3.4, 3.3)),
        "random mask": printed(97.5, 88.6, 68.6, 44.6, deviations=(0.1, 0.6, 2.5, 2.8)),
        "random mask (add params)": printed(93.2, 83.2, 66.8, 50.4, deviations=(7.5, 6.4, 5.4, 3.5)),
        "DropConnect": printed(97.8, 89.8, 70.0, 46.4, deviations=(0.1, 0.7, 2.3, 2.0)),
    }
)
#: Table 4.11, CIFAR-10.
COLOURED: Mapping[str, Mapping[str, Printed]] = MappingProxyType(
    {
        "SGBN": printed(61.6, 32.3, 22.1, 17.3, deviations=(1.1, 1.5, 0.7, 0.8)),
        "BNN with PGD": printed(50.4, 26.5, 16.0, 13.6, deviations=(2.9, 1.3, 1.3, 1.2)),
        "SAP": printed(58.2, 1.6, 1.6, 2.3, deviations=(1.1, 0.3, 0.3, 0.3)),
        "CNN": printed(64.9, 0.5, 0.9, 1.0, deviations=(1.9, 0.1, 0.3, 0.4)),
    }
)
LARGER = tuple(name for name in TABLE if name.endswith(ADDED))
AS_LARGE = tuple(name for name in TABLE if name != "SGBN" and name not in LARGER)
BELOW = tuple(name for name in AS_LARGE if name != "1W-SGBN")  # which stands more, at 0.3
FIVE = ("SGBN", "SAP", "BNN with PGD", "CNN-BIN", "CNN")
SIX = ("SGBN", "BNN with PGD", "BNN", "SAP", "CNN-BIN", "CNN")
#: Table 4.8: targets, and for each the accuracy on what `FIVE` made, in %, with its deviation.
BLACK_BOX: Mapping[str, tuple[tuple[float, float], ...]] = MappingProxyType(
    {
        "CNN-BIN": ((74.0, 6.7), (73.5, 4.2), (57.9, 4.8), (44.6, 2.7), (55.8, 3.9)),
        "SGBN, -1 and 1": ((74.9, 0.9), (78.9, 1.2), (44.0, 2.0), (66.2, 1.1), (64.7, 1.4)),
        "DropConnect": ((88.3, 2.4), (81.6, 2.1), (54.8, 3.9), (74.7, 3.0), (70.2, 2.0)),
        "random mask": ((88.7, 3.1), (82.7, 2.9), (55.6, 4.4), (75.4, 3.9), (71.6, 3.8)),
        "SGBN, shuffled": ((89.9, 1.6), (84.8, 2.1), (58.3, 3.7), (77.5, 2.5), (73.0, 3.1)),
        "SGBN": ((93.1, 1.2), (89.2, 1.9), (63.9, 3.9), (81.9, 2.8), (75.6, 3.0)),
    }
)


def _experiment(
    settings: Callable[[bool], tuple[Setting, ...]],
    columns: tuple[Column, ...],
    orders: tuple[Order, ...],
    scale: Scale,
    pictures: Mapping[str, Shown] = MappingProxyType({}),
) -> Experiment:
    hours = full_hours(settings(False), FULL.seeds)
    return Experiment(settings, columns, orders, pictures, scale, FULL, SMALLER, hours)


def _swept(
    *names: str,
    orders: tuple[Order, ...] = (),
    more: Callable[[bool], dict[str, Seen]] = lambda _: {},
    values: Mapping[str, Mapping[str, Printed]] = TABLE,
    only_full: tuple[str, ...] = (),
    scale: Scale = QUICK,
) -> Experiment:
    """Networks of chapter 4 under FGSM and adaptively, beside Table 4.11; gates as classifiers under FGSM alone."""

    def settings(quick: bool) -> tuple[Setting, ...]:
        subjects = {name: seen(name, quick) for name in names + (() if quick else only_full)} | more(quick)
        return tuple(
            Setting(
                name,
                Swept(one.network, one.view, thorough=isinstance(one.network, Network)),
                values.get(name, TABLE.get(name, {})),
            )
            for name, one in subjects.items()
        )

    return _experiment(settings, SWEPT, orders, scale)


def _each(
    kind: type[Seen],
    names: tuple[str, ...],
    columns: Any,
    orders: tuple[Order, ...] = (),
    values: Mapping[str, Mapping[str, Printed]] = MappingProxyType({}),
    scale: Scale = QUICK,
    pictures: Mapping[str, Shown] = MappingProxyType({}),
) -> Experiment:
    """The same measurement of several networks of chapter 4."""

    def settings(quick: bool) -> tuple[Setting, ...]:
        subjects = {name: seen(name, quick) for name in names}
        return tuple(Setting(name, kind(one.network, one.view), values.get(name, {})) for name, one in subjects.items())

    return _experiment(settings, columns, orders, scale, pictures)


def _matrix(
    targets: Callable[[bool], Mapping[str, Seen]],
    sources: Callable[[bool], Mapping[str, Seen]],
    values: Mapping[str, Any],
    orders: tuple[Order, ...] = (),
    scale: Scale = QUICK,
) -> Experiment:
    """FGSM at 0.3 from some networks on others."""

    def settings(quick: bool) -> tuple[Setting, ...]:
        made = sources(quick)
        return tuple(
            Setting(
                name,
                Transferred(one.network, one.view, made),
                {
                    f"from {source}": Printed(value / 100, None if off is None else off / 100)
                    for source, (value, off) in zip(made, values.get(name, ()), strict=False)
                },
            )
            for name, one in targets(quick).items()
        )

    return _experiment(settings, transfer(sources(True)), orders, scale)


def _coloured(quick: bool) -> tuple[Setting, ...]:
    """CIFAR-10, in full alone."""
    names = () if quick else COLOURED
    return tuple(
        Setting(name, Swept(one.network, one.view), COLOURED[name])
        for name, one in {name: coloured(name) for name in names}.items()
    )


def _above(better: str, *others: str, radius: float) -> tuple[Order, ...]:
    """One network above others under FGSM."""
    return tuple(Order(better, other, FGSM.format(radius)) for other in others)


def _all(*names: str) -> Callable[[bool], Mapping[str, Seen]]:
    return lambda quick: {name: seen(name, quick) for name in names}


#: Tables 3.4 to 3.6, test accuracies.
BINARISED: Mapping[str, Printed] = MappingProxyType(
    {
        "DBN-MLP": Printed(0.967, 0.001),
        "STE-MLP": Printed(0.969, 0.001),
        "REINFORCE-MLP": Printed(0.917, 0.0005),
        "DBN-1CNN": Printed(0.987, 0.0008),
        "STE-1CNN": Printed(0.987, 0.001),
        "REINFORCE-1CNN": Printed(0.967, 0.014),
        "DBN-2CNN": Printed(0.989, 0.0007),
        "STE-2CNN": Printed(0.99, 0.0007),
        "REINFORCE-2CNN": Printed(0.959, 0.005),
    }
)


def _chapter_3(
    networks: Callable[[bool], dict[str, Network]],
    kind: type[Seen],
    columns: Any,
    orders: tuple[Order, ...] = (),
    values: Mapping[str, Mapping[str, Printed]] = MappingProxyType({}),
    scale: Scale = QUICK,
    pictures: Mapping[str, Shown] = MappingProxyType({}),
) -> Experiment:
    """The same measurement of several networks of chapter 3."""

    def settings(quick: bool) -> tuple[Setting, ...]:
        return tuple(
            Setting(name, kind(one, view_of(one)), values.get(name, {})) for name, one in networks(quick).items()
        )

    return _experiment(settings, columns, orders, scale, pictures)


#: By the identifiers of `bench.tables.masking.PUBLISHED`.
EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType(
    {
        "M17": _chapter_3(
            dropouts,
            Swept,
            SWEPT,
            (Order("dropout 90%", "none", FGSM.format(0.1)), Order("dropout 90%", "dropout 10%", FGSM.format(0.1))),
        ),
        "M18": _chapter_3(
            penalties,
            Swept,
            SWEPT,
            (
                Order("L2, 0.1", "L2, 1e-05", FGSM.format(0.2)),
                Order("L1, 0.01", "none", FGSM.format(0.1)),
                Order("L1, 0.001", "none", FGSM.format(0.1)),
                Order("none", "L1, 0.1", CLEAN),
            ),
        ),
        "M19": _chapter_3(lambda quick: dropouts(quick) | penalties(quick), Confident, CONFIDENT),
        "M20": _chapter_3(
            binarised,
            Swept,
            SWEPT,
            tuple(
                Order(f"{kind}-{body}", f"DBN-{body}", FGSM.format(0.25))
                for body in ("MLP", "1CNN", "2CNN")
                for kind in ("STE", "REINFORCE")
            ),
            {
                name: {CLEAN: value, **(at(0.25, 78.2, 2.4) if name == "REINFORCE-1CNN" else {})}
                for name, value in BINARISED.items()
            },
            scale=MORE_SEEDS,
        ),
        "M20-confidence": _chapter_3(binarised, Confident, CONFIDENT),
        "M21": _chapter_3(
            lambda quick: {name: one for name, one in penalties(quick).items() if name in ("none", "L1, 0.01")},
            Spread,
            SPREAD,
            (Order("none", "L1, 0.01", "outside the middle"),),
            scale=MORE_SEEDS,
            pictures=PICTURES,
        ),
        "M23": _swept(more=surer, scale=FEWER_SEEDS),
        "M31": _swept(*SIX, orders=_above("SGBN", *SIX[1:], radius=0.3), scale=MORE_SEEDS),
        "M32": _each(
            Stepped,
            ("SGBN", "SAP", "BNN", "BNN, drawn", "CNN-BIN", "CNN"),
            STEPPED,
            (Order("SGBN", "CNN-BIN", "BIM, no ball 0.06"), Order("SGBN", "BNN", "BIM, no ball 0.06")),
            values={
                "BNN": {"BIM, no ball 0.06": Printed(0.063, 0.018)},
                "BNN, drawn": {"BIM, no ball 0.06": Printed(0.046, 0.007)},
                "CNN-BIN": {"BIM, no ball 0.06": Printed(0.079, 0.01)},
                "SGBN": {"BIM, no ball 0.1": Printed(0.777, 0.055)},
            },
            scale=FEWER_IMAGES,
        ),
        "M33": Experiment(_coloured, SWEPT, quick=QUICK, full=FULL, hours=60.0),
        "M34": _matrix(
            _all(*FIVE),
            _all(*FIVE),
            {},
            (Order("SGBN", "CNN", "from CNN"), Order("CNN", "CNN", "from SGBN", "from CNN")),
        ),
        "M35": _each(Gated, ("SGBN", "1W-SGBN"), GATED, pictures={"probabilities": "images"}),
        "M36": _each(
            Spread,
            FIVE,
            SPREAD,
            tuple(Order("SGBN", other, "outside the middle") for other in FIVE[1:]),
            scale=MORE_SEEDS,
            pictures=PICTURES,
        ),
        "M37": _each(
            Distances, FIVE, DISTANCES, tuple(Order("SGBN", other, "L1 0.3") for other in ("SAP", "BNN with PGD"))
        ),
        "M38": _each(
            Clustered,
            FIVE,
            CLUSTERED,
            (Order("SGBN", "BNN with PGD", "neighbours of its class"),),
            pictures={"plane": "points"},
        ),
        "M39": _each(
            Sloped,
            ("SGBN", "SGBN (DT)", "CNN-BIN"),
            SLOPED,
            (Order("SGBN", "SGBN (DT)", "gradient, deviation"), Order("SGBN", "CNN-BIN", "gradient, deviation")),
            values={"SGBN (DT)": {"gradient, mean": Printed(0.0), "gradient, deviation": Printed(0.015)}},
        ),
        "M39-transfer": _matrix(
            _all("SAP", "BNN with PGD", "CNN-BIN", "CNN"),
            _all("SGBN", "SGBN (DT)"),
            {"CNN": ((62.8, None), (54.1, None))},
            (Order("CNN", "CNN", "from SGBN", "from SGBN (DT)"),),
        ),
        "M40": _swept(
            "SGBN",
            more=gates_as_classifiers,
            values={"1st-GM": {CLEAN: Printed(0.842)}, "2nd-GM": {CLEAN: Printed(0.958)}},
            orders=(Order("2nd-GM", "1st-GM", CLEAN),),
        ),
        "M41": _matrix(_all("CNN", "CNN-BIN", "SAP", "BNN with PGD"), gates_as_attackers, {}),
        "M42": _swept("SGBN", "SGBN, ReLU", values={"SGBN, ReLU": at(0.3, 91.1, 1.1)}, scale=FEWER_SEEDS),
        "M43": _swept("SGBN", "1W-SGBN", orders=_above("1W-SGBN", "SGBN", radius=0.3)),
        "M44": _matrix(
            _all(*BLACK_BOX),
            _all(*FIVE),
            BLACK_BOX,
            tuple(Order("SGBN", other, "from SAP") for other in BLACK_BOX if other != "SGBN"),
            MORE_SEEDS,
        ),
        "M45": Experiment(
            lambda _: tuple(Setting(*one) for one in TOYS.items()),
            TOY,
            tuple(
                Order("WOGM", name, "error near 0, median of runs")
                for name in ("GM_ST", "GM_DT", "GMWOW_ST", "GMWOW_DT")
            ),
            {"fit": "points"},
            Scale(10, 0),
            Scale(20, 0),
            hours=0.1,
        ),
        "M46": _swept(
            "adaptive dropout (ST)",
            "adaptive dropout (DT)",
            "CNN-BIN",
            orders=_above("adaptive dropout (ST)", "adaptive dropout (DT)", "CNN-BIN", radius=0.3),
        ),
        "M47": _swept(
            "SGBN",
            *(f"{name}{ADDED}" for name in ("CNN", "CNN-BIN", "SAP", "BNN with PGD")),
            orders=_above("SGBN", f"CNN{ADDED}", f"CNN-BIN{ADDED}", radius=0.3),
        ),
        "M48": _swept("SGBN", *AS_LARGE, orders=_above("SGBN", *BELOW, radius=0.3), only_full=LARGER),
    }
)
