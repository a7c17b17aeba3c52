"""What encrypted inference costs, and integer inference beside other libraries, measured here."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from bench import adversary
from bench.cases import accuracy, kernels, table, training
from bench.cases import he as he_case
from bench.harness.console import reported
from bench.harness.output import prepare_output, write_json
from bench.report.table import print_table, write_plot
from bench.tables.anchors import anchors
from plaintext_models import datasets, shipped

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


class WorkName(StrEnum):
    """Networks that are timed in the clear."""

    mlp = "mlp"
    cnn = "cnn"
    gemm = "gemm"


class TrainedName(StrEnum):
    """Networks whose training is timed."""

    mlp = "mlp"
    cnn = "cnn"


class LearnedName(StrEnum):
    """Networks that are trained in integers."""

    digits_mlp = "digits-mlp"
    mnist_mlp = "mnist-mlp"
    mnist_cnn = "mnist-cnn"
    cifar10_cnn = "cifar10-cnn"


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
    plot: Annotated[Path | None, typer.Option(help="Draw the rows to this file: .png, .svg or .pdf.")] = None,
    seed: Annotated[int, typer.Option(help="For the choice of images.")] = 0,
) -> None:
    """Table 3.1: inference in the clear and on encrypted images."""
    console, errors = Console(), Console(stderr=True)
    with reported(errors):
        for path_out in (json, plot):
            if path_out is not None:
                prepare_output(path_out)
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


@app.command("kernels")
def kernels_command(
    work: Annotated[list[WorkName] | None, typer.Option(help="Networks to time, one or several [all].")] = None,
    batch: Annotated[list[int] | None, typer.Option(help="Inputs of a call, one or several [1, 64, 1024].")] = None,
    threads: Annotated[list[int] | None, typer.Option(help="Threads, one or several [1 and all].")] = None,
    rounds: Annotated[int, typer.Option(help="Turns that ours and the peers take.")] = kernels.ROUNDS,
    json: Annotated[Path | None, typer.Option(help="Write the rows to this file.")] = None,
    seed: Annotated[int, typer.Option(help="For parameters and inputs.")] = 0,
) -> None:
    """Integer inference beside onnxruntime, torch and numpy (the extras peers and train)."""
    console, errors = Console(), Console(stderr=True)
    with reported(errors):
        if json is not None:
            prepare_output(json)
        with errors.status("starting") as status:
            rows = list(
                kernels.measure(
                    [name.value for name in work or WorkName],
                    batch or kernels.BATCHES,
                    threads or sorted({1, kernels.available_threads()}),
                    rounds,
                    seed,
                    status.update,
                )
            )
        kernels.print_rows(console, rows)
        if json is not None:
            write_json(json, rows)
            console.print(f"Rows written to {json}")


@app.command("training")
def training_command(
    work: Annotated[list[TrainedName] | None, typer.Option(help="Networks to time, one or several [all].")] = None,
    batch: Annotated[list[int] | None, typer.Option(help="Examples of a step, one or several [64].")] = None,
    threads: Annotated[list[int] | None, typer.Option(help="Threads of the others [1 and all].")] = None,
    rounds: Annotated[int, typer.Option(help="Turns that ours and the peers take.")] = kernels.ROUNDS,
    json: Annotated[Path | None, typer.Option(help="Write the rows to this file.")] = None,
    seed: Annotated[int, typer.Option(help="For parameters and examples.")] = 0,
) -> None:
    """A step of integer training beside float training in torch and numpy (the extra train)."""
    console, errors = Console(), Console(stderr=True)
    with reported(errors):
        if json is not None:
            prepare_output(json)
        with errors.status("starting") as status:
            rows = list(
                training.measure(
                    [name.value for name in work or TrainedName],
                    batch or [training.BATCH],
                    threads or sorted({1, kernels.available_threads()}),
                    rounds,
                    seed,
                    status.update,
                )
            )
        training.print_rows(console, rows)
        if json is not None:
            write_json(json, rows)
            console.print(f"Rows written to {json}")


@app.command("accuracy")
def accuracy_command(
    network: Annotated[list[LearnedName] | None, typer.Option(help="One or several [digits-mlp].")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder with MNIST or CIFAR-10 (or the variable INTNN_DATA).")
    ] = None,
    seeds: Annotated[int, typer.Option(help="How many runs, from seeds 0, 1, ...")] = 5,
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the rows to this file.")] = None,
) -> None:
    """What training in integers alone reaches, over several seeds."""
    console, errors = Console(), Console(stderr=True)
    with reported(errors):
        if json is not None:
            prepare_output(json)
        chosen = [name.value for name in network or [LearnedName.digits_mlp]]
        loaded = {name: datasets.load(accuracy.RECIPES[name].dataset, data) for name in chosen}
        rows = []
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=errors, transient=True) as progress:
            for name, dataset in loaded.items():
                task = progress.add_task(name, total=1.0)

                def report(what: str, share: float, name: str = name, task: TaskID = task) -> None:
                    progress.update(task, description=f"{name}: {what}", completed=share)

                rows.append(accuracy.measure(name, dataset, range(seeds), epochs, report))
        accuracy.print_rows(console, rows)
        if json is not None:
            write_json(json, rows)
            console.print(f"Rows written to {json}")


@app.command("he")
def he_command(
    network: Annotated[list[str] | None, typer.Option(help="Shipped networks [all of the data set].")] = None,
    dataset: Annotated[DatasetName, typer.Option(help="Images and networks to use.")] = DatasetName.digits,
    data: Annotated[Path | None, typer.Option(help="Folder with MNIST's files (or the variable INTNN_DATA).")] = None,
    images: Annotated[int, typer.Option(help="Images that are evaluated one by one.")] = 8,
    threads: Annotated[list[int] | None, typer.Option(help="Of the fast engine [1, 2 and all].")] = None,
    max_error: Annotated[float, typer.Option(help="Bound on the error of a logit of CKKS networks.")] = 0.2,
    operations: Annotated[bool, typer.Option(help="Whether to time single operations as well.")] = True,
    json: Annotated[Path | None, typer.Option(help="Write the rows to this file.")] = None,
) -> None:
    """The fast engine beside SEAL's evaluator: operations, then networks."""
    console, errors = Console(), Console(stderr=True)
    with reported(errors):
        if json is not None:
            prepare_output(json)
        loaded = datasets.load(dataset.value, data)
        names = network or [name for name in shipped.names() if name.startswith(dataset.value)]
        counts = threads or he_case.default_threads()
        he_case.check(names, images, counts, max_error)  # before anything is measured
        with errors.status("starting") as status:
            rows = list(he_case.operations(status.update)) if operations else []
            rows += he_case.networks(names, loaded, images, counts, max_error, status.update)
        he_case.print_rows(console, rows)
        if json is not None:
            write_json(json, rows)
            console.print(f"Rows written to {json}")


