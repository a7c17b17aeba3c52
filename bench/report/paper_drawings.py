"""The pictures of published results: curves, histograms and matrices of figures; images and points of kept arrays."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.papers.columns import SHARE, Drawing
from bench.report.paper import columns
from bench.report.paper_rows import Figure, PaperRow

if TYPE_CHECKING:
    from numpy.typing import NDArray

DASHES = ("-", "--", ":", "-.")  # of the lines of one setting, whose colour they share
COLOURS = 10  # before they begin again, with the next marker
MARKERS = "osD^"
LINES = 6  # a picture of more has paler bands, which would hide them together
_FRONTS = "an image; behind PCA, two autoencoders, noise of 1, 3 and 6 radii, downsampling to 75 and to 50 %"
#: What is seen where an array is drawn, by the names that experiments give arrays.
SEEN: Mapping[str, str] = MappingProxyType(
    {
        "transformations": _FRONTS,
        "after the universal perturbation": _FRONTS,
        "a 7 and its FGSM image": "the image, and the nearest that is answered otherwise",
        "clean, moved": "two images, and what the attack makes of them",
        "perturbations": "of two images; red is above 0, blue below",
        "plane": "attacked images, projected; a colour for each class",
        "probabilities": "of the first gate's masks; black is 0, white 1",
        "fit": "blue is the function, orange the best run",
    }
)
ACROSS = 4  # small pictures in a row
IMAGES = 10  # of a row of images, at most


@dataclass(frozen=True)
class Picture:
    """A file to be shown.

    Attributes:
        name: Of the file, which ends in .svg or .png.
        caption: What it shows.
        content: The file.
    """

    name: str
    caption: str
    content: bytes


def pictures(rows: Sequence[PaperRow]) -> Iterator[Picture]:
    """The pictures of one result, given its rows."""
    drawings = dict.fromkeys(column.drawing for column in columns(rows) if column.drawing is not None)
    for drawing in drawings:
        draw = {"curve": _curve, "histogram": _histogram, "matrix": _matrix}[drawing.form]
        yield _picture(rows[0], drawing.title, draw(rows, drawing), "svg")
    for name, shown in rows[0].pictures:
        found = {row.setting: arrays for row in rows if (arrays := _array(row, name)) is not None}
        if found:
            draw_arrays = _points if shown == "points" else _signed if shown == "signed images" else _images
            yield _picture(rows[0], f"{name}, seed {rows[0].seeds[0]}", draw_arrays(found), "png", SEEN.get(name, ""))


def _array(row: PaperRow, name: str) -> NDArray[Any] | None:
    """An array of a setting's first run, if it has that."""
    from bench.papers.store import read_arrays

    return None if not row.arrays else read_arrays(Path(row.arrays[0]))[1].get(name)


def _picture(row: PaperRow, title: str, figure: Any, form: str, seen: str = "") -> Picture:
    import matplotlib as mpl

    content = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": row.identifier}):  # equal rows give equal bytes
        figure.savefig(content, format=form, dpi=120, metadata={"Date": None} if form == "svg" else None)
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    caption = f"{row.identifier}: {title}" + (f": {seen}" if seen else "")
    return Picture(f"{row.identifier}-{slug}.{form}", caption, content.getvalue())


