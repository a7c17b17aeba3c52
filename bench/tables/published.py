"""What a document says that can be measured. One file of this room for each document lists it; none needs torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """What a document says that can be measured.

    Attributes:
        title: What it is about.
        claim: What is said.
        section: Where: "T 2" is chapter or section 2 of T.
        quick: Whether there is a quick version of its measurement.
    """

    title: str
    claim: str
    section: str
    quick: bool = True
