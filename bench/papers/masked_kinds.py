"""The networks of M by name: those of chapter 4, their gates as classifiers, and the families of chapter 3."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from bench.papers.masked import LATE, Head, Late, Network, View
from bench.papers.masked_attacks import Seen

QUICK_EPOCHS = 4
#: Peaks of learning rates for a hundredth of the document's steps: of chapter 4's networks; of chapter 3's, by how many
#: convolutions they have; of the first and the second gate as classifiers. They were chosen by `masked_selection`.
QUICK_RATE, QUICK_RATES, QUICK_HEADS = 1e-2, (3e-2, 3e-3, 3e-3), (3e-2, 1e-2)


def network(quick: bool, options: Mapping[str, Any], **full: Any) -> Network:
    """A network of chapter 4, or what `full` says of another chapter's."""
    if quick:
        full |= {"epochs": QUICK_EPOCHS, "rate": QUICK_RATE}
    return Network(quick, options, **full)


COLOURED_EPOCHS = 40  # on CIFAR-10

#: The networks of chapter 4 by name: what `masked_cnn` takes, and what else is said of it.
KINDS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "CNN": {"units": "relu"},
        "CNN-BIN": {"pruning": 0.0},
        "BNN": {"masks": "binary", "begin": 1, "units": "relu"},
        "BNN, drawn": {"masks": "drawn binary", "begin": 1, "units": "relu"},
        "SGBN": {"masks": "gates"},
        "SGBN (DT)": {"masks": "logistic gates"},
        "1W-SGBN": {"masks": "gates", "gates": {"shared": True}},
        "SGBN, -1 and 1": {"masks": "signed gates"},
        "SGBN, ReLU": {"masks": "gates", "units": "relu"},
        "adaptive dropout (ST)": {"activation": "adaptive"},
        "adaptive dropout (DT)": {"activation": "adaptive mean"},
        "random mask": {"masks": "random"},
        "DropConnect": {"masks": "dropconnect"},
    }
)
#: Networks that are another one, seen otherwise.
VIEWS: Mapping[str, tuple[str, View]] = MappingProxyType(
    {"SAP": ("CNN-BIN", "pruned"), "SGBN, shuffled": ("SGBN", "shuffled")}
)
FIXED = ("CNN", "BNN", "BNN with PGD")  # that draw nothing
PGD, ADDED = " with PGD", " (add params)"


def seen(name: str, quick: bool) -> Seen:
    """A network of chapter 4 by name; with `ADDED` behind it, one with about as many weights as SGBN."""
    base = name.removesuffix(ADDED)
    kind, view = VIEWS.get(base, (base, "deterministic" if base in FIXED else "as trained"))
    late = LATE[quick] if kind.endswith(PGD) else None
    options = dict(KINDS[kind.removesuffix(PGD)])
    if name.endswith(ADDED):
        options |= {"channels": (32, 64), "dense": 400} if quick else {"channels": (64, 128), "dense": 6952}
    return Seen(network(quick, options, late=late), view)


def one_layer(quick: bool) -> Seen:
    """Table 4.7's network: one convolution and its gate."""
    options = {"masks": "gates", "channels": (16,) if quick else (32,), "sides": (5,), "strides": (2,)}
    return Seen(network(quick, options))


def coloured(name: str) -> Seen:
    """A network of chapter 4 on CIFAR-10, in full; gates of SGBN are factored, which the document's are not."""
    kind, view = VIEWS.get(name, (name, "deterministic" if name in FIXED else "as trained"))
    options = dict(KINDS[kind.removesuffix(PGD)])
    if "masks" in options and options["masks"] == "gates":
        options["gates"] = {"rank": 8}
    late = Late(20, 1 - 5 / COLOURED_EPOCHS) if kind.endswith(PGD) else None  # the last 5 epochs
    return Seen(Network(False, options, COLOURED_EPOCHS, 1e-3, late=late, data="cifar10"), view)


