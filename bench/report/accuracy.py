"""Rows of the case `accuracy`, and how they are printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class AccuracyRow:
    """One experiment, trained from several seeds.

    Attributes:
        network: The name of the experiment.
        dataset: The name of its data set.
        shape: The network in short.
        n_train: The number of training images.
        n_test: The number of test images.
        epochs: The passes over the training images.
        seeds: The seeds of the runs.
        accuracies: The share of test images classified rightly after the last epoch, one for each seed.
        mean_accuracy: The mean of `accuracies`.
        train_seconds: The mean time of a run, on one thread.
        options: The arguments of the `IntClassifier`, as Python writes them.
    """

    network: str
    dataset: str
    shape: str
    n_train: int
    n_test: int
    epochs: int
    seeds: tuple[int, ...]
    accuracies: tuple[float, ...]
    mean_accuracy: float
    train_seconds: float
    options: dict[str, str] = field(default_factory=dict)


def show(console: Console, rows: Sequence[AccuracyRow]) -> None:
    """Print one line for each network, within 80 columns."""
    table = Table(title="Training in integers alone", title_justify="left", box=None, padding=(0, 1), pad_edge=False)
    table.add_column("network", no_wrap=True)
    for heading in ("seeds", "test images", "mean", "least", "most", "seconds a run"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        shares = (row.mean_accuracy, min(row.accuracies), max(row.accuracies))
        table.add_row(
            row.network,
            str(len(row.seeds)),
            f"{row.n_test:,}",
            *(f"{100 * share:.2f} %" for share in shares),
            f"{row.train_seconds:,.1f}",
        )
    console.print(table)