def _curve(rows: Sequence[PaperRow], drawing: Drawing) -> Any:
    """Every line of every setting, with a band for its intervals and crosses for what the document prints."""
    lines = _lines(rows, drawing)
    settings, names = (list(dict.fromkeys(key[i] for key in lines)) for i in (0, 1))
    figure = _figure(6, 3.8)
    axes = figure.add_subplot()
    places = {row.setting: i for i, row in enumerate(rows)}  # a setting has its colour in all pictures
    for (setting, name), figures in lines.items():
        # settings differ by colour and their lines by dashes; the lines of a single setting by colour, too
        line = names.index(name)
        look = _look(places[setting], line) if len(settings) > 1 else _look(places[setting] + line, 0)
        scale = 100 if figures[0].column.unit == SHARE else 1
        xs, values = [one.column.x for one in figures], [scale * one.ours.value for one in figures]
        axes.plot(xs, values, **look)
        ends = [(one.ours.low, one.ours.high) for one in figures]
        if all(low is not None and high is not None for low, high in ends):
            band, alpha = np.array(ends, float).T * scale, 0.12 * min(1, LINES / len(lines))
            axes.fill_between(xs, *band, color=look["color"], alpha=alpha, linewidth=0)
        said = [(one.column.x, scale * one.published) for one in figures if one.published is not None]
        if said:
            axes.plot(*zip(*said, strict=True), "x", color=look["color"], markersize=7)
    shares = all(figures[0].column.unit == SHARE for figures in lines.values())
    if shares:
        axes.set_ylim(-2, 102)
    if drawing.mark is not None:
        axes.axvline(drawing.mark, color="0.6", linewidth=1, linestyle=":")
    _label(axes, drawing, f"{drawing.y}, %" if shares and drawing.y else drawing.y)
    if all(one.column.x == round(one.column.x or 0) for figures in lines.values() for one in figures):
        axes.xaxis.get_major_locator().set_params(integer=True)  # of what is counted there is no half
    if len(lines) > 1:
        _legend(figure, {setting: places[setting] for setting in settings}, names)
    return figure


