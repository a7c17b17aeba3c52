"""M45: y = |x| by two hidden units and a gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch

from bench.papers.columns import Column, Drawing, curve, histogram
from bench.papers.experiment import Measured, Run
from bench.papers.masked_subjects import BINS, binned
from plaintext_models.evaluation.judge import Share
from plaintext_models.stochastic.toy import Masks, fit, points

MARKS = (0, 1000, 3000, 5000)
WATCHED = (0, 250, 500, 1000, 2000, 3000, 4000, 4999)
PLACES = (-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0)
NEAR = 0.1  # of 0, where two straight lines meet

TOY = (
    Column("test error, median of runs", "squared error", by_ratio=True),
    Column("test error, best run", "squared error"),
    Column("error near 0, median of runs", "squared error", by_ratio=True),
    *curve(Drawing("learning", "curve", "iteration", "mean squared error"), "training error", WATCHED, "squared error"),
    *(
        column
        for mark in MARKS
        for column in histogram(Drawing(f"gates after {mark} iterations", "histogram"), f"gates at {mark}", BINS)
    ),
    *(
        column
        for mask in ("p1", "p2")
        for column in curve(Drawing("masks of the best run", "curve", "x", "probability"), mask, PLACES, "probability")
    ),
)


@dataclass(frozen=True)
class Toy:
    """Several networks of a kind, trained at once; the columns of `TOY`.

    Attributes:
        masks: See `plaintext_models.stochastic.toy.ToyNetwork`.
        sees_weights: See there.
        runs: How many.
        dataset: A data set that is not looked at.
    """

    masks: Masks
    sees_weights: bool = False
    runs: int = 30
    dataset: str = "digits"

    def measure(self, run: Run) -> Measured:
        """Errors, gates, and the best fit beside |x|."""
        found = fit(self.masks, sees_weights=self.sees_weights, runs=self.runs, marks=MARKS, seed=run.seed)
        x, _, _ = points(run.seed)
        best = int(found.losses[-1].argmin())  # on the points that it learnt from
        with torch.no_grad():
            y = found.module(x)
        near = (y - x.abs()).square()[:, x.abs() < NEAR].mean(1)
        figures: dict[str, Share | float] = {
            "test error, median of runs": found.test_losses.median().item(),
            "test error, best run": found.test_losses[best].item(),
            "error near 0, median of runs": near.median().item(),
        }
        figures |= {f"training error {step:g}": found.losses[step].mean().item() for step in WATCHED}
        for mark, gates in zip(MARKS, found.gates, strict=False):
            figures |= binned(f"gates at {mark}", gates)
        if len(found.gates):
            places = [int((x - place).abs().argmin()) for place in PLACES]
            for number, mask in enumerate(("p1", "p2")):
                along = found.gates[-1, best, places, number]
                figures |= {f"{mask} {place:g}": p.item() for place, p in zip(PLACES, along, strict=True)}
        fits = torch.cat([torch.stack([x, one, torch.full_like(x, k)], 1) for k, one in enumerate((x.abs(), y[best]))])
        return Measured(figures, {"fit": fits.numpy()})


#: The document's networks by name: without a mask, and with one that is drawn (ST) or not (DT), and that sees (GM) or
#: does not see (GMWOW) the weights.
TOYS: Mapping[str, Toy] = MappingProxyType(
    {
        "WOGM": Toy("none"),
        "GM_ST": Toy("binarised", sees_weights=True),
        "GM_DT": Toy("logistic", sees_weights=True),
        "GMWOW_ST": Toy("binarised"),
        "GMWOW_DT": Toy("logistic"),
    }
)
