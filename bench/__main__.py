"""`python -m bench table`: what encrypted inference costs, measured here."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from bench.cases import table
from bench.report import print_table, write_plot
from bench.rows import anchors, write_json
from plaintext_models import datasets

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_show_locals=False)


class DatasetName(StrEnum):
    """Data sets with shipped networks."""

    digits = "digits"
    mnist = "mnist"


class PathName(StrEnum):
    """Evaluations under encryption."""

    exact = "exact"
    ckks = "ckks"
    all = "all"


@app.callback()
def main() -> None:
    """Measure encrypted inference beside the same network in the clear."""


@app.command("table")
def table_command(
    dataset: Annotated[DatasetName, typer.Option(help="Images and networks to use.")] = DatasetName.digits,
    data: Annotated[Path | None, typer.Option(help="Folder with MNIST's files (or the variable INTNN_DATA).")] = None,
    images: Annotated[int | None, typer.Option(help="Encrypted images per network [all digits; 256 of MNIST].")] = None,
    path: Annotated[PathName, typer.Option(help="exact: BFV with tables. ckks: square activations.")] = PathName.all,
    json: Annotated[Path | None, typer.Option(help="Write the rows to this file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the rows to this PNG file.")] = None,
    seed: Annotated[int, typer.Option(help="For the choice of images.")] = 0,
) -> None:
    """Table 3.1: inference in the clear and on encrypted images."""
    console, errors = Console(), Console(stderr=True)
    try:
        loaded = datasets.load(dataset.value, data)
        jobs = table.jobs(loaded, path.value, images, seed)
        rows = []
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=errors, transient=True) as progress:
            for job in jobs:
                task = progress.add_task(job.network, total=1.0)

                def report(what: str, share: float, name: str = job.network, task: TaskID = task) -> None:
                    progress.update(task, description=f"{name}: {what}", completed=share)

                rows.append(table.measure(job, report))
                progress.update(task, completed=1.0, description=job.network)
        rows.extend(table.not_measured())
        print_table(console, rows, anchors())
        if json is not None:
            write_json(json, rows)
            console.print(f"Rows written to {json}")
        if plot is not None:
            write_plot(plot, rows, anchors())
            console.print(f"Picture written to {plot}")
    except (ValueError, OSError) as error:
        errors.print(f"[red]error:[/red] {error}", highlight=False)
        raise typer.Exit(2) from error
    except KeyboardInterrupt:
        errors.print("interrupted; nothing was written")
        raise typer.Exit(130) from None


if __name__ == "__main__":
    app(prog_name="python -m bench")