def _look(setting: int, line: int) -> dict[str, Any]:
    """How a line is drawn, given the places of its setting and of itself."""
    return {
        "color": f"C{setting % COLOURS}",
        "marker": MARKERS[setting // COLOURS % len(MARKERS)],
        "linestyle": DASHES[line % len(DASHES)],
        "markersize": 2.5 if setting < COLOURS else 4,
        "linewidth": 1.3,
    }


def _legend(figure: Any, settings: Mapping[str, int], lines: Sequence[str]) -> None:
    """A legend beside the picture, which becomes as large as that needs: the settings, then the kinds of lines."""
    from matplotlib.lines import Line2D

    one = next(iter(settings.values()))
    if len(settings) == 1:
        looks = {line: _look(one + i, 0) for i, line in enumerate(lines)}
    else:
        looks = {setting: _look(place, 0) for setting, place in settings.items()}
        if len(lines) > 1:
            looks |= {line: _look(0, i) | {"color": "0.3", "marker": ""} for i, line in enumerate(lines)}
    width, height = figure.get_size_inches()
    figure.set_size_inches(width + 0.6 + 0.075 * max(map(len, looks)), max(height, 0.5 + 0.18 * len(looks)))
    figure.legend(
        [Line2D([], [], **look) for look in looks.values()],
        list(looks),
        frameon=False,
        fontsize=8,
        loc="outside right center",
    )


def _histogram(rows: Sequence[PaperRow], drawing: Drawing) -> Any:
    """A small picture for every setting, on one scale, in which the lines share their bins."""
    lines = _lines(rows, drawing)
    settings, names = (list(dict.fromkeys(key[i] for key in lines)) for i in (0, 1))
    figure, places = _grid(len(settings), 2.6, 2.2, shared=True)
    for (setting, name), figures in lines.items():
        edges = [one.column.x or 0.0 for one in figures]
        last = edges[-1] - edges[-2] if len(edges) > 1 else 1.0
        axes, widths = places[settings.index(setting)], np.diff([*edges, edges[-1] + last])
        heights = [100 * one.ours.value for one in figures]
        axes.bar(edges, heights, widths, align="edge", color=f"C{names.index(name)}", alpha=0.5, label=name)
    for axes, setting in zip(places, settings, strict=True):
        _label(axes, drawing, drawing.y or "%", setting)
        axes.tick_params(labelbottom=True, labelleft=True)
    figure.suptitle(drawing.title, x=0.01, ha="left", fontsize=10)
    if len(names) > 1:
        places[0].legend(frameon=False, fontsize=7)
    return figure


def _matrix(rows: Sequence[PaperRow], drawing: Drawing) -> Any:
    """A heat map; below every value, in brackets, what the document prints."""
    across = [column for column in columns(rows) if column.drawing == drawing]
    found = {row.setting: {figure.column: figure for figure in row.figures} for row in rows}
    names = [name for name, figures in found.items() if not figures.keys().isdisjoint(across)]
    cells = [found[name] for name in names]
    values = np.array([[_value(cell.get(column)) for column in across] for cell in cells])
    figure = _figure(2.6 + 0.95 * len(across), 1.3 + 0.5 * len(names))
    axes = figure.add_subplot()
    shares = all(column.unit == SHARE for column in across)
    axes.imshow(values, cmap="viridis", aspect="auto", vmin=0 if shares else None, vmax=100 if shares else None)
    middle = 50 if shares else (np.nanmin(values) + np.nanmax(values)) / 2
    for i, cell in enumerate(cells):
        for j, column in enumerate(across):
            if (one := cell.get(column)) is not None:
                said = "" if one.published is None else f"\n({one.text(one.published)})"
                colour = "white" if values[i, j] < middle else "black"
                axes.text(j, i, one.text(one.ours.value) + said, ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(len(across)), [column.name for column in across], rotation=30, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xlabel(drawing.x)
    axes.set_ylabel(drawing.y)
    axes.set_title(f"{drawing.title}, %" if shares else drawing.title, loc="left", fontsize=10)
    return figure


def _value(figure: Figure | None) -> float:
    if figure is None:
        return math.nan
    return 100 * figure.ours.value if figure.column.unit == SHARE else figure.ours.value


def _images(found: dict[str, NDArray[Any]]) -> Any:
    """A row of images for every setting."""
    return _rows_of_images(found, {"cmap": "gray", "vmin": 0, "vmax": 1}, signed=False)


def _signed(found: dict[str, NDArray[Any]]) -> Any:
    """A row of images for every setting: from blue (negative) over white to red, each scaled to its largest element."""
    return _rows_of_images(found, {"cmap": "RdBu_r", "vmin": -1, "vmax": 1}, signed=True)


def _rows_of_images(found: dict[str, NDArray[Any]], look: dict[str, Any], *, signed: bool) -> Any:
    across = min(IMAGES, max(len(images) for images in found.values()))
    figure = _figure(1.8 + 0.85 * across, 0.2 + 0.9 * len(found))
    grid = figure.subplots(len(found), across, squeeze=False)
    for places, (setting, images) in zip(grid, found.items(), strict=True):
        for axes in places:
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_frame_on(False)
        places[0].set_ylabel(setting, rotation=0, ha="right", va="center", fontsize=8)
        for axes, image in zip(places, images, strict=False):
            shown = image
            if image.ndim == 3:
                colours = image.shape[0] == 3 and not signed
                shown = np.moveaxis(image, 0, 2).clip(0, 1) if colours else image.mean(0)
            axes.imshow(shown / max(float(np.abs(shown).max()), 1e-12) if signed else shown, **look)
    return figure


def _points(found: dict[str, NDArray[Any]]) -> Any:
    """A small picture of points for every setting, their classes in colours."""
    figure, places = _grid(len(found), 2.8, 2.8)
    for axes, (setting, points) in zip(places, found.items(), strict=True):
        colours = [f"C{int(kind) % COLOURS}" for kind in points[:, 2]]
        axes.scatter(points[:, 0], points[:, 1], 5, colours, linewidths=0)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(setting, loc="left", fontsize=9)
    return figure


def _lines(rows: Sequence[PaperRow], drawing: Drawing) -> dict[tuple[str, str], list[Figure]]:
    """The figures of a picture, by setting and line, in the order of their x."""
    found: dict[tuple[str, str], list[Figure]] = {}
    for row in rows:
        for figure in row.figures:
            if figure.column.drawing == drawing:
                found.setdefault((row.setting, figure.column.line), []).append(figure)
    return {key: sorted(figures, key=lambda one: one.column.x or 0.0) for key, figures in found.items()}


def _label(axes: Any, drawing: Drawing, y: str, title: str | None = None) -> None:
    axes.set_xlabel(drawing.x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.set_title(drawing.title if title is None else title, loc="left", fontsize=10 if title is None else 9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure as Canvas  # here: commands that draw nothing do without it

    return Canvas(figsize=(width, height), layout="constrained")


def _grid(count: int, width: float, height: float, *, shared: bool = False) -> tuple[Any, list[Any]]:
    """A figure with so many small pictures, `ACROSS` in a row, whose scales may be shared."""
    across = min(ACROSS, count)
    down = math.ceil(count / across)
    figure = _figure(width * across, height * down)
    places = figure.subplots(down, across, squeeze=False, sharex=shared, sharey=shared).ravel()
    for axes in places[count:]:
        axes.set_visible(False)
    return figure, list(places[:count])
