"""Published figures that measured rows are compared with, as data with their sources."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True)
class Anchor:
    """Published figures: seconds in the clear and on encrypted data, with their source."""

    row: str
    name: str
    plain_seconds: float | None
    encrypted_seconds: float
    source: str


def anchors() -> tuple[Anchor, ...]:
    """The published figures that come with the package."""
    text = files("bench.tables").joinpath("anchors.json").read_text(encoding="utf-8")
    return tuple(Anchor(**fields) for fields in json.loads(text))
