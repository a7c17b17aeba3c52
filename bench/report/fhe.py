"""What rows that train on ciphertexts have in common, for people."""

from __future__ import annotations

from bench.report.units import duration, percent, times
from bench.tables.exact import ExactRow
from bench.tables.heads import HeadRow
from bench.tables.refreshed import RefreshedRow


def cells(row: HeadRow | RefreshedRow | ExactRow) -> tuple[str, ...]:
    """A row's cells: its name, then one for each of `bench.report.trained.HEADINGS`."""
    known = [accuracy for accuracy in (row.accuracy_plain, row.accuracy_encrypted) if accuracy is not None]
    return (
        row.title,
        duration(row.plain_seconds),
        duration(row.encrypted_seconds),
        times(row.encrypted_seconds / row.plain_seconds),
        " ".join(map(percent, known)),
        _result(row),
    )


def _result(row: HeadRow | RefreshedRow | ExactRow) -> str:
    """What came out of a run, in at most 13 letters."""
    if isinstance(row, ExactRow) and not row.bit_identical:
        return "BITS DIFFER"
    if row.extrapolated:
        return "extrapolated"
    return "bit-identical" if isinstance(row, ExactRow) else f"{row.prediction_mismatches} differ"