@app.command("gpu")
def gpu_command(
    record: Annotated[Path, typer.Option(help="Add the figures to this file.")] = Path("bench/records/gpu.jsonl"),
) -> None:
    """The CUDA kernels on this machine's GPU: equality with the reference, then speed."""
    from bench.cases import gpu  # here: it imports Numba's CUDA target, which the other commands do without

    console, errors = Console(), Console(stderr=True)
    with reported(errors):
        where = gpu.device()
        console.print(f"{where.device}, driver {where.driver}", highlight=False)
        equal = {}
        for name, outcome in gpu.equality():
            equal[name] = outcome
            console.print(f"{'equal  ' if outcome else '[red]DIFFERS[/red]'}  {name}", highlight=False)
        if not all(equal.values()):
            raise ValueError("kernels differ from the reference; nothing was timed or recorded")
        rows = []
        for row in gpu.measure():
            rows.append(row)
            speed = "" if row.gops is None else f", {row.gops:,.0f} GOPS"
            beside = "" if row.peer_us is None else f"; {row.peer}: {row.peer_us:,.1f} µs, ratio {row.ratio:.2f}"
            console.print(f"{row.work}: {row.ours_us:,.1f} µs{speed}{beside}", highlight=False)
        gpu.append(record, where, rows, equal)
        console.print(f"Figures added to {record}")


adversary.register(app)


if __name__ == "__main__":
    app(prog_name="python -m bench")
