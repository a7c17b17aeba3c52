"""The table for people, and the picture."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.harness.machine import available_threads, machine
from bench.report import exact, fhe, heads, refreshed, trained
from bench.report.units import duration, percent, size
from bench.tables.anchors import anchors
from bench.tables.exact import ExactRow
from bench.tables.fhe import FheRow
from bench.tables.heads import HeadRow
from bench.tables.refreshed import RefreshedRow
from bench.tables.rows import TITLES, Row
from bench.tables.trained import TrainedRow
from intnn.storage.document import write_atomically

WIDTH = 80  # of a line for people
HEADINGS = (("clear", 7), ("encrypted", 9), ("batched", 7), ("accuracy, both", 14), ("result", 13))

AnyRow = Row | TrainedRow | HeadRow | RefreshedRow | ExactRow


def show(console: Console, rows: Sequence[AnyRow]) -> None:
    """Print measured rows, each kind followed by the published figures for it, within 80 columns."""
    console.print("[bold]Table 3.1, measured here[/bold]")
    console.print(_measured_on(machine(), available_threads()), style="dim", highlight=False, markup=False)
    for kind, title in TITLES.items():
        table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
        table.add_column("", width=22, no_wrap=True)
        for heading, width in HEADINGS if kind == "inference" else trained.HEADINGS:
            table.add_column(heading, width=width, justify="right", no_wrap=True)
        for row in (r for r in rows if r.row == kind):
            table.add_row(*_cells(row))
        for anchor in (a for a in anchors() if a.row == kind):
            seconds = duration(anchor.plain_seconds), duration(anchor.encrypted_seconds)
            table.add_row(anchor.name, *seconds, "", percent(anchor.accuracy), "published", style="dim")
        console.print(f"\n[bold]{title}[/bold]")
        console.print(table)
    for row in rows:
        if isinstance(row, Row):
            _print_details(console, row)
        else:
            console.print(f"\n[bold]{row.name}[/bold]")
            for line in _details(row):
                _print_wrapped(console, line)
    console.print("\n[bold]published figures[/bold]")
    sources = {(a.name, a.source, a.hardware, a.security) for a in anchors()}
    for name, source, hardware, security in sorted(sources, key=lambda s: s[0].lower()):
        _print_wrapped(console, f"{name}: {source}; hardware {hardware}; security {security}")


def draw(path: Path, rows: Sequence[AnyRow]) -> None:
    """Seconds for one image in the clear, encrypted, and encrypted in a batch, beside the published figures."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    measured = [row for row in rows if isinstance(row, Row)]
    published = [a for a in anchors() if a.row == "inference"]
    figure = Figure(figsize=(9, 1.6 + 0.62 * (len(measured) + len(published))), layout="constrained")
    axes = figure.add_subplot()
    colours = mpl.colormaps["viridis"]
    kinds = (
        ("in the clear", colours(0.75), [r.plain_seconds_per_image for r in measured]),
        ("encrypted, in a batch", colours(0.45), [r.batch_seconds_per_image for r in measured]),
        ("encrypted, one image", colours(0.1), [r.encrypted_seconds_per_image for r in measured]),
    )
    for offset, (label, colour, seconds) in zip((-0.27, 0.0, 0.27), kinds, strict=True):
        places = [i + offset for i, s in enumerate(seconds) if s is not None]
        known = [s for s in seconds if s is not None]
        bars = axes.barh(places, known, 0.25, color=colour, label=label)
        axes.bar_label(bars, [duration(s) for s in known], padding=4, fontsize=8)
    for i, anchor in enumerate(published, start=len(measured)):
        legend = "published" if anchor is published[0] else None
        bars = axes.barh([i], [anchor.encrypted_seconds], 0.5, color="0.7", label=legend)
        axes.bar_label(bars, [duration(anchor.encrypted_seconds)], padding=4, fontsize=8)
    axes.set_yticks(
        range(len(measured) + len(published)),
        [f"{r.network}\n{_exactness(r)}" for r in measured] + [f"{a.name}\n(published)" for a in published],
        fontsize=8,
    )
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.margins(x=0.12)
    axes.set_xlabel("seconds per image (logarithmic)")
    security = min((r.security_bits for r in measured if r.security_bits is not None), default=0)
    axes.set_title(f"Inference on encrypted images; measured here at {security}-bit security", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", fontsize=8, frameon=False)
    picture = io.BytesIO()
    figure.savefig(picture, format=path.suffix.lstrip("."), dpi=150)
    write_atomically(path, picture.getvalue())


def _measured_on(about: Mapping[str, Any], threads: int) -> str:
    """What the figures were measured on, in one line; the name of a processor is cut where it is too long."""
    counted = f", {threads} threads" if threads > 1 else ", 1 thread"
    name, room = about["processor"], WIDTH - len("on " + counted)
    return f"on {name if len(name) <= room else name[: room - 3] + '...'}{counted}"


def _cells(row: AnyRow) -> tuple[str, ...]:
    if isinstance(row, TrainedRow):
        return trained.cells(row)
    if isinstance(row, FheRow):
        return fhe.cells(row)
    return (
        row.network or "",
        duration(row.plain_seconds_per_image),
        duration(row.encrypted_seconds_per_image),
        duration(row.batch_seconds_per_image),
        f"{percent(row.accuracy_plain)} {percent(row.accuracy_encrypted)}",
        _exactness(row),
    )


def _details(row: TrainedRow | HeadRow | RefreshedRow | ExactRow) -> Iterator[str]:
    match row:
        case TrainedRow():
            return trained.details(row)
        case HeadRow():
            return heads.details(row)
        case RefreshedRow():
            return refreshed.details(row)
        case ExactRow():
            return exact.details(row)


def _exactness(row: Row) -> str:
    if row.exact_mismatches is not None:
        return "exact" if row.exact_mismatches == 0 else f"{row.exact_mismatches} DIFFER"
    agree = row.n_images - (row.prediction_mismatches or 0)
    return f"{agree}/{row.n_images} alike"


def _print_details(console: Console, row: Row) -> None:
    if row.exact_mismatches is not None:
        verdict = (
            f"exact: the logits of {row.exact_mismatches} of {row.n_images} encrypted images differ from the plain ones"
        )
    else:
        verdict = (
            f"approximate: {row.prediction_mismatches} of {row.n_images} encrypted images are classified otherwise "
            f"than in the clear; logits are off by at most {row.largest_logit_error:.2g}"
        )
    console.print(f"\n[bold]{row.network}[/bold], {row.engine} engine, threads: {row.threads}")
    lines = (
        verdict,
        f"accuracy in the clear on all {row.n_test_split} held-out images: {percent(row.accuracy_plain_test_split)}",
        f"one image: encrypt {duration(row.encrypt_s)}, evaluate {duration(row.evaluate_s)}, decrypt "
        f"{duration(row.decrypt_s)}; keys {duration(row.keygen_s)}, once"
        + ("" if row.prepare_s is None else f"; weights {duration(row.prepare_s)}, once for all clients"),
        f"evaluation: {row.evaluate_units:.0f} units of one SEAL rotation ({row.seal_rotate_ms:.2f} ms); a batch of "
        f"{row.batch_images} images: {duration(row.batch_evaluate_s)}; by SEAL's evaluator on one thread, one image: "
        f"{duration(row.seal_evaluate_s)}",
        f"bytes: request {size(row.ciphertext_bytes_in)}, answer {size(row.ciphertext_bytes_out)}, evaluation keys "
        f"{size(row.evaluation_key_bytes)}; peak memory {size(row.peak_rss_bytes)}",
        *row.explanation.splitlines(),
    )
    for line in lines:
        _print_wrapped(console, line)


def _print_wrapped(console: Console, line: str) -> None:
    indent = " " * (2 + len(line) - len(line.lstrip()))
    text = textwrap.fill(line.strip(), console.width, initial_indent=indent, subsequent_indent=indent + "  ")
    console.print(text, highlight=False, markup=False)