def surer(quick: bool) -> dict[str, Seen]:
    """SGBN with gates whose numbers are multiplied, so that masks are less and more sure."""
    usual = 30.0 if quick else 1.0
    return {
        f"gain {gain:g}": seen("SGBN", quick)
        if gain == usual
        else Seen(network(quick, {"masks": "gates", "gates": {"gain": gain}}))
        for gain in (1.0, 8.0, 30.0)
    }


def head(name: str, gate: int, quick: bool) -> Seen:
    """A gate of a network as a classifier, as Tables 4.5 and 4.6 train it."""
    network = seen(name, quick).network
    assert isinstance(network, Network)
    rate = (QUICK_HEADS if quick else (1e-3, 1e-4))[gate]
    return Seen(Head(network, gate, rate, 300 if quick else 5000))


def chapter_3(quick: bool, layers: int, *, norm: Literal[1, 2] = 2, penalty: float = 0.0, **options: Any) -> Network:
    """A network of chapter 3: convolutions of step 2 without batch normalisation, and a dense layer of 100.

    Args:
        quick: See `Network`.
        layers: How many convolutions.
        norm: See `Network`.
        penalty: See `Network`.
        **options: What else `masked_cnn` takes.
    """
    maps = ((16, 32) if quick else (32, 64))[:layers]
    rest = {"channels": maps, "sides": (5, 5)[:layers], "strides": (2, 2)[:layers], "normalised": False}
    binarised = options.get("units", "relu") != "relu"
    epochs, rate = (20, 1e-4) if not binarised else (20, 1e-2) if not layers else (30, 1e-3)
    if quick:
        epochs, rate = QUICK_EPOCHS, QUICK_RATES[layers]
    return Network(quick, {"units": "relu", **rest, **options}, epochs, rate, norm, penalty)


def dropouts(quick: bool) -> dict[str, Network]:
    """M17: by the part of units that are dropped, and none."""
    parts = (0.1, 0.5, 0.9) if quick else (0.1, 0.3, 0.5, 0.7, 0.9)
    return {"none": chapter_3(quick, 1)} | {f"dropout {p:.0%}": chapter_3(quick, 1, dropout=p) for p in parts}


def penalties(quick: bool) -> dict[str, Network]:
    """M18: by norm and size of the penalty, and none."""
    sizes = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
    norms: tuple[Literal[1, 2], ...] = (1, 2)
    return {"none": chapter_3(quick, 1)} | {
        f"L{norm}, {size:g}": chapter_3(quick, 1, norm=norm, penalty=size) for norm in norms for size in sizes
    }


UNITS = {"DBN": "deterministic", "STE": "soft", "REINFORCE": "reinforce"}
BODIES = {"MLP": 0, "1CNN": 1, "2CNN": 2}


def binarised(quick: bool) -> dict[str, Network]:
    """M20: by kind of units and body."""
    return {
        f"{kind}-{body}": chapter_3(quick, layers, units=units)
        for body, layers in BODIES.items()
        for kind, units in UNITS.items()
    }


def view_of(network: Network) -> View:
    """How a network of chapter 3 is seen."""
    return "deterministic" if network.options["units"] in ("relu", "deterministic") else "as trained"


def gates_as_classifiers(quick: bool) -> dict[str, Seen]:
    """M40 and M43: the gates of SGBN and of the one with shared filters, and what the first is likened to."""
    return {
        "1st-GM": head("SGBN", 0, quick),
        "2nd-GM": head("SGBN", 1, quick),
        "1W-1st-GM": head("1W-SGBN", 0, quick),
        "1W-2nd-GM": head("1W-SGBN", 1, quick),
        "1-layer-SGBN": one_layer(quick),
    }


def gates_as_attackers(quick: bool) -> dict[str, Seen]:
    """M41: two gates and their network."""
    return {"1st-GM": head("SGBN", 0, quick), "2nd-GM": head("SGBN", 1, quick), "SGBN": seen("SGBN", quick)}
