"""Boxes and arrows: a network or a circuit as a picture."""

import io
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from intnn.storage.document import file_path, write_atomically
from intnn.values.arrays import Array

FORMATS = (".svg", ".png", ".pdf")
LARGEST_PICTURE = 400  # boxes; more cannot be read

# In inches.
_WIDTH, _HEIGHT, _APART, _BESIDE, _MARGIN, _CURVE = 3.5, 0.84, 0.36, 0.7, 0.35, 1.15
_MAX_POINTS = 130  # that are drawn one by one
_FACE, _EDGE, _INK, _ACCENT = "#f4f6f8", "#8a97a6", "#1f2933", "#b3541e"
_FILLS = {"linear": "#e8f0fa", "activation": "#fdf1e3", "join": "#e9f6ec"}


@dataclass(frozen=True, eq=False)
class Curve:
    """A function that is drawn in a box.

    Attributes:
        x: The places, ascending.
        y: The values.
        is_table: Whether it is known at these places alone.
    """

    x: Array
    y: Array
    is_table: bool


@dataclass(frozen=True, eq=False)
class Box:
    """One step of what is drawn.

    Attributes:
        title: A few words.
        lines: At most three lines of smaller text.
        sources: The numbers of the boxes that it reads.
        kind: "linear", "activation", "join", or another word for a box without a colour of its own.
        curve: The function that it computes, if it is one.
    """

    title: str
    lines: tuple[str, ...]
    sources: tuple[int, ...]
    kind: str = ""
    curve: Curve | None = None


def draw_boxes(boxes: Sequence[Box], title: str, path: str | os.PathLike[str]) -> None:
    """Draw boxes from the top downwards, each below all that it reads.

    Args:
        boxes: The boxes, each after those that it reads.
        title: A line above them.
        path: The file, .svg, .png or .pdf; it appears whole or not at all.

    Raises:
        ValueError: The suffix is another one, or there are more boxes than a picture can show.
        ImportError: Matplotlib is not installed.
        OSError: The file cannot be written.
    """
    if len(boxes) > LARGEST_PICTURE:
        raise ValueError(f"`boxes` must be at most {LARGEST_PICTURE}, got {len(boxes)}; draw a part of the network")
    rows, columns = places(boxes)
    wide = (max(columns) + 1) * (_WIDTH + _BESIDE) + _MARGIN
    tall = (max(rows) + 1) * (_HEIGHT + _APART) - _APART + 2 * _MARGIN + 0.3
    figure = empty_figure(wide, tall, path)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, wide), ylim=(0, tall))
    axes.set_axis_off()
    _text(axes, _MARGIN, tall - _MARGIN, title, fontsize=11, weight="bold")
    corners = [
        (_MARGIN + column * (_WIDTH + _BESIDE), tall - 0.3 - _MARGIN - row * (_HEIGHT + _APART) - _HEIGHT)
        for row, column in zip(rows, columns, strict=True)
    ]
    for number, box in enumerate(boxes):
        for source in box.sources:
            is_next = rows[source] == rows[number] - 1
            _arrow(axes, corners[source], corners[number], is_next)
    for box, (left, bottom) in zip(boxes, corners, strict=True):
        _box(axes, box, left, bottom)
        if box.curve is not None:
            extent = (left + _WIDTH - _CURVE - 0.1, bottom + 0.14, _CURVE, _HEIGHT - 0.24)
            inset = figure.add_axes((extent[0] / wide, extent[1] / tall, extent[2] / wide, extent[3] / tall))
            _curve(inset, box.curve)
    write_figure(figure, path)


def empty_figure(wide: float, tall: float, path: str | os.PathLike[str]) -> Any:
    """A figure of matplotlib of so many inches that `write_figure` can write to a path.

    Raises:
        ValueError: The path's suffix is no format of pictures.
        ImportError: Matplotlib is not installed.
    """
    if file_path(path).suffix not in FORMATS:
        raise ValueError(f"`path` must end in {', '.join(FORMATS)}, got {file_path(path).name!r}")
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("pictures need matplotlib: install the extra `draw` of this package") from error
    return Figure(figsize=(wide, tall))


def write_figure(figure: Any, path: str | os.PathLike[str]) -> None:
    """Write a figure to a path by its suffix, whole or not at all.

    Raises:
        OSError: The file cannot be written.
    """
    import matplotlib as mpl

    path = file_path(path)
    picture = io.BytesIO()
    # The bytes depend on the content alone, and names may have characters that the font lacks.
    with mpl.rc_context({"svg.hashsalt": "intnn"}), warnings.catch_warnings(action="ignore", category=UserWarning):
        figure.savefig(picture, format=path.suffix[1:], dpi=150, metadata=_METADATA.get(path.suffix))
    write_atomically(path, picture.getvalue())


