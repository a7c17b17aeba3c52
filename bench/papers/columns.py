"""What an experiment measures, as data: columns, and how they are drawn. Importing this does not need torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

#: A curve, with a band for the intervals, of columns that have an `x`; a histogram, whose columns are its bins; a
#: matrix, whose rows are settings.
Form = Literal["curve", "histogram", "matrix"]

SHARE = "%"


@dataclass(frozen=True)
class Drawing:
    """A picture of several columns.

    Attributes:
        title: Its title; columns of equal drawings share a picture.
        form: What it is.
        x: What the horizontal axis says.
        y: What the vertical axis says; of shares without their unit, which is added.
        mark: Where on the horizontal axis of a curve something begins; None for nowhere.
    """

    title: str
    form: Form
    x: str = ""
    y: str = ""
    mark: float | None = None


@dataclass(frozen=True)
class Column:
    """Something that is measured of every setting of an experiment.

    Attributes:
        name: What it is called; told apart by it from the experiment's other columns.
        unit: "%" of a share of a count; of a number its unit, or "" for none.
        drawing: The picture that it is a part of; None where it is none's.
        line: Which line of the picture, where it has several for a setting.
        x: Where it lies on the line; of a bin of a histogram, its lower edge.
        by_ratio: Whether settings are compared by the ratio of their numbers, which are positive and spread over powers
            of ten, and not by the difference.
    """

    name: str
    unit: str = SHARE
    drawing: Drawing | None = None
    line: str = ""
    x: float | None = None
    by_ratio: bool = False


def curve(drawing: Drawing, line: str, xs: Iterable[float], unit: str = SHARE) -> tuple[Column, ...]:
    """A line of a picture, a column for every x: "FGSM 0.1", if the line is "FGSM"."""
    return tuple(Column(f"{line} {x:g}", unit, drawing, line, x) for x in xs)


def histogram(drawing: Drawing, line: str, edges: Iterable[float]) -> tuple[Column, ...]:
    """A histogram, a column for every lower edge of a bin, whose share is measured: "clean from 0.1"."""
    return tuple(Column(f"{line} from {edge:g}", SHARE, drawing, line, edge) for edge in edges)


def matrix(drawing: Drawing, names: Iterable[str], unit: str = SHARE) -> tuple[Column, ...]:
    """The columns of a matrix, whose rows are the settings: "from CNN"."""
    return tuple(Column(name, unit, drawing) for name in names)
