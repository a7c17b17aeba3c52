"""Pictures of an evaluation: examples, accuracy against radius, confidence. A file is written whole or not at all."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from intnn.storage.document import write_atomically
from plaintext_models.evaluation.card import Point

BLUE, ORANGE = "#3b6fb6", "#d9802e"
FAR = 2.5  # times the radius before it


def draw_examples(path: Path, images: Tensor, adversarial: Tensor, captions: Sequence[str] = ()) -> None:
    """Rows of clean images, of perturbations and of adversarial images, a column an image.

    Perturbations are shown from blue (darker) over white to red, each scaled to its largest element.

    Args:
        path: .png, .svg or .pdf.
        images: [batch, channels, height, width] in [0, 1], 1 or 3 channels, at least one image.
        adversarial: The adversarial images, of the same shape.
        captions: Above the columns, if any.

    Raises:
        ValueError: The images cannot be drawn.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3) or images.shape != adversarial.shape or not len(images):
        raise ValueError(
            "`images` and `adversarial` must be [batch, 1 or 3, height, width], "
            f"got {tuple(images.shape)} and {tuple(adversarial.shape)}"
        )
    figure = _figure(1.1 * len(images) + 0.9, 3.6)
    grid = figure.subplots(3, len(images), squeeze=False)
    change = (adversarial - images).mean(1)
    change = change / change.abs().amax((1, 2), keepdim=True).clamp_min(1e-12)
    rows = {"clean": images, "perturbation": change, "adversarial": adversarial}
    for places, (title, pictures) in zip(grid, rows.items(), strict=True):
        for axes, picture in zip(places, pictures.detach().cpu(), strict=True):
            if picture.ndim == 2:
                axes.imshow(picture.numpy(), cmap="RdBu_r", vmin=-1, vmax=1)
            else:
                axes.imshow(picture.permute(1, 2, 0).squeeze(2).numpy(), cmap="gray", vmin=0, vmax=1)
            axes.set_xticks([])
            axes.set_yticks([])
        places[0].set_ylabel(title)
    for axes, caption in zip(grid[0], captions, strict=False):
        axes.set_title(caption, fontsize=8)
    _save(figure, path)


def draw_curve(path: Path, curve: Sequence[Point], *, norm: str, title: str = "") -> None:
    """Accuracy against radius, with a band for its 95 % interval.

    A last radius that is far beyond the others is where the line leads, and not in the picture.

    Args:
        path: .png, .svg or .pdf.
        curve: Radii growing, at least one.
        norm: The norm that the axis names.
        title: The title of the picture.
    """
    if not curve:
        raise ValueError("`curve` must have at least one point")
    figure = _figure(6, 3.6)
    axes = figure.add_subplot()
    radii, shares = [point.radius for point in curve], [point.robust for point in curve]
    lows, highs = zip(*(share.interval for share in shares), strict=True)
    axes.fill_between(radii, lows, highs, color=BLUE, alpha=0.2, linewidth=0, label="95 % interval")
    axes.plot(radii, [share.value for share in shares], color=BLUE, marker="o", markersize=3.5, label="worst case")
    axes.set_xlabel(f"radius ({norm})")
    axes.set_ylabel("accuracy")
    axes.set_ylim(0, 1)
    if len(radii) > 2 and radii[-1] > FAR * radii[-2]:  # at which nothing stands, wherever a card's other radii end
        axes.set_xlim(-0.05 * radii[-2], 1.15 * radii[-2])
    axes.set_title(title, loc="left")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def draw_confidences(path: Path, clean: Tensor, adversarial: Tensor) -> None:
    """Histograms of how sure a model is of what it answers.

    Args:
        path: .png, .svg or .pdf.
        clean: [n], from 0 to 1, for clean images.
        adversarial: [m], for adversarial images.
    """
    figure = _figure(6, 3.2)
    axes = figure.add_subplot()
    edges = torch.linspace(0, 1, 26).tolist()
    for values, label, colour in ((clean, "clean", BLUE), (adversarial, "adversarial", ORANGE)):
        weights = [1 / max(1, len(values))] * len(values)
        axes.hist(values.detach().cpu().tolist(), edges, weights=weights, color=colour, alpha=0.55, label=label)
    axes.set_xlim(0, 1)
    axes.set_xlabel("probability of the class answered")
    axes.set_ylabel("share of the images")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure  # here: evaluations do without it

    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: Any, path: Path) -> None:
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise ValueError(f"`path` must end in .png, .svg or .pdf, got {path.name!r}")
    picture = io.BytesIO()
    figure.savefig(picture, format=path.suffix.lstrip("."), dpi=150)
    write_atomically(path, picture.getvalue())
