"""What is measured of the networks of M: curves against the radius, steps, transfer, gates, gradients, distances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.papers.columns import Column, Drawing, curve, histogram, matrix
from bench.papers.experiment import Making, Measured, Run
from bench.papers.masked_attacks import PART, Seen, adaptive, fgsm, right
from plaintext_models.attacks.core.ball import Ball
from plaintext_models.attacks.core.losses import cross_entropy
from plaintext_models.attacks.core.target import Target
from plaintext_models.evaluation.card import QUICK
from plaintext_models.evaluation.judge import Share
from plaintext_models.stochastic.binarised import Binarised
from plaintext_models.stochastic.gates import Gate, MaskedConv2d

CLEAN, OVERFIT = "clean", "training less test"
RADII = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
ADAPTIVE = (0.1, 0.3)  # radii at which networks are attacked by all means
FEWER = 8  # by how much fewer images are attacked by all means; in the quick version five times as few
STEPS = (0.02, 0.06, 0.1)
APART = 1000  # between the seeds of an attacker's draws and of those that he is judged by
BINS = tuple(number / 10 for number in range(10))

_AGAINST = Drawing("accuracy", "curve", "radius", "right")

#: Of `Swept`: one draw is judged under the published attack; adaptively one draw and the majority.
SWEPT = (
    Column(CLEAN),
    Column(OVERFIT, "points"),
    *curve(_AGAINST, "FGSM", RADII),
    *curve(_AGAINST, "adaptive, one draw", ADAPTIVE),
    *curve(_AGAINST, "adaptive, majority", ADAPTIVE),
)
CONFIDENT_AT = (0.01, 0.13, 0.25)
#: Of `Confident`.
CONFIDENT = tuple(
    column
    for radius in CONFIDENT_AT
    for column in histogram(Drawing(f"confidence in the true class, FGSM {radius}", "histogram"), f"at {radius}", BINS)
)
READINGS = ("no ball", "radius 0.3", "radius of the step")
#: Of `Stepped`.
STEPPED = tuple(
    column
    for attack in ("BIM", "ILL")
    for reading in READINGS
    for column in (
        *curve(Drawing(f"{attack}, ten steps", "curve", "step", "right"), f"{attack}, {reading}", STEPS),
        Column(f"{attack} 0.1, {reading}, Linf reached", "pixels"),
    )
)
#: Of `Gated`.
GATED = (
    *(
        column
        for gate in ("first gate", "second gate")
        for column in histogram(Drawing(f"probabilities of masks, {gate}", "histogram"), gate, BINS)
    ),
    *(Column(f"{gate}, surer than 90 %") for gate in ("first gate", "second gate")),
)
#: Of `Sloped`.
SLOPED = (
    Column("gradient, mean", "nats"),
    Column("gradient, deviation", "nats", by_ratio=True),
    Column("signs that two draws share"),
)
#: Of `Spread`.
SPREAD = (Column("outside the middle", "% of the L1 distance"),)
#: Of `Distances`.
DISTANCES = curve(Drawing("L1 distance", "curve", "radius", "sum over pixels"), "L1", RADII, "pixels")
#: Of `Clustered`.
CLUSTERED = (Column("neighbours of its class"),)


@dataclass(frozen=True)
class Swept(Seen):
    """Clean, under FGSM at several radii, and under everything at some; the columns of `SWEPT`.

    Attributes:
        thorough: Whether it is attacked by all means, too.
    """

    thorough: bool = True

    def measure(self, run: Run) -> Measured:
        """The shares."""
        module, defended = self.defended(run)
        target, (images, labels) = defended.target, run.attacked()
        clean = right(target, images, labels)
        trained = (
            torch.from_numpy(part[: len(labels)]) for part in (run.dataset.train_images, run.dataset.train_labels)
        )
        figures: dict[str, Share | float] = {CLEAN: clean, OVERFIT: 100 * (right(target, *trained).value - clean.value)}
        for radius in RADII:
            figures[f"FGSM {radius:g}"] = right(target, fgsm(module, target, images, labels, radius), labels)
        few = len(labels) // (5 * FEWER if run.effort == QUICK else FEWER)
        for radius in ADAPTIVE if self.thorough and few else ():
            one, most = adaptive(defended, images[:few], labels[:few], Ball("linf", radius), run)
            figures |= {f"adaptive, one draw {radius:g}": one, f"adaptive, majority {radius:g}": most}
        return Measured(figures)

    def unattacked(self, making: Making) -> Measured:
        """The accuracy of one draw."""
        _, defended = self.defended(making)
        tests = map(torch.from_numpy, (making.dataset.test_images, making.dataset.test_labels))
        return Measured({CLEAN: right(defended.target, *tests)})


@dataclass(frozen=True)
class Confident(Seen):
    """The probability of the true class of FGSM's images; the columns of `CONFIDENT`."""

    def measure(self, run: Run) -> Measured:
        """Shares of the images, by tenths."""
        module, defended = self.defended(run)
        images, labels = run.attacked()
        figures: dict[str, Share | float] = {}
        for radius in CONFIDENT_AT:
            moved = fgsm(module, defended.target, images, labels, radius)
            with torch.no_grad():
                logits = torch.cat([defended.target.logits(part) for part in moved.split(PART)])
            sure = logits.softmax(1)[torch.arange(len(labels)), labels]
            figures |= binned(f"at {radius}", sure)
        return Measured(figures)


