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
class PaperRow:
    """One setting of a published result. Shares are of images that stay right, from 0 to 1, means over the seeds.

    Attributes:
        identifier: What the documents' list calls the result.
        setting: The line of it.
        dataset: The data set.
        radius: Of the Linf balls.
        images: How many test images were attacked in each run.
        seeds: The seeds of the runs.
        clean: The share that is right without an attack.
        published: The document's share under its attack; None where it has no figure.
        ours: Ours.
        low: The lower end of the 95 % interval of `ours`; see `interval`.
        high: The upper end of it.
        difference: `ours` less `published`.
        adaptive: The share in the worst case of a card that knows the defence.
        adaptive_low: The lower end of the 95 % interval of `adaptive`.
        adaptive_high: The upper end of it.
        digests: For every seed, the SHA-256 of everything that determines its run.
        said_better: Pairs of this setting and another of which the document says that this one stands better.
    """

    identifier: str
    setting: str
    dataset: str
    radius: float
    images: int
    seeds: tuple[int, ...]
    clean: float
    published: float | None
    ours: float
    low: float
    high: float
    difference: float | None
    adaptive: float
    adaptive_low: float
    adaptive_high: float
    digests: tuple[str, ...]
    said_better: Sequence[tuple[str, str]] = ()


def interval(counts: Sequence[int], images: int) -> tuple[float, float, float]:
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
    return mean, low, high


def orderings(rows: Sequence[PaperRow]) -> Iterator[str]:
    """A sentence for every published ordering: it holds, or is contradicted, if the intervals do not touch."""
    found = {(row.identifier, row.setting): row for row in rows}
    for row in rows:
        for one, other in row.said_better:
            rival = found[row.identifier, other]
            ends = (
                ("under the published attack", (row.low, row.high), (rival.low, rival.high)),
                (
                    "under adaptive ones",
                    (row.adaptive_low, row.adaptive_high),
                    (rival.adaptive_low, rival.adaptive_high),
                ),
            )
            for where, ours, theirs in ends:
                verdict = "holds" if ours[0] > theirs[1] else "is contradicted" if ours[1] < theirs[0] else "is open"
                yield f"{row.identifier}: that {one} stands better than {other} {verdict} {where}"


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
                f"{100 * row.clean:.1f}",
                "-" if row.published is None else f"{100 * row.published:.1f}",
                _spread(row.ours, row.low, row.high),
                "-" if row.difference is None else f"{100 * row.difference:+.1f}",
                _spread(row.adaptive, row.adaptive_low, row.adaptive_high),
            )
        console.print(table, highlight=False)
        for sentence in orderings(own):
            console.print(sentence, highlight=False, soft_wrap=True)


def _spread(value: float, low: float, high: float) -> str:
    return f"{100 * value:.1f} [{100 * low:.0f}, {100 * high:.0f}]"
