"""Rows of the case `he`, and how they are printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from bench.report.units import duration


@dataclass(frozen=True)
class HeRow:
    """One measurement of an operation on ciphertexts, or of a network.

    Attributes:
        work: The name of the operation, or of the network.
        scheme: "bfv" or "ckks".
        poly_modulus_degree: The ring's degree N.
        coeff_modulus_bits: The bits of the primes, the special one last.
        engine: "rns" for the fast engine, "seal" for SEAL's evaluator; of key switches, "rns" and the number of special
            primes.
        threads: The number of threads of the evaluation.
        batch: The number of images of a request; 0 for an operation.
        ms: Median milliseconds of one operation, or of one evaluation, input and output bytes included.
        units: `ms` in units of one CKKS rotation by SEAL at N = 8192, primes of 60, 40, 40, 60 bits, in the same run.
        ratio_to_seal: SEAL's time over this one's, for the same work; None where SEAL was not timed.
        amortised_units: The units for each image of the batch; None for an operation.
        accuracy: The share of images whose decrypted answer is right; None for an operation.
        n_images: The number of images that `accuracy` is of.
        exact_mismatches: The number of images with a logit unlike the plain network's; None for CKKS and operations.
        evaluation_key_bytes: The size of what a client sends once: of key switches, of all that are timed.
        ciphertext_bytes: The size of one request.
        peak_rss_bytes: The largest resident memory of the process so far.
        prepare_ms: Milliseconds to encode the circuit's weights, once for all clients; None for an operation.
        session_ms: Milliseconds that one more client of the prepared circuit costs: to bind its evaluation keys; None
            for an operation.
    """

    work: str
    scheme: str
    poly_modulus_degree: int
    coeff_modulus_bits: tuple[int, ...]
    engine: str
    threads: int
    batch: int
    ms: float
    units: float
    ratio_to_seal: float | None
    amortised_units: float | None = None
    accuracy: float | None = None
    n_images: int | None = None
    exact_mismatches: int | None = None
    evaluation_key_bytes: int | None = None
    ciphertext_bytes: int | None = None
    peak_rss_bytes: int | None = None
    prepare_ms: float | None = None
    session_ms: float | None = None


def show(console: Console, rows: Sequence[HeRow]) -> None:
    """Print operations, one image alone, and full batches, within 80 columns."""
    full, operations = [row for row in rows if row.batch > 1], [row for row in rows if not row.batch]
    switches = [row for row in operations if row.evaluation_key_bytes is not None]
    parts = (
        (
            "Operations, one thread",
            [r for r in operations if r.evaluation_key_bytes is None],
            ("ms", "units", "vs SEAL"),
        ),
        ("Key switches, processor time of one thread", switches, ("ms", "units", "keys")),
        ("One image", [r for r in rows if r.batch == 1], ("ms", "units", "vs SEAL", "right")),
        ("An image in every slot: µs and units for each", full, ("images", "s", "µs", "units", "right")),
    )
    for title, chosen, headings in parts:
        if not chosen:
            continue
        table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False)
        table.add_column("", no_wrap=True)
        for heading in ("", "N", "engine", "threads", *headings):
            table.add_column(heading, justify="right", no_wrap=True)
        for row in chosen:
            amortised = row.amortised_units if row in full else None
            cells = {
                "ms": f"{row.ms:.3g}",
                "units": f"{row.units:.3g}" if amortised is None else f"{amortised:.3f}",
                "vs SEAL": "-" if row.ratio_to_seal is None else f"{row.ratio_to_seal:.1f}x",
                "keys": "" if row.evaluation_key_bytes is None else f"{row.evaluation_key_bytes / 1e6:.1f} MB",
                "right": "" if row.accuracy is None else f"{100 * row.accuracy:.1f}%",
                "images": f"{row.batch:,}",
                "s": f"{row.ms / 1000:.2f}",
                "µs": f"{1000 * row.ms / max(row.batch, 1):.0f}",
            }
            identity = (row.work, row.scheme, str(row.poly_modulus_degree), row.engine, str(row.threads))
            table.add_row(*identity, *(cells[heading] for heading in headings))
        console.print(table)
    for row in {(row.work, row.engine, row.batch): row for row in rows if row.session_ms is not None}.values():
        once, each = (duration(None if ms is None else ms / 1000) for ms in (row.prepare_ms, row.session_ms))
        console.print(
            f"{row.work}, {row.engine}, batch {row.batch:,}: weights {once} once, one more client {each}",
            highlight=False,
        )