def binned(line: str, values: Tensor) -> dict[str, Share]:
    """Shares of values in [0, 1] by tenths, under the names of a histogram's columns."""
    counts = torch.histc(values.double(), len(BINS), 0, 1)
    return {
        f"{line} from {edge:g}": Share(int(count), values.numel()) for edge, count in zip(BINS, counts, strict=True)
    }


@dataclass(frozen=True)
class Stepped(Seen):
    """Ten steps, away from the class (BIM) or towards the least likely one (ILL); the columns of `STEPPED`.

    Steps may go anywhere, and images are cut off at [0, 1] in the end, as the document says; or they stay within a ball
    of 0.3, which the document's library would have kept to unasked; or of a step's size, as a reader might think.
    """

    def measure(self, run: Run) -> Measured:
        """Shares, and how far images went."""
        _, defended = self.defended(run)
        target, (images, labels) = defended.target, run.attacked()
        with torch.no_grad():
            least = torch.cat([target.logits(part) for part in images.split(PART)]).argmin(1)
        figures: dict[str, Share | float] = {}
        for attack, classes, sign in (("BIM", labels, 1.0), ("ILL", least, -1.0)):
            for reading in READINGS:
                for size in STEPS:
                    radius = {"no ball": None, "radius 0.3": 0.3}.get(reading, size)
                    moved = _ten_steps(target, images, classes, sign * size, radius)
                    figures[f"{attack}, {reading} {size:g}"] = right(target, moved, labels)
                reached = (moved - images).abs().amax().item()
                figures[f"{attack} 0.1, {reading}, Linf reached"] = reached
        return Measured(figures)


def _ten_steps(target: Target, images: Tensor, classes: Tensor, size: float, radius: float | None) -> Tensor:
    parts = []
    for some, own in zip(images.split(PART), classes.split(PART), strict=True):
        moved = some
        for _ in range(10):
            gradient, _ = target.gradient(moved, partial(cross_entropy, classes=own))
            moved = moved + size * gradient.sign()
            if radius is not None:
                moved = torch.maximum(torch.minimum(moved, some + radius), some - radius).clamp(0, 1)
        parts.append(moved.clamp(0, 1))
    return torch.cat(parts)


@dataclass(frozen=True)
class Transferred(Seen):
    """FGSM at 0.3, made on other networks, judged on this; the columns of `transfer`.

    Attributes:
        sources: The networks that images are made on, by their names.
    """

    sources: Mapping[str, Seen] = field(default_factory=dict)

    def measure(self, run: Run) -> Measured:
        """Shares by source, whose draws are the attacker's own."""
        _, defended = self.defended(run)
        images, labels = run.attacked()
        figures: dict[str, Share | float] = {}
        for name, source in self.sources.items():
            module, known = source.defended(run, run.seed + APART)
            figures[f"from {name}"] = right(defended.target, fgsm(module, known.target, images, labels, 0.3), labels)
        return Measured(figures)


def transfer(names: Mapping[str, Seen]) -> tuple[Column, ...]:
    """The columns of `Transferred`."""
    return matrix(Drawing("FGSM 0.3 from one network on another", "matrix"), [f"from {name}" for name in names])


@dataclass(frozen=True)
class Gated(Seen):
    """What gates make of clean images; the columns of `GATED`, and pictures of masks."""

    def measure(self, run: Run) -> Measured:
        """Shares of probabilities, by tenths; those of six of the first gate's filters, a row an image."""
        module, _ = self.defended(run)
        images, labels = run.attacked()
        figures: dict[str, Share] = {}
        for part in images.split(PART):
            for name, p in zip(("first gate", "second gate"), probabilities(module, part), strict=False):
                sure = Share(int(((p < 0.1) | (p > 0.9)).sum()), p.numel())
                for column, share in (binned(name, p) | {f"{name}, surer than 90 %": sure}).items():
                    before = figures.get(column, Share(0, 0))
                    figures[column] = Share(before.count + share.count, before.n + share.n)
        some = torch.cat([(labels == digit).nonzero()[:2, 0] for digit in range(4)])
        first, *_ = probabilities(module, images[some])
        return Measured(figures, {"probabilities": first[:, 6:12, 0].flatten(0, 1).numpy()})


