"""Published figures that measured rows are compared with, as data with their sources."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True)
class Anchor:
    """One published figure.

    Attributes:
        row: The row of the table that it belongs to, a key of `bench.tables.rows.TITLES`.
        name: The library or the work, in a few words.
        plain_seconds: Seconds in the clear; None where they are not given.
        encrypted_seconds: Seconds on encrypted data; for inference, from one image to its answer.
        accuracy: The share of images classified rightly, from 0 to 1; None where it is not given.
        source: Where the figure is from, and what it is of.
        hardware: What it was measured on; "not given" where the source does not say.
        security: The security of the parameters, in words; "not given" where the source does not say.

    Raises:
        ValueError: A text is empty, seconds are not positive, or the accuracy is no share.
    """

    row: str
    name: str
    plain_seconds: float | None
    encrypted_seconds: float
    accuracy: float | None
    source: str
    hardware: str
    security: str

    def __post_init__(self) -> None:
        for field in ("row", "name", "source", "hardware", "security"):
            if not getattr(self, field):
                raise ValueError(f"`{field}` of an anchor must not be empty; write 'not given' where it is unknown")
        if not self.encrypted_seconds > 0 or not (self.plain_seconds is None or self.plain_seconds > 0):
            raise ValueError(f"seconds of the anchor {self.name!r} must be positive, got {self.encrypted_seconds}")
        if self.accuracy is not None and not 0 < self.accuracy <= 1:
            raise ValueError(f"`accuracy` of the anchor {self.name!r} must lie in (0, 1], got {self.accuracy}")


def anchors() -> tuple[Anchor, ...]:
    """The published figures that come with the package, in the order in which the table shows them."""
    text = files("bench.tables").joinpath("anchors.json").read_text(encoding="utf-8")
    return tuple(Anchor(**fields) for fields in json.loads(text))


@dataclass(frozen=True)
class UnitAnchor:
    """A cost of one encrypted answer of a 784-128-10 network elsewhere, in units of one SEAL rotation there.

    Attributes:
        name: The library.
        setting: Which of its settings.
        units: The cost.
        source: Where the figure is from.
    """

    name: str
    setting: str
    units: int
    source: str


#: The time divided by that of one rotation by SEAL on the same machine: see `bench.harness.yardstick`.
UNIT_ANCHORS = (
    UnitAnchor("Concrete ML", "exact setting", 2160, "measured by this project on a 2-core machine"),
    UnitAnchor("Concrete ML", "setting 1e-3", 470, "as stated in the project's own comparison"),
)