_METADATA = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


def places(boxes: Sequence[Box]) -> tuple[list[int], list[int]]:
    """The row and the column of every box.

    A box stands in the row below the lowest one that it reads, and in the leftmost column of these, or the next one to
    the right where no box stands as low.
    """
    rows: list[int] = []
    columns: list[int] = []
    taken: dict[int, int] = {}  # the last row that is taken in a column
    for box in boxes:
        row = 1 + max((rows[source] for source in box.sources), default=-1)
        first = min((columns[source] for source in box.sources), default=0)
        column = next(c for c in range(first, len(boxes) + 1) if taken.get(c, -1) < row)
        rows.append(row)
        columns.append(column)
        taken[column] = row
    return rows, columns


def _box(axes, box: Box, left: float, bottom: float) -> None:  # type: ignore[no-untyped-def]  # of matplotlib
    from matplotlib.patches import FancyBboxPatch

    axes.add_patch(
        FancyBboxPatch(
            (left, bottom),
            _WIDTH,
            _HEIGHT,
            boxstyle="round,pad=0,rounding_size=0.06",
            facecolor=_FILLS.get(box.kind, _FACE),
            edgecolor=_EDGE,
            linewidth=0.8,
        )
    )
    top = bottom + _HEIGHT - 0.15
    room = 0.6 if box.curve is not None else 1.0  # of the box's width
    _text(axes, left + 0.12, top, _cut(box.title, round(44 * room)), fontsize=8.5, weight="bold")
    for i, line in enumerate(box.lines):
        _text(axes, left + 0.12, top - 0.185 * (i + 1), _cut(line, round(60 * room)), fontsize=7)


def _cut(text: str, length: int) -> str:
    """A text of at most so many characters."""
    return text if len(text) <= length else text[: length - 3] + "..."


def _text(axes, left: float, middle: float, text: str, **style: object) -> None:  # type: ignore[no-untyped-def]
    """One line as it is, without formulas; what cannot be printed becomes a dot."""
    line = "".join(character if character.isprintable() else "\u00b7" for character in text)
    axes.text(left, middle, line, color=_INK, va="center", parse_math=False, **style)


def _arrow(axes, source: tuple[float, float], target: tuple[float, float], is_next: bool) -> None:  # type: ignore[no-untyped-def]
    """From the lower edge of a box to the upper edge of the next; around the boxes between where there are any."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    start, end = (source[0] + _WIDTH / 2, source[1]), (target[0] + _WIDTH / 2, target[1] + _HEIGHT)
    if is_next and source[0] == target[0]:
        points = [start, end]
    elif is_next or source[0] > target[0]:  # down its own column, then across
        middle = end[1] + _APART / 2
        points = [start, (start[0], middle), (end[0], middle), end]
    else:  # out of the side, and back above the target
        side, middle = source[0] + _WIDTH + _BESIDE / 2, end[1] + _APART / 2
        points = [(source[0] + _WIDTH, source[1] + _HEIGHT / 2), (side, source[1] + _HEIGHT / 2), (side, middle),
                  (end[0] + 0.3, middle), (end[0] + 0.3, end[1])]  # fmt: skip
    axes.add_patch(FancyArrowPatch(path=Path(points), arrowstyle="-|>", mutation_scale=8, color=_EDGE, linewidth=1))


def _curve(axes, curve: Curve) -> None:  # type: ignore[no-untyped-def]
    x, y = np.asarray(curve.x, np.float64), np.asarray(curve.y, np.float64)
    axes.plot(x, y, color=_ACCENT, linewidth=0.6 if curve.is_table else 1.2, alpha=0.6 if curve.is_table else 1)
    if curve.is_table and len(x) <= _MAX_POINTS:
        axes.plot(x, y, ".", color=_INK, markersize=2)
    axes.patch.set_alpha(0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set(color=_EDGE, linewidth=0.6)
    ends = [float(x[0]), float(x[-1])], [float(y.min()), float(y.max())]
    axes.set_xticks(ends[0], [short(end) for end in ends[0]], fontsize=5)
    axes.set_yticks(sorted(set(ends[1])), [short(end) for end in sorted(set(ends[1]))], fontsize=5)
    axes.tick_params(length=1.5, pad=1, width=0.5, colors=_INK)


def short(value: float) -> str:
    """A number in a few characters: whole up to five digits, then as a power of two."""
    if abs(value) >= 100_000:
        return f"{'-' if value < 0 else ''}2^{np.log2(float(abs(value))):.1f}"
    return f"{value:.3g}" if value != int(value) else str(int(value))