@torch.no_grad()
def probabilities(module: nn.Module, images: Tensor) -> list[Tensor]:
    """The probabilities behind the masks of all gates, [batch, *shape of the filters] each."""
    found: list[Tensor] = []

    def look(part: nn.Module, given: tuple[Tensor, ...], _: Tensor) -> None:
        assert isinstance(part, Gate)
        slope = part.last.slope if isinstance(part.last, Binarised) else 1.0
        found.append(torch.sigmoid(slope * part.numbers(given[0])))

    gates = [part.gate for part in module.modules() if isinstance(part, MaskedConv2d) and isinstance(part.gate, Gate)]
    handles = [gate.register_forward_hook(look) for gate in gates]
    module(images)
    for handle in handles:
        handle.remove()
    return found


@dataclass(frozen=True)
class Sloped(Seen):
    """The gradient of the loss by pixels of clean images; the columns of `SLOPED`."""

    def measure(self, run: Run) -> Measured:
        """Mean, deviation, and the share of pixels at which two draws agree about the sign."""
        _, defended = self.defended(run)
        images, labels = run.attacked()
        parts = [*zip(images.split(PART), labels.split(PART), strict=True)]
        one, two = (
            torch.cat([defended.target.gradient(some, partial(cross_entropy, classes=own))[0] for some, own in parts])
            for _ in range(2)
        )
        moving = (one != 0) | (two != 0)
        same = (one.sign() == two.sign()) & moving
        return Measured(
            {
                "gradient, mean": one.double().mean().item(),
                "gradient, deviation": one.double().std().item(),
                "signs that two draws share": Share(int(same.sum()), int(moving.sum())),
            }
        )


@dataclass(frozen=True)
class Spread(Seen):
    """Where FGSM at 0.3 changes images; the column of `SPREAD`, and pictures."""

    def measure(self, run: Run) -> Measured:
        """The share of the L1 distance outside the middle quarter of images; two fours, and what is added."""
        module, defended = self.defended(run)
        images, labels = run.attacked()
        moved = fgsm(module, defended.target, images, labels, RADII[-1])
        added = (moved - images).abs()
        height, width = (size // 4 for size in images.shape[-2:])
        middle = added[..., height:-height, width:-width].sum().item()
        some = (labels == 4).nonzero()[:2, 0]
        arrays = {
            "clean, moved": torch.cat([images[some], moved[some]])[:, 0].numpy(),
            "perturbations": (moved - images)[some, 0].numpy(),
        }
        return Measured({"outside the middle": 100 * (1 - middle / added.sum().item())}, arrays)


@dataclass(frozen=True)
class Distances(Seen):
    """How far FGSM moves images; the columns of `DISTANCES`."""

    def measure(self, run: Run) -> Measured:
        """Mean L1 distances, by the radius."""
        module, defended = self.defended(run)
        images, labels = run.attacked()
        figures: dict[str, Share | float] = {}
        for radius in RADII:
            moved = fgsm(module, defended.target, images, labels, radius)
            figures[f"L1 {radius:g}"] = (moved - images).abs().flatten(1).sum(1).mean().item()
        return Measured(figures)


@dataclass(frozen=True)
class Clustered(Seen):
    """How images that FGSM has moved by 0.3 still cluster; the column of `CLUSTERED`, and their places in the plane."""

    def measure(self, run: Run) -> Measured:
        """How many of an image's five nearest others have its class."""
        module, defended = self.defended(run)
        images, labels = run.attacked()
        moved = fgsm(module, defended.target, images, labels, RADII[-1])
        far = torch.cdist(moved.flatten(1), moved.flatten(1)).fill_diagonal_(torch.inf)
        near = labels[far.topk(min(5, len(labels) - 1), largest=False).indices]
        same = (near == labels[:, None]).double().mean().item()
        found = Share(round(same * len(labels)), len(labels))  # of images: five neighbours of one say little more
        return Measured({"neighbours of its class": found}, {"plane": plane(moved, labels)})


def plane(images: Tensor, labels: Tensor) -> NDArray[Any]:
    """Places of images in the plane by t-SNE, and their classes, [n, 3]."""
    import numpy as np
    from sklearn.manifold import TSNE

    places = TSNE(perplexity=min(30, len(images) // 4), random_state=0, max_iter=500).fit_transform(
        images.flatten(1).numpy()
    )
    return np.concatenate([places, labels[:, None].numpy()], 1)
