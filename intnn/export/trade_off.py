"""What agreement costs: a curve."""

import os
from collections.abc import Mapping, Sequence

from intnn.export.picture import empty_figure, write_figure

Point = tuple[float, float]

_MARKERS = "os^Dv"


def draw_trade_off(
    points: Mapping[str, Sequence[Point]], chosen: Point, title: str, path: str | os.PathLike[str]
) -> None:
    """Draw what networks of several forms cost and are worth.

    Args:
        points: For every form the pairs (units, agreement) of its networks.
        chosen: The pair of the network that was taken.
        title: What the agreement is.
        path: The file, .svg, .png or .pdf; it appears whole or not at all.

    Raises:
        ValueError: The suffix is another one.
        ImportError: Matplotlib is not installed.
        OSError: The file cannot be written.
    """
    figure = empty_figure(7, 4.5, path)
    axes = figure.add_subplot()
    best: list[Point] = []
    for point in sorted(point for form in points.values() for point in form):
        if not best or point[1] > best[-1][1]:
            best.append(point)
    axes.plot(*zip(*best, strict=True), "-", color="grey", zorder=0, label="best for the price")
    for (form, pairs), marker in zip(points.items(), _MARKERS, strict=False):
        if pairs:
            axes.plot(*zip(*pairs, strict=True), marker, label=form)
    axes.plot(*chosen, "*", color="black", markersize=13, label="chosen")
    axes.set(xscale="log", xlabel="units", ylabel=title)
    axes.legend()
    axes.grid(alpha=0.3)
    figure.set_layout_engine("constrained")
    write_figure(figure, path)
