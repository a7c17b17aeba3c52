"""Rows of the case `paper`, what they say of published orderings, and how they are printed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from bench.tables.documents import PUBLISHED


@dataclass(frozen=True)
class Estimate:
    """A share of images that stay right, from 0 to 1, the mean over several runs, with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} [{100 * self.low:.0f}, {100 * self.high:.0f}]"


@dataclass(frozen=True)
class PaperRow:
    """One setting of a published result.

    Attributes:
        identifier: What the documents' list calls the result.
        setting: The line of it.
        dataset: The data set.
        radius: Of the Linf balls.
        images: How many test images were attacked in each run.
        seeds: The seeds of the runs.
        published: The document's share of right answers under its attack; None where it has no figure.
        difference: Ours under that attack less `published`.
        clean: The share that is right without an attack.
        attacked: The share that is right under the published attack.
        adaptive: The share that is right in the worst case of a card that knows the defence.
        digests: For every seed, the SHA-256 of everything that determines its run.
        said_better: Of which other settings the document says that they are right less often than this, and on which
            images: "clean", "published" (attacked so) or "adaptive".
    """

    identifier: str
    setting: str
    dataset: str
    radius: float
    images: int
    seeds: tuple[int, ...]
    published: float | None
    difference: float | None
    clean: Estimate
    attacked: Estimate
    adaptive: Estimate
    digests: tuple[str, ...]
    said_better: tuple[tuple[str, str], ...] = ()


def estimate(counts: Sequence[int], images: int) -> Estimate:
    """The mean share of several runs and its 95 % interval.

    Student's interval over the runs, for a network of any seed on these images, widened to Wilson's of all answers, for
    these networks on any images: runs that agree by chance leave the first without a width.

    Args:
        counts: For every run, how many images are right.
        images: Of how many.
    """
    from scipy.stats import t

    from plaintext_models.evaluation.judge import wilson

    shares = [count / images for count in counts]
    mean = statistics.fmean(shares)
    low, high = wilson(sum(counts), images * len(counts))
    if len(shares) > 1:
        reach = float(t.ppf(0.975, len(shares) - 1)) * statistics.stdev(shares) / math.sqrt(len(shares))
        low, high = min(low, max(0.0, mean - reach)), max(high, min(1.0, mean + reach))
    return Estimate(mean, low, high)


#: The fields of a row by what `said_better` calls the images.
_COLUMNS = {"clean": "clean", "published": "attacked", "adaptive": "adaptive"}
_IMAGES = {"clean": "clean images", "published": "the published attack", "adaptive": "adaptive attacks"}


def orderings(rows: Sequence[PaperRow]) -> Iterator[str]:
    """A sentence for every published ordering: it holds, or is contradicted, if the intervals do not touch."""
    found = {(row.identifier, row.setting): row for row in rows}
    for row in rows:
        for other, images in row.said_better:
            ours, theirs = (getattr(one, _COLUMNS[images]) for one in (row, found[row.identifier, other]))
            verdict = "holds" if ours.low > theirs.high else "is contradicted" if ours.high < theirs.low else "is open"
            yield f"{row.identifier}: {row.setting} better than {other} on {_IMAGES[images]}: {verdict}"


def show(console: Console, rows: Sequence[PaperRow]) -> None:
    """Print one line for each setting, and what comes of published orderings, within 80 columns."""
    for identifier in dict.fromkeys(row.identifier for row in rows):
        about, own = PUBLISHED[identifier], [row for row in rows if row.identifier == identifier]
        first = own[0]
        console.print(
            f"[bold]{identifier}[/bold], {about.title} ({about.section}): {about.claim}\n"
            f"{first.dataset}, Linf {first.radius:g}, {first.images} images, {len(first.seeds)} seeds from "
            f"{first.seeds[0]}; accuracy in %",
            highlight=False,
            soft_wrap=True,
        )
        table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
        table.add_column("", no_wrap=True)
        for heading in ("clean", "published", "ours", "difference", "adaptive"):
            table.add_column(heading, justify="right", no_wrap=True)
        for row in own:
            table.add_row(
                row.setting,
                str(row.clean),
                "-" if row.published is None else f"{100 * row.published:.1f}",
                str(row.attacked),
                "-" if row.difference is None else f"{100 * row.difference:+.1f}",
                str(row.adaptive),
            )
        console.print(table, highlight=False)
        for sentence in orderings(own):
            console.print(sentence, highlight=False, soft_wrap=True)
