"""Rows of the case `own`, and how they are printed and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.report.units import duration, size
from bench.tables.anchors import UNIT_ANCHORS


@dataclass(frozen=True)
class Tried:
    """One integer network that tuning looked at.

    Attributes:
        form: "squares" or "tables".
        sizes: What it was made with, for people.
        agreement: With the float network, on samples that were held out of the training part.
        units: Its estimated cost.
        chosen: Whether it was taken.
    """

    form: str
    sizes: str
    agreement: float
    units: float
    chosen: bool


@dataclass(frozen=True)
class OwnRow:
    """One way to evaluate a model on ciphertexts. All but the first fields are None where it is refused.

    Attributes:
        model: The name of the model, or its file.
        shape: The network in short.
        way: "exact" (integers, BFV) or "approximate" (floats, CKKS); with ", adapted", after fine-tuning.
        measure: What `agreement` counts: "same class", "same signs" or "R squared".
        n_samples: Samples that the network was fitted to, and fine-tuned on.
        n_test: Inputs of the test part, which `float_accuracy`, `accuracy` and `agreement` are of.
        float_accuracy: The share of test inputs that the float model classifies rightly, or its R squared; None
            without labels.
        training_seconds: The time of training in floats; None for a file.
        refused: Why there is no circuit; empty where there is one.
        accuracy: As `float_accuracy`, of the network that is encrypted, evaluated in the clear.
        agreement: How far its answers are those of the float model.
        units: The cost of one evaluation, in units of one SEAL rotation.
        parameters: The encryption parameters.
        poly_modulus_degree: The ring's degree N.
        coeff_modulus_bits: The bits of the primes, the special one last.
        plain_moduli: The plaintext moduli of BFV, one or several.
        adapting_seconds: The time of fine-tuning; None where there is none.
        fitting_seconds: The time to find the network: tuning, or fitting polynomials.
        compiling_seconds: The time to find its circuit.
        threads: The number of threads of an evaluation.
        estimated_seconds: The time of one evaluation, as it was estimated before there was a key.
        seconds: The median time of the evaluations on ciphertexts.
        key_bytes: The size of the evaluation keys.
        request_bytes: The size of a request.
        answer_bytes: The size of an answer.
        encrypted: The number of test inputs that were encrypted.
        outside: How many of their answers the client refused, since a layer left its range.
        off: The largest difference between a decrypted output and that of the network in the clear.
        bound: What `off` must not exceed: 0 for integers.
        simulated_off: As `off`, of the circuit's own operations in the clear.
        reasons: What was chosen, and why.
        tried: What tuning looked at.
    """

    model: str
    shape: str
    way: str
    measure: str
    n_samples: int
    n_test: int
    float_accuracy: float | None
    training_seconds: float | None
    refused: str = ""
    accuracy: float | None = None
    agreement: float | None = None
    units: float | None = None
    parameters: str | None = None
    poly_modulus_degree: int | None = None
    coeff_modulus_bits: tuple[int, ...] | None = None
    plain_moduli: tuple[int, ...] | None = None
    adapting_seconds: float | None = None
    fitting_seconds: float | None = None
    compiling_seconds: float | None = None
    threads: int | None = None
    estimated_seconds: float | None = None
    seconds: float | None = None
    key_bytes: int | None = None
    request_bytes: int | None = None
    answer_bytes: int | None = None
    encrypted: int | None = None
    outside: int | None = None
    off: float | None = None
    bound: float | None = None
    simulated_off: float | None = None
    reasons: tuple[str, ...] = ()
    tried: tuple[Tried, ...] = ()

    @property
    def is_as_promised(self) -> bool:
        """Whether every answer that the client accepted was that of the network in the clear, within the bound."""
        if self.off is None or self.simulated_off is None or self.bound is None:
            return True
        return max(self.off, self.simulated_off) <= self.bound


def show(console: Console, rows: Sequence[OwnRow]) -> None:
    """Print what every way reaches and costs, model by model, within 80 columns."""
    for _, group in groupby(rows, key=lambda row: row.model):
        _show_model(console, list(group))
    console.print("One answer of a 784-128-10 network elsewhere, in units:", highlight=False)
    for anchor in UNIT_ANCHORS:
        console.print(f"{anchor.units:>6,}  {anchor.name}, {anchor.setting}: {anchor.source}", highlight=False)


def _show_model(console: Console, rows: list[OwnRow]) -> None:
    first, found = rows[0], [row for row in rows if not row.refused]
    trained = f", trained in {duration(first.training_seconds)}" if first.training_seconds is not None else ""
    console.print(f"[bold]{first.model}[/bold], {first.shape}{trained}", highlight=False)
    console.print(
        f"in floats {_share(first.float_accuracy, first.measure)} on {first.n_test:,} test inputs", highlight=False
    )
    if found:
        answers = _table("", "right", first.measure, "units", "one answer", "estimated", "encrypted")
        for row in found:
            times = duration(row.seconds), duration(row.estimated_seconds)
            shares = _share(row.accuracy, row.measure), _share(row.agreement, row.measure)
            answers.add_row(row.way, *shares, f"{row.units:,.1f}", *times, _encrypted(row))
        costs = _table("", "N", "log q", "t", "adapted", "fitted", "compiled", "keys", "request")
        for row in found:
            spent = map(duration, (row.adapting_seconds, row.fitting_seconds, row.compiling_seconds))
            sizes = size(row.key_bytes), size(row.request_bytes)
            costs.add_row(row.way, f"{row.poly_modulus_degree}", f"{sum(row.coeff_modulus_bits or ())}", _bits(row),
                          *spent, *sizes)  # fmt: skip
        console.print(answers, highlight=False)
        console.print(costs, highlight=False)
        console.print(f"on {found[0].threads} thread(s); log q and t in bits", highlight=False)
    for row in rows:
        if row.refused:
            console.print(f"[red]refused:[/red] {row.way}: {_plain(row.refused)}", highlight=False, markup=True)
        if not row.is_as_promised:
            console.print(
                f"[bold red]WRONG:[/bold red] {row.way}: encrypted answers are off by {row.off:.3g} and simulated ones "
                f"by {row.simulated_off:.3g}, more than {row.bound:.3g}; please report this",
                highlight=False,
            )
        if row.outside:
            console.print(f"{row.way}: {row.outside} of {row.encrypted} answers left their range", highlight=False)
        if row.tried:
            _show_tried(console, row)
    console.print()


def _show_tried(console: Console, row: OwnRow) -> None:
    """What tuning tried, without what costs more than another that agrees as well; all of it is in the rows."""
    table, best = _table(f"{row.way}: tried", "agreement", "units"), float("-inf")
    for trial in row.tried:  # the cheapest first
        if trial.agreement > best or trial.chosen:
            sizes = f"{'>' if trial.chosen else ' '} {trial.form}, {trial.sizes}"
            table.add_row(sizes, _share(trial.agreement, row.measure), f"{trial.units:,.1f}")
        best = max(best, trial.agreement)
    console.print(table, highlight=False)


def _table(first: str, *headings: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(first, overflow="fold")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _encrypted(row: OwnRow) -> str:
    if not row.is_as_promised:
        return "WRONG"
    accepted = (row.encrypted or 0) - (row.outside or 0)
    return f"{accepted}/{row.encrypted} {'equal' if row.plain_moduli else 'in bound'}"


def _bits(row: OwnRow) -> str:
    return "+".join(str(t.bit_length()) for t in row.plain_moduli) if row.plain_moduli else "-"


def _share(value: float | None, measure: str) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if measure == "R squared" else f"{100 * value:.2f} %"


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


def draw(path: Path, rows: Sequence[OwnRow]) -> None:
    """Draw accuracy, or agreement where there are no labels, against units, beside published figures."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    for model, group in groupby(rows, key=lambda row: row.model):
        found = [row for row in group if row.units is not None]
        points = [(row.units, row.agreement if row.accuracy is None else row.accuracy) for row in found]
        if not points:
            continue
        (line,) = axes.plot(*zip(*points, strict=True), "o", label=model)
        if found[0].float_accuracy is not None:
            axes.axhline(found[0].float_accuracy, color=line.get_color(), linestyle=":", linewidth=1)
        for row, (units, share) in zip(found, points, strict=True):
            axes.annotate(row.way, (units, share), textcoords="offset points", xytext=(6, 4), fontsize=8)
    for anchor in UNIT_ANCHORS:
        axes.axvline(anchor.units, color="grey", linewidth=1)
        axes.annotate(f"{anchor.name}, {anchor.setting}", (anchor.units, 0.02), xycoords=("data", "axes fraction"),
                      rotation=90, fontsize=7, ha="right")  # fmt: skip
    axes.set(xscale="log", xlabel="units of one evaluation", ylabel="on the test part; dotted: in floats")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path)
