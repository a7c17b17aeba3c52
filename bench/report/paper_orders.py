"""What became of the orders that documents state: which of two figures is higher."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from bench.report.intervals import Estimate, difference, estimate_number, ratio
from bench.report.paper_rows import Figure, PaperRow

if TYPE_CHECKING:
    from plaintext_models.evaluation.judge import Share

Outcome = Literal["holds", "is contradicted", "is open"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True)
class Judged:
    """One order, and what became of it.

    Attributes:
        identifier: What the documents' list calls the result that it belongs to.
        order: Which figure is said to be higher than which.
        outcome: Whether the interval of `excess` leaves out 0, on which side, or decides neither.
        found: By how much, with the interval; or why nothing can be said.
        otherwise: Where it is open, by how much the document says, if the interval leaves that out; else empty.
    """

    identifier: str
    order: str
    outcome: Outcome
    found: str
    otherwise: str = ""

    def __str__(self) -> str:
        without = f", without the document's {self.otherwise}" if self.otherwise else ""
        return f"{self.identifier}: {self.order}: {self.outcome}, {self.found}{without}"


def judged(rows: Sequence[PaperRow]) -> Iterator[Judged]:
    """Every published order, with what became of it."""
    found = {(row.identifier, row.setting, figure.column.name): figure for row in rows for figure in row.figures}
    for row in rows:
        for column, other, other_column in row.said_higher:
            if other == row.setting:
                order = f'{row.setting}, "{column}" higher than "{other_column}"'
            elif other_column == column:
                order = f"{row.setting} higher than {other}, {column}"
            else:
                order = f'{row.setting}, "{column}" higher than {other}, "{other_column}"'
            higher = found.get((row.identifier, row.setting, column))
            lower = found.get((row.identifier, other, other_column))
            yield Judged(row.identifier, order, *_verdict(higher, lower))


def excess(higher: Figure, lower: Figure) -> Estimate | None:
    """How much one figure is above another: runs of one seed are compared; None where no seed gave both.

    See `difference`; of a column that is compared by ratio, how many times as much it is, see `ratio`.
    """
    from plaintext_models.evaluation.judge import Share

    runs = [pair for pair in zip(higher.runs, lower.runs, strict=True) if all(map(_known, pair))]
    if not runs:
        return None
    shares = [(p, q) for p, q in runs if isinstance(p, Share) and isinstance(q, Share)]
    if shares:
        return difference(shares)
    numbers = [(p, q) for p, q in runs if isinstance(p, int | float) and isinstance(q, int | float)]
    return ratio(numbers) if higher.column.by_ratio else estimate_number([p - q for p, q in numbers])


def _known(run: Share | float | None) -> bool:
    """Whether a run gave a number, or a share of something."""
    from plaintext_models.evaluation.judge import Share

    return run.n > 0 if isinstance(run, Share) else run is not None


def _verdict(higher: Figure | None, lower: Figure | None) -> tuple[Outcome, str, str]:
    if higher is None or lower is None or (by := excess(higher, lower)) is None:
        return "is open", "not measured", ""  # such as the confidence of mistakes where there were none
    if by.low is None or by.high is None:
        return "is open", "of one run", ""
    if higher.column.by_ratio:
        return _outcome(by.low, by.high, 1), f"{by.value:.3g} times [{by.low:.3g}, {by.high:.3g}]", ""
    outcome = _outcome(by.low, by.high, 0)
    found = f"by {higher.signed(by.value)} [{higher.signed(by.low)}, {higher.signed(by.high)}]"
    if outcome != "is open" or higher.published is None or lower.published is None:
        return outcome, found, ""
    printed = higher.published - lower.published
    return outcome, found, "" if by.low <= printed <= by.high else higher.signed(printed)


def _outcome(low: float, high: float, nothing: float) -> Outcome:
    return "holds" if low > nothing else "is contradicted" if high < nothing else "is open"


def tallied(orders: Sequence[Judged]) -> str:
    """How many orders came to what, in a sentence."""
    hold, against, undecided = (sum(order.outcome == outcome for order in orders) for outcome in OUTCOMES)
    smaller = sum(bool(order.otherwise) for order in orders)
    rest = f", {smaller} of them without the document's difference" if smaller else ""
    return f"of {len(orders)} stated orders {hold} hold, {against} are contradicted, {undecided} are open{rest}"
